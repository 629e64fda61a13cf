"""How operations, numbers and types are spelled in CUDA C++; the functions are in `prelude`."""

from __future__ import annotations

import math

import numpy

from ..ir.dtypes import (
    BFLOAT16,
    BOOL,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    DType,
    Kind,
)
from ..ir.graph import Node
from ..ir.operations import Op

TYPES = {
    FLOAT32: "float",
    FLOAT64: "double",
    INT8: "signed char",
    INT16: "short",
    INT32: "int",
    INT64: "long long",
    UINT8: "unsigned char",
    UINT16: "unsigned short",
    UINT32: "unsigned int",
    UINT64: "unsigned long long",
    BOOL: "bool",
}

# {0}, {1}, ... are the operands, {t} the type, {f} what ends the name of a float function. Where a row has
# two entries, the second is for integers.
ELEMENTWISE: dict[Op, tuple[str, str]] = {
    Op.ABS: ("fabs{f}({0})", "({0} < 0 ? -{0} : {0})"),
    Op.NEGATIVE: ("-{0}", "-{0}"),
    Op.SIGN: ("sign_of({0})", "sign_of({0})"),
    Op.CEIL: ("ceil{f}({0})", "{0}"),
    Op.FLOOR: ("floor{f}({0})", "{0}"),
    Op.ROUND: ("rint{f}({0})", "{0}"),
    Op.TRUNC: ("trunc{f}({0})", "{0}"),
    Op.ISFINITE: ("fabs{f}({0}) < infinity<{t}>()", "true"),
    Op.ISINF: ("fabs{f}({0}) == infinity<{t}>()", "false"),
    Op.ISNAN: ("{0} != {0}", "false"),
    Op.SIGNBIT: ("copysign{f}({t}(1), {0}) < {t}(0)", ""),
    Op.SQRT: ("sqrt{f}({0})", ""),
    **{
        op: (f"{op}{{f}}({{0}})", "")
        for op in (Op.EXP, Op.EXPM1, Op.LOG, Op.LOG1P, Op.LOG2, Op.LOG10, Op.TANH, Op.SIN, Op.COS, Op.TAN)
    },
    **{
        op: (f"{op}{{f}}({{0}})", "")
        for op in (Op.ASIN, Op.ACOS, Op.ATAN, Op.SINH, Op.COSH, Op.ASINH, Op.ACOSH, Op.ATANH)
    },
    Op.ADD: ("{0} + {1}", "{0} + {1}"),
    Op.SUBTRACT: ("{0} - {1}", "{0} - {1}"),
    Op.MULTIPLY: ("{0} * {1}", "{0} * {1}"),
    Op.DIVIDE: ("{0} / {1}", ""),
    Op.MAXIMUM: ("maximum({0}, {1})", "({0} > {1} ? {0} : {1})"),
    Op.MINIMUM: ("minimum({0}, {1})", "({0} < {1} ? {0} : {1})"),
    Op.FLOOR_DIVIDE: ("floor_divide({0}, {1})", "floor_divide({0}, {1})"),
    Op.REMAINDER: ("remainder_of({0}, {1})", "remainder_of({0}, {1})"),
    Op.ATAN2: ("atan2{f}({0}, {1})", ""),
    Op.HYPOT: ("hypot{f}({0}, {1})", ""),
    Op.POW: ("pow{f}({0}, {1})", "whole_power({0}, {1})"),
    Op.COPYSIGN: ("copysign{f}({0}, {1})", ""),
    Op.LESS: ("{0} < {1}", "{0} < {1}"),
    Op.LESS_EQUAL: ("{0} <= {1}", "{0} <= {1}"),
    Op.GREATER: ("{0} > {1}", "{0} > {1}"),
    Op.GREATER_EQUAL: ("{0} >= {1}", "{0} >= {1}"),
    Op.EQUAL: ("{0} == {1}", "{0} == {1}"),
    Op.NOT_EQUAL: ("{0} != {1}", "{0} != {1}"),
    Op.LOGICAL_AND: ("", "{0} & {1}"),
    Op.LOGICAL_OR: ("", "{0} | {1}"),
    Op.LOGICAL_XOR: ("", "{0} ^ {1}"),
    Op.LOGICAL_NOT: ("", "!{0}"),
    Op.BITWISE_AND: ("", "{0} & {1}"),
    Op.BITWISE_OR: ("", "{0} | {1}"),
    Op.BITWISE_XOR: ("", "{0} ^ {1}"),
    Op.BITWISE_INVERT: ("", "~{0}"),
    Op.BITWISE_LEFT_SHIFT: ("", "shifted_left({0}, {1})"),
    Op.BITWISE_RIGHT_SHIFT: ("", "shifted_right({0}, {1})"),
    Op.WHERE: ("{0} ? {1} : {2}", "{0} ? {1} : {2}"),
    Op.COPY: ("{0}", "{0}"),
    Op.BROADCAST_TO: ("{0}", "{0}"),
}

