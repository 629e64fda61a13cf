"""Python's operators of symbolic arrays, lengths, and elements at a mask."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..ir.operations import Op
from .elementwise import apply
from .in_place import assign, write_at
from .indexing import get_item
from .masked import MaskedValues
from .masked import in_place_operator as masked_in_place_operator
from .masked import operator as masked_operator
from .numpy_functions import array_function
from .numpy_methods import attribute
from .numpy_ufuncs import array_ufunc, masked_ufunc
from .symbolic import Length, SymbolicArray


def _operator(operation: Op, *, reflected: bool = False) -> Callable[..., Any]:
    def operator(self: SymbolicArray, *other: Any) -> Any:
        if other and isinstance(other[0], MaskedValues):
            return NotImplemented
        if other and self.node.weak and isinstance(other[0], list | tuple | str):
            return NotImplemented  # [0] * n
        if operation in (Op.EQUAL, Op.NOT_EQUAL) and self.node.weak and self.tracer.is_over:
            return NotImplemented  # as a key of a dict that outlives the trace
        if not reflected:
            return apply(operation, self, *other)
        return apply(operation, *other, self)

    return operator


def _in_place_operator(operation: Op) -> Callable[..., Any]:
    def operator(self: SymbolicArray, other: Any) -> Any:
        return assign(self, apply(operation, self, other))

    return operator


def _of_number(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: SymbolicArray, *digits: Any) -> Any:
        return function(self._number("float"), *digits)

    return method


def _length_operator(operation: Op, name: str, *, reflected: bool = False) -> Callable[..., Any]:
    """An operator of lengths: a length again where it is an integer, a symbolic number where it is not."""

    def operator(self: Length, other: Any) -> Any:
        if type(other) not in (int, float, Length) or self.array.tracer.is_over:
            return getattr(int, name)(int(self), int(other) if isinstance(other, Length) else other)
        made = apply(operation, other, self) if reflected else apply(operation, self, other)
        return Length(made) if type(made.known) is int else made

    return operator


LENGTHS = {
    "add": Op.ADD,
    "sub": Op.SUBTRACT,
    "mul": Op.MULTIPLY,
    "truediv": Op.DIVIDE,
    "floordiv": Op.FLOOR_DIVIDE,
    "mod": Op.REMAINDER,
}
OPERATORS = {
    **LENGTHS,
    "pow": Op.POW,
    "and": Op.BITWISE_AND,
    "or": Op.BITWISE_OR,
    "xor": Op.BITWISE_XOR,
    "lshift": Op.BITWISE_LEFT_SHIFT,
    "rshift": Op.BITWISE_RIGHT_SHIFT,
}
COMPARISONS_AND_SIGNS = {
    "lt": Op.LESS,
    "le": Op.LESS_EQUAL,
    "gt": Op.GREATER,
    "ge": Op.GREATER_EQUAL,
    "eq": Op.EQUAL,
    "ne": Op.NOT_EQUAL,
    "neg": Op.NEGATIVE,
    "abs": Op.ABS,
    "invert": Op.BITWISE_INVERT,
}
# Python looks operators up as methods of the class, so they are set here in loops.
for _name, _operation in OPERATORS.items():
    setattr(SymbolicArray, f"__{_name}__", _operator(_operation))
    setattr(SymbolicArray, f"__r{_name}__", _operator(_operation, reflected=True))
    setattr(SymbolicArray, f"__i{_name}__", _in_place_operator(_operation))
    setattr(MaskedValues, f"__{_name}__", masked_operator(_operation))
    setattr(MaskedValues, f"__r{_name}__", masked_operator(_operation, reflected=True))
    setattr(MaskedValues, f"__i{_name}__", masked_in_place_operator(_operation))
for _name, _operation in COMPARISONS_AND_SIGNS.items():
    setattr(SymbolicArray, f"__{_name}__", _operator(_operation))
    setattr(MaskedValues, f"__{_name}__", masked_operator(_operation))
for _name, _operation in LENGTHS.items():
    setattr(Length, f"__{_name}__", _length_operator(_operation, f"__{_name}__"))
    setattr(Length, f"__r{_name}__", _length_operator(_operation, f"__r{_name}__", reflected=True))
for _name, _method in {
    "array_ufunc": array_ufunc,
    "array_function": array_function,
    "getattr": attribute,
    "getitem": get_item,
    "setitem": write_at,
    "divmod": lambda self, other: (self // other, self % other),
    "rdivmod": lambda self, other: (other // self, other % self),
    "round": _of_number(round),
    "trunc": _of_number(math.trunc),
    "floor": _of_number(math.floor),
    "ceil": _of_number(math.ceil),
}.items():
    setattr(SymbolicArray, f"__{_name}__", _method)
MaskedValues.__array_ufunc__ = masked_ufunc  # type: ignore[attr-defined]
