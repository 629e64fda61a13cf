"""Matrix products and elements at indices, of the namespace of symbolic arrays."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy

from ..ir.attributes import LibraryCall, Transposes
from ..ir.dtypes import FLOATS
from ..ir.operations import Op
from .indexing import gather
from .indices import require_indices
from .looks import axes_of
from .promotion import cast, common_dtype
from .reductions import sum
from .shapes import (
    broadcast_to,
    expand_dims,
    moveaxis,
    permute_dims,
    position_of,
    positions_of,
    reshape,
    squeeze,
)
from .symbolic import SymbolicArray, as_symbolic, trace_of, view


def matmul(x1: Any, x2: Any, /) -> Any:
    """The matrix product over the last two dimensions; those before are broadcast."""
    trace = trace_of((x1, x2))
    a, b = as_symbolic(trace, x1), as_symbolic(trace, x2)
    if not a.ndim or not b.ndim:
        raise trace.error(ValueError, "matmul of a number; expected arrays of at least one dimension")
    if a.ndim == 1:
        return squeeze(matmul(expand_dims(a, axis=0), b), axis=-2 if b.ndim > 1 else 0)
    if b.ndim == 1:
        return squeeze(matmul(a, expand_dims(b, axis=1)), axis=-1)
    if a.node.sizes()[-1] != b.node.sizes()[-2]:
        raise trace.error(
            ValueError,
            f"matmul of shapes {a.node.sizes()} and {b.node.sizes()}: {a.node.sizes()[-1]} columns, "
            f"{b.node.sizes()[-2]} rows",
        )
    dtype, _ = common_dtype(trace, Op.MATMUL, [a, b])
    a, b = cast(trace, a, dtype), cast(trace, b, dtype)
    if b.ndim == 2 and a.ndim > 2 and dtype in FLOATS:
        # One product of all rows.
        rows = reshape(a, (-1, a.node.sizes()[-1])) if a.node.sizes()[-1] else a
        if rows.ndim == 2:
            return reshape(matmul(rows, b), (*a.node.sizes()[:-1], b.node.sizes()[-1]))
    if a.ndim == b.ndim == 2 and dtype in FLOATS:
        shape = (a.node.shape[0], b.node.shape[1])
        node = trace.node(Op.MATMUL, (a.node, b.node), Transposes(), shape=shape, dtype=dtype)
        return SymbolicArray(trace, node)
    before = batch_sizes(trace, "matmul", a.node.sizes()[:-2], b.node.sizes()[:-2])
    sizes = (*before, a.node.sizes()[-2], b.node.sizes()[-1])
    node = trace.node(Op.LIBRARY, (a.node, b.node), LibraryCall("matmul"), shape=axes_of(sizes), dtype=dtype)
    return SymbolicArray(trace, node)


def batch_sizes(trace: Any, function: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that the leading dimensions of matrices broadcast to."""
    try:
        return numpy.broadcast_shapes(*shapes)
    except ValueError:
        found = " and ".join(map(str, shapes))
        raise trace.error(ValueError, f"{function} of batches {found}, which do not broadcast") from None


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The sum of products along one axis."""
    trace = trace_of((x1, x2))
    a, b = as_symbolic(trace, x1), as_symbolic(trace, x2)
    lengths = [x.node.sizes()[position_of(x, axis)] for x in (a, b)]
    if lengths[0] != lengths[1]:
        raise trace.error(ValueError, f"vecdot of {lengths[0]} and {lengths[1]} elements; expected as many")
    # The axis is counted in each array by itself; the others are broadcast.
    products = moveaxis(a, axis, -1) * moveaxis(b, axis, -1)
    # As in NumPy, the sum of small integers is of their own dtype.
    return sum(products, axis=-1, dtype=str(products.dtype))


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """The sum of products over some axes of the first array and as many of the second."""
    trace = trace_of((x1, x2))
    a, b = as_symbolic(trace, x1), as_symbolic(trace, x2)
    if isinstance(axes, int):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise trace.error(ValueError, f"tensordot over {axes} axes of {a!r} and {b!r}")
        of_a, of_b = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        of_a, of_b = positions_of(a, axes[0]), positions_of(b, axes[1])
    lengths = [[x.node.sizes()[d] for d in of_x] for x, of_x in ((a, of_a), (b, of_b))]
    if lengths[0] != lengths[1]:
        raise trace.error(
            ValueError, f"tensordot over axes of {lengths[0]} and {lengths[1]}; expected the same"
        )
    rows = [d for d in range(a.ndim) if d not in of_a]
    columns = [d for d in range(b.ndim) if d not in of_b]
    sizes = (*(a.node.sizes()[d] for d in rows), *(b.node.sizes()[d] for d in columns))
    inner = math.prod(lengths[0])
    left = _as_matrix(permute_dims(a, (*rows, *of_a)), math.prod(a.node.sizes()[d] for d in rows), inner)
    right = _as_matrix(
        permute_dims(b, (*of_b, *columns)), inner, math.prod(b.node.sizes()[d] for d in columns)
    )
    return reshape(matmul(left, right), sizes)


def _as_matrix(x: SymbolicArray, rows: int, columns: int) -> Any:
    return reshape(x, (rows, columns))


def einsum(subscripts: str, *operands: Any) -> Any:
    """Sums of products, by letters for dimensions: "ij,jk->ik" is a matrix product."""
    trace = trace_of(operands)
    arrays = [as_symbolic(trace, operand) for operand in operands]
    terms, output = _terms(subscripts, [array.ndim for array in arrays])
    lengths = [len(term) for term in terms]
    if lengths != [array.ndim for array in arrays]:
        raise trace.error(
            ValueError,
            f"einsum of {subscripts!r} with shapes {[a.node.sizes() for a in arrays]}; expected a letter for "
            "each dimension of each array",
        )
    found, letters = _diagonal_of(arrays[0], terms[0])
    for position, (array, term) in enumerate(zip(arrays[1:], terms[1:], strict=True), 1):
        other, of_other = _diagonal_of(array, term)
        needed = set(output).union(*terms[position + 1 :])
        found, letters = _contracted(found, letters, other, of_other, needed)
    dropped = tuple(position for position, letter in enumerate(letters) if letter not in output)
    if dropped:
        found = sum(found, axis=dropped, dtype=str(found.dtype))
        letters = "".join(letter for letter in letters if letter in output)
    if sorted(letters) != sorted(output):
        raise trace.error(ValueError, f"einsum of {subscripts!r}: no array has all of {output!r}")
    return permute_dims(found, tuple(letters.index(letter) for letter in output))


def _terms(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """The letters of the inputs and of the output, with letters in place of "..."."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    unused = [letter for letter in string.ascii_letters if letter not in subscripts]
    rest = [
        max(ndim - len(term.replace("...", "")), 0) if "..." in term else 0
        for term, ndim in zip(terms, ndims, strict=False)
    ]
    most = "".join(unused[: max(rest, default=0)])
    # The dimensions of "..." are counted from the last.
    spelled = [
        term.replace("...", most[len(most) - count :])
        for term, count in zip(terms, rest + [0] * len(terms), strict=False)
    ]
    if not arrow:
        letters = "".join(terms).replace(".", "")
        output = "..." + "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    return spelled, output.replace("...", most)


