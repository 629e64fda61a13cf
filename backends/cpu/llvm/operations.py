"""The functions of the emitted text that are a few instructions each: of numbers, of bits, of pointers.

Each takes values and writes instructions. What LLVM calls an intrinsic has its name here, or a name that says
more: `nearest` is llvm.nearbyint.
"""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from ...ir.dtypes import BOOL, FLOAT32, FLOAT64, INT32, INT64, UINT8, DType, Kind
from .values import Pointer, Value, as_value, llvm_type, number, pair, pair_of_numbers, written
from .writer import FunctionWriter, flagged

_MANTISSA_BITS = {FLOAT32: 23, FLOAT64: 52}
_INTEGERS = {FLOAT32: INT32, FLOAT64: INT64}


# Numbers


def _intrinsic(name: str, operands: list[Value], flags: str = "") -> Value:
    """An LLVM intrinsic whose operands and result have the type of the first operand."""
    first = operands[0]
    if not isinstance(first, Value) or not first.dtype.is_float:
        raise TypeError(f"{name}: expected a float of a dtype; got {getattr(first, 'type', first)}")
    kind = llvm_type(first.type)
    full = f"llvm.{name}.f{first.dtype.bits}"
    first.writer.module.declare(full, kind, ", ".join([kind] * len(operands)))
    return written(first, f"call {flags}{kind} @{full}({', '.join(map(str, operands))})")


def maximum(x: Any, y: Any) -> Value:
    """The larger number; NaN where either is NaN."""
    return _intrinsic("maximum", [*pair(x, y)])


def minimum(x: Any, y: Any) -> Value:
    """The smaller number; NaN where either is NaN."""
    return _intrinsic("minimum", [*pair(x, y)])


def nearest(x: Value) -> Value:
    """The nearest whole number, ties to even."""
    return _intrinsic("nearbyint", [x])


def ceil(x: Value) -> Value:
    """The next whole number above."""
    return _intrinsic("ceil", [x])


def floor(x: Value) -> Value:
    """The next whole number below."""
    return _intrinsic("floor", [x])


def trunc(x: Value) -> Value:
    """The next whole number towards zero."""
    return _intrinsic("trunc", [x])


def fabs(x: Value) -> Value:
    """The absolute value."""
    return _intrinsic("fabs", [x])


def sqrt(x: Value) -> Value:
    """The square root, correctly rounded; NaN below zero."""
    return _intrinsic("sqrt", [x])


def copysign(x: Any, y: Any) -> Value:
    """The magnitude of the first number with the sign of the second."""
    return _intrinsic("copysign", [*pair(x, y)])


def select(condition: Value, x: Any, y: Any) -> Value:
    """x if condition else y, without a branch: both are computed."""
    if not isinstance(condition, Value) or condition.type is not BOOL:
        raise TypeError(f"select: expected a bool; got {getattr(condition, 'type', condition)}")
    if not isinstance(x, Value) and not isinstance(y, Value):
        x = number(x, condition.writer)
    x, y = pair(x, y)
    return written(x, f"select {condition}, {x}, {y}")


# One step of a reduction. Its order is free: nothing else may be reordered by LLVM.


def _floats(x: Any, y: Any) -> tuple[Value, Value]:
    x, y = pair(x, y)
    if not x.dtype.is_float:
        raise TypeError(f"expected floats; got {x.type}")
    return x, y


def plus(total: Any, value: Any) -> Value:
    """A sum of floats plus one more term."""
    total, value = _floats(total, value)
    return written(total, f"fadd reassoc contract {total}, {value.name}")


def times(total: Any, value: Any) -> Value:
    """A product of floats times one more factor."""
    total, value = _floats(total, value)
    return written(total, f"fmul reassoc contract {total}, {value.name}")


def greatest(total: Any, value: Any) -> Value:
    """The maximum with one more number: NaN if either is NaN; of two zeros any one."""
    # Ordering zeros by sign would double the time.
    return _intrinsic("maximum", [*pair(total, value)], "nsz ")


