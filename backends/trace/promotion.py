"""Type promotion by the rules of NumPy 2: Python numbers are weak, everything else has a dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy

from ..ir.attributes import Constant
from ..ir.dtypes import (
    BOOL,
    DTYPES,
    FLOAT32,
    FLOAT64,
    INT64,
    DType,
    dtype_of,
    numpy_dtype,
    promote,
)
from ..ir.operations import Op
from .symbolic import SymbolicArray, copy_of, in_order_of, source_line

if TYPE_CHECKING:
    from .tracer import Trace

_ORDER = (BOOL, INT64, FLOAT64)  # of the dtypes of Python numbers


def common_dtype(trace: Trace, operation: Op | str, arrays: Sequence[SymbolicArray]) -> tuple[DType, bool]:
    """The common dtype of the operands, and whether all of them are Python numbers."""
    nodes = [array.node for array in arrays]
    strong = [node.dtype for node in nodes if not node.weak]
    weak = max((node.dtype for node in nodes if node.weak), key=_ORDER.index, default=BOOL)
    if not strong:
        return weak, True
    dtype = strong[0]
    for other in strong[1:]:
        dtype = _promoted(trace, operation, dtype, other)
    if weak == FLOAT64 and not dtype.is_float:
        dtype = FLOAT64
    if weak == INT64 and dtype == BOOL:
        dtype = INT64
    return dtype, False


def _promoted(trace: Trace, operation: Op | str, one: DType, other: DType) -> DType:
    both = promote(one, other)
    if both is None and not trace.halves:  # float32 may stand for float16, which NumPy promotes differently
        both = dtype_of(numpy.promote_types(numpy_dtype(one), numpy_dtype(other)).name)
    if both is None or both not in DTYPES:
        raise trace.error(
            TypeError,
            f"{operation} of {one} and {other} arrays, which have no common dtype in the compiler. "
            "Convert one with xp.astype",
        )
    return both


def float_dtype(trace: Trace, operation: Op | str, dtype: DType, *, is_division: bool) -> DType:
    """The floating-point dtype in which NumPy computes a function of integers or bools."""
    if is_division or dtype.bits >= 32:
        return FLOAT64
    if dtype.bits == 16:
        return FLOAT32
    raise trace.error(TypeError, f"{operation} of dtype {dtype} would be float16; expected a wider dtype")


def cast(trace: Trace, array: SymbolicArray, dtype: DType, weak: bool = False) -> SymbolicArray:
    """The array in a dtype; the same array if it has that dtype."""
    node = array.node
    if node.dtype == dtype and node.weak == weak:
        return array
    if node.operation is Op.CONSTANT:
        number = node.attribute_as(Constant).value
        number = bool(number) if dtype == BOOL else float(number) if dtype.is_float else int(number)
        made = trace.graph.node(Op.CONSTANT, (), Constant(number), dtype=dtype, weak=weak)
        return SymbolicArray(trace, made, array.known)
    made = trace.graph.node(Op.ASTYPE, (node,), shape=node.shape, dtype=dtype, weak=weak, line=source_line())
    return in_order_of(array, SymbolicArray(trace, made, array.known, array.depends))


def cast_copy(trace: Trace, array: SymbolicArray, dtype: DType) -> SymbolicArray:
    """A copy of the array in a dtype."""
    made = cast(trace, array, dtype)
    return in_order_of(array, copy_of(made)) if made is array else made


def require_fits(trace: Trace, array: SymbolicArray, dtype: DType) -> None:
    """Raise NumPy's OverflowError if a Python integer does not fit into the dtype of the arrays."""
    if not array.node.weak or array.node.dtype != INT64 or not dtype.is_integer or dtype == INT64:
        return
    if array.known is not None:
        fits = dtype.lowest <= array.known <= dtype.highest
    elif array.depends:
        fits = trace.decide(array, "range", f"{dtype.lowest} <= {{}} <= {dtype.highest}")
    else:
        return
    if not fits:
        raise trace.error(OverflowError, f"a Python integer is out of bounds for {dtype}")


def is_comparable(array: SymbolicArray, dtype: DType) -> bool:
    """Whether a Python integer can be compared in this dtype without a cast that changes it."""
    node = array.node
    if not node.weak or node.dtype != INT64 or not dtype.is_integer or array.known is None:
        return not (node.weak and array.depends and dtype.is_integer)
    return bool(dtype.lowest <= array.known <= dtype.highest)
