"""The creation functions of the namespace of symbolic arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy

from ..ir.attributes import Iota
from ..ir.dtypes import BOOL, FLOAT64, INT64
from ..ir.operations import Op
from .dtype_names import dtype_given
from .elementwise import apply
from .indexing import positions
from .promotion import cast
from .shapes import axis_of_length, broadcast_arrays, broadcast_to, expand_dims, stack
from .symbolic import SymbolicArray, as_symbolic, copy_of, current_trace, of_array, trace_of, view

if TYPE_CHECKING:
    from .tracer import Trace


def running_trace() -> Trace:
    """The trace that runs."""
    running = current_trace.get()
    if running is None:
        raise TypeError(
            "the namespace of symbolic arrays was used outside a trace; use it in the kernel only"
        )
    return running


def asarray(value: Any, /, dtype: Any = None, *, device: Any = None, copy: Any = None) -> Any:
    """A symbolic array as it is, a captured array as an input, a number as an array of shape ()."""
    trace = running_trace()
    if isinstance(value, list | tuple):
        value = _of_items(value)
    array = as_symbolic(trace, value)
    wanted = array.node.dtype if dtype is None else dtype_given(trace, "asarray", dtype)
    made = array if dtype is None and not array.node.weak else cast(trace, array, wanted)
    made = copy_of(made) if copy or (made is array and array.node.weak) else made
    made.is_box = made.is_box or not made.ndim
    return made


def _of_items(value: Any) -> Any:
    """A list of numbers and arrays, and of such lists."""
    items = [_of_items(item) if isinstance(item, list | tuple) else item for item in value]
    if any(type(item) is SymbolicArray for item in items):
        return stack(items)
    return numpy.asarray(items)


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Any:
    """Numbers from `start` up to, but without, `stop`, in equal steps."""
    trace = trace_of((start, stop, step))
    if stop is None:
        start, stop = 0, start
    if type(start) is int and start == 0 and type(step) is int and step == 1 and _is_whole(stop):
        axis = axis_of_length(trace, stop if int(stop) >= 0 else 0)
        node = trace.node(Op.IOTA, (), Iota(axis), shape=(axis,), dtype=INT64)
        array = SymbolicArray(trace, node)
        return array if dtype is None else cast(trace, array, dtype_given(trace, "arange", dtype))
    numbers = [_number(trace, number) for number in (start, stop, step)]
    first, end, by = numbers
    if by == 0:
        raise trace.error(ValueError, "arange got the step 0; expected another one")
    whole = all(isinstance(number, int) for number in numbers)
    count = max(len(range(*numbers)) if whole else math.ceil((end - first) / by), 0)
    index = positions(trace, count)
    array = index * by + first if whole else cast(trace, index, FLOAT64) * ((first + by) - first) + first
    return array if dtype is None else cast(trace, array, dtype_given(trace, "arange", dtype))


def _is_whole(number: Any) -> bool:
    is_number = isinstance(number, int) and not isinstance(number, bool)
    return is_number or (isinstance(number, SymbolicArray) and number.node.dtype == INT64)


def _number(trace: Trace, number: Any) -> Any:
    """A Python number."""
    if isinstance(number, SymbolicArray):
        return float(number) if number.node.dtype.is_float else number.__index__()
    if isinstance(number, int | numpy.integer):
        return int(number)
    if isinstance(number, float | numpy.floating):
        return float(number)
    raise trace.error(TypeError, f"got {number!r}; expected a number")


def linspace(
    start: Any, stop: Any, /, num: Any, *, dtype: Any = None, device: Any = None, endpoint: Any = True
) -> Any:
    """`num` evenly spaced numbers from `start` to `stop`, which is left out unless `endpoint`."""
    trace = trace_of((start, stop))
    count = num.__index__()
    wanted = FLOAT64 if dtype is None else dtype_given(trace, "linspace", dtype)
    parts = count - 1 if endpoint else count
    first, last = (cast(trace, as_symbolic(trace, number), FLOAT64) for number in (start, stop))
    index = cast(trace, positions(trace, count), FLOAT64)
    step = (last - first) / float(parts) if parts > 0 else last - first
    array = index * step + first
    if endpoint and count > 1:
        array = apply(Op.WHERE, positions(trace, count) == count - 1, last, array)
    if wanted.is_integer:
        array = apply(Op.FLOOR, array)
    return cast(trace, array, wanted)


def eye(n_rows: Any, n_cols: Any = None, /, *, k: Any = 0, dtype: Any = None, device: Any = None) -> Any:
    """Ones on a diagonal, zeros elsewhere."""
    trace = running_trace()
    rows, columns = (arange(n, dtype=None) for n in (n_rows, n_rows if n_cols is None else n_cols))
    ones = view(rows, (0, None)) + k.__index__() == columns
    return cast(trace, ones, FLOAT64 if dtype is None else dtype_given(trace, "eye", dtype))


@of_array
def tril(x: Any, /, *, k: Any = 0) -> Any:
    """The elements on and below a diagonal, zeros elsewhere."""
    return _half(x, k, Op.LESS_EQUAL)


@of_array
def triu(x: Any, /, *, k: Any = 0) -> Any:
    """The elements on and above a diagonal, zeros elsewhere."""
    return _half(x, k, Op.GREATER_EQUAL)


def _half(x: Any, k: Any, comparison: Op) -> Any:
    if x.ndim < 2:
        raise x.tracer.error(ValueError, f"got shape {x.node.sizes()}; expected at least two dimensions")
    rows, columns = (arange(x.shape[d]) for d in (-2, -1))
    inside = apply(comparison, columns, view(rows, (0, None)) + k.__index__())
    zero = False if x.node.dtype == BOOL else 0
    return apply(Op.WHERE, inside, x, zero)


def meshgrid(*arrays: Any, indexing: str = "xy") -> Any:
    """Arrays of coordinates, each along its own dimension; with "xy" the first two exchanged."""
    trace = trace_of(arrays)
    given = [as_symbolic(trace, array) for array in arrays]
    count = len(given)
    order = list(range(count))
    if indexing == "xy" and count > 1:
        order[:2] = [1, 0]
    elif indexing not in ("xy", "ij"):
        raise trace.error(ValueError, f"meshgrid got indexing={indexing!r}; expected 'xy' or 'ij'")
    wide = []
    for position, array in zip(order, given, strict=True):
        if array.ndim == 0:
            array = expand_dims(array)
        wide.append(view(array, tuple(0 if d == position else None for d in range(count))))
    return tuple(map(copy_of, broadcast_arrays(*wide) if count > 1 else wide))


def _full(function: str, shape: Any, value: Any, dtype: Any) -> Any:
    trace = running_trace()
    wanted = dtype_given(trace, function, dtype)
    made = copy_of(broadcast_to(cast(trace, as_symbolic(trace, value), wanted), shape))
    made.is_box = True
    return made


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of zeros."""
    return _full("zeros", shape, 0.0, dtype or "float64")


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of ones."""
    return _full("ones", shape, 1.0, dtype or "float64")


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array filled with one number."""
    value = as_symbolic(running_trace(), fill_value)
    return _full("full", shape, fill_value, dtype or value.dtype)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros of the shape of x."""
    return _full("zeros_like", x.shape, 0.0, dtype or x.dtype)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Ones of the shape of x."""
    return _full("ones_like", x.shape, 1.0, dtype or x.dtype)


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of the shape of x, filled with one number."""
    return _full("full_like", x.shape, fill_value, dtype or x.dtype)


# The values of an empty array have no meaning, so they may be zeros.
empty, empty_like = zeros, zeros_like


def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> Any:
    """A symbolic array as it is, an array of another object as an input."""
    return asarray(x if isinstance(x, SymbolicArray) else numpy.from_dlpack(x), copy=copy)


__all__ = [
    *("asarray", "arange", "linspace", "eye", "tril", "triu", "meshgrid", "zeros", "ones", "full"),
    *("zeros_like", "ones_like", "full_like", "empty", "empty_like", "from_dlpack", "running_trace"),
]
