"""Matrix products with a dimension of a few numbers, as loops.

BLAS copies both factors into an order of its own first, which takes longer than so small a product. Takes
how many numbers the dimension has; gives the text of a routine for them, from its parameters on. For a
product of two terms, `x @ weight` with x of (rows, 2), it is

    def terms_2(rows, columns, a, lda, b, ldb, c):
        for row in range(rows):
            a0 = a[row * lda]
            a1 = a[row * lda + 1]
            for column in range(columns):
                c[row * columns + column] = a0 * b[column] + a1 * b[ldb + column]

The bits of a row do not depend on its place in a block. Where a vector adds up terms, two or four rows are
always computed at a time, the last row several times if there are fewer.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ir.dtypes import DType

# Bytes of a row that are read at a time. A few such pieces are in the first-level cache.
PIECE = 4096


def terms(few: int, real: DType, *, transposed: bool) -> str:
    """C = A op(B), where A has few columns.

    transposed: B is stored as (columns, terms); a part of it is copied into the order of the other case first
    """
    chunk = PIECE // real.itemsize
    factors = [f"a{k}" for k in range(few)]
    loads = [f"{factor} = a[row * lda + {k}]" for k, factor in enumerate(factors)]
    if not transposed:
        total = " + ".join(f"{factor} * b[{k} * ldb + column]" for k, factor in enumerate(factors))
        return _text(
            "(rows, columns, a, lda, b, ldb, c):",
            "    for row in range(rows):",
            *_indented(loads, 8),
            "        for column in range(columns):",
            f"            c[row * columns + column] = {total}",
        )
    total = " + ".join(f"{factor} * part[{k * chunk} + column]" for k, factor in enumerate(factors))
    return _text(
        "(rows, columns, a, lda, b, ldb, c):",
        f"    part = stack_of_{real}({few * chunk})",
        f"    for first in range(0, columns, {chunk}):",
        f"        width = min({chunk}, columns - first)",
        f"        for k in range({few}):",
        "            for column in range(width):",
        f"                part[k * {chunk} + column] = b[(first + column) * ldb + k]",
        "        for row in range(rows):",
        *_indented(loads, 12),
        "            for column in range(width):",
        f"                c[row * columns + first + column] = {total}",
    )


def columns(few: int, real: DType, *, transposed: bool) -> str:
    """C = A op(B), where C has few columns.

    transposed: B is stored as (columns, inner)
    """
    chunk = PIECE // real.itemsize
    rows = range(_together(few))
    places = [(row, k) for row in rows for k in range(few)]
    where = "k * ldb + first + term" if transposed else "(first + term) * ldb + k"
    return _text(
        "(rows, inner, a, lda, b, ldb, c):",
        f"    part = stack_of_{real}({few * chunk})",
        f"    for first in range(0, inner, {chunk}):",
        f"        width = min({chunk}, inner - first)",
        f"        for k in range({few}):",
        "            for term in range(width):",
        f"                part[k * {chunk} + term] = b[{where}]",
        f"        for row0 in range(0, rows, {len(rows)}):",
        *(f"            row{row} = min(row0 + {row}, rows - 1)" for row in rows[1:]),
        *(f"            s{row}_{k} = {real}(0.0)" for row, k in places),
        "            for term in range(width):",
        *(f"                a{row} = a[row{row} * lda + first + term]" for row in rows),
        *(
            f"                s{row}_{k} = plus(s{row}_{k}, a{row} * part[{k * chunk} + term])"
            for row, k in places
        ),
        "            if first > 0:",
        *(f"                s{row}_{k} = s{row}_{k} + c[row{row} * {few} + {k}]" for row, k in places),
        *(f"            c[row{row} * {few} + {k}] = s{row}_{k}" for row, k in places),
    )


def sums(few: int, real: DType, *, transposed: bool) -> str:
    """C = beta C + the sum over the rows of a few numbers of N times a row of W; if beta is 0, C is not read.

    transposed: C is stored as (columns of W, few), and not as (few, columns of W)
    """
    chunk = PIECE // real.itemsize
    rows = range(_together(few))
    total = f"part[k * {chunk} + column]"
    place = f"c[(first + column) * {few} + k]" if transposed else "c[k * columns + first + column]"
    return _text(
        "(rows, columns, n, ldn, w, ldw, c, beta):",
        f"    part = stack_of_{real}({few * chunk})",
        f"    for first in range(0, columns, {chunk}):",
        f"        width = min({chunk}, columns - first)",
        f"        for k in range({few}):",
        "            for column in range(width):",
        f"                {total} = {real}(0.0)",
        f"        for row in range(0, rows - {len(rows) - 1}, {len(rows)}):",
        *(f"            n{i}_{k} = n[(row + {i}) * ldn + {k}]" for i in rows for k in range(few)),
        "            for column in range(width):",
        *(f"                w{i} = w[(row + {i}) * ldw + first + column]" for i in rows),
        *(
            f"                {own} = {own} + ({' + '.join(f'n{i}_{k} * w{i}' for i in rows)})"
            for k, own in ((k, f"part[{k * chunk} + column]") for k in range(few))
        ),
        f"        for row in range(rows // {len(rows)} * {len(rows)}, rows):",
        f"            for k in range({few}):",
        "                for column in range(width):",
        f"                    {total} = {total} + n[row * ldn + k] * w[row * ldw + first + column]",
        f"        for k in range({few}):",
        "            for column in range(width):",
        f"                {place} = select(beta == 0.0, {total}, beta * {place} + {total})",
    )


def _together(few: int) -> int:
    """How many rows are computed side by side: their sums are in registers."""
    return 4 if few <= 4 else 2


def _indented(lines: Iterable[str], spaces: int) -> list[str]:
    return [f"{' ' * spaces}{line}" for line in lines]


def _text(*lines: str) -> str:
    return "\n".join([*lines, ""])
