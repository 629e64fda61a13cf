"""How operations, numbers and types are spelled in CUDA C++; the functions stand in `cuda_prelude`."""

from __future__ import annotations

import math

import numpy

from ..ir.graph import Node
from ..ir.operations import FLOATS, HALVES, INTEGERS

TYPES = {
    "float32": "float",
    "float64": "double",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "bool": "bool",
}

# {0}, {1}, ... are the operands, {t} the type, {f} what ends the name of a float function. Where a row has
# two entries, the second is for integers.
ELEMENTWISE: dict[str, tuple[str, str]] = {
    "abs": ("fabs{f}({0})", "({0} < 0 ? -{0} : {0})"),
    "negative": ("-{0}", "-{0}"),
    "sign": ("sign_of({0})", "sign_of({0})"),
    "ceil": ("ceil{f}({0})", "{0}"),
    "floor": ("floor{f}({0})", "{0}"),
    "round": ("rint{f}({0})", "{0}"),
    "trunc": ("trunc{f}({0})", "{0}"),
    "isfinite": ("fabs{f}({0}) < infinity<{t}>()", "true"),
    "isinf": ("fabs{f}({0}) == infinity<{t}>()", "false"),
    "isnan": ("{0} != {0}", "false"),
    "signbit": ("copysign{f}({t}(1), {0}) < {t}(0)", ""),
    "sqrt": ("sqrt{f}({0})", ""),
    **{
        name: (f"{name}{{f}}({{0}})", "")
        for name in ("exp", "expm1", "log", "log1p", "log2", "log10", "tanh", "sin", "cos", "tan")
    },
    **{
        name: (f"{name}{{f}}({{0}})", "")
        for name in ("asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")
    },
    "add": ("{0} + {1}", "{0} + {1}"),
    "subtract": ("{0} - {1}", "{0} - {1}"),
    "multiply": ("{0} * {1}", "{0} * {1}"),
    "divide": ("{0} / {1}", ""),
    "maximum": ("maximum({0}, {1})", "({0} > {1} ? {0} : {1})"),
    "minimum": ("minimum({0}, {1})", "({0} < {1} ? {0} : {1})"),
    "floor_divide": ("floor_divide({0}, {1})", "floor_divide({0}, {1})"),
    "remainder": ("remainder_of({0}, {1})", "remainder_of({0}, {1})"),
    "atan2": ("atan2{f}({0}, {1})", ""),
    "hypot": ("hypot{f}({0}, {1})", ""),
    "pow": ("pow{f}({0}, {1})", "whole_power({0}, {1})"),
    "copysign": ("copysign{f}({0}, {1})", ""),
    "less": ("{0} < {1}", "{0} < {1}"),
    "less_equal": ("{0} <= {1}", "{0} <= {1}"),
    "greater": ("{0} > {1}", "{0} > {1}"),
    "greater_equal": ("{0} >= {1}", "{0} >= {1}"),
    "equal": ("{0} == {1}", "{0} == {1}"),
    "not_equal": ("{0} != {1}", "{0} != {1}"),
    "logical_and": ("", "{0} & {1}"),
    "logical_or": ("", "{0} | {1}"),
    "logical_xor": ("", "{0} ^ {1}"),
    "logical_not": ("", "!{0}"),
    "bitwise_and": ("", "{0} & {1}"),
    "bitwise_or": ("", "{0} | {1}"),
    "bitwise_xor": ("", "{0} ^ {1}"),
    "bitwise_invert": ("", "~{0}"),
    "where": ("{0} ? {1} : {2}", "{0} ? {1} : {2}"),
    "copy": ("{0}", "{0}"),
    "broadcast": ("{0}", "{0}"),
}

# The identity of a reduction, how an element joins it, and the functor of the prelude that does so.
REDUCTIONS: dict[str, tuple[str, str, str, str]] = {
    # name: (start for floats, start for integers, step, functor)
    "sum": ("0", "0", "{0} + {1}", "Sum"),
    "prod": ("1", "1", "{0} * {1}", "Product"),
    "max": ("-infinity<{t}>()", "smallest", "maximum({0}, {1})", "Maximum"),
    "min": ("infinity<{t}>()", "largest", "minimum({0}, {1})", "Minimum"),
    "any": ("", "false", "{0} | {1}", "Any"),
    "all": ("", "true", "{0} & {1}", "All"),
}


def literal(number: object, dtype: str) -> str:
    """A typed constant."""
    if dtype == "bool":
        return "true" if number else "false"
    if dtype in FLOATS:
        value = float(number)  # type: ignore[arg-type]
        if math.isnan(value):
            return f"not_a_number<{TYPES[dtype]}>()"
        if dtype == "float32":
            with numpy.errstate(over="ignore"):
                value = float(numpy.float32(value))
        if math.isinf(value):
            return f"{'-' if value < 0 else ''}infinity<{TYPES[dtype]}>()"
        text = str(numpy.float32(value)) if dtype == "float32" else repr(value)
        text = text if set(text) & set(".e") else f"{text}.0"
        return f"{text}f" if dtype == "float32" else text
    if dtype == "int64" and number == -(1 << 63):
        return "(-9223372036854775807LL - 1)"  # C has no such constant
    ending = {"int64": "LL", "uint64": "ULL", "uint32": "U"}.get(dtype, "")
    return f"{number}{ending}" if dtype in ("int32", *_WITH_ENDING) else f"({TYPES[dtype]})({number})"


_WITH_ENDING = ("int64", "uint64", "uint32")


