"""Promotion of symbolic arrays, as NumPy 2 has it: Python numbers are weak, everything else has a dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy

from ..ir.operations import DTYPES, FLOATS, INTEGERS, promote
from .symbolic import SymbolicArray, same_value, where

if TYPE_CHECKING:
    from .tracer import Trace

_ORDER = ("bool", "int64", "float64")  # of the dtypes of Python numbers


def common_dtype(trace: Trace, operation: str, arrays: Sequence[SymbolicArray]) -> tuple[str, bool]:
    """The dtype of the operation, and whether only Python numbers take part."""
    strong = [array.dtype for array in arrays if not array.node.weak]
    weak = max((array.dtype for array in arrays if array.node.weak), key=_ORDER.index, default="bool")
    if not strong:
        return weak, True
    dtype = strong[0]
    for other in strong[1:]:
        dtype = _promoted(trace, operation, dtype, other)
    if weak == "float64" and dtype not in FLOATS:
        dtype = "float64"
    if weak == "int64" and dtype == "bool":
        dtype = "int64"
    return dtype, False


def _promoted(trace: Trace, operation: str, one: str, other: str) -> str:
    both = promote(one, other)
    if both is None and not trace.halves:  # float32 may stand for a half, which NumPy promotes otherwise
        both = numpy.promote_types(one, other).name
    if both is None or both not in DTYPES:
        raise trace.error(
            TypeError,
            f"{operation} of {one} and {other} arrays; the compiler does not promote between them. "
            "Convert one with xp.astype",
        )
    return both


def float_dtype(trace: Trace, operation: str, dtype: str, *, is_division: bool) -> str:
    """The floating dtype in which NumPy computes a function of integers or bools."""
    if is_division or dtype in ("int32", "int64", "uint32", "uint64"):
        return "float64"
    if dtype in ("int16", "uint16"):
        return "float32"
    raise trace.error(TypeError, f"{operation} of dtype {dtype}, which is float16; expected a wider dtype")


def cast(trace: Trace, array: SymbolicArray, dtype: str, weak: bool = False) -> SymbolicArray:
    """The array in another dtype; itself where it has it already."""
    node = array.node
    if node.dtype == dtype and node.weak == weak:
        return array
    if node.operation == "constant":
        number = node.attribute
        number = bool(number) if dtype == "bool" else float(number) if dtype in FLOATS else int(number)
        made = trace.graph.node("constant", (), number, dtype=dtype, weak=weak)
        return SymbolicArray(trace, made, array.known)
    made = trace.graph.node("astype", (node,), None, shape=node.shape, dtype=dtype, weak=weak, line=where())
    return SymbolicArray(trace, made, array.known, array.depends)


def copied_as(trace: Trace, array: SymbolicArray, dtype: str) -> SymbolicArray:
    """The array in a dtype, as an array of its own."""
    made = cast(trace, array, dtype)
    return same_value(made) if made is array else made


def require_fits(trace: Trace, array: SymbolicArray, dtype: str) -> None:
    """NumPy's OverflowError where a Python integer is outside the range of the arrays that it meets."""
    if not array.node.weak or array.dtype != "int64" or dtype not in INTEGERS or dtype == "int64":
        return
    limits = numpy.iinfo(dtype)
    if array.known is not None:
        fits = limits.min <= array.known <= limits.max
    elif array.depends:
        fits = trace.decide(array, "range", f"{limits.min} <= {{}} <= {limits.max}")
    else:
        return
    if not fits:
        raise trace.error(OverflowError, f"a Python integer is out of bounds for {dtype}")


def is_comparable(array: SymbolicArray, dtype: str) -> bool:
    """Whether a Python integer, if it is one, can be compared in this integer dtype without being changed."""
    if not array.node.weak or array.dtype != "int64" or dtype not in INTEGERS or array.known is None:
        return not (array.node.weak and array.depends and dtype in INTEGERS)
    limits = numpy.iinfo(dtype)
    return bool(limits.min <= array.known <= limits.max)
