"""Bounds checks of the indices of `take` and `take_along_axis`: an IndexError, as in NumPy.

An index that is an argument is checked before each call. A computed index is clamped by the program, which
sets a flag; the flag is checked after the call:

    v3_inside = int64(v3)
    v3_inside = v3_inside + n1 if v3_inside < 0 else v3_inside
    outside0 |= (v3_inside < 0) | (v3_inside >= n1)
    v3_inside = min(max(v3_inside, 0), n1 - 1)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy

from ..common.bounds import bounds
from ..common.libraries import can_be_read
from ..ir.attributes import Gather, Leaf
from ..ir.facts import is_argument
from ..ir.graph import Node, base
from ..ir.operations import Op
from .symbolic import SymbolicArray, source_line
from .tracer import Trace

CHECK_VARIABLE = "ONEPASS_CHECK"


def checks_are_on() -> bool:
    """Whether ONEPASS_CHECK is set: values are checked even if reading them waits for a device."""
    return os.environ.get(CHECK_VARIABLE, "0") not in ("", "0")


def require_indices(trace: Trace, operation: Op, index: SymbolicArray, size: int, line: str = "") -> None:
    """Raise an IndexError for an index that is out of bounds; now if it is known, else in every call.

    operation: that uses the index
    size:      of the axis that is indexed
    line:      of the kernel; by default the one that runs now
    """
    kernel, line = trace.kernel, line or source_line()
    if index.known is not None:
        if problem := _outside(operation, numpy.asarray(index.known), size):
            raise trace.error(IndexError, problem)
    elif size == 0 and 0 not in index.node.sizes():
        raise trace.error(IndexError, f"{operation} from an axis of size 0; expected at least one element")
    elif is_argument(index.node):

        def check(actual: Any) -> None:
            actual = numpy.asarray(actual) if isinstance(actual, int) else actual
            if not can_be_read(actual, may_wait=checks_are_on()):
                return
            if problem := _outside(operation, _on_host(actual), size):
                raise IndexError(f"{kernel}: {problem} ({line}).")

        trace.call_checks.append((base(index.node).attribute_as(Leaf).number, check))


def _on_host(array: Any) -> numpy.ndarray[Any, Any]:
    return array.get() if hasattr(array, "get") else numpy.asarray(array)


def _outside(operation: Op, index: numpy.ndarray[Any, Any], size: int) -> str:
    """A message for the first index that is out of bounds; empty if there is none."""
    if index.size == 0:
        return ""
    smallest, largest = bounds(index.reshape(-1))
    if smallest >= -size and largest < size:
        return ""
    first = numpy.unravel_index(int(((index < -size) | (index >= size)).argmax()), index.shape)
    place = f" at {[int(i) for i in first]}" if index.ndim else ""
    return f"{operation} got the index {int(index[first])}{place}; expected {_range(size)}"


def _range(size: int) -> str:
    return f"{-size} <= index < {size}, for an axis of size {size}"


def length_of(gather: Node) -> int:
    """The size of the axis that a gather indexes."""
    axis = gather.inputs[0].shape[1 if gather.operation is Op.TAKE_ALONG_AXIS else 0]
    return 1 if axis is None else axis.size


def _expected(gather: Node) -> str:
    """What the indices of a gather may be."""
    if gather.operation is not Op.GATHER:
        return _range(length_of(gather))
    places, sizes = gather.attribute_as(Gather).places, gather.inputs[0].sizes()
    found = dict.fromkeys(_range(size) for size, place in zip(sizes, places, strict=True) if place < 0)
    return " and ".join(found)


def reports(kernel: str, gathers: Iterable[Node]) -> list[str]:
    """The messages for the flags of gathers with computed indices."""
    found = []
    for node in gathers:
        who = f"{kernel}: {node.operation} got a computed index that is out of bounds"
        what = f"expected {_expected(node)} ({node.line}). Clip it to the axis first."
        found.append(f"{who}; {what}")
    return found


def require_no_flag(reports: Sequence[str], flags: Iterable[int]) -> None:
    """Raise an IndexError with the message of the first flag that is set."""
    for message, is_set in zip(reports, flags, strict=True):
        if is_set:
            raise IndexError(message)
