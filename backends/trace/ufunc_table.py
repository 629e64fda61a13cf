"""What NumPy's ufuncs compute of symbolic arrays.

Takes a ufunc; gives a function of symbolic arrays, or None:

    function_of(numpy.exp)      the operation exp of the table
    function_of(numpy.cbrt)     a function that is composed of operations
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..ir.dtypes import BOOL
from ..ir.operations import Op, elementwise_of
from . import creation, library_calls, namespace, products
from .elementwise import apply
from .promotion import cast, common_dtype, float_dtype
from .shapes import same_dtype
from .symbolic import as_symbolic, trace_of

# NumPy's names where they are not the standard's.
_NAMES = {
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "arctan2": "atan2",
    "absolute": "abs",
    "power": "pow",
    "true_divide": "divide",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "mod": "remainder",
}
_OF_BOOLS = (Op.LOGICAL_AND, Op.LOGICAL_OR, Op.LOGICAL_XOR, Op.LOGICAL_NOT)


def operation_of(ufunc: Any) -> Op | None:
    """The operation of the table for a ufunc; None if there is none."""
    return elementwise_of(_NAMES.get(ufunc.__name__, ufunc.__name__))


def _logical(operation: Op) -> Callable[..., Any]:
    """An operation of bools; numbers are true where they are not 0."""

    def function(*values: Any) -> Any:
        trace = trace_of(values)
        arrays = [as_symbolic(trace, value) for value in values]
        return apply(operation, *(a if a.node.dtype == BOOL else apply(Op.NOT_EQUAL, a, 0) for a in arrays))

    return function


def _float_power(x: Any, y: Any) -> Any:
    trace = trace_of((x, y))
    return apply(Op.POW, *(creation.asarray(as_symbolic(trace, value), dtype="float64") for value in (x, y)))


def _fmod(x: Any, y: Any) -> Any:
    """The remainder with the sign of x."""
    rest = apply(Op.REMAINDER, apply(Op.ABS, x), apply(Op.ABS, y))
    return (
        apply(Op.COPYSIGN, rest, x)
        if as_symbolic(trace_of((x, y)), rest).node.dtype.is_float
        else (apply(Op.WHERE, x < 0, -rest, rest))
    )


def _ignoring_nan(operation: Op) -> Callable[..., Any]:
    """The larger or smaller number; where one is NaN, the other."""

    def function(x: Any, y: Any) -> Any:
        found = apply(operation, x, y)
        if not found.node.dtype.is_float:
            return found
        for one, other in ((y, x), (x, y)):
            if not isinstance(one, int):
                found = apply(Op.WHERE, one != one, other, found)
        return found

    return function


def _heaviside(x: Any, y: Any) -> Any:
    x, y = same_dtype(trace_of((x, y)), "heaviside", (x, y))
    one = creation.ones_like(x)
    x, y = (array if array.node.dtype.is_float else array * 1.0 for array in (x, y))
    found = apply(Op.WHERE, x == 0, y, apply(Op.WHERE, x < 0, 0.0, one))
    return apply(Op.WHERE, apply(Op.ISNAN, x), x, found)


def _modf(x: Any) -> tuple[Any, Any]:
    whole = apply(Op.TRUNC, x)
    rest = apply(Op.WHERE, apply(Op.ISINF, x), 0.0, x - whole)
    return apply(Op.COPYSIGN, rest, x), whole


def _cbrt(x: Any) -> Any:
    return apply(Op.COPYSIGN, apply(Op.POW, apply(Op.ABS, x), 1.0 / 3.0), x)


def of_floats(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of floating-point numbers; integers are cast to them, as by NumPy's ufuncs."""

    def of_floats(*values: Any) -> Any:
        trace = trace_of(values)
        arrays = [as_symbolic(trace, value) for value in values]
        dtype, weak = common_dtype(trace, name, arrays)
        if not dtype.is_float and not weak:
            dtype = float_dtype(trace, name, dtype, is_division=False)
            arrays = [array if array.node.weak else cast(trace, array, dtype) for array in arrays]
        return function(*arrays)

    return of_floats


def _of_numbers(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numbers that rejects bools: NumPy has no result for them, or one in int8."""

    def of_numbers(x: Any) -> Any:
        array = as_symbolic(trace_of((x,)), x)
        if array.node.dtype == BOOL and not array.node.weak:
            raise array.tracer.error(TypeError, f"np.{name} of bools; expected numbers. Cast them first")
        return function(array)

    return of_numbers


def _reciprocal(x: Any) -> Any:
    array = as_symbolic(trace_of((x,)), x)
    if not array.node.dtype.is_float and not array.node.weak:
        raise array.tracer.error(
            TypeError, f"np.reciprocal of dtype {array.dtype}, which NumPy rounds to integers; use 1 / x"
        )
    return 1 / array


def _logaddexp2(x: Any, y: Any) -> Any:
    two = math.log(2.0)
    return namespace.logaddexp(x * two, y * two) / two


_COMPOSED: dict[str, Callable[..., Any]] = {
    "positive": _of_numbers("positive", namespace.positive),
    "conjugate": _of_numbers("conjugate", namespace.conj),
    "square": _of_numbers("square", namespace.square),
    "reciprocal": _reciprocal,
    "logaddexp": of_floats("logaddexp", namespace.logaddexp),
    "logaddexp2": of_floats("logaddexp2", _logaddexp2),
    "exp2": of_floats("exp2", lambda x: apply(Op.POW, 2.0, x)),
    "cbrt": of_floats("cbrt", _cbrt),
    "rint": of_floats("rint", lambda x: apply(Op.ROUND, x)),
    "fabs": of_floats("fabs", lambda x: apply(Op.ABS, x)),
    "fmax": _ignoring_nan(Op.MAXIMUM),
    "fmin": _ignoring_nan(Op.MINIMUM),
    "fmod": _fmod,
    "float_power": _float_power,
    "heaviside": _heaviside,
    "modf": _modf,
    "divmod": lambda x, y: (apply(Op.FLOOR_DIVIDE, x, y), apply(Op.REMAINDER, x, y)),
    **dict.fromkeys(("degrees", "rad2deg"), of_floats("degrees", lambda x: x * (180.0 / math.pi))),
    **dict.fromkeys(("radians", "deg2rad"), of_floats("radians", lambda x: x * (math.pi / 180.0))),
    "nextafter": library_calls.nextafter,
    "matmul": products.matmul,
    "vecdot": products.vecdot,
    **{str(operation): _logical(operation) for operation in _OF_BOOLS},
}


def function_of(ufunc: Any) -> Callable[..., Any] | None:
    """What a ufunc computes of symbolic arrays; None if the compiler does not support it."""
    composed = _COMPOSED.get(ufunc.__name__)
    if composed is not None:
        return composed
    operation = operation_of(ufunc)
    return None if operation is None else lambda *values: apply(operation, *values)
