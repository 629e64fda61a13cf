"""Which column of a row is its label's: comparisons of a column's position with a value of the row.

Takes the values that a loop over the columns stores; gives the one label that decides about a column of its
own. `probs - (arange(K) == label)` needs a comparison for every column. Instead the label's column is
computed before the loop, which overwrites what it reads, and stored behind it:

    at = Compute probs[label] - 1
    for column: r[row, column] = probs[column] - 0
    if the label is a column: r[row, label] = at
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..ir.graph import Axis, Node, base, sources
from ..ir.operations import REDUCTIONS, Op
from .fusion import column_axis
from .stages import FusionGroup, is_taken_whole


def label_tests(
    nodes: Collection[Node], axis: Axis, group: FusionGroup, is_computed: Callable[[Node], bool]
) -> set[Node]:
    """Comparisons of the column's position with a value of the row, in the expressions of some values.

    is_computed: whether the loop computes a value, and does not load it
    """
    found: set[Node] = set()
    stack, seen = list(nodes), set()
    while stack:
        current = base(stack.pop())
        if current in seen or not is_computed(current):
            continue
        seen.add(current)
        if label_compared(current, axis, group) is not None:
            found.add(current)
        elif current.operation not in REDUCTIONS:
            # What is looked up is computed at another position.
            first = 1 if current.operation is Op.GATHER else 0
            stack += [
                s for p, s in enumerate(sources(current)) if p >= first and not is_taken_whole(current, p)
            ]
    return found


def label_compared(node: Node, axis: Axis, group: FusionGroup) -> Node | None:
    """What the column's position is compared with, if the value is such a comparison."""
    if node.operation is not Op.EQUAL:
        return None
    for own, other in (sources(node), sources(node)[::-1]):
        is_position = own.operation is Op.IOTA and own.axes == (axis,)
        if is_position and column_axis(other, group) is None and axis not in other.axes:
            return other
    return None
