"""Borders, at which a loop is split: tests of its position against a number, as joined arrays need them.

Takes the values that a loop computes; gives its tests, in the order of the borders. For

    v5 = where(column < 3, a[row, column], b[row, column - 3])

the loop over the columns becomes one from 0 to 3, in which the test is true, and one from 3 on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..ir.graph import Axis, Node, base, sources
from ..ir.operations import REDUCTIONS, Op


def borders(nodes: Iterable[Node], axis: Axis, is_computed: Callable[[Node], bool]) -> list[Node]:
    """The tests of the position along an axis, in the expressions of some values.

    is_computed: whether the loop computes a value, and does not load it
    """
    found: set[Node] = set()
    stack, seen = [base(node) for node in nodes], set()
    while stack:
        node = stack.pop()
        if node in seen or not is_computed(node):
            continue
        seen.add(node)
        if _is_border(node, axis):
            found.add(node)
        elif node.operation not in REDUCTIONS:
            # What is looked up is computed at another position.
            stack += sources(node)[1 if node.operation is Op.GATHER else 0 :]
    return sorted(found, key=lambda node: node.number)


def _is_border(node: Node, axis: Axis) -> bool:
    """Whether a value is a test of the position along an axis against a number."""
    if node.operation is not Op.LESS:
        return False
    position, border = sources(node)
    return position.operation is Op.IOTA and position.axes == (axis,) and not border.axes
