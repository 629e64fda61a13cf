"""NumPy's ufuncs of symbolic arrays: `np.exp(x)`, `np.add.reduce(x)`, `np.add.at(x, i, v)`.

Takes a ufunc, the name of its method and its arguments, as `__array_ufunc__` gets them; gives what the same
call makes of real arrays, as symbolic ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from ..ir.dtypes import BOOL
from ..ir.operations import Op
from . import library_calls, reductions
from .dtype_names import dtype_given
from .elementwise import apply, broadcast_shape
from .in_place import assign, put
from .indexing import parsed
from .masked import MaskedValues
from .numpy_arguments import NO_VALUE, finished
from .promotion import cast
from .shapes import broadcast_to, concat, position_of
from .symbolic import Length, NeedsOwnArraysError, SymbolicArray, as_symbolic, trace_of
from .ufunc_table import function_of, of_floats


def array_ufunc(self: SymbolicArray, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """`__array_ufunc__` of symbolic arrays."""
    if any(isinstance(value, MaskedValues) for value in inputs):
        return NotImplemented
    trace = trace_of((*inputs, *options.get("out", ())))
    if method == "__call__" and (known := _known(inputs)) is not None and not options:
        return getattr(ufunc, method)(*known)
    if method in _METHODS:
        return _METHODS[method](ufunc, *inputs, **options)
    function = function_of(ufunc)
    if method != "__call__" or function is None:
        name = ufunc.__name__ + ("" if method == "__call__" else f".{method}")
        raise trace.error(TypeError, f"np.{name} is not supported by the compiler; use a function of xp")
    # NumPy's ufuncs take lists.
    given = [numpy.asarray(value) if isinstance(value, list | tuple) else value for value in inputs]
    if options.get("dtype") is not None:
        given = [_computed_in(trace, value, options["dtype"]) for value in given]
    found = function(*given)
    if (out := options.get("out")) and len(out) == 1 and isinstance(out[0], SymbolicArray):
        found = _in_shape_of(trace, found, out[0])
    return finished(found, **options)


def _computed_in(trace: Any, value: Any, dtype: Any) -> Any:
    """An operand in the dtype in which a ufunc shall compute."""
    array = as_symbolic(trace, value)
    wanted = dtype_given(trace, "dtype=", dtype)
    return array if array.node.weak or wanted == BOOL else cast(trace, array, wanted)


def _in_shape_of(trace: Any, found: Any, target: SymbolicArray) -> Any:
    """A result, broadcast to a larger `out`."""
    shape = broadcast_shape(trace, "out=", [found.node, target.node])
    sizes = tuple(1 if axis is None else axis.size for axis in shape)
    is_larger = sizes == target.node.sizes() != found.node.sizes()
    return broadcast_to(found, target.shape) if is_larger else found


def _known(inputs: tuple[Any, ...]) -> list[Any] | None:
    """The inputs as numbers; None if one is an array, or depends on an argument."""
    found = []
    for value in inputs:
        if isinstance(value, SymbolicArray):
            if value.known is None or not value.node.weak:
                return None
            found.append(value.known)
        elif isinstance(value, Length):
            found.append(int(value))
        else:
            found.append(value)
    return found


# Methods of ufuncs

_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "add": reductions.sum,
    "multiply": reductions.prod,
    "maximum": reductions.max,
    "minimum": reductions.min,
    "logical_and": reductions.all,
    "logical_or": reductions.any,
}


def _logaddexp_reduce(x: Any, *, axis: Any, keepdims: bool = False) -> Any:
    x = of_floats("logaddexp", lambda values: values)(x)
    largest = reductions.max(x, axis=axis, keepdims=True)
    safe = apply(Op.WHERE, apply(Op.ISFINITE, largest), largest, 0.0)
    total = reductions.sum(apply(Op.EXP, x - safe), axis=axis, keepdims=True)
    found = apply(Op.LOG, total) + safe
    return found if keepdims else reductions.max(found, axis=axis)


def _reduce(ufunc: Any, x: Any, axis: Any = 0, dtype: Any = None, out: Any = None, **options: Any) -> Any:
    """ufunc.reduce; add.reduce is the sum."""
    trace = trace_of((x,))
    reduction = _logaddexp_reduce if ufunc is numpy.logaddexp else _REDUCTIONS.get(ufunc.__name__)
    initial, where = options.get("initial"), options.get("where", True)
    if reduction is None or initial not in (None, NO_VALUE) or where is not True:
        raise trace.error(
            TypeError, f"np.{ufunc.__name__}.reduce with these options is not supported by the compiler"
        )
    more = {} if dtype is None else {"dtype": dtype}
    found = reduction(as_symbolic(trace, x), axis=axis, keepdims=bool(options.get("keepdims")), **more)
    return finished(found, out=out)


def _accumulate(ufunc: Any, x: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """ufunc.accumulate, along an axis."""
    trace = trace_of((x,))
    array = as_symbolic(trace, x)
    functions = {"add": library_calls.cumulative_sum, "multiply": library_calls.cumulative_prod}
    if ufunc.__name__ in functions:
        return finished(functions[ufunc.__name__](array, axis=axis, dtype=dtype), out=out)
    function, position = function_of(ufunc), position_of(array, axis)
    if function is None or ufunc.nin != 2:
        raise trace.error(TypeError, f"np.{ufunc.__name__}.accumulate is not supported by the compiler")
    before = (slice(None),) * position
    parts = [array[(*before, slice(0, 1))]]
    for place in range(1, array.node.sizes()[position]):
        parts.append(function(parts[-1], array[(*before, slice(place, place + 1))]))
    return finished(concat(parts, axis=position), out=out, dtype=dtype)


def _outer(ufunc: Any, x: Any, y: Any, **options: Any) -> Any:
    """ufunc.outer: the results of all pairs of elements."""
    trace = trace_of((x, y))
    a, b = as_symbolic(trace, x), as_symbolic(trace, y)
    function = function_of(ufunc)
    if function is None or ufunc.nin != 2:
        raise trace.error(TypeError, f"np.{ufunc.__name__}.outer is not supported by the compiler")
    return finished(function(a[(..., *[None] * b.ndim)], b), **options)


def _at(ufunc: Any, target: Any, key: Any, value: Any = None) -> None:
    """ufunc.at: `target[key] += value`, in which equal indices add up."""
    trace = trace_of((target, value))
    if not isinstance(target, SymbolicArray):
        raise trace.error(NeedsOwnArraysError, f"np.{ufunc.__name__}.at writes into a real array")
    if ufunc.__name__ not in ("add", "subtract"):
        raise trace.error(TypeError, f"np.{ufunc.__name__}.at is not supported by the compiler")
    new = as_symbolic(trace, value)
    new = cast(trace, -new if ufunc.__name__ == "subtract" else new, target.node.dtype)
    assign(target, put("added_at", target, parsed(target, key).entries, new))


_METHODS: dict[str, Callable[..., Any]] = {
    "reduce": _reduce,
    "accumulate": _accumulate,
    "outer": _outer,
    "at": _at,
}


def masked_ufunc(self: MaskedValues, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """`__array_ufunc__` of elements at a mask."""
    function = function_of(ufunc)
    is_elementwise = ufunc.signature is None and function is not None
    if method != "__call__" or options or not is_elementwise:
        raise self.error(f"np.{ufunc.__name__}.{method} of the elements at a mask")
    return self.applied(function, *inputs)