def least(total: Any, value: Any) -> Value:
    """The minimum with one more number: NaN if either is NaN; of two zeros any one."""
    return _intrinsic("minimum", [*pair(total, value)], "nsz ")


# Integers, and what both kinds have


def smaller(x: Any, y: Any) -> Any:
    """Python's `min` of two numbers: the first one unless the second is smaller."""
    if not isinstance(x, Value) and not isinstance(y, Value):
        return min(x, y)
    x, y = pair(x, y)
    return select(y < x, y, x)


def larger(x: Any, y: Any) -> Any:
    """Python's `max` of two numbers: the first one unless the second is larger."""
    if not isinstance(x, Value) and not isinstance(y, Value):
        return max(x, y)
    x, y = pair(x, y)
    return select(y > x, y, x)


def absolute(x: Any) -> Any:
    """`abs`; of the lowest integer itself."""
    if not isinstance(x, Value):
        return abs(x)
    if x.dtype.is_float:
        return fabs(x)
    return x if x.dtype.kind is not Kind.SIGNED else select(x < 0, -x, x)


def floor_divide(x: Any, y: Any) -> Value:
    """x // y, as NumPy rounds it: integers by zero give 0, floats infinity or NaN."""
    x, y = pair_of_numbers(x, y)
    return _divide_floats(x, y)[0] if x.dtype.is_float else _divide_integers(x, y)[0]


def remainder(x: Any, y: Any) -> Value:
    """x % y, with the sign of y; of integers by zero 0, of floats NaN."""
    x, y = pair_of_numbers(x, y)
    return _divide_floats(x, y)[1] if x.dtype.is_float else _divide_integers(x, y)[1]


def _divide_floats(x: Value, y: Value) -> tuple[Value, Value]:
    """Quotient and remainder, in the steps of NumPy's npy_divmod."""
    zero = as_value(0.0, x.type, x.writer)
    rest = written(x, f"frem {x}, {y.name}")
    quotient = (x - rest) / y
    differs = (rest != zero) & ((y < zero) ^ (rest < zero))
    quotient = select(differs, quotient - 1.0, quotient)
    modulo = select(rest == zero, copysign(zero, y), select(differs, rest + y, rest))
    below = floor(quotient)
    rounded = select(quotient - below > 0.5, below + 1.0, below)
    whole = select(quotient == zero, copysign(zero, x / y), rounded)
    return select(y == zero, x / y, whole), select(y == zero, rest, modulo)


def _divide_integers(x: Value, y: Value) -> tuple[Value, Value]:
    """Quotient and remainder. The processor stops at a divisor of 0, and at the lowest integer by -1."""
    is_zero = y == 0
    if x.dtype.kind is not Kind.SIGNED:
        divisor = select(is_zero, 1, y)
        quotient, rest = written(x, f"udiv {x}, {divisor.name}"), written(x, f"urem {x}, {divisor.name}")
        return select(is_zero, 0, quotient), select(is_zero, 0, rest)
    is_minus_one = y == -1
    divisor = select(is_zero | is_minus_one, 1, y)
    quotient, rest = written(x, f"sdiv {x}, {divisor.name}"), written(x, f"srem {x}, {divisor.name}")
    differs = (rest != 0) & ((rest ^ divisor) < 0)
    quotient, rest = select(differs, quotient - 1, quotient), select(differs, rest + divisor, rest)
    quotient = select(is_minus_one, -x, quotient)
    return select(is_zero, 0, quotient), select(is_zero | is_minus_one, 0, rest)


def power(x: Any, y: Any) -> Value:
    """x ** y of floats."""
    return _intrinsic("pow", [*pair(x, y)])


def of_c_library(name: str, operands: int) -> Any:
    """A function of the C library, of numbers of one real dtype: `sin` is sinf for float32."""

    def function(*given: Any) -> Value:
        if len(given) != operands:
            raise TypeError(f"{name}: expected {operands} numbers; got {len(given)}")
        values = [*pair(*given)] if operands == 2 else [*given]
        first = values[0]
        if not isinstance(first, Value) or not first.dtype.is_float:
            raise TypeError(f"{name}: expected a float of a dtype; got {getattr(first, 'type', first)}")
        kind = llvm_type(first.type)
        full = f"{name}f" if first.type is FLOAT32 else name
        # It depends on its arguments alone, so a loop may do without it.
        first.writer.module.declare(
            full, kind, ", ".join([kind] * operands), "nounwind willreturn memory(none)"
        )
        return written(first, f"call {kind} @{full}({', '.join(map(str, values))})")

    function.__name__ = name
    return function


