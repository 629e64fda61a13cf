"""The array namespace of symbolic arrays: the part of the standard that the compiler supports."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy

from ..ir.attributes import Iota
from ..ir.dtypes import FLOATS, INT64, INTEGERS, SIGNED, UNSIGNED
from ..ir.operations import Op, elementwise_of
from .dtype_names import DtypeName, dtype_given
from .elementwise import apply
from .products import matmul, take, take_along_axis, vecdot
from .promotion import cast, cast_copy, common_dtype
from .reductions import all, any, argmax, argmin, count_nonzero, max, mean, min, prod, std, sum, var
from .shapes import (
    axis_of_length,
    broadcast_arrays,
    broadcast_to,
    expand_dims,
    matrix_transpose,
    moveaxis,
    permute_dims,
    reshape,
    squeeze,
)
from .symbolic import SymbolicArray, as_symbolic, copy_of, current_trace, source_line, trace_of

if TYPE_CHECKING:
    from .tracer import Trace

float32, float64, bool = "float32", "float64", "bool"
int8, int16, int32, int64 = map(str, SIGNED)
uint8, uint16, uint32, uint64 = map(str, UNSIGNED)
e, inf, nan, newaxis, pi = math.e, math.inf, math.nan, None, math.pi

_KINDS = {
    "bool": ("bool",),
    "signed integer": tuple(map(str, SIGNED)),
    "unsigned integer": tuple(map(str, UNSIGNED)),
    "integral": tuple(map(str, INTEGERS)),
    "real floating": tuple(map(str, FLOATS)),
    "complex floating": (),
    "numeric": tuple(map(str, FLOATS + INTEGERS)),
}


def isdtype(dtype: str, kind: Any) -> Any:
    """Whether a dtype is of a kind, as `isdtype` of the standard."""
    if isinstance(kind, tuple):
        return True in [isdtype(dtype, one) for one in kind]
    return dtype in _KINDS.get(kind, (kind,))


def finfo(dtype: Any) -> Any:
    """The limits of a floating-point dtype, or of an array's."""
    return numpy.finfo(dtype.dtype if isinstance(dtype, SymbolicArray) else dtype)


def iinfo(dtype: Any) -> Any:
    """The limits of an integer dtype, or of an array's."""
    return numpy.iinfo(dtype.dtype if isinstance(dtype, SymbolicArray) else dtype)


def __getattr__(name: str) -> Any:
    """An elementwise operation of the table; an error with the name of anything else."""
    found = elementwise_of(name)
    if found is not None:

        def operation(*arrays: Any) -> Any:
            return apply(found, *arrays)

        operation.__name__ = name
        return operation
    running = current_trace.get()
    if name.startswith("__") or running is None:
        raise AttributeError(name)
    raise running.error(
        AttributeError,
        f"xp.{name} is not supported by the compiler; run the kernel with use_backend('numpy'), or write it "
        "with elementwise functions, where, sum, mean, max, min, prod, any, all, argmax, take_along_axis, "
        "take, arange and matmul",
    )


# Elementwise functions composed of others


def positive(x: Any) -> Any:
    """A copy of x."""
    trace = trace_of((x,))
    return copy_of(as_symbolic(trace, x))


def square(x: Any) -> Any:
    """x * x."""
    return x * x


def reciprocal(x: Any) -> Any:
    """1 / x."""
    return 1 / x


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max]; None is no limit, and NaN stays NaN."""
    result = positive(x)
    if min is not None:
        result = apply(Op.MAXIMUM, result, min)
    if max is not None:
        result = apply(Op.MINIMUM, result, max)
    return result


def logaddexp(x1: Any, x2: Any) -> Any:
    """log(exp(x1) + exp(x2)); equal infinities give that infinity."""
    high = apply(Op.MAXIMUM, x1, x2)
    difference = apply(Op.ABS, x1 - x2)
    return apply(Op.WHERE, x1 == x2, x1 + math.log(2.0), high + apply(Op.LOG1P, apply(Op.EXP, -difference)))


def astype(x: Any, dtype: Any, /, *, copy: Any = True, device: Any = None) -> Any:
    """The array cast to a dtype; a copy even if it has that dtype, unless `copy` is False."""
    trace = trace_of((x,))
    array, wanted = as_symbolic(trace, x), dtype_given(trace, "astype", dtype)
    return cast_copy(trace, array, wanted) if copy else cast(trace, array, wanted)


def result_type(*values: Any) -> str:
    """The dtype to which the arrays and numbers are promoted."""
    trace = trace_of(values)
    dtype, _ = common_dtype(trace, "result_type", [as_symbolic(trace, value) for value in values])
    return DtypeName(dtype.name)


# Creation functions


def _trace() -> Trace:
    running = current_trace.get()
    if running is None:
        raise TypeError(
            "the namespace of symbolic arrays was used outside a trace; use it in the kernel only"
        )
    return running


def asarray(value: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Any:
    """A symbolic array as it is, a captured array as an input, a number as an array of shape ()."""
    trace = _trace()
    array = as_symbolic(trace, value)
    wanted = array.node.dtype if dtype is None else dtype_given(trace, "asarray", dtype)
    made = array if dtype is None and not array.node.weak else cast(trace, array, wanted)
    made = copy_of(made) if copy or (made is array and array.node.weak) else made
    made.is_box = made.is_box or not made.ndim
    return made


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Any:
    """The integers 0, 1, ..., stop - 1; other starts and steps are not supported."""
    trace = trace_of((start, stop))
    if stop is None:
        start, stop = 0, start
    if not (type(step) is int and step == 1 and type(start) is int and start == 0):
        raise trace.error(TypeError, "arange with a start or a step is not supported by the compiler")
    axis = axis_of_length(trace, stop)
    node = trace.graph.node(Op.IOTA, (), Iota(axis), shape=(axis,), dtype=INT64, line=source_line())
    array = SymbolicArray(trace, node)
    return array if dtype is None else cast(trace, array, dtype_given(trace, "arange", dtype))


def _full(function: str, shape: Any, value: Any, dtype: Any) -> Any:
    trace = _trace()
    wanted = dtype_given(trace, function, dtype)
    made = broadcast_to(cast(trace, as_symbolic(trace, value), wanted), shape)
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
    value = as_symbolic(_trace(), fill_value)
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
