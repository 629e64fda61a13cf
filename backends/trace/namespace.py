"""The array namespace of symbolic arrays: the standard, without complex numbers and shapes of values."""

from __future__ import annotations

import math
from typing import Any

import numpy

from ..ir.dtypes import DTYPES, FLOATS, INTEGERS, SIGNED, UNSIGNED
from ..ir.operations import Op, elementwise_of
from . import fft, linalg
from .creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    meshgrid,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from .dtype_names import DtypeName, dtype_given
from .elementwise import apply
from .library_calls import argsort, cumulative_prod, cumulative_sum, nextafter, searchsorted, sort
from .products import einsum, matmul, take, take_along_axis, tensordot, vecdot
from .promotion import cast, cast_copy, common_dtype
from .reductions import all, any, argmax, argmin, count_nonzero, max, mean, min, prod, std, sum, var
from .shapes import (
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    concat,
    diff,
    expand_dims,
    flip,
    matrix_transpose,
    moveaxis,
    permute_dims,
    repeat,
    reshape,
    roll,
    squeeze,
    stack,
    tile,
    unstack,
)
from .symbolic import SymbolicArray, as_symbolic, copy_of, current_trace, in_order_of, trace_of

__array_api_version__ = "2024.12"
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


_OF_VALUES = "has a shape that depends on values"
_OF_COMPLEX = "is of complex numbers"
UNSUPPORTED = {
    **dict.fromkeys(("nonzero", "unique_all", "unique_counts", "unique_inverse"), _OF_VALUES),
    **dict.fromkeys(("unique_values", "argwhere", "flatnonzero", "unique", "extract"), _OF_VALUES),
    **dict.fromkeys(("complex64", "complex128"), _OF_COMPLEX),
}


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
        f"xp.{name} {UNSUPPORTED.get(name, 'is not a function of the standard')}, which the compiler does "
        "not support. Run the kernel with use_backend('numpy')",
    )


class Info:
    """What the namespace can do, as `__array_namespace_info__` of the standard says it."""

    def capabilities(self) -> dict[str, Any]:
        return {"boolean indexing": False, "data-dependent shapes": False, "max dimensions": 64}

    def default_device(self) -> str:
        return "cpu"

    def default_dtypes(self, *, device: Any = None) -> dict[str, str]:
        return {"real floating": "float64", "complex floating": "complex128", "integral": "int64"} | {
            "indexing": "int64"
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, str]:
        names = [dtype.name for dtype in DTYPES]
        return {name: name for name in names if kind is None or isdtype(name, kind)}

    def devices(self) -> list[str]:
        return ["cpu"]


def __array_namespace_info__() -> Info:
    """What the namespace can do."""
    return Info()


# Elementwise functions composed of others


def positive(x: Any) -> Any:
    """A copy of x."""
    trace = trace_of((x,))
    array = as_symbolic(trace, x)
    return in_order_of(array, copy_of(array))


def square(x: Any) -> Any:
    """x * x."""
    return x * x


def reciprocal(x: Any) -> Any:
    """1 / x."""
    return 1 / x


def real(x: Any, /) -> Any:
    """x itself, which is real."""
    return as_symbolic(trace_of((x,)), x)


def conj(x: Any, /) -> Any:
    """A copy of x, which is real."""
    return positive(x)


def imag(x: Any, /) -> Any:
    """Zeros, since x is real."""
    return zeros_like(x)


def isin(x1: Any, x2: Any, /, *, invert: Any = False) -> Any:
    """Whether each element of x1 is among those of x2."""
    trace = trace_of((x1, x2))
    wanted = reshape(as_symbolic(trace, x2), (-1,))
    found = any(expand_dims(as_symbolic(trace, x1), axis=-1) == wanted, axis=-1)
    return apply(Op.LOGICAL_NOT, found) if invert else found


def can_cast(from_: Any, to: Any, /) -> Any:
    """Whether a dtype can be cast to another by promotion."""
    given = from_.dtype if isinstance(from_, SymbolicArray) else from_
    names = [item if isinstance(item, str) else numpy.dtype(item).name for item in (given, to)]
    return numpy.can_cast(numpy.dtype(names[0]), numpy.dtype(names[1]))


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
    return apply(Op.WHERE, x1 == x2, high + math.log(2.0), high + apply(Op.LOG1P, apply(Op.EXP, -difference)))


def astype(x: Any, dtype: Any, /, *, copy: Any = True, device: Any = None) -> Any:
    """The array cast to a dtype; a copy even if it has that dtype, unless `copy` is False."""
    trace = trace_of((x,))
    array, wanted = as_symbolic(trace, x), dtype_given(trace, "astype", dtype)
    return cast_copy(trace, array, wanted) if copy else cast(trace, array, wanted)


def result_type(*values: Any) -> str:
    """The dtype to which the arrays and numbers are promoted."""
    trace = trace_of(values)
    arrays = [
        zeros((), dtype=value) if isinstance(value, str | type | numpy.dtype) else as_symbolic(trace, value)
        for value in values
    ]
    dtype, _ = common_dtype(trace, "result_type", arrays)
    return DtypeName(dtype.name)
