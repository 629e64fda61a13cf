"""Numbers and pointers of a function that is being written. Operators on them write instructions.

    x + y       writes    %v.3 = fadd float %v.1, %v.2     and gives the sum
    x < 0.5     writes    %v.4 = fcmp olt float %v.1, 0x3FE0000000000000

Both operands of an operator have the same dtype. A Python number takes the dtype of the other operand, and so
does a bool beside an integer; bools alone become int64 for arithmetic. Integers wrap around, shifts move in
zeros or the sign, and a float that no integer of the dtype is near becomes any one. Nothing is reordered.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy

from ...ir.dtypes import BOOL, FLOAT32, FLOAT64, INT64, DType, Kind, dtype_of
from .writer import FunctionWriter


@dataclass(frozen=True)
class Pointer:
    """The type of the address of elements."""

    to: DType

    def __str__(self) -> str:
        return f"a pointer to {self.to}"


Type: TypeAlias = "DType | Pointer"


def llvm_type(type_: Type) -> str:
    """How LLVM spells a type."""
    if isinstance(type_, Pointer):
        return "ptr"
    if type_.is_float:
        return "float" if type_ is FLOAT32 else "double"
    return "i1" if type_ is BOOL else f"i{type_.bits}"


def constant(number: Any, dtype: DType) -> str:
    """How LLVM spells a number, converted to a dtype.

    raises: TypeError for an integer that the dtype does not have
    """
    if not isinstance(number, bool | int | float | numpy.number | numpy.bool_):
        raise TypeError(f"expected a number; got {number!r}")
    if dtype is BOOL:
        return "true" if number else "false"
    if not dtype.is_float:
        if number != number or not dtype.lowest <= number <= dtype.highest:
            raise TypeError(f"{number} is no {dtype}")
        return str(int(number))
    rounded = float(numpy.float32(number)) if dtype is FLOAT32 else float(number)
    if math.isnan(rounded):
        rounded = math.nan
    return f"0x{struct.unpack('>Q', struct.pack('>d', rounded))[0]:016X}"


class Value:
    """A number or a pointer in a register of the function that `writer` writes."""

    __slots__ = ("name", "type", "writer")
    __array_ufunc__ = None  # NumPy's numbers leave operators to this class

    def __init__(self, name: str, type_: Type, writer: FunctionWriter) -> None:
        self.name, self.type, self.writer = name, type_, writer

    @property
    def dtype(self) -> DType:
        """Its type, where it is a number."""
        if isinstance(self.type, Pointer):
            raise TypeError(f"expected a number; got a pointer to {self.type.to}")
        return self.type

    def __str__(self) -> str:
        return f"{llvm_type(self.type)} {self.name}"

    def __repr__(self) -> str:
        return f"<{self.type}>"

    def __bool__(self) -> bool:
        raise TypeError("a value of a function that is being written is neither true nor false")

    def __add__(self, other: Any) -> Value:
        return arithmetic("add", self, other)

    def __radd__(self, other: Any) -> Value:
        return arithmetic("add", other, self)

    def __sub__(self, other: Any) -> Value:
        return arithmetic("sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return arithmetic("sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return arithmetic("mul", self, other)

    def __rmul__(self, other: Any) -> Value:
        return arithmetic("mul", other, self)

    def __truediv__(self, other: Any) -> Value:
        return arithmetic("div", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return arithmetic("div", other, self)

    def __and__(self, other: Any) -> Value:
        return bitwise("and", self, other)

    def __or__(self, other: Any) -> Value:
        return bitwise("or", self, other)

    def __xor__(self, other: Any) -> Value:
        return bitwise("xor", self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self, other: Any) -> Value:
        return shifted(self, other, is_left=True)

    def __rlshift__(self, other: Any) -> Value:
        return shifted(other, self, is_left=True)

    def __rshift__(self, other: Any) -> Value:
        return shifted(self, other, is_left=False)

    def __rrshift__(self, other: Any) -> Value:
        return shifted(other, self, is_left=False)

    def __neg__(self) -> Value:
        if self.dtype.is_float:
            return written(self, f"fneg {self.writer.flags}{self}")
        return arithmetic("sub", 0, self)

    def __invert__(self) -> Value:
        return bitwise("xor", self, Value("true" if self.type is BOOL else "-1", self.dtype, self.writer))

    def __lt__(self, other: Any) -> Value:
        return comparison("lt", self, other)

    def __le__(self, other: Any) -> Value:
        return comparison("le", self, other)

    def __gt__(self, other: Any) -> Value:
        return comparison("gt", self, other)

    def __ge__(self, other: Any) -> Value:
        return comparison("ge", self, other)

    def __eq__(self, other: Any) -> Value:  # type: ignore[override]
        return comparison("eq", self, other)

    def __ne__(self, other: Any) -> Value:  # type: ignore[override]
        return comparison("ne", self, other)

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, index: Any) -> Value:
        """The element at an index."""
        element = self.at(index)
        return Value(
            self.writer.emit(f"load {llvm_type(element)}, ptr {self.address(index)}"), element, self.writer
        )

    def __setitem__(self, index: Any, value: Any) -> None:
        value = as_value(value, self.at(index), self.writer)
        self.writer.do(f"store {value}, ptr {self.address(index)}")

    def at(self, index: Any) -> DType:
        """The dtype of its elements; an index is an int64."""
        if not isinstance(self.type, Pointer):
            raise TypeError(f"expected a pointer; got {self.type}")
        as_value(index, INT64, self.writer)
        return self.type.to

    def address(self, index: Any) -> str:
        """The address of an element."""
        element, place = self.at(index), as_value(index, INT64, self.writer)
        return self.writer.emit(f"getelementptr {llvm_type(element)}, ptr {self.name}, {place}")


def written(like: Value, instruction: str, type_: Type | None = None) -> Value:
    """The result of an instruction."""
    return Value(like.writer.emit(instruction), type_ or like.type, like.writer)


def as_value(number: Any, type_: Type, writer: FunctionWriter) -> Value:
    """A value of this type, or a Python number as one; nothing else is converted."""
    if isinstance(number, Value):
        if number.type == type_:
            return number
        raise TypeError(f"expected {type_}; got {number.type}")
    if isinstance(type_, Pointer):
        raise TypeError(f"expected {type_}; got {number!r}")
    if not type_.is_float and isinstance(number, float | numpy.floating):
        raise TypeError(f"expected {type_}; got the float {number}")
    if type_ is BOOL and not isinstance(number, bool | numpy.bool_):
        raise TypeError(f"expected a bool; got {number!r}")
    return Value(constant(number, type_), type_, writer)


def number(given: Any, writer: FunctionWriter) -> Value:
    """A number as a value: a Python number is an int64, float64 or bool, a NumPy number has its dtype."""
    if isinstance(given, Value):
        return given
    if not isinstance(given, bool | int | float | numpy.generic):
        raise TypeError(f"expected a number; got {given!r}")
    kind = dtype_of(given.dtype.name) if isinstance(given, numpy.generic) else None
    return as_value(given, kind or dtype_of_python(given), writer)


def dtype_of_python(number: Any) -> DType:
    """The dtype of a Python number where nothing else gives it one."""
    return BOOL if isinstance(number, bool) else INT64 if isinstance(number, int) else FLOAT64


def pair(a: Any, b: Any) -> tuple[Value, Value]:
    """Two operands as values of one dtype."""
    given = a if isinstance(a, Value) else b
    if not isinstance(given, Value):
        raise TypeError(f"expected a number of a dtype; got {a!r} and {b!r}")
    kind, other = given.dtype, b if given is a else a
    if kind is BOOL and not isinstance(other, Value | bool):
        kind = dtype_of_python(other)
        a, b = (cast(x, kind) if x is given else x for x in (a, b))
    a, b = (x if isinstance(x, Value) else as_value(x, kind, given.writer) for x in (a, b))
    if a.type is BOOL and b.dtype.is_integer:
        a = cast(a, b.dtype)
    elif b.type is BOOL and a.dtype.is_integer:
        b = cast(b, a.dtype)
    if a.type is not b.type:
        raise TypeError(f"expected two operands of one dtype; got {a.type} and {b.type}")
    return a, b


def pair_of_numbers(a: Any, b: Any) -> tuple[Value, Value]:
    """Two operands as values of one dtype; bools count as int64."""
    a, b = pair(a, b)
    return (cast(a, INT64), cast(b, INT64)) if a.type is BOOL else (a, b)


def arithmetic(operation: str, a: Any, b: Any) -> Value:
    """add, sub, mul or div."""
    a, b = pair_of_numbers(a, b)
    if a.dtype.is_float:
        return written(a, f"f{operation} {a.writer.flags}{a}, {b.name}")
    if operation == "div":
        return arithmetic("div", cast(a, FLOAT64), cast(b, FLOAT64))
    return written(a, f"{operation} {a}, {b.name}")


def bitwise(operation: str, a: Any, b: Any) -> Value:
    """and, or, xor of integers or bools."""
    a, b = pair(a, b)
    if a.dtype.is_float:
        raise TypeError(f"expected integers or bools for {operation}; got {a.type}")
    return written(a, f"{operation} {a}, {b.name}")


def shifted(a: Any, b: Any, *, is_left: bool) -> Value:
    """a << b or a >> b, as NumPy has it: by at least the width of the dtype, it moves all bits out.

    LLVM itself leaves open what such a shift gives.
    """
    a, b = pair_of_numbers(a, b)
    if a.dtype.is_float:
        raise TypeError(f"expected integers for a shift; got {a.type}")
    is_signed = a.dtype.kind is Kind.SIGNED
    operation, last = "shl" if is_left else "ashr" if is_signed else "lshr", a.dtype.bits - 1
    if b.name.isdecimal() and int(b.name) <= last:
        return written(a, f"{operation} {a}, {b.name}")
    is_inside = written(a, f"icmp ule {b}, {last}", BOOL)
    inside = written(a, f"{operation} {a}, {b.name}")
    outside = written(a, f"ashr {a}, {last}").name if operation == "ashr" else "0"
    return written(a, f"select {is_inside}, {inside}, {llvm_type(a.type)} {outside}")


_OF_FLOATS = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}


def comparison(operation: str, a: Any, b: Any) -> Value:
    """A bool; where an operand is NaN it is false, for `ne` true."""
    a, b = pair(a, b)
    if a.dtype.is_float:
        return written(a, f"fcmp {_OF_FLOATS[operation]} {a}, {b.name}", BOOL)
    sign = "" if operation in ("eq", "ne") else "s" if a.dtype.kind is Kind.SIGNED else "u"
    return written(a, f"icmp {sign}{operation} {a}, {b.name}", BOOL)


def cast(value: Any, to: DType) -> Value:
    """A number in another dtype: floats are cut to integers, wide integers to their lowest bits."""
    old = value.dtype
    if old is to:
        return value  # type: ignore[no-any-return]
    if to is BOOL:
        return comparison("ne", value, 0)
    converted = written(value, f"{_conversion(old, to)} {value} to {llvm_type(to)}", to)
    if not old.is_float or to.is_float:
        return converted
    # Of a number outside of the dtype LLVM may make another integer for each use, and so pass over a check.
    return written(value, f"freeze {converted}", to)


def _conversion(old: DType, to: DType) -> str:
    if old.is_float:
        if to.is_float:
            return "fpext" if to is FLOAT64 else "fptrunc"
        return "fptosi" if to.kind is Kind.SIGNED else "fptoui"
    is_signed = old.kind is Kind.SIGNED
    if to.is_float:
        return "sitofp" if is_signed else "uitofp"
    if old is not BOOL and to.bits == old.bits:
        return "bitcast"
    if old is not BOOL and to.bits < old.bits:
        return "trunc"
    return "sext" if is_signed else "zext"
