"""Python's arithmetic where it differs from that of arrays: division by zero, unbounded integers."""

from __future__ import annotations

from ..ir.dtypes import INT64
from ..ir.operations import Op
from .decisions import can_be_computed
from .symbolic import SymbolicArray

_IN_INT64 = f"-{1 << 63} <= {{}} < {1 << 63}"


def with_python_semantics(operation: Op, arrays: list[SymbolicArray], result: SymbolicArray) -> SymbolicArray:
    """The result of an operation whose operands are all Python numbers.

    raises: ZeroDivisionError as Python does
    """
    if operation in (Op.DIVIDE, Op.FLOOR_DIVIDE, Op.REMAINDER) and _is_zero(arrays[1]):
        raise result.tracer.error(ZeroDivisionError, "division by zero")
    grows = operation in (Op.MULTIPLY, Op.POW) and result.node.dtype == INT64
    if not grows or not result.depends or not can_be_computed(result.node, result.tracer.computable):
        return result
    if result.tracer.decide(result, "range", _IN_INT64):
        return result
    return result.tracer.constant(int(result.tracer.decide(result, "index")))


def _is_zero(number: SymbolicArray) -> bool:
    """Whether a divisor is 0; if that depends on the call, it becomes a decision."""
    if number.known is not None:
        return bool(number.known == 0)
    return bool(
        number.depends
        and can_be_computed(number.node, number.tracer.computable)
        and not number.tracer.decide(number, "bool")
    )