def _diagonal_of(array: SymbolicArray, letters: str) -> tuple[Any, str]:
    """The array with the diagonal in place of dimensions that have the same letter."""
    for letter in letters:
        if letters.count(letter) > 1:
            from .linalg import diagonal

            first, second = (position for position, one in enumerate(letters) if one == letter)
            others = [d for d in range(array.ndim) if d not in (first, second)]
            inner = permute_dims(array, (*others, first, second))
            return _diagonal_of(diagonal(inner), "".join(letters[d] for d in others) + letter)
    return array, letters


def _contracted(a: Any, of_a: str, b: Any, of_b: str, needed: set[str]) -> tuple[Any, str]:
    """The product of two arrays, summed over the letters that nothing else needs."""
    alone = tuple(d for d, letter in enumerate(of_a) if letter not in of_b and letter not in needed)
    if alone:
        a = sum(a, axis=alone, dtype=str(a.dtype))
        of_a = "".join(letter for d, letter in enumerate(of_a) if d not in alone)
    alone = tuple(d for d, letter in enumerate(of_b) if letter not in of_a and letter not in needed)
    if alone:
        b = sum(b, axis=alone, dtype=str(b.dtype))
        of_b = "".join(letter for d, letter in enumerate(of_b) if d not in alone)
    batch = [letter for letter in of_a if letter in of_b and letter in needed]
    inner = [letter for letter in of_a if letter in of_b and letter not in needed]
    rows = [letter for letter in of_a if letter not in of_b]
    columns = [letter for letter in of_b if letter not in of_a]
    size = dict(zip(of_a + of_b, (*a.node.sizes(), *b.node.sizes()), strict=True))

    def matrix(x: Any, letters: str, first: list[str], second: list[str]) -> Any:
        x = permute_dims(x, tuple(letters.index(letter) for letter in (*batch, *first, *second)))
        count = [math.prod(size[letter] for letter in part) for part in (first, second)]
        return reshape(x, (*(size[letter] for letter in batch), *count))

    if not inner:
        left = permute_dims(a, tuple(of_a.index(letter) for letter in (*batch, *rows)))
        right = permute_dims(b, tuple(of_b.index(letter) for letter in (*batch, *columns)))
        own = (*range(left.ndim), *[None] * len(columns))
        others = (*range(len(batch)), *[None] * len(rows), *range(len(batch), right.ndim))
        return view(left, own) * view(right, others), "".join((*batch, *rows, *columns))
    product = matmul(matrix(a, of_a, rows, inner), matrix(b, of_b, inner, columns))
    letters = (*batch, *rows, *columns)
    return reshape(product, tuple(size[letter] for letter in letters)), "".join(letters)


