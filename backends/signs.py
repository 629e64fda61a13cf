"""What is known of the sign of a value before any number is."""

from __future__ import annotations

from .graph import Node
from .schedule import base


def is_nonpositive(node: Node) -> bool:
    """Whether no element can be above 0, by the way it is computed; NaN is no such element."""
    if node.operation == "subtract":
        # By now a dimension is known by its axis, so the maximum stands against the rows that it is of.
        value, largest = map(base, node.inputs)
        while largest.operation == "max":
            largest = base(largest.inputs[0])
            if largest is value:
                return True
        return False
    return node.operation == "negative" and node.inputs[0].operation == "abs"
