"""Elementwise operations of symbolic arrays: promotion, broadcasting, and Python's operators."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy

from ..ir.dtypes import BOOL, FLOAT64, INT64, DType
from ..ir.graph import Axis, Node, Shape
from ..ir.operations import ELEMENTWISE, Op, Takes, accepts
from .decisions import can_be_computed
from .in_place import assign, write_at
from .promotion import cast, common_dtype, float_dtype, is_comparable, require_fits
from .python_numbers import with_python_semantics
from .symbolic import SymbolicArray, as_symbolic, source_line, trace_of

if TYPE_CHECKING:
    from .tracer import Trace


def apply(operation: Op, *values: Any) -> Any:
    """An elementwise operation on arrays and numbers, with promotion and broadcasting of the standard."""
    rule = ELEMENTWISE[operation]
    trace = trace_of(values)
    if operation in (Op.EQUAL, Op.NOT_EQUAL) and any(value is None for value in values):
        return operation is Op.NOT_EQUAL
    arrays = [as_symbolic(trace, value) for value in values]
    if operation is Op.WHERE and arrays[0].node.dtype != BOOL:
        arrays[0] = apply(Op.NOT_EQUAL, arrays[0], 0)
    typed = arrays[1:] if operation is Op.WHERE else arrays
    dtype, weak = _dtype(trace, operation, typed)
    inputs = [cast(trace, array, dtype, weak).node for array in typed]
    if operation is Op.WHERE:
        inputs = [arrays[0].node, *inputs]
        weak = weak and arrays[0].node.weak
    shape = broadcast_shape(trace, operation, inputs)
    # The result is a Python number (weak) only if all operands are.
    node = trace.graph.node(
        operation,
        inputs,
        shape=shape,
        dtype=rule.gives or dtype,
        weak=weak and not shape,
        line=source_line(),
    )
    result_array = SymbolicArray(trace, node, _known(operation, arrays), _depends(arrays))
    return with_python_semantics(operation, arrays, result_array) if weak else result_array


def _dtype(trace: Trace, operation: Op, arrays: list[SymbolicArray]) -> tuple[DType, bool]:
    """The dtype in which an operation is computed, and whether all operands are Python numbers."""
    rule = ELEMENTWISE[operation]
    dtype, weak = common_dtype(trace, operation, arrays)
    if weak and dtype == INT64 and (operation is Op.DIVIDE or _may_be_a_fraction(operation, arrays)):
        dtype = FLOAT64
    if not weak:
        if rule.gives == BOOL and rule.arity == 2 and not all(is_comparable(a, dtype) for a in arrays):
            dtype = INT64
        for array in arrays:
            require_fits(trace, array, dtype)
    if not accepts(rule.takes, dtype):
        if rule.takes is not Takes.FLOAT:
            raise trace.error(TypeError, f"{operation} of dtype {dtype}; expected {rule.takes}")
        dtype = FLOAT64 if weak else float_dtype(trace, operation, dtype, is_division=operation is Op.DIVIDE)
    return dtype, weak


def _may_be_a_fraction(operation: Op, arrays: list[SymbolicArray]) -> bool:
    """Whether a power of Python integers may have a negative exponent: then it is a float."""
    if operation is not Op.POW:
        return False
    exponent = arrays[1]
    if (
        exponent.known is None
        and exponent.depends
        and can_be_computed(exponent.node, exponent.trace.computable)
    ):
        return not exponent.trace.decide(exponent, "sign", "{} >= 0")
    return exponent.known is None or exponent.known < 0


def broadcast_shape(trace: Trace, operation: Op | str, nodes: list[Node]) -> Shape:
    """The broadcast shape; sizes must be equal or 1."""
    ndim = max(node.ndim for node in nodes)
    shape: list[Axis | None] = []
    for position in range(-ndim, 0):
        axes = [node.shape[position] for node in nodes if node.ndim >= -position]
        found = [axis for axis in axes if axis is not None]
        if len({axis.size for axis in found}) > 1:
            shapes = " and ".join(str(node.sizes()) for node in nodes)
            raise trace.error(ValueError, f"{operation} of shapes {shapes}, which do not broadcast")
        shape.append(found[0] if found else None)
    return tuple(shape)


_PYTHON: dict[Op, Callable[..., Any]] = {
    Op.ADD: lambda a, b: a + b,
    Op.SUBTRACT: lambda a, b: a - b,
    Op.MULTIPLY: lambda a, b: a * b,
    Op.DIVIDE: lambda a, b: a / b,
    Op.FLOOR_DIVIDE: lambda a, b: a // b,
    Op.REMAINDER: lambda a, b: a % b,
    Op.POW: lambda a, b: a**b,
    Op.NEGATIVE: lambda a: -a,
    Op.LESS: lambda a, b: a < b,
    Op.LESS_EQUAL: lambda a, b: a <= b,
    Op.GREATER: lambda a, b: a > b,
    Op.GREATER_EQUAL: lambda a, b: a >= b,
    Op.EQUAL: lambda a, b: a == b,
    Op.NOT_EQUAL: lambda a, b: a != b,
    Op.ABS: abs,
}


def _known(operation: Op, arrays: list[SymbolicArray]) -> Any:
    if operation not in _PYTHON or any(array.known is None for array in arrays):
        return None
    try:
        with numpy.errstate(all="ignore"):
            return _PYTHON[operation](*(array.known for array in arrays))
    except (ArithmeticError, TypeError):
        return None


def _depends(arrays: list[SymbolicArray]) -> frozenset[int]:
    """The leaves of the scalar arguments that a number depends on; empty if it depends on anything else."""
    if all(array.depends or array.known is not None for array in arrays):
        return frozenset().union(*(array.depends for array in arrays))
    return frozenset()


def _operator(operation: Op, *, reflected: bool = False) -> Callable[..., Any]:
    def operator(self: SymbolicArray, *other: Any) -> Any:
        if other and self.node.weak and isinstance(other[0], list | tuple | str):
            return NotImplemented  # [0] * n
        if operation in (Op.EQUAL, Op.NOT_EQUAL) and self.node.weak and self.trace.is_over:
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


OPERATORS = {
    "add": Op.ADD,
    "sub": Op.SUBTRACT,
    "mul": Op.MULTIPLY,
    "truediv": Op.DIVIDE,
    "floordiv": Op.FLOOR_DIVIDE,
    "mod": Op.REMAINDER,
    "pow": Op.POW,
    "and": Op.BITWISE_AND,
    "or": Op.BITWISE_OR,
    "xor": Op.BITWISE_XOR,
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
for _name, _operation in COMPARISONS_AND_SIGNS.items():
    setattr(SymbolicArray, f"__{_name}__", _operator(_operation))
for _name, _method in {
    "setitem": write_at,
    "round": _of_number(round),
    "trunc": _of_number(math.trunc),
    "floor": _of_number(math.floor),
    "ceil": _of_number(math.ceil),
}.items():
    setattr(SymbolicArray, f"__{_name}__", _method)
