"""Numbers of a graph that become scalars of the call, so that another number needs no other program.

    v2: float32() = constant() [0.1]    becomes    v2: float32() = scalar() [7]

where 7 is the first number behind the leaves of the call and the captured arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..ir.graph import Node, walk
from ..ir.operations import FLOATS

# Numbers that simplification, and LLVM, make something of.
_IN_THE_TEXT = (-1, 0, 0.5, 1, 2)


def into_slots(outputs: Iterable[Node], first: int) -> dict[int, float]:
    """Turn constants into scalars, in place; their numbers by slot, from `first` on.

    Equal numbers of one kind share a slot, so that what is computed from them is still computed once.
    """
    slots: dict[tuple[str, bool, str], int] = {}
    numbers: dict[int, float] = {}
    for node in walk(outputs):
        number = node.attribute
        if node.operation != "constant" or not _may_change(number):
            continue
        key = node.dtype, node.weak, repr(number)
        if key not in slots:
            slots[key] = first + len(slots)
            numbers[slots[key]] = float(number) if node.dtype in FLOATS else number
        node.operation, node.attribute = "scalar", slots[key]
    return numbers


def _may_change(number: object) -> bool:
    if isinstance(number, bool):
        return False
    if isinstance(number, int):
        return number not in _IN_THE_TEXT and -(1 << 63) <= number < 1 << 63
    return isinstance(number, float) and math.isfinite(number) and number not in _IN_THE_TEXT
