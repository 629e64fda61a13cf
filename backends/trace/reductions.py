"""The reductions of the namespace of symbolic arrays."""

from __future__ import annotations

from typing import Any

from numpy.exceptions import AxisError

from ..ir.attributes import Iota, Reduction
from ..ir.dtypes import BOOL, FLOAT64, INT64, UINT8, UINT64, DType, Kind
from ..ir.operations import Op
from .dtype_names import dtype_given
from .elementwise import apply
from .promotion import cast
from .strides import order_without
from .symbolic import SymbolicArray, as_symbolic, of_array, source_line, trace_of, view


def _positions(x: Any, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    found = []
    for position in axis if isinstance(axis, tuple) else (axis,):
        position = position.__index__()
        if not -x.ndim <= position < x.ndim:
            raise x.tracer.error(AxisError, f"axis {position} of shape {x.node.sizes()}")
        found.append(position % x.ndim)
    if len(set(found)) < len(found):
        raise x.tracer.error(ValueError, f"got the axes {axis}; expected each at most once")
    return tuple(sorted(found))


def _reduce(operation: Op, x: Any, axis: Any, keepdims: Any, dtype: DType) -> Any:
    trace = trace_of((x,))
    x = as_symbolic(trace, x)
    positions = _positions(x, axis)
    sizes = [x.node.shape[position] for position in positions]
    if operation in (Op.MAX, Op.MIN) and 0 in [axis.size for axis in sizes if axis is not None]:
        raise trace.error(ValueError, f"{operation} of no elements, of shape {x.node.sizes()}")
    kept = tuple(position for position in range(x.ndim) if position not in positions)
    shape = tuple(x.node.shape[position] for position in kept)
    node = trace.graph.node(
        operation, (x.node,), Reduction(positions), shape=shape, dtype=dtype, line=source_line()
    )
    result = SymbolicArray(trace, node)
    if len(kept) > 1 and (x.base is not None or x.order):
        result.order = order_without(x, positions)
    if keepdims:
        result = view(result, tuple(kept.index(p) if p in kept else None for p in range(x.ndim)))
    return result


def wide(dtype: DType) -> DType:
    """The dtype of a sum: 64 bits for integers and bools."""
    return dtype if dtype.is_float else UINT64 if dtype.kind is Kind.UNSIGNED else INT64


def _summand(function: str, x: Any, dtype: Any) -> Any:
    """The array in the dtype of its sum."""
    return cast(x.tracer, x, wide(x.node.dtype) if dtype is None else dtype_given(x.tracer, function, dtype))


def _indices_along(x: Any, position: int) -> Any:
    """0, 1, 2, ... along one dimension, in a shape that broadcasts with x."""
    axis = x.node.shape[position]
    node = x.tracer.graph.node(Op.IOTA, (), Iota(axis), shape=(axis,), dtype=INT64, line=source_line())
    return view(SymbolicArray(x.tracer, node), tuple(0 if d == position else None for d in range(x.ndim)))


def _count(x: Any, axis: Any) -> Any:
    total: Any = 1
    for position in _positions(x, axis):
        total = total * x.shape[position]
    return total


@of_array
def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    """The sum along the axes; of integers in 64 bits."""
    x = _summand("sum", x, dtype)
    return _reduce(Op.SUM, x, axis, keepdims, x.node.dtype)


@of_array
def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    """The product along the axes; of integers in 64 bits."""
    x = _summand("prod", x, dtype)
    return _reduce(Op.PROD, x, axis, keepdims, x.node.dtype)


def as_float(x: Any) -> Any:
    """The array in the dtype in which NumPy computes its mean."""
    return x if x.node.dtype.is_float else cast(x.tracer, x, FLOAT64)


@of_array
def mean(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The mean along the axes; of integers and bools in float64."""
    x = as_float(x)
    return _reduce(Op.SUM, x, axis, keepdims, x.node.dtype) / _count(x, axis)


@of_array
def var(x: Any, /, *, axis: Any = None, correction: Any = 0.0, keepdims: Any = False) -> Any:
    """The variance along the axes, in two passes: the mean, then the squared deviations."""
    x = as_float(x)
    deviation = x - mean(x, axis=axis, keepdims=True)
    total = _reduce(Op.SUM, deviation * deviation, axis, keepdims, x.node.dtype)
    less = _count(x, axis) - correction
    # NumPy divides by no less than 0.
    if isinstance(less, SymbolicArray) and less.known is None:
        less = apply(Op.MAXIMUM, less, 0)
    elif (less.known if isinstance(less, SymbolicArray) else less) < 0:
        less = 0.0
    return total / less


@of_array
def std(x: Any, /, *, axis: Any = None, correction: Any = 0.0, keepdims: Any = False) -> Any:
    """The standard deviation along the axes."""
    return apply(Op.SQRT, var(x, axis=axis, correction=correction, keepdims=keepdims))


@of_array
def max(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The largest element along the axes; NaN if one is NaN."""
    if x.node.dtype == BOOL:
        return any(x, axis=axis, keepdims=keepdims)
    return _reduce(Op.MAX, x, axis, keepdims, x.node.dtype)


@of_array
def min(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The smallest element along the axes; NaN if one is NaN."""
    if x.node.dtype == BOOL:
        return all(x, axis=axis, keepdims=keepdims)
    return _reduce(Op.MIN, x, axis, keepdims, x.node.dtype)


@of_array
def any(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """Whether any element is true."""
    return _reduce(Op.ANY, x if x.node.dtype == BOOL else x != 0, axis, keepdims, BOOL)


@of_array
def all(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """Whether all elements are true."""
    return _reduce(Op.ALL, x if x.node.dtype == BOOL else x != 0, axis, keepdims, BOOL)


@of_array
def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The number of elements that are not 0."""
    return sum(cast(x.tracer, x if x.node.dtype == BOOL else x != 0, INT64), axis=axis, keepdims=keepdims)


@of_array
def argmax(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The index of the first largest element along one axis; of the first NaN if there is one."""
    return _first_of(max, "argmax", x, axis, keepdims)


@of_array
def argmin(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The index of the first smallest element along one axis; of the first NaN if there is one."""
    return _first_of(min, "argmin", x, axis, keepdims)


def _first_of(extreme: Any, operation: str, x: Any, axis: Any, keepdims: Any) -> Any:
    if axis is None and x.ndim != 1:
        from .shapes import reshape

        index = _first_of(extreme, operation, reshape(x, (-1,)), 0, False)
        return view(index, (None,) * x.ndim) if keepdims else index
    (position,) = _positions(x, axis)
    if x.node.dtype == BOOL:
        x = cast(x.tracer, x, UINT8)
    found = x == extreme(x, axis=position, keepdims=True)
    if x.node.dtype.is_float:
        found = apply(Op.LOGICAL_OR, found, apply(Op.ISNAN, x))
    index = _indices_along(x, position)
    # Elements that are not the extreme get an index beyond the end.
    return min(apply(Op.WHERE, found, index, x.shape[position]), axis=position, keepdims=keepdims)