# The identity of a reduction, how an element joins it, and the functor of the prelude that does so. Of
# integers max and min start at the dtype's own.
REDUCTIONS: dict[Op, tuple[str, str, str, str]] = {
    # operation: (start for floats, start for integers and bools, step, functor)
    Op.SUM: ("0", "0", "{0} + {1}", "Sum"),
    Op.PROD: ("1", "1", "{0} * {1}", "Product"),
    Op.MAX: ("-infinity<{t}>()", "false", "maximum({0}, {1})", "Maximum"),
    Op.MIN: ("infinity<{t}>()", "true", "minimum({0}, {1})", "Minimum"),
    Op.ANY: ("", "false", "{0} | {1}", "Any"),
    Op.ALL: ("", "true", "{0} & {1}", "All"),
}


def literal(number: object, dtype: DType) -> str:
    """A typed constant."""
    if dtype == BOOL:
        return "true" if number else "false"
    if dtype.is_float:
        value = float(number)  # type: ignore[arg-type]
        if math.isnan(value):
            return f"not_a_number<{TYPES[dtype]}>()"
        if dtype == FLOAT32:
            with numpy.errstate(over="ignore"):
                value = float(numpy.float32(value))
        if math.isinf(value):
            return f"{'-' if value < 0 else ''}infinity<{TYPES[dtype]}>()"
        text = str(numpy.float32(value)) if dtype == FLOAT32 else repr(value)
        text = text if set(text) & set(".e") else f"{text}.0"
        return f"{text}f" if dtype == FLOAT32 else text
    if dtype == INT64 and number == -(1 << 63):
        return "(-9223372036854775807LL - 1)"  # C has no such constant
    ending = _ENDINGS.get(dtype)
    return f"{number}{ending}" if ending is not None else f"({TYPES[dtype]})({number})"


# Of constants in C; one of a smaller type is cast.
_ENDINGS = {INT32: "", INT64: "LL", UINT32: "U", UINT64: "ULL"}


def elementwise(node: Node, operands: list[str], *, for_halves: bool = False) -> str:
    """The expression of an elementwise operation.

    for_halves: whether all that is computed is rounded to a half precision in the end
    """
    if for_halves and node.operation is Op.EXP and node.dtype == FLOAT32:
        return f"exp_for_halves({operands[0]})"
    if node.operation is Op.ASTYPE:
        return _cast(operands[0], node.inputs[0].dtype, node.dtype)
    taken = node.inputs[-1].dtype
    for_floats, for_integers = ELEMENTWISE[node.operation]
    template = for_floats if taken.is_float else for_integers
    if node.operation is Op.BITWISE_INVERT and taken == BOOL:
        template = "!{0}"
    ending = "f" if taken == FLOAT32 else ""
    text = template.format(*operands, t=TYPES[taken], f=ending)
    # C computes with small integers as int.
    is_small = node.dtype.is_integer and node.dtype.bits < 32
    return f"({TYPES[node.dtype]})({text})" if is_small else text


def _cast(operand: str, old: DType, new: DType) -> str:
    if old == new:
        return operand
    if new == BOOL:
        return f"({operand} != 0)"
    return f"({TYPES[new]})({operand})"


def nothing(dtype: DType) -> str:
    """What a value at an index that is outside is: what stands out, where there is such a number."""
    return literal(math.nan if dtype.is_float else 0, dtype)


