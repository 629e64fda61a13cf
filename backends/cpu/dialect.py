"""How operations, numbers and types are spelled in the CPU's text, the language of `llvm.translate`."""

from __future__ import annotations

import math

from ..ir.dtypes import BOOL, FLOAT64, INT64, UINT64, DType, Kind
from ..ir.facts import is_nonpositive
from ..ir.graph import Node, base
from ..ir.operations import Op

# {0}, {1}, ... are the operands, {t} the dtype. Where a row has two entries, the second is for integers.
ELEMENTWISE: dict[Op, tuple[str, str]] = {
    Op.ABS: ("fabs({0})", "abs({0})"),
    Op.NEGATIVE: ("-{0}", "-{0}"),
    Op.SIGN: ("select({0} > 0, {t}(1), select({0} < 0, {t}(-1), {0} + {t}(0)))", "({0} > 0) - ({0} < 0)"),
    Op.CEIL: ("ceil({0})", "{0}"),
    Op.FLOOR: ("floor({0})", "{0}"),
    Op.ROUND: ("nearest({0})", "{0}"),
    Op.TRUNC: ("trunc({0})", "{0}"),
    Op.ISFINITE: ("fabs({0}) < inf", "True"),
    Op.ISINF: ("fabs({0}) == inf", "False"),
    Op.ISNAN: ("{0} != {0}", "False"),
    Op.SIGNBIT: ("copysign({t}(1), {0}) < 0", ""),
    Op.SQRT: ("sqrt({0})", ""),
    **{
        op: (f"{op}_{{t}}({{0}})", "")
        for op in (Op.EXP, Op.EXPM1, Op.LOG, Op.LOG1P, Op.LOG2, Op.LOG10, Op.TANH)
    },
    **{
        op: (f"math.{op}({{0}})", "")
        for op in (
            Op.SIN,
            Op.COS,
            Op.TAN,
            Op.ASIN,
            Op.ACOS,
            Op.ATAN,
            Op.SINH,
            Op.COSH,
            Op.ASINH,
            Op.ACOSH,
            Op.ATANH,
        )
    },
    Op.ADD: ("{0} + {1}", "{0} + {1}"),
    Op.SUBTRACT: ("{0} - {1}", "{0} - {1}"),
    Op.MULTIPLY: ("{0} * {1}", "{0} * {1}"),
    Op.DIVIDE: ("{0} / {1}", ""),
    Op.MAXIMUM: ("maximum({0}, {1})", "max({0}, {1})"),
    Op.MINIMUM: ("minimum({0}, {1})", "min({0}, {1})"),
    Op.FLOOR_DIVIDE: ("{0} // {1}", "{0} // {1}"),
    Op.REMAINDER: ("{0} % {1}", "{0} % {1}"),
    Op.ATAN2: ("math.atan2({0}, {1})", ""),
    Op.HYPOT: ("math.hypot({0}, {1})", ""),
    Op.POW: ("{0} ** {1}", "{0} ** {1}"),
    Op.COPYSIGN: ("copysign({0}, {1})", ""),
    Op.LESS: ("{0} < {1}", "{0} < {1}"),
    Op.LESS_EQUAL: ("{0} <= {1}", "{0} <= {1}"),
    Op.GREATER: ("{0} > {1}", "{0} > {1}"),
    Op.GREATER_EQUAL: ("{0} >= {1}", "{0} >= {1}"),
    Op.EQUAL: ("{0} == {1}", "{0} == {1}"),
    Op.NOT_EQUAL: ("{0} != {1}", "{0} != {1}"),
    Op.LOGICAL_AND: ("", "{0} & {1}"),
    Op.LOGICAL_OR: ("", "{0} | {1}"),
    Op.LOGICAL_XOR: ("", "{0} ^ {1}"),
    Op.LOGICAL_NOT: ("", "not {0}"),
    Op.BITWISE_AND: ("", "{0} & {1}"),
    Op.BITWISE_OR: ("", "{0} | {1}"),
    Op.BITWISE_XOR: ("", "{0} ^ {1}"),
    Op.BITWISE_INVERT: ("", "~{0}"),
    Op.BITWISE_LEFT_SHIFT: ("", "{0} << {1}"),
    Op.BITWISE_RIGHT_SHIFT: ("", "{0} >> {1}"),
    Op.WHERE: ("select({0}, {1}, {2})", "{1} if {0} else {2}"),
    Op.COPY: ("{0}", "{0}"),
    Op.BROADCAST_TO: ("{0}", "{0}"),
}

# The identity of a reduction, and how an element joins it. Of integers max and min start at the dtype's own.
REDUCTIONS: dict[Op, tuple[str, str, str]] = {
    # operation: (start for floats, start for integers and bools, step)
    Op.SUM: ("0.0", "0", "{0} + {1}"),
    Op.PROD: ("1.0", "1", "{0} * {1}"),
    Op.MAX: ("-inf", "False", "greatest({0}, {1})"),
    Op.MIN: ("inf", "True", "least({0}, {1})"),
    Op.ANY: ("", "False", "{0} | {1}"),
    Op.ALL: ("", "True", "{0} & {1}"),
}


