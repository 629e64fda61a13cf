"""Matrix products, `take` and `take_along_axis` of the namespace of symbolic arrays."""

from __future__ import annotations

from typing import Any

from ..ir.attributes import Transposes
from ..ir.dtypes import FLOATS
from ..ir.operations import Op
from .indices import require_indices
from .promotion import cast, common_dtype
from .reductions import sum
from .shapes import expand_dims, squeeze
from .symbolic import SymbolicArray, as_symbolic, source_line, trace_of


def matmul(x1: Any, x2: Any, /) -> Any:
    """The matrix product of arrays with one or two dimensions."""
    trace = trace_of((x1, x2))
    a, b = as_symbolic(trace, x1), as_symbolic(trace, x2)
    if a.ndim == 1 and b.ndim in (1, 2):
        return squeeze(matmul(expand_dims(a, axis=0), b), axis=0)
    if b.ndim == 1 and a.ndim == 2:
        return squeeze(matmul(a, expand_dims(b, axis=1)), axis=1)
    if a.ndim != 2 or b.ndim != 2:
        raise trace.error(
            TypeError,
            f"matmul of shapes {a.node.sizes()} and {b.node.sizes()}; expected one or two dimensions each",
        )
    left, right = a.node.shape[1], b.node.shape[0]
    if (left.size if left else 1) != (right.size if right else 1):
        raise trace.error(
            ValueError,
            f"matmul of shapes {a.node.sizes()} and {b.node.sizes()}: {a.node.sizes()[1]} columns, "
            f"{b.node.sizes()[0]} rows",
        )
    dtype, _ = common_dtype(trace, Op.MATMUL, [a, b])
    if dtype not in FLOATS:
        raise trace.error(TypeError, f"matmul of dtype {dtype}; expected float32 or float64")
    nodes = cast(trace, a, dtype).node, cast(trace, b, dtype).node
    shape = (nodes[0].shape[0], nodes[1].shape[1])
    node = trace.graph.node(Op.MATMUL, nodes, Transposes(), shape=shape, dtype=dtype, line=source_line())
    return SymbolicArray(trace, node)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The sum of products along one axis."""
    return sum(x1 * x2, axis=axis)


def take(x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    """The elements of a vector at some indices."""
    trace = trace_of((x, indices))
    vector, index = as_symbolic(trace, x), as_symbolic(trace, indices)
    if vector.ndim != 1 or axis not in (None, 0, -1):
        raise trace.error(
            TypeError, f"take from shape {vector.node.sizes()} is not supported; expected a vector"
        )
    if not index.node.dtype.is_integer:
        raise trace.error(TypeError, f"take with indices of dtype {index.dtype}; expected integers")
    require_indices(trace, Op.TAKE, index, vector.node.sizes()[0])
    node = trace.graph.node(
        Op.TAKE,
        (vector.node, index.node),
        shape=index.node.shape,
        dtype=vector.node.dtype,
        line=source_line(),
    )
    return SymbolicArray(trace, node)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """One element of each row: x (N, K) at columns (N, 1)."""
    trace = trace_of((x, indices))
    scores, index = as_symbolic(trace, x), as_symbolic(trace, indices)
    fits = scores.ndim == 2 and index.ndim == 2 and axis in (-1, 1) and index.node.shape[1] is None
    if not fits or (scores.node.shape[0] is None) != (index.node.shape[0] is None):
        raise trace.error(
            TypeError,
            f"take_along_axis of shape {scores.node.sizes()} at {index.node.sizes()}, axis {axis}, is not "
            "supported; expected (N, K) at (N, 1) along the last axis",
        )
    if scores.node.sizes()[0] != index.node.sizes()[0]:
        raise trace.error(
            IndexError,
            f"take_along_axis of shape {scores.node.sizes()} at {index.node.sizes()}: "
            f"{scores.node.sizes()[0]} rows, {index.node.sizes()[0]} indices",
        )
    if not index.node.dtype.is_integer:
        raise trace.error(
            TypeError, f"take_along_axis with indices of dtype {index.dtype}; expected integers"
        )
    require_indices(trace, Op.TAKE_ALONG_AXIS, index, scores.node.sizes()[1])
    node = trace.graph.node(
        Op.TAKE_ALONG_AXIS,
        (scores.node, index.node),
        shape=index.node.shape,
        dtype=scores.node.dtype,
        line=source_line(),
    )
    return SymbolicArray(trace, node)