def start(operation: Op, dtype: DType) -> str:
    """What a reduction of nothing is."""
    for_floats, for_integers, _, _ = REDUCTIONS[operation]
    if dtype.is_float:
        return literal(for_floats, dtype) if for_floats in "01" else for_floats.format(t=TYPES[dtype])
    if dtype == BOOL:
        return for_integers
    if operation in (Op.MAX, Op.MIN):
        return literal(dtype.lowest if operation is Op.MAX else dtype.highest, dtype)
    return literal(int(for_integers), dtype)


def join(operation: Op, dtype: DType, total: str, element: str) -> str:
    """`total` with one element more."""
    step = REDUCTIONS[operation][2]
    text = step.format(total, element)
    is_small = dtype.is_integer and dtype.bits < 32
    return f"({TYPES[dtype]})({text})" if is_small else text


def functor(operation: Op) -> str:
    """The type of the prelude that joins two partial results."""
    return REDUCTIONS[operation][3]


def declare(name: str, dtype: DType, value: str) -> str:
    """The statement that gives a value a name."""
    return f"const {TYPES[dtype]} {name} = {value};"


_HALF_NAMES = {FLOAT16: "half", BFLOAT16: "bfloat16"}


def stored_type(dtype: DType) -> str:
    """The type of an element in memory, where a bool is a byte."""
    if dtype.is_half:
        return "unsigned short"
    return "unsigned char" if dtype == BOOL else TYPES[dtype]


def read(place: str, dtype: DType) -> str:
    """A value out of its place in memory."""
    if dtype in _HALF_NAMES:
        return f"{_HALF_NAMES[dtype]}_to_float({place})"
    return f"({place} != 0)" if dtype == BOOL else place


def written(value: str, dtype: DType) -> str:
    """A value as it is put into memory."""
    if dtype in _HALF_NAMES:
        return f"float_to_{_HALF_NAMES[dtype]}({value})"
    return f"(unsigned char)({value})" if dtype == BOOL else value


def store_of(dtype: DType) -> str:
    """The function of the prelude that stores a vector of values into memory of this dtype."""
    return f"store_{_HALF_NAMES[dtype]}" if dtype in _HALF_NAMES else "store"


def wide(dtype: DType) -> DType:
    """The dtype in which a single number is computed and kept."""
    if dtype == BOOL:
        return BOOL
    return FLOAT64 if dtype.is_float else UINT64 if dtype.kind is Kind.UNSIGNED else INT64


def kept_number(dtype: DType, slot: str) -> str:
    """The place of a single number in the scalar buffer, as a double or as the integer of its bits."""
    return f"scalars[{slot}]" if dtype.is_float else f"((long long*)scalars)[{slot}]"


def number_from(dtype: DType, slot: str) -> str:
    """A single number, out of its slot of the scalar buffer."""
    place = kept_number(dtype, slot)
    if dtype == BOOL:
        return f"({place} != 0)"
    return place if dtype in (FLOAT64, INT64) else f"({TYPES[dtype]})({place})"


def number_to(dtype: DType, value: str) -> str:
    """A single number as it is put into its slot."""
    return f"(double)({value})" if dtype.is_float else f"(long long)({value})"


def index(text: str) -> str:
    """A position as a value of int64."""
    return "0LL" if text == "0" else f"(long long)({text})"


def flag(slot: int) -> str:
    """Where it is noted that an index was outside."""
    return kept_number(INT64, str(slot))


def inside(name: str, value: str, length: str, dtype: DType, flag: str) -> list[str]:
    """Statements that make of an index one inside: from the end where negative, then clamped."""
    if dtype == UINT64:
        value = f"minimum({value}, (unsigned long long)({length}))"  # as a long long it might be negative
    return [
        f"long long {name} = (long long)({value});",
        f"{name} = {name} < 0 ? {name} + {length} : {name};",
        f"const bool {name}_is = {name} >= 0 && {name} < {length};",
        f"if (!{name}_is) {flag} = 1;",
        f"{name} = {name} < 0 ? 0 : {name} >= {length} ? {length} - 1 : {name};",
    ]


def clamped(name: str, value: str, length: str) -> str:
    """The statement that makes of an index one inside."""
    inside = f"minimum(maximum((long long)({value}), 0LL), (long long)({length}) - 1)"
    return f"const long long {name} = {inside};"
