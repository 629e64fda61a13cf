"""The extension `linalg` of the namespace of symbolic arrays."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy

from ..ir.attributes import Gather
from ..ir.dtypes import FLOAT64, FLOATS, INT64
from ..ir.operations import Op
from .elementwise import apply
from .indexing import gather
from .library_calls import call
from .looks import Diagonal
from .products import batch_sizes, matmul, tensordot, vecdot
from .promotion import cast
from .reductions import max as largest
from .reductions import min as smallest
from .reductions import sum as total
from .shapes import concat, expand_dims, matrix_transpose, moveaxis, position_of, positions_of, same_dtype
from .symbolic import as_symbolic, look_at, of_array, trace_of, view

__all__ = [
    *("cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm"),
    *("matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "svd"),
    *("svdvals", "tensordot", "trace", "vecdot", "vector_norm", "norm"),
]


class EighResult(NamedTuple):
    """Eigenvalues and eigenvectors."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """An orthonormal and a triangular factor."""

    Q: Any
    R: Any


class SlogdetResult(NamedTuple):
    """The sign and the logarithm of the absolute value of a determinant."""

    sign: Any
    logabsdet: Any


class SVDResult(NamedTuple):
    """The factors of a singular value decomposition."""

    U: Any
    S: Any
    Vh: Any


def _matrices(x: Any, function: str, *, square: bool = False) -> Any:
    """Matrices of floating-point numbers; integers as float64, as NumPy takes them."""
    sizes = x.node.sizes()
    if len(sizes) < 2 or (square and sizes[-1] != sizes[-2]):
        kind = "square matrices" if square else "matrices"
        raise x.tracer.error(ValueError, f"linalg.{function} of shape {sizes}; expected {kind}")
    return x if x.node.dtype in FLOATS else cast(x.tracer, x, FLOAT64)


@of_array
def cholesky(x: Any, /, *, upper: Any = False) -> Any:
    """The triangular factor of positive definite matrices."""
    x = _matrices(x, "cholesky", square=True)
    return call("cholesky", [x], x.node.sizes(), x.node.dtype, upper=bool(upper))


@of_array
def det(x: Any, /) -> Any:
    """The determinants of matrices."""
    x = _matrices(x, "det", square=True)
    return call("det", [x], x.node.sizes()[:-2], x.node.dtype)


@of_array
def slogdet(x: Any, /) -> Any:
    """The sign of the determinants, and the logarithm of their absolute values."""
    x = _matrices(x, "slogdet", square=True)
    sizes = x.node.sizes()[:-2]
    return SlogdetResult(*(call("slogdet", [x], sizes, x.node.dtype, part) for part in (0, 1)))


@of_array
def inv(x: Any, /) -> Any:
    """The inverse matrices."""
    x = _matrices(x, "inv", square=True)
    return call("inv", [x], x.node.sizes(), x.node.dtype)


@of_array
def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """The pseudo-inverse matrices."""
    x = _matrices(x, "pinv")
    sizes = x.node.sizes()
    return call("pinv", _with_tolerance(x, rtol), (*sizes[:-2], sizes[-1], sizes[-2]), x.node.dtype)


def _with_tolerance(x: Any, rtol: Any) -> list[Any]:
    return [x] if rtol is None else [x, cast(x.tracer, as_symbolic(x.tracer, rtol), x.node.dtype)]


def solve(x1: Any, x2: Any, /) -> Any:
    """The solution of linear systems of equations."""
    trace = trace_of((x1, x2))
    a, b = same_dtype(trace, "solve", (x1, x2))
    a = _matrices(a, "solve", square=True)
    b = cast(trace, b, a.node.dtype)
    count, of_a, of_b = a.node.sizes()[-1], a.node.sizes(), b.node.sizes()
    is_vector = b.ndim == 1
    if not b.ndim or (of_b[-1] if is_vector else of_b[-2]) != count:
        raise trace.error(ValueError, f"linalg.solve of shapes {of_a} and {of_b}; expected {count} rows")
    before = batch_sizes(trace, "linalg.solve", of_a[:-2], () if is_vector else of_b[:-2])
    sizes = (*before, count) if is_vector else (*before, count, of_b[-1])
    return call("solve", [a, b], sizes, a.node.dtype)


@of_array
def eigh(x: Any, /) -> Any:
    """Eigenvalues and eigenvectors of symmetric matrices."""
    x = _matrices(x, "eigh", square=True)
    sizes = x.node.sizes()
    return EighResult(*(call("eigh", [x], of, x.node.dtype, p) for p, of in enumerate((sizes[:-1], sizes))))


@of_array
def eigvalsh(x: Any, /) -> Any:
    """Eigenvalues of symmetric matrices."""
    x = _matrices(x, "eigvalsh", square=True)
    return call("eigvalsh", [x], x.node.sizes()[:-1], x.node.dtype)


@of_array
def qr(x: Any, /, *, mode: str = "reduced") -> Any:
    """The factors of matrices: orthonormal columns times a triangle."""
    x = _matrices(x, "qr")
    *before, rows, columns = x.node.sizes()
    if mode not in ("reduced", "complete"):
        raise x.tracer.error(ValueError, f"linalg.qr got mode={mode!r}; expected 'reduced' or 'complete'")
    inner = min(rows, columns) if mode == "reduced" else rows
    shapes = (*before, rows, inner), (*before, inner, columns)
    return QRResult(*(call("qr", [x], of, x.node.dtype, p, mode=mode) for p, of in enumerate(shapes)))


@of_array
def svd(x: Any, /, *, full_matrices: Any = True) -> Any:
    """The singular value decomposition of matrices."""
    x = _matrices(x, "svd")
    *before, rows, columns = x.node.sizes()
    least = min(rows, columns)
    left, right = (rows, columns) if full_matrices else (least, least)
    shapes = (*before, rows, left), (*before, least), (*before, right, columns)
    full = bool(full_matrices)
    parts = (call("svd", [x], of, x.node.dtype, p, full_matrices=full) for p, of in enumerate(shapes))
    return SVDResult(*parts)


@of_array
def svdvals(x: Any, /) -> Any:
    """The singular values of matrices."""
    x = _matrices(x, "svdvals")
    sizes = x.node.sizes()
    return call("svdvals", [x], (*sizes[:-2], min(sizes[-2:])), x.node.dtype)


@of_array
def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """The number of singular values that are not 0."""
    x = _matrices(x, "matrix_rank")
    return call("matrix_rank", _with_tolerance(x, rtol), x.node.sizes()[:-2], INT64)


@of_array
def matrix_power(x: Any, n: Any, /) -> Any:
    """The n-th power of square matrices."""
    x = _matrices(x, "matrix_power", square=True)
    return call("matrix_power", [x], x.node.sizes(), x.node.dtype, n=n.__index__())


@of_array
def matrix_norm(x: Any, /, *, keepdims: Any = False, ord: Any = "fro") -> Any:
    """A norm of matrices: Frobenius, of sums of rows or columns, or of singular values."""
    x = _matrices(x, "matrix_norm")
    if ord in ("fro", None):
        return apply(Op.SQRT, total(x * x, axis=(-2, -1), keepdims=keepdims))
    if ord in (1, -1, math.inf, -math.inf):
        sums = total(apply(Op.ABS, x), axis=-2 if abs(ord) == 1 else -1, keepdims=True)
        found = (largest if ord > 0 else smallest)(sums, axis=(-2, -1), keepdims=True)
    elif ord in (2, -2, "nuc"):
        values = svdvals(x)
        join = total if ord == "nuc" else largest if ord == 2 else smallest
        found = expand_dims(join(values, axis=-1, keepdims=True), axis=-1)
    else:
        raise x.tracer.error(ValueError, f"linalg.matrix_norm got ord={ord!r}; expected a norm of matrices")
    return found if keepdims else view(found, tuple(range(found.ndim - 2)))


@of_array
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Any:
    """A norm of the vectors along some axes; without axes, of all elements."""
    if not x.node.dtype.is_float:
        x = cast(x.tracer, x, FLOAT64)
    axis = None if axis is None else positions_of(x, axis)
    if ord == 2:
        return apply(Op.SQRT, total(x * x, axis=axis, keepdims=keepdims))
    size = apply(Op.ABS, x)
    if ord in (math.inf, -math.inf):
        return (largest if ord > 0 else smallest)(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return total(cast(x.tracer, x != 0, x.node.dtype), axis=axis, keepdims=keepdims)
    if ord == 1:
        return total(size, axis=axis, keepdims=keepdims)
    return total(size**ord, axis=axis, keepdims=keepdims) ** (1.0 / ord)


def outer(x1: Any, x2: Any, /) -> Any:
    """The products of all pairs of elements of two vectors."""
    trace = trace_of((x1, x2))
    a, b = as_symbolic(trace, x1), as_symbolic(trace, x2)
    if a.ndim != 1 or b.ndim != 1:
        raise trace.error(ValueError, f"linalg.outer of {a!r} and {b!r}; expected vectors")
    return view(a, (0, None)) * view(b, (None, 0))


def cross(x1: Any, x2: Any, /, *, axis: Any = -1) -> Any:
    """The cross product of vectors of three elements along an axis."""
    trace = trace_of((x1, x2))
    a, b = as_symbolic(trace, x1), as_symbolic(trace, x2)
    of_a, of_b = (moveaxis(x, position_of(x, axis), -1) for x in (a, b))
    if of_a.node.sizes()[-1] != 3 or of_b.node.sizes()[-1] != 3:
        raise trace.error(ValueError, f"linalg.cross of {a!r} and {b!r} along {axis}; expected 3 elements")
    (a0, a1, a2), (b0, b1, b2) = ([x[..., i] for i in range(3)] for x in (of_a, of_b))
    parts = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
    return moveaxis(concat([expand_dims(part, axis=-1) for part in parts], axis=-1), -1, axis)


@of_array
def diagonal(x: Any, /, *, offset: Any = 0) -> Any:
    """The diagonals of matrices."""
    if x.ndim < 2:
        raise x.tracer.error(ValueError, f"linalg.diagonal of shape {x.node.sizes()}; expected matrices")
    from .indexing import positions

    *before, rows, columns = x.node.sizes()
    offset = offset.__index__()
    down, right = max(-offset, 0), max(offset, 0)
    count = max(min(rows - down, columns - right), 0)
    along = positions(x.tracer, count)
    first = len(before)
    places = (*range(first), -1, -2)
    made = gather(x, [along + down, along + right], places, (*before, count)).node
    return look_at(x, Diagonal(made.inputs[1:], made.attribute_as(Gather), made.shape))


@of_array
def trace(x: Any, /, *, offset: Any = 0, dtype: Any = None) -> Any:
    """The sums of the diagonals of matrices."""
    return total(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    """A norm of vectors or matrices, as numpy.linalg.norm defines it."""
    array = as_symbolic(trace_of((x,)), x)
    if axis is None and ord is None:
        return vector_norm(array, axis=None, keepdims=keepdims)
    axes = tuple(range(array.ndim)) if axis is None else axis
    if isinstance(axes, int) or len(axes) == 1:
        return vector_norm(array, axis=axes, keepdims=keepdims, ord=2 if ord is None else ord)
    moved = moveaxis(array, tuple(axes), (-2, -1))
    found = matrix_norm(moved, ord="fro" if ord is None else ord)
    return expand_dims(found, axis=positions_of(array, axes)) if keepdims else found
