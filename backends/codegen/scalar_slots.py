"""Numbers of a graph that become scalars of the call, so that another number needs no other program.

    v2: float32() = constant() [0.1]    becomes    v2: float32() = scalar() [7]

where 7 is the first number behind the leaves of the call and the captured arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..ir.attributes import Constant, Leaf
from ..ir.dtypes import DType
from ..ir.graph import Node, walk
from ..ir.operations import Op

# Numbers that simplification, and LLVM, make something of.
_IN_THE_TEXT = (-1, 0, 0.5, 1, 2)


def into_slots(outputs: Iterable[Node], first: int) -> dict[int, float]:
    """Turn constants into scalars, in place; their numbers by slot, from `first` on.

    Equal numbers of one kind share a slot, so that what is computed from them is still computed once.
    """
    slots: dict[tuple[DType, bool, Constant], int] = {}
    numbers: dict[int, float] = {}
    for node in walk(outputs):
        constant = node.attribute
        if not isinstance(constant, Constant) or not _may_change(constant.value):
            continue
        number = constant.value
        key = node.dtype, node.weak, constant
        if key not in slots:
            slots[key] = first + len(slots)
            numbers[slots[key]] = float(number) if node.dtype.is_float else number
        node.operation, node.attribute = Op.SCALAR, Leaf(slots[key])
    return numbers


def _may_change(number: object) -> bool:
    if isinstance(number, bool):
        return False
    if isinstance(number, int):
        return number not in _IN_THE_TEXT and -(1 << 63) <= number < 1 << 63
    return isinstance(number, float) and math.isfinite(number) and number not in _IN_THE_TEXT
