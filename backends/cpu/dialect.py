"""How operations, numbers and types are spelled in the Python that Numba compiles."""

from __future__ import annotations

import math

from ..ir.facts import is_nonpositive
from ..ir.graph import Node, base
from ..ir.operations import FLOATS, INTEGERS

# {0}, {1}, ... are the operands, {t} the dtype. Where a row has two entries, the second is for integers.
ELEMENTWISE: dict[str, tuple[str, str]] = {
    "abs": ("fabs({0})", "abs({0})"),
    "negative": ("-{0}", "-{0}"),
    "sign": ("select({0} > 0, {t}(1), select({0} < 0, {t}(-1), {0}))", "({0} > 0) - ({0} < 0)"),
    "ceil": ("ceil({0})", "{0}"),
    "floor": ("floor({0})", "{0}"),
    "round": ("nearest({0})", "{0}"),
    "trunc": ("trunc({0})", "{0}"),
    "isfinite": ("fabs({0}) < inf", "True"),
    "isinf": ("fabs({0}) == inf", "False"),
    "isnan": ("{0} != {0}", "False"),
    "signbit": ("copysign({t}(1), {0}) < 0", ""),
    "sqrt": ("sqrt({0})", ""),
    **{
        name: (f"{name}_{{t}}({{0}})", "")
        for name in ("exp", "expm1", "log", "log1p", "log2", "log10", "tanh")
    },
    **{
        name: (f"math.{name}({{0}})", "")
        for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")
    },
    "add": ("{0} + {1}", "{0} + {1}"),
    "subtract": ("{0} - {1}", "{0} - {1}"),
    "multiply": ("{0} * {1}", "{0} * {1}"),
    "divide": ("{0} / {1}", ""),
    "maximum": ("maximum({0}, {1})", "max({0}, {1})"),
    "minimum": ("minimum({0}, {1})", "min({0}, {1})"),
    "floor_divide": ("{0} // {1}", "{0} // {1}"),
    "remainder": ("{0} % {1}", "{0} % {1}"),
    "atan2": ("math.atan2({0}, {1})", ""),
    "hypot": ("math.hypot({0}, {1})", ""),
    "pow": ("{0} ** {1}", "{0} ** {1}"),
    "copysign": ("copysign({0}, {1})", ""),
    "less": ("{0} < {1}", "{0} < {1}"),
    "less_equal": ("{0} <= {1}", "{0} <= {1}"),
    "greater": ("{0} > {1}", "{0} > {1}"),
    "greater_equal": ("{0} >= {1}", "{0} >= {1}"),
    "equal": ("{0} == {1}", "{0} == {1}"),
    "not_equal": ("{0} != {1}", "{0} != {1}"),
    "logical_and": ("", "{0} & {1}"),
    "logical_or": ("", "{0} | {1}"),
    "logical_xor": ("", "{0} ^ {1}"),
    "logical_not": ("", "not {0}"),
    "bitwise_and": ("", "{0} & {1}"),
    "bitwise_or": ("", "{0} | {1}"),
    "bitwise_xor": ("", "{0} ^ {1}"),
    "bitwise_invert": ("", "~{0}"),
    "where": ("select({0}, {1}, {2})", "{1} if {0} else {2}"),
    "copy": ("{0}", "{0}"),
    "broadcast": ("{0}", "{0}"),
}

# The identity of a reduction, and how an element joins it.
REDUCTIONS: dict[str, tuple[str, str, str]] = {
    # name: (start for floats, start for integers, step)
    "sum": ("0.0", "0", "{0} + {1}"),
    "prod": ("1.0", "1", "{0} * {1}"),
    "max": ("-inf", "smallest_{t}", "greatest({0}, {1})"),
    "min": ("inf", "largest_{t}", "least({0}, {1})"),
    "any": ("", "False", "{0} | {1}"),
    "all": ("", "True", "{0} & {1}"),
}


