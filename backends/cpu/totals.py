"""Sums over rows: the routines that every program shares, and the statements that use them.

For `sum(x, axis=0)` of float32 the program has, after each row:

    if row & 63 == 63:
        move(d0, s0, n0)

and after the last one `finish(d0, s0, n0)`: parts of few rows are added up in float64.
"""

from __future__ import annotations

from ..codegen.text import Lines
from ..codegen.totals import BLOCKS_OF_PART, ROWS_OF_PART, is_kept_wide
from ..ir.graph import Node

ROUTINES = """\
def clear(sums, size, nothing):
    for element in range(size):
        sums[element] = nothing


def add(totals, sums, size):
    for element in range(size):
        totals[element] += float64(sums[element])


def move(totals, sums, size):
    for element in range(size):
        totals[element] += float64(sums[element])
        sums[element] = float32(0.0)


def finish(totals, sums, size):
    for element in range(size):
        sums[element] = float32(totals[element] + float64(sums[element]))
"""


def after_row(total: str, part: str, size: str, lines: Lines) -> None:
    """Move the part after its last row."""
    lines.add(f"if row & {ROWS_OF_PART - 1} == {ROWS_OF_PART - 1}:", f"    move({total}, {part}, {size})")


def before_block(total: str, part: str, size: str, lines: Lines) -> None:
    """Take up the part before the product of the next part's first block, which overwrites it."""
    lines.add(f"if (block > first) & ((block - first) & {BLOCKS_OF_PART - 1} == 0):")
    lines.add(f"    add({total}, {part}, {size})")


def is_first_block(node: Node) -> str:
    """The condition for the first block of a part of a product."""
    return f"(block - first) & {BLOCKS_OF_PART - 1} == 0" if is_kept_wide(node) else "block == first"
