"""Scalar operations that Numba does not have, and that LLVM compiles to a few vector instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

# Allow contraction to fused multiply-add, and nothing else. Numba adds the caller's flags to operations that
# have none, and reassociation would undo the measures against rounding errors in functions that use these.
_FLAGS = ("contract",)
_MANTISSA_BITS = {types.float32: 23, types.float64: 52}


def _operation(typed: Callable[..., Any]) -> Any:
    # Untyped: by Numba's annotations, callers would have to pass the typing context.
    return intrinsic(typed)


def _integer_type(real: Any) -> Any:
    return ir.IntType(real.bitwidth)


def _bits_of(number: float, real: Any) -> int:
    """The bit pattern of `number` in the Numba type `real`."""
    return int(np.array(number, real.name).view(f"u{real.bitwidth // 8}"))


def _call(builder: Any, name: str, arguments: list[Any], flags: tuple[str, ...] = ()) -> Any:
    """A call of an LLVM intrinsic whose operands and result have the type of the first argument."""
    kind = arguments[0].type
    width = "f32" if isinstance(kind, ir.FloatType) else "f64"
    function_type = ir.FunctionType(kind, [kind] * len(arguments))
    return builder.call(
        builder.module.declare_intrinsic(f"llvm.{name}.{width}", (), function_type), arguments, fastmath=flags
    )


def _llvm_intrinsic(name: str, operands: int, meaning: str) -> Any:
    """An LLVM intrinsic as a Numba function of one or two numbers of one real type."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: list[Any]) -> Any:
        return _call(builder, name, arguments)

    def unary(_typing_context: Any, x: Any) -> Any:
        return (x(x), emit) if isinstance(x, types.Float) else None

    def binary(_typing_context: Any, x: Any, y: Any) -> Any:
        return (x(x, y), emit) if isinstance(x, types.Float) and x == y else None

    typed: Callable[..., Any] = unary if operands == 1 else binary
    typed.__name__, typed.__doc__ = name, meaning
    return _operation(typed)


maximum = _llvm_intrinsic("maximum", 2, "The larger number; NaN where either is NaN.")
minimum = _llvm_intrinsic("minimum", 2, "The smaller number; NaN where either is NaN.")
nearest = _llvm_intrinsic("nearbyint", 1, "The nearest whole number, ties to even.")
ceil = _llvm_intrinsic("ceil", 1, "The next whole number above.")
floor = _llvm_intrinsic("floor", 1, "The next whole number below.")
trunc = _llvm_intrinsic("trunc", 1, "The next whole number towards zero.")
fabs = _llvm_intrinsic("fabs", 1, "The absolute value.")
sqrt = _llvm_intrinsic("sqrt", 1, "The square root, correctly rounded; NaN below zero.")
copysign = _llvm_intrinsic("copysign", 2, "The magnitude of the first number with the sign of the second.")


@_operation
def select(_typing_context: Any, condition: Any, x: Any, y: Any) -> Any:
    """x if condition else y, without a branch: both are computed."""
    if not isinstance(condition, types.Boolean) or x != y:
        return None

    def emit(_context: Any, builder: Any, _signature: Any, arguments: list[Any]) -> Any:
        return builder.select(*arguments)

    return x(condition, x, y), emit


@_operation
def bits_of_float(_typing_context: Any, x: Any) -> Any:
    """The bits of a float as a signed integer of its width."""
    if x not in _MANTISSA_BITS:
        return None
    integer: Any = {32: types.int32, 64: types.int64}[x.bitwidth]

    def emit(_context: Any, builder: Any, _signature: Any, arguments: list[Any]) -> Any:
        return builder.bitcast(arguments[0], _integer_type(x))

    return integer(x), emit


@_operation
def float_of_bits(_typing_context: Any, bits: Any) -> Any:
    """The float whose bits are those of a signed integer of its width."""
    real: Any = {types.int32: types.float32, types.int64: types.float64}.get(bits)
    if real is None:
        return None

    def emit(context: Any, builder: Any, _signature: Any, arguments: list[Any]) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(real))

    return real(bits), emit


@_operation
def polynomial(_typing_context: Any, x: Any, coefficients: Any) -> Any:
    """coefficients[0] + coefficients[1] x + coefficients[2] x^2 + ..., by Horner's rule."""
    if not isinstance(coefficients, types.UniTuple) or coefficients.dtype != x:
        return None

    def emit(_context: Any, builder: Any, _signature: Any, arguments: list[Any]) -> Any:
        value, constants = arguments
        terms = [builder.extract_value(constants, index) for index in range(coefficients.count)]
        total = terms.pop()
        while terms:
            total = builder.fadd(builder.fmul(total, value, flags=_FLAGS), terms.pop(), flags=_FLAGS)
        return total

    return x(x, coefficients), emit


@_operation
def power_of_two(_typing_context: Any, shifted: Any) -> Any:
    """2^(e - bias) from a float whose lowest mantissa bits hold the biased exponent e."""
    if shifted not in _MANTISSA_BITS:
        return None

    def emit(_context: Any, builder: Any, _signature: Any, arguments: list[Any]) -> Any:
        integer = _integer_type(shifted)
        bits = builder.bitcast(arguments[0], integer)
        return builder.bitcast(builder.shl(bits, integer(_MANTISSA_BITS[shifted])), arguments[0].type)

    return shifted(shifted), emit