def take(x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    """The elements at some indices along an axis; without an axis, of a vector."""
    trace = trace_of((x, indices))
    array = as_symbolic(trace, x)
    index = as_symbolic(
        trace, numpy.asarray(indices) if isinstance(indices, list | tuple | range) else indices
    )
    if axis is None:
        if array.ndim != 1:
            raise trace.error(
                ValueError,
                f"take from shape {array.node.sizes()} without an axis; expected a vector or an axis",
            )
        axis = 0
    position = position_of(array, axis)
    if not index.node.dtype.is_integer:
        raise trace.error(TypeError, f"take with indices of dtype {index.dtype}; expected integers")
    if array.ndim == 1:
        require_indices(trace, Op.TAKE, index, array.node.sizes()[0])
        node = trace.node(Op.TAKE, (array.node, index.node), shape=index.node.shape, dtype=array.node.dtype)
        return SymbolicArray(trace, node)
    return array[(*[slice(None)] * position, index)]


def take_along_axis(x: Any, indices: Any, /, *, axis: Any = -1) -> Any:
    """For each place of the result the element at the index there; dimensions of size 1 are broadcast."""
    trace = trace_of((x, indices))
    array, index = as_symbolic(trace, x), as_symbolic(trace, indices)
    if not index.node.dtype.is_integer:
        raise trace.error(
            TypeError, f"take_along_axis with indices of dtype {index.dtype}; expected integers"
        )
    position = position_of(array, axis)
    mine, theirs = (x.node.sizes()[:position] + x.node.sizes()[position + 1 :] for x in (array, index))
    if array.ndim != index.ndim or any(a != b and 1 not in (a, b) for a, b in zip(mine, theirs, strict=True)):
        raise trace.error(
            IndexError if array.ndim == index.ndim else ValueError,
            f"take_along_axis of shape {array.node.sizes()} at {index.node.sizes()} along axis {position}; "
            "expected the same sizes along all others",
        )
    require_indices(trace, Op.TAKE_ALONG_AXIS, index, array.node.sizes()[position])
    is_one_of_rows = array.ndim == 2 and position == 1 and index.node.shape[1] is None and mine == theirs
    if is_one_of_rows:
        shape = index.node.shape
        node = trace.node(Op.TAKE_ALONG_AXIS, (array.node, index.node), shape=shape, dtype=array.node.dtype)
        return SymbolicArray(trace, node)
    sizes = list(numpy.broadcast_shapes(mine, theirs))
    whole = (
        broadcast_to(array, (*sizes[:position], array.shape[position], *sizes[position:]))
        if list(mine) != sizes
        else array
    )
    sizes.insert(position, index.node.sizes()[position])
    places = tuple(-1 if d == position else d for d in range(array.ndim))
    return gather(whole, [index], places, tuple(sizes))
