"""Elementwise operations of symbolic arrays: promotion and broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy

from ..ir.dtypes import BOOL, FLOAT64, INT8, INT64, UINT8, DType
from ..ir.graph import Axis, Node, Shape
from ..ir.operations import ELEMENTWISE, Op, Takes, accepts
from .decisions import can_be_computed
from .promotion import cast, common_dtype, float_dtype, is_comparable, require_fits
from .python_numbers import with_python_semantics
from .strides import order_of_result
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
    if all(array.node.dtype == BOOL for array in arrays):
        operation, arrays = _of_bools(trace, operation, arrays)
        rule = ELEMENTWISE[operation]
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
    if len(shape) > 1 and any(array.base is not None or array.order for array in arrays):
        result_array.order = order_of_result(node.sizes(), arrays)
    return with_python_semantics(operation, arrays, result_array) if weak else result_array


# How NumPy computes arithmetic on bools: by another operation, or in int8.
_ON_BOOLS = {
    Op.ADD: Op.LOGICAL_OR,
    Op.MULTIPLY: Op.LOGICAL_AND,
    Op.MAXIMUM: Op.LOGICAL_OR,
    Op.MINIMUM: Op.LOGICAL_AND,
}
_AS_INT8 = (Op.FLOOR_DIVIDE, Op.REMAINDER, Op.POW, Op.BITWISE_LEFT_SHIFT, Op.BITWISE_RIGHT_SHIFT)


def _of_bools(trace: Trace, operation: Op, arrays: list[SymbolicArray]) -> tuple[Op, list[SymbolicArray]]:
    """The operation and operands for bools alone."""
    takes = ELEMENTWISE[operation].takes
    if takes not in (Takes.NUMERIC, Takes.INTEGER):
        return operation, arrays
    if all(array.node.weak for array in arrays):
        # Python's bools are integers.
        return operation, [cast(trace, array, INT64, weak=True) for array in arrays]
    if operation in _ON_BOOLS:
        return _ON_BOOLS[operation], arrays
    if operation is Op.ABS:
        return Op.LOGICAL_OR, arrays * 2
    if operation in _AS_INT8:
        return operation, [cast(trace, array, INT8) for array in arrays]
    if ELEMENTWISE[operation].gives == BOOL:
        return operation, [cast(trace, array, UINT8) for array in arrays]
    return operation, arrays


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
        and can_be_computed(exponent.node, exponent.tracer.computable)
    ):
        return not exponent.tracer.decide(exponent, "sign", "{} >= 0")
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