def literal(number: object, dtype: DType) -> str:
    """A typed constant: an untyped one would make float64 of everything."""
    if dtype == BOOL:
        return str(bool(number))
    if dtype.is_float:
        value = float(number)  # type: ignore[arg-type]
        text = (
            repr(value)
            if math.isfinite(value)
            else "nan"
            if math.isnan(value)
            else "inf"
            if value > 0
            else "-inf"
        )
        return f"{dtype}({text})"
    return f"{dtype}({number})"


def elementwise(node: Node, operands: list[str]) -> str:
    """The expression of an elementwise operation."""
    if node.operation is Op.ASTYPE:
        return _cast(operands[0], node.inputs[0].dtype, node.dtype)
    taken = node.inputs[-1].dtype
    for_floats, for_integers = ELEMENTWISE[node.operation]
    template = for_floats if taken.is_float else for_integers
    if taken.is_integer and node.operation is Op.BITWISE_INVERT:
        return f"{taken}(~{operands[0]})"
    if node.operation is Op.BITWISE_INVERT:
        template = "not {0}"
    if node.operation is Op.EXP and is_nonpositive(base(node.inputs[0])):
        template = "exp_nonpositive_{t}({0})"
    if node.operation in (Op.MAXIMUM, Op.MINIMUM) and not taken.is_float:
        template = (
            "({0} if {0} > {1} else {1})" if node.operation is Op.MAXIMUM else "({0} if {0} < {1} else {1})"
        )
    text = template.format(*operands, t=taken)
    # Some expressions of bools and integers are of int64, such as the difference of two bools.
    is_cast = node.dtype.is_integer and node.operation not in (Op.COPY, Op.BROADCAST_TO)
    return f"{node.dtype}({text})" if is_cast else text


def _cast(operand: str, old: DType, new: DType) -> str:
    if old == new:
        return operand
    if new == BOOL:
        return f"{operand} != 0"
    return f"{new}({operand})"


def start(operation: Op, dtype: DType) -> str:
    """What a reduction of nothing is."""
    for_floats, for_integers, _ = REDUCTIONS[operation]
    if dtype.is_float:
        return f"{dtype}({for_floats})"
    if dtype == BOOL:
        return for_integers
    if operation in (Op.MAX, Op.MIN):
        return f"{dtype}({dtype.lowest if operation is Op.MAX else dtype.highest})"
    return f"{dtype}({for_integers})"


def join(operation: Op, dtype: DType, total: str, element: str) -> str:
    """`total` with one element more."""
    step = REDUCTIONS[operation][2]
    if operation in (Op.SUM, Op.PROD) and dtype.is_float:
        step = "plus({0}, {1})" if operation is Op.SUM else "times({0}, {1})"
    if operation in (Op.MAX, Op.MIN) and not dtype.is_float:
        step = "({0} if {0} > {1} else {1})" if operation is Op.MAX else "({0} if {0} < {1} else {1})"
    text = step.format(total, element)
    return f"{dtype}({text})" if dtype.is_integer and dtype.bits < 64 else text


def read(place: str, dtype: DType) -> str:
    """A bool is a byte in memory, and has to be made one again."""
    return f"({place} != 0)" if dtype == BOOL else place


def written(value: str, dtype: DType) -> str:
    """A value as it is put into memory."""
    return f"uint8({value})" if dtype == BOOL else value


def wide(dtype: DType) -> DType:
    """What a single number is computed and kept in: integers have all their bits."""
    return FLOAT64 if dtype.is_float else UINT64 if dtype.kind is Kind.UNSIGNED else INT64


def memory_of_numbers(dtype: DType) -> str:
    """Where single numbers are kept: `scalars`, or the same memory as integers."""
    return "scalars" if dtype.is_float else "integers"


def kept_number(dtype: DType, slot: str) -> str:
    """The place of a single number."""
    return f"{memory_of_numbers(dtype)}[{slot}]"


def number_from(dtype: DType, slot: str) -> str:
    """A single number, out of its place."""
    place = kept_number(dtype, slot)
    return place if dtype == FLOAT64 else f"({place} != 0)" if dtype == BOOL else f"{dtype}({place})"


def number_to(dtype: DType, value: str) -> str:
    """A single number as it is put into its place."""
    return f"float64({value})" if dtype.is_float else f"int64({value})"


def index(text: str) -> str:
    """A position as a value of int64."""
    return "int64(0)" if text == "0" else text


def inside(name: str, value: str, length: str, dtype: DType, flag: str) -> list[str]:
    """Statements that make of an index one inside: from the end where negative, then clamped."""
    if dtype == UINT64:
        value = f"min({value}, uint64({length}))"  # as int64 it might be negative
    return [
        f"{name} = int64({value})",
        f"{name} = {name} + {length} if {name} < 0 else {name}",
        *([f"{flag} |= ({name} < 0) | ({name} >= {length})"] if flag else []),
        f"{name} = min(max({name}, 0), {length} - 1)",
    ]
