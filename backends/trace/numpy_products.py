"""NumPy's products of arrays and functions of diagonals: `np.dot`, `np.einsum`, `np.trace`, `np.cov`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ir.operations import Op
from . import creation, linalg, namespace, products, reductions, shapes
from .elementwise import apply
from .numpy_arguments import array_of, finished, unsupported
from .numpy_joins import concatenate, pad
from .numpy_shapes import at_least, ravel
from .promotion import cast
from .symbolic import as_symbolic, view


def _dot(a: Any, b: Any, out: Any = None) -> Any:
    x, y = array_of(a, b), array_of(b, a)
    if not x.ndim or not y.ndim:
        return finished(x * y, out=out)
    if y.ndim <= 2:
        return finished(products.matmul(x, y), out=out)
    return finished(products.tensordot(x, y, axes=((x.ndim - 1,), (y.ndim - 2,))), out=out)


def _inner(a: Any, b: Any, /) -> Any:
    x, y = array_of(a, b), array_of(b, a)
    return x * y if not x.ndim or not y.ndim else products.tensordot(x, y, axes=((-1,), (-1,)))


def _outer(a: Any, b: Any, out: Any = None) -> Any:
    return finished(linalg.outer(ravel(array_of(a, b)), ravel(array_of(b, a))), out=out)


def _vdot(a: Any, b: Any, /) -> Any:
    return _dot(ravel(array_of(a, b)), ravel(array_of(b, a)))


def _kron(a: Any, b: Any) -> Any:
    x, y = at_least(2)(array_of(a, b)), at_least(2)(array_of(b, a))
    (n, m), (p, q) = x.node.sizes(), y.node.sizes()
    return shapes.reshape(view(x, (0, None, 1, None)) * view(y, (None, 0, None, 1)), (n * p, m * q))


def _einsum(*operands: Any, out: Any = None, **_: Any) -> Any:
    return finished(products.einsum(*operands), out=out)


def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if not isinstance(axes, int):
        axes = tuple(shapes.shape_given(part) for part in axes)
    return products.tensordot(array_of(a, b), array_of(b, a), axes=axes)


def _trace(
    a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None, out: Any = None
) -> Any:
    return finished(reductions.sum(_diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype), out=out)


def _diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    return linalg.diagonal(shapes.moveaxis(array_of(a), (axis1, axis2), (-2, -1)), offset=offset)


def _diag(v: Any, k: Any = 0) -> Any:
    x = array_of(v)
    if x.ndim == 2:
        return linalg.diagonal(x, offset=k)
    size = x.node.sizes()[0] + abs(k)
    # Element i of the vector is in row i, or in row i - k below the diagonal.
    where = creation.eye(size, size, k=k, dtype="bool")
    padded = pad(x, (k, 0) if k > 0 else (0, -k))
    return apply(
        Op.WHERE, where, view(padded, (None, 0)), cast(x.tracer, as_symbolic(x.tracer, 0), x.node.dtype)
    )


def _cross(a: Any, b: Any, axisa: Any = -1, axisb: Any = -1, axisc: Any = -1, axis: Any = None) -> Any:
    if (axisa, axisb, axisc) != (-1, -1, -1):
        raise unsupported(a, "np.cross with axisa=, axisb= or axisc=; use axis=")
    return linalg.cross(array_of(a, b), array_of(b, a), axis=-1 if axis is None else axis)


def _cov(
    m: Any,
    y: Any = None,
    rowvar: Any = True,
    bias: Any = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    if fweights is not None or aweights is not None or dtype is not None:
        raise unsupported(m, "np.cov with fweights=, aweights= or dtype=")
    x = namespace.astype(at_least(2)(array_of(m)), "float64")
    if y is not None:
        x = concatenate([x, at_least(2)(y)], 0 if rowvar else 1)
    x = x if rowvar or array_of(m).ndim == 1 else x.T
    less = (0 if bias else 1) if ddof is None else ddof
    deviation = x - reductions.mean(x, axis=1, keepdims=True)
    found = products.matmul(deviation, deviation.T) / float(max(x.node.sizes()[1] - less, 0))
    return shapes.squeeze(found)


def _corrcoef(x: Any, y: Any = None, rowvar: Any = True) -> Any:
    found = _cov(x, y, rowvar)
    spread = apply(Op.SQRT, linalg.diagonal(found))
    return namespace.clip(found / view(spread, (0, None)) / view(spread, (None, 0)), -1.0, 1.0)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "dot": _dot,
    "inner": _inner,
    "outer": _outer,
    "vdot": _vdot,
    "kron": _kron,
    "einsum": _einsum,
    "tensordot": _tensordot,
    "trace": _trace,
    "diagonal": _diagonal,
    "diag": _diag,
    "cross": _cross,
    "cov": _cov,
    "corrcoef": _corrcoef,
}