def literal(number: object, dtype: str) -> str:
    """A typed constant: an untyped one would make float64 of everything."""
    if dtype == "bool":
        return str(bool(number))
    if dtype in FLOATS:
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
    if node.operation == "astype":
        return _cast(operands[0], node.inputs[0].dtype, node.dtype)
    taken = node.inputs[-1].dtype
    for_floats, for_integers = ELEMENTWISE[node.operation]
    template = for_floats if taken in FLOATS else for_integers
    if taken in INTEGERS and node.operation == "bitwise_invert":
        return f"{taken}(~{operands[0]})"
    if node.operation == "bitwise_invert":
        template = "not {0}"
    if node.operation == "exp" and is_nonpositive(base(node.inputs[0])):
        template = "exp_nonpositive_{t}({0})"
    if node.operation in ("maximum", "minimum") and taken not in FLOATS:
        template = (
            "({0} if {0} > {1} else {1})" if node.operation == "maximum" else "({0} if {0} < {1} else {1})"
        )
    text = template.format(*operands, t=taken)
    # Numba widens the results of small integers, and some functions of float32.
    wide = node.dtype in INTEGERS or (
        node.dtype == "float32" and ("math." in text or "**" in text or "//" in text or "%" in text)
    )
    return f"{node.dtype}({text})" if wide and node.operation not in ("copy", "broadcast") else text


def _cast(operand: str, old: str, new: str) -> str:
    if old == new:
        return operand
    if new == "bool":
        return f"{operand} != 0"
    return f"{new}({operand})"


def start(operation: str, dtype: str) -> str:
    """What a reduction of nothing is."""
    for_floats, for_integers, _ = REDUCTIONS[operation]
    if dtype in FLOATS:
        return f"{dtype}({for_floats})"
    if dtype == "bool":
        return for_integers
    bits = int("".join(filter(str.isdigit, dtype)))
    signed = not dtype.startswith("u")
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    number = {"max": lowest, "min": highest}.get(operation)
    return f"{dtype}({for_integers if number is None else number})"


def join(operation: str, dtype: str, total: str, element: str) -> str:
    """`total` with one element more."""
    step = REDUCTIONS[operation][2]
    if operation in ("sum", "prod") and dtype in FLOATS:
        step = "plus({0}, {1})" if operation == "sum" else "times({0}, {1})"
    if operation in ("max", "min") and dtype not in FLOATS:
        step = "({0} if {0} > {1} else {1})" if operation == "max" else "({0} if {0} < {1} else {1})"
    text = step.format(total, element)
    return f"{dtype}({text})" if dtype in INTEGERS and dtype not in ("int64", "uint64") else text


def declare(name: str, dtype: str, value: str) -> str:
    """The statement that gives a value a name."""
    return f"{name} = {value}"


def read(place: str, dtype: str) -> str:
    """A bool is a byte in memory, and has to be made one again."""
    return f"({place} != 0)" if dtype == "bool" else place


def written(value: str, dtype: str) -> str:
    """A value as it is put into memory."""
    return f"uint8({value})" if dtype == "bool" else value


def wide(dtype: str) -> str:
    """What a single number is computed and kept in: integers have all their bits."""
    return "float64" if dtype in FLOATS else "uint64" if dtype.startswith("u") else "int64"


def kept_number(dtype: str, slot: str) -> str:
    """The place of a single number: `numbers`, or the same memory as integers."""
    return f"numbers[{slot}]" if dtype in FLOATS else f"whole[{slot}]"


def number_from(dtype: str, slot: str) -> str:
    """A single number, out of its place."""
    place = kept_number(dtype, slot)
    return place if dtype == "float64" else f"({place} != 0)" if dtype == "bool" else f"{dtype}({place})"


def number_to(dtype: str, value: str) -> str:
    """A single number as it is put into its place."""
    return f"float64({value})" if dtype in FLOATS else f"int64({value})"


def index(text: str) -> str:
    """A position as a value of int64."""
    return "int64(0)" if text == "0" else text


def flag(slot: int) -> str:
    """Where it is noted that an index was outside: a variable, which is put into the slot at the end."""
    return f"outside{slot}"


def inside(name: str, value: str, length: str, dtype: str, flag: str) -> list[str]:
    """Statements that make of an index one inside: from the end where negative, then clamped."""
    if dtype == "uint64":
        value = f"min({value}, uint64({length}))"  # as int64 it might be negative
    return [
        f"{name} = int64({value})",
        f"{name} = {name} + {length} if {name} < 0 else {name}",
        *([f"{flag} |= ({name} < 0) | ({name} >= {length})"] if flag else []),
        f"{name} = min(max({name}, 0), {length} - 1)",
    ]