# Bits


def bits_of(number: float, dtype: DType) -> int:
    """The bit pattern of a number."""
    return int(np.array(number, dtype.name).view(f"u{dtype.itemsize}"))


def bits_of_float(x: Value) -> Value:
    """The bits of a float as a signed integer of its width."""
    integer = _INTEGERS[x.dtype]
    return written(x, f"bitcast {x} to {llvm_type(integer)}", integer)


def float_of_bits(bits: Value) -> Value:
    """The float whose bits are those of a signed integer of its width."""
    real = FLOAT32 if bits.type is INT32 else FLOAT64
    return written(bits, f"bitcast {bits} to {llvm_type(real)}", real)


def _shifted_right(bits: Value, count: int) -> Value:
    """Without regard to the sign."""
    return written(bits, f"lshr {bits}, {count}")


@flagged("contract ")
def polynomial(x: Value, coefficients: tuple[Any, ...]) -> Value:
    """coefficients[0] + coefficients[1] x + coefficients[2] x^2 + ..., by Horner's rule."""
    *terms, total = coefficients
    for term in reversed(terms):
        total = total * x + term
    return total  # type: ignore[no-any-return]


def power_of_two(shifted: Value) -> Value:
    """2^(e - bias) from a float whose lowest mantissa bits hold the biased exponent e."""
    return float_of_bits(bits_of_float(shifted) << _MANTISSA_BITS[shifted.dtype])


@flagged("contract ")
def times_power_of_two(x: Value, shifted: Value) -> Value:
    """x times 2^(e - 2 bias) for the exponent e in the lowest mantissa bits of `shifted`.

    It multiplies by two factors with half the exponent each, so that neither overflows or underflows before
    the product does. A subnormal product is rounded once.
    """
    both = bits_of_float(shifted)
    half = _shifted_right(both, 1)
    for exponent in (half, both - half):
        x = x * float_of_bits(exponent << _MANTISSA_BITS[shifted.dtype])
    return x


@flagged("contract ")
def exponent_and_mantissa(x: Value) -> tuple[Value, Value]:
    """(k, m) with x = 2^k m and sqrt(1/2) <= m < sqrt(2), for a positive, finite, normal x."""
    kind = x.dtype
    width = _MANTISSA_BITS[kind]
    one, root_half = bits_of(1.0, kind), bits_of(0.5**0.5, kind)
    biased = bits_of_float(x) + (one - root_half)
    mantissa = (biased & ((1 << width) - 1)) + root_half
    # 2^width with e in its lowest bits is 2^width + e: AVX2 cannot convert 64-bit integers to floats.
    offset = _shifted_right(biased, width) | bits_of(2.0**width, kind)
    return float_of_bits(offset) - (2.0**width + (one >> width)), float_of_bits(mantissa)


def inverse_power_of_two_below(x: Value) -> Value:
    """2^-k for the k of `exponent_and_mantissa`, where 2^-k is a normal number."""
    kind = x.dtype
    one, root_half = bits_of(1.0, kind), bits_of(0.5**0.5, kind)
    power_of_x = (bits_of_float(x) + (one - root_half)) & (-1 << _MANTISSA_BITS[kind])
    return float_of_bits(2 * one - power_of_x)


# Pointers. An address is an int64; nothing checks bounds.


class OfWriter:
    """A function of the text that needs to know which function is being written: it is passed the writer."""

    def __init__(self, function: Any) -> None:
        self.function = function


def _elements(dtype: DType) -> Pointer:
    """A pointer to elements in memory, where a bool is a byte."""
    return Pointer(UINT8 if dtype is BOOL else dtype)