def elementwise(node: Node, operands: list[str], *, for_halves: bool = False) -> str:
    """The expression of an elementwise operation.

    for_halves: whether all that is computed is rounded to a half precision in the end
    """
    if for_halves and node.operation == "exp" and node.dtype == "float32":
        return f"exp_for_halves({operands[0]})"
    if node.operation == "astype":
        return _cast(operands[0], node.inputs[0].dtype, node.dtype)
    taken = node.inputs[-1].dtype
    for_floats, for_integers = ELEMENTWISE[node.operation]
    template = for_floats if taken in FLOATS else for_integers
    if node.operation == "bitwise_invert" and taken == "bool":
        template = "!{0}"
    ending = "f" if taken == "float32" else ""
    text = template.format(*operands, t=TYPES[taken], f=ending)
    # C computes with small integers as int.
    is_small = node.dtype in INTEGERS and node.dtype not in ("int32", *_WITH_ENDING)
    return f"({TYPES[node.dtype]})({text})" if is_small else text


def _cast(operand: str, old: str, new: str) -> str:
    if old == new:
        return operand
    if new == "bool":
        return f"({operand} != 0)"
    return f"({TYPES[new]})({operand})"


def nothing(dtype: str) -> str:
    """What a value at an index that is outside is: what stands out, where there is such a number."""
    return literal(math.nan if dtype in FLOATS else 0, dtype)


def start(operation: str, dtype: str) -> str:
    """What a reduction of nothing is."""
    for_floats, for_integers, _, _ = REDUCTIONS[operation]
    if dtype in FLOATS:
        return literal(for_floats, dtype) if for_floats in "01" else for_floats.format(t=TYPES[dtype])
    if dtype == "bool":
        return for_integers
    bits = int("".join(filter(str.isdigit, dtype)))
    signed = not dtype.startswith("u")
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    number = {"smallest": lowest, "largest": highest}.get(for_integers, for_integers)
    return literal(int(number), dtype)


def join(operation: str, dtype: str, total: str, element: str) -> str:
    """`total` with one element more."""
    step = REDUCTIONS[operation][2]
    text = step.format(total, element)
    is_small = dtype in INTEGERS and dtype not in ("int32", *_WITH_ENDING)
    return f"({TYPES[dtype]})({text})" if is_small else text


def functor(operation: str) -> str:
    """The type of the prelude that joins two partial results."""
    return REDUCTIONS[operation][3]


def declare(name: str, dtype: str, value: str) -> str:
    """The statement that gives a value a name."""
    return f"const {TYPES[dtype]} {name} = {value};"


_HALF_NAMES = {"float16": "half", "bfloat16": "bfloat16"}


def stored_type(dtype: str) -> str:
    """The type of an element in memory, where a bool is a byte."""
    if dtype in HALVES:
        return "unsigned short"
    return "unsigned char" if dtype == "bool" else TYPES[dtype]


def read(place: str, dtype: str) -> str:
    """A value out of its place in memory."""
    if dtype in _HALF_NAMES:
        return f"{_HALF_NAMES[dtype]}_to_float({place})"
    return f"({place} != 0)" if dtype == "bool" else place


def written(value: str, dtype: str) -> str:
    """A value as it is put into memory."""
    if dtype in _HALF_NAMES:
        return f"float_to_{_HALF_NAMES[dtype]}({value})"
    return f"(unsigned char)({value})" if dtype == "bool" else value


def store_of(dtype: str) -> str:
    """The function of the prelude that stores a vector of values into memory of this dtype."""
    return f"store_{_HALF_NAMES[dtype]}" if dtype in _HALF_NAMES else "store"


def wide(dtype: str) -> str:
    """The dtype in which a single number is computed and kept."""
    if dtype == "bool":
        return "bool"
    return "float64" if dtype in FLOATS else "uint64" if dtype.startswith("u") else "int64"


def kept_number(dtype: str, slot: str) -> str:
    """The place of a single number: a slot of `numbers`, as a double or as the integer of its bits."""
    return f"numbers[{slot}]" if dtype in FLOATS else f"((long long*)numbers)[{slot}]"


def number_from(dtype: str, slot: str) -> str:
    """A single number, out of its slot of `numbers`."""
    place = kept_number(dtype, slot)
    if dtype == "bool":
        return f"({place} != 0)"
    return place if dtype in ("float64", "int64") else f"({TYPES[dtype]})({place})"


def number_to(dtype: str, value: str) -> str:
    """A single number as it is put into its slot."""
    return f"(double)({value})" if dtype in FLOATS else f"(long long)({value})"


def index(text: str) -> str:
    """A position as a value of int64."""
    return "0LL" if text == "0" else f"(long long)({text})"


def flag(slot: int) -> str:
    """Where it is noted that an index was outside."""
    return kept_number("int64", str(slot))


def inside(name: str, value: str, length: str, dtype: str, flag: str) -> list[str]:
    """Statements that make of an index one inside: from the end where negative, then clamped."""
    if dtype == "uint64":
        value = f"minimum({value}, (unsigned long long)({length}))"  # as a long long it might be negative
    return [
        f"long long {name} = (long long)({value});",
        f"{name} = {name} < 0 ? {name} + {length} : {name};",
        f"const bool {name}_is = {name} >= 0 && {name} < {length};",
        f"if (!{name}_is) {flag} = 1;",
        f"{name} = {name} < 0 ? 0 : {name} >= {length} ? {length} - 1 : {name};",
    ]
