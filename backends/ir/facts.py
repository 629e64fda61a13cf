"""Facts about values that follow from how they are computed: signs, and indices inside an axis.

Takes: a node. Gives: whether something is known of all its elements, whatever the arguments of a call are.

    v2 = subtract(v0, v1), where v1 is the maximum of v0    is_nonpositive(v2) is True
    v3 = remainder(v2, size of an axis)                     is_inside(v3, that axis) is True
"""

from __future__ import annotations

from .attributes import Constant, Size
from .dtypes import INT64
from .graph import Axis, Node, base
from .operations import Op


def is_nonpositive(node: Node) -> bool:
    """Whether no element can be above 0, by the way it is computed; NaN is no such element."""
    if node.operation is Op.SUBTRACT:
        # By now a dimension is known by its axis, so the maximum stands against the rows that it is of.
        value, largest = map(base, node.inputs)
        while largest.operation is Op.MAX:
            largest = base(largest.inputs[0])
            if largest is value:
                return True
        return False
    return node.operation is Op.NEGATIVE and node.inputs[0].operation is Op.ABS


def is_argument(index: Node) -> bool:
    """Whether an index is looked at before a call: an argument of the kernel, or a number among them."""
    return base(index).operation in (Op.INPUT, Op.SCALAR)


def is_inside(index: Node, axis: Axis | None) -> bool:
    """Whether an index is inside the axis, by the way it is computed: clipped to it, or a remainder of it.

    axis: None for one of a single element
    """
    # In a narrower dtype the length may be another number.
    if len(index.inputs) != 2 or index.dtype != INT64:
        return False
    first, second = map(_uncast, index.inputs)
    if index.operation is Op.REMAINDER:
        return _is_length(second, axis)
    if index.operation is not Op.MINIMUM or first.operation is not Op.MAXIMUM:
        return False
    return _is_last(second, axis) and any(_is_constant(_uncast(node), 0) for node in first.inputs)


def _uncast(node: Node) -> Node:
    while node.operation is Op.ASTYPE and node.dtype == INT64:
        node = node.inputs[0]
    return node


def _is_constant(node: Node, number: int) -> bool:
    return node.operation is Op.CONSTANT and bool(node.attribute_as(Constant).value == number)


def _is_length(node: Node, axis: Axis | None) -> bool:
    if axis is None:
        return _is_constant(node, 1)
    # Sizes are those of one form of call: another axis of the same length does as well, as of class weights.
    return node.operation is Op.SIZE and node.attribute_as(Size).axis.find().size == axis.find().size


def _is_last(node: Node, axis: Axis | None) -> bool:
    if axis is None:
        return _is_constant(node, 0)
    if node.operation is not Op.SUBTRACT:
        return False
    length, one = map(_uncast, node.inputs)
    return _is_length(length, axis) and _is_constant(one, 1)


def is_sum_of_squares(node: Node) -> bool:
    """Whether a value is a sum of squares, or a multiple of one, and 0 only where all of these are 0."""
    node = _unmarked(node)
    if node.operation is Op.MULTIPLY:
        first, second = map(_unmarked, node.inputs)
        pairs = (first, second), (second, first)
        return first is second or any(is_sum_of_squares(a) and _is_positive(b) for a, b in pairs)
    if node.operation is Op.DIVIDE:
        return is_sum_of_squares(node.inputs[0])
    if node.operation is Op.POW:
        return _is_constant(_unmarked(node.inputs[1]), 2)
    return node.operation in (Op.ADD, Op.SUM) and all(map(is_sum_of_squares, node.inputs))


def _is_positive(node: Node) -> bool:
    is_constant = node.operation is Op.CONSTANT and node.attribute_as(Constant).value > 0
    return node.operation is Op.SIZE or is_constant


def _unmarked(node: Node) -> Node:
    """The value that a node has in another dtype, shape or order."""
    while node.operation in (Op.MARK, Op.ASTYPE, Op.VIEW, Op.BROADCAST_TO, Op.RESHAPE):
        node = node.inputs[0]
    return node