def pointer_to(dtype: DType) -> OfWriter:
    """A function that makes a pointer to elements of an address."""

    def pointer_at(writer: FunctionWriter, address: Any) -> Value:
        address = as_value(address, INT64, writer)
        return written(address, f"inttoptr {address} to ptr", _elements(dtype))

    return OfWriter(pointer_at)


def stack_of(dtype: DType) -> OfWriter:
    """A function that makes an array on the stack; its length is a number in the text.

    LLVM knows that no other pointer leads there, so loops need no checks for overlap.
    """

    def array(writer: FunctionWriter, length: Any) -> Value:
        if type(length) is not int or length < 1:
            raise TypeError(f"stack_of_{dtype}: expected a length that stands in the text, at least 1")
        kind = _elements(dtype)
        return Value(writer.place(llvm_type(kind.to), length, align=64), kind, writer)

    return OfWriter(array)


def offset(pointer: Value, elements: Any) -> Value:
    """The pointer advanced by some elements, which may be negative."""
    return Value(pointer.address(elements), pointer.type, pointer.writer)


def address_of(pointer: Value) -> Value:
    """The address of what a pointer leads to."""
    if not isinstance(pointer.type, Pointer):
        raise TypeError(f"address_of: expected a pointer; got {pointer.type}")
    return written(pointer, f"ptrtoint {pointer} to i64", INT64)


def _call(writer: FunctionWriter, address: Any, *arguments: Any) -> None:
    """Call the C function at an address, which returns nothing."""
    address = as_value(address, INT64, writer)
    function = writer.emit(f"inttoptr {address} to ptr")
    values = [number(argument, writer) for argument in arguments]
    writer.do(f"call void {function}({', '.join(map(str, values))})")


call = OfWriter(_call)


# What threads share


def _shared(pointer: Value) -> Value:
    if pointer.type != Pointer(INT64):
        raise TypeError(f"expected {Pointer(INT64)}; got {pointer.type}")
    return pointer


def atomic_load(pointer: Value) -> Value:
    """The int64 that other threads have stored; what they stored before it can be read, too."""
    return written(_shared(pointer), f"load atomic i64, {pointer} seq_cst, align 8", INT64)


def atomic_store(pointer: Value, value: Any) -> None:
    """Store an int64 for other threads to see."""
    value = as_value(value, INT64, _shared(pointer).writer)
    pointer.writer.do(f"store atomic {value}, {pointer} seq_cst, align 8")


def atomic_add(pointer: Value, value: Any) -> None:
    """Add to an int64 that other threads add to as well."""
    value = as_value(value, INT64, _shared(pointer).writer)
    pointer.writer.emit(f"atomicrmw add {pointer}, {value} seq_cst")


def exchanged(pointer: Value, old: Any, new: Any) -> Value:
    """Whether the int64 was `old`, and is `new` now."""
    old, new = (as_value(value, INT64, _shared(pointer).writer) for value in (old, new))
    both = pointer.writer.emit(f"cmpxchg {pointer}, {old}, {new} seq_cst seq_cst")
    return written(pointer, f"extractvalue {{ i64, i1 }} {both}, 1", BOOL)


def _pause(writer: FunctionWriter) -> None:
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        writer.module.declare("llvm.x86.sse2.pause", "void", "")
        writer.do("call void @llvm.x86.sse2.pause()")
    elif machine in ("aarch64", "arm64"):
        writer.module.declare("llvm.aarch64.hint", "void", "i32")
        writer.do("call void @llvm.aarch64.hint(i32 1)")


pause = OfWriter(_pause)


def c_function(name: str, result: DType | None, *types: Any) -> OfWriter:
    """A function of the C library, or of Python's."""

    def called(writer: FunctionWriter, *given: Any) -> Value | None:
        values = [as_value(value, type_, writer) for value, type_ in zip(given, types, strict=True)]
        returned = "void" if result is None else llvm_type(result)
        writer.module.declare(name, returned, ", ".join(map(llvm_type, types)))
        text = f"call {returned} @{name}({', '.join(map(str, values))})"
        if result is None:
            writer.do(text)
            return None
        return Value(writer.emit(text), result, writer)

    return OfWriter(called)