@_operation
def times_power_of_two(_typing_context: Any, x: Any, shifted: Any) -> Any:
    """x times 2^(e - 2 bias) for the exponent e in the lowest mantissa bits of `shifted`.

    It multiplies by two factors with half the exponent each, so that neither overflows or underflows before
    the product does. A subnormal product is rounded once.
    """
    if shifted not in _MANTISSA_BITS or x != shifted:
        return None

    def emit(_context: Any, builder: Any, _signature: Any, arguments: list[Any]) -> Any:
        value, integer = arguments[0], _integer_type(x)
        width = integer(_MANTISSA_BITS[x])
        both = builder.bitcast(arguments[1], integer)
        half = builder.lshr(both, integer(1))
        for exponent in (half, builder.sub(both, half)):
            factor = builder.bitcast(builder.shl(exponent, width), value.type)
            value = builder.fmul(value, factor, flags=_FLAGS)
        return value

    return x(x, shifted), emit


@_operation
def exponent_and_mantissa(_typing_context: Any, x: Any) -> Any:
    """(k, m) with x = 2^k m and sqrt(1/2) <= m < sqrt(2), for a positive, finite, normal x."""
    if x not in _MANTISSA_BITS:
        return None
    width = _MANTISSA_BITS[x]
    one, root_half = _bits_of(1.0, x), _bits_of(0.5**0.5, x)

    def emit(context: Any, builder: Any, signature: Any, arguments: list[Any]) -> Any:
        integer, real = _integer_type(x), arguments[0].type
        biased = builder.add(builder.bitcast(arguments[0], integer), integer(one - root_half))
        mantissa = builder.add(builder.and_(biased, integer((1 << width) - 1)), integer(root_half))
        # 2^width with e in its lowest bits is 2^width + e: AVX2 cannot convert 64-bit integers to floats.
        offset = builder.or_(builder.lshr(biased, integer(width)), integer(_bits_of(2.0**width, x)))
        bias = real(2.0**width + (one >> width))
        exponent = builder.fsub(builder.bitcast(offset, real), bias, flags=_FLAGS)
        return context.make_tuple(builder, signature.return_type, (exponent, builder.bitcast(mantissa, real)))

    pair: Any = types.Tuple
    return pair((x, x))(x), emit


@_operation
def inverse_power_of_two_below(_typing_context: Any, x: Any) -> Any:
    """2^-k for the k of `exponent_and_mantissa`, where 2^-k is a normal number."""
    if x not in _MANTISSA_BITS:
        return None
    width = _MANTISSA_BITS[x]
    one, root_half = _bits_of(1.0, x), _bits_of(0.5**0.5, x)

    def emit(_context: Any, builder: Any, _signature: Any, arguments: list[Any]) -> Any:
        integer = _integer_type(x)
        biased = builder.add(builder.bitcast(arguments[0], integer), integer(one - root_half))
        power = builder.and_(biased, integer(-1 << width))
        return builder.bitcast(builder.sub(integer(2 * one), power), arguments[0].type)

    return x(x), emit


def _reduction_step(name: str, instruction: str, meaning: str) -> Any:
    """One step of a reduction. Its order is free: no other operation may be reordered by LLVM."""

    def typed(_typing_context: Any, total: Any, value: Any) -> Any:
        def emit(_context: Any, builder: Any, _signature: Any, arguments: list[Any]) -> Any:
            return getattr(builder, instruction)(*arguments, flags=("reassoc", "contract"))

        return (total(total, value), emit) if isinstance(total, types.Float) and total == value else None

    typed.__name__, typed.__doc__ = name, meaning
    return intrinsic(typed)


def _extreme_step(name: str, meaning: str) -> Any:
    """One step of a maximum or minimum: NaN if either is NaN; of two zeros any one."""

    def typed(_typing_context: Any, total: Any, value: Any) -> Any:
        def emit(_context: Any, builder: Any, _signature: Any, arguments: list[Any]) -> Any:
            # Ordering zeros by sign would double the time.
            return _call(builder, name, arguments, ("nsz",))

        return (total(total, value), emit) if isinstance(total, types.Float) and total == value else None

    typed.__name__, typed.__doc__ = name, meaning
    return intrinsic(typed)


plus = _reduction_step("plus", "fadd", "A sum plus one more term.")
times = _reduction_step("times", "fmul", "A product times one more factor.")
greatest = _extreme_step("maximum", "The maximum with one more number.")
least = _extreme_step("minimum", "The minimum with one more number.")


@_operation
def use_widest_vectors(_typing_context: Any) -> Any:
    """Compile the calling function for vectors of 512 bits, if the processor has them.

    For most processors LLVM uses half of that, which makes exp 1.5 times slower. The function is not inlined,
    because inlining would drop this attribute.
    """

    def emit(context: Any, builder: Any, _signature: Any, _arguments: list[Any]) -> Any:
        # llvmlite prints any attribute, but its own `add` rejects those with a value.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), emit
