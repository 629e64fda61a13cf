"""Facts about values that follow from how they are computed: signs, and indices inside an axis."""

from __future__ import annotations

from .graph import Axis, Node, base


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


def is_argument(index: Node) -> bool:
    """Whether an index is looked at before a call: an argument of the kernel, or a number among them."""
    return base(index).operation in ("input", "scalar")


def is_inside(index: Node, axis: Axis | None) -> bool:
    """Whether an index is inside the axis, by the way it is computed: clipped to it, or a remainder of it.

    axis: None for one of a single element
    """
    # In a narrower dtype the length may be another number.
    if len(index.inputs) != 2 or index.dtype != "int64":
        return False
    first, second = map(_uncast, index.inputs)
    if index.operation == "remainder":
        return _is_length(second, axis)
    if index.operation != "minimum" or first.operation != "maximum":
        return False
    return _is_last(second, axis) and any(_is_constant(_uncast(node), 0) for node in first.inputs)


def _uncast(node: Node) -> Node:
    while node.operation == "astype" and node.dtype == "int64":
        node = node.inputs[0]
    return node


def _is_constant(node: Node, number: int) -> bool:
    return node.operation == "constant" and bool(node.attribute == number)


def _is_length(node: Node, axis: Axis | None) -> bool:
    if axis is None:
        return _is_constant(node, 1)
    # Sizes are those of one form of call: another axis of the same length does as well, as of class weights.
    return node.operation == "size" and bool(node.attribute.find().size == axis.find().size)


def _is_last(node: Node, axis: Axis | None) -> bool:
    if axis is None:
        return _is_constant(node, 0)
    if node.operation != "subtract":
        return False
    length, one = map(_uncast, node.inputs)
    return _is_length(length, axis) and _is_constant(one, 1)
