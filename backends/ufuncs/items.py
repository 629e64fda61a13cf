"""The operations of a NumPy program, and what of them goes row by row.

Takes the outputs of a graph; gives an item for each value that is computed. A choice of one place in each row
becomes a write at that place, which is no pass over the rows:

    v47 = equal(iota, label); v48 = where(v47, row, 0.0); v49 = subtract(v46, v48)
    becomes    v49 = v46, with `row` subtracted at the labels
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy

from ..ir.attributes import Constant, Iota, Reduction, View
from ..ir.dtypes import INT64
from ..ir.facts import is_inside
from ..ir.graph import Node
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op


class Kind(enum.Enum):
    """How an item is computed."""

    NODE = enum.auto()  # as the operation of its node
    PUT = enum.auto()  # the first input, with the third one at the labels, which are the second
    SUBTRACT_AT = enum.auto()  # the first input, with the third one subtracted at the labels
    TAKE = enum.auto()  # the first input's elements at the labels, which are the second


class Item(NamedTuple):
    """One value that is computed."""

    node: Node
    kind: Kind
    inputs: tuple[Node, ...]


# Values that are there before anything is computed.
FIXED = (Op.INPUT, Op.CONSTANT, Op.SIZE, Op.IOTA)

# Functions of the table that are no ufuncs of NumPy, or not for all dtypes in all its versions.
_NO_UFUNCS = (Op.WHERE, Op.ASTYPE, Op.CEIL, Op.FLOOR, Op.ROUND, Op.TRUNC)

# Their results share the memory of the first input, or may.
_SHARING = (Op.VIEW, Op.BROADCAST_TO, Op.RESHAPE, Op.SLICE, Op.MARK)


def items_of(outputs: Iterable[Node]) -> dict[Node, Item]:
    """What the outputs need, inputs first; fixed values are left out."""
    found: dict[Node, Item] = {}
    stack = [(node, False) for node in reversed(list(outputs))]
    pending: dict[Node, Item] = {}
    while stack:
        node, is_ready = stack.pop()
        if node in found or node.operation in FIXED:
            continue
        if is_ready:
            found[node] = pending.pop(node)
        elif node not in pending:
            pending[node] = _item(node)
            stack.append((node, True))
            stack.extend((source, False) for source in reversed(pending[node].inputs))
    return found


def _item(node: Node) -> Item:
    if node.operation is Op.WHERE:
        condition, chosen, other = node.inputs
        label = _label(condition, node)
        if label is not None and _is_of_rows(chosen) and other.sizes() in ((), node.sizes()):
            return Item(node, Kind.PUT, (other, label, chosen))
    if node.operation is Op.SUBTRACT and node.inputs[1].operation is Op.WHERE:
        value, where = node.inputs
        condition, chosen, other = where.inputs
        label = _label(condition, node)
        if label is not None and value.sizes() == node.sizes() and _is_of_rows(chosen) and _is_zero(other):
            return Item(node, Kind.SUBTRACT_AT, (value, label, chosen))
    if node.operation is Op.TAKE_ALONG_AXIS:
        value, label = node.inputs
        if label.dtype is INT64 and is_inside(label, value.shape[1]):
            return Item(node, Kind.TAKE, node.inputs)
    return Item(node, Kind.NODE, node.inputs)


def _label(condition: Node, node: Node) -> Node | None:
    """The (N, 1) column at which a condition is true in each row of an (N, K) value; None of others."""
    if condition.operation is not Op.EQUAL or len(node.sizes()) != 2 or condition.sizes() != node.sizes():
        return None
    for places, label in (condition.inputs, condition.inputs[::-1]):
        is_place = places.operation is Op.IOTA and places.attribute_as(Iota).axis is not None
        if is_place and label.dtype is INT64 and label.sizes() == (node.sizes()[0], 1):
            return label if is_inside(label, node.shape[1]) else None
    return None


def _is_of_rows(node: Node) -> bool:
    return node.ndim == 0 or (node.ndim == 2 and node.sizes()[1] == 1)


def _is_zero(node: Node) -> bool:
    # x - (-0.0) is not x where that is -0.0.
    return node.operation is Op.CONSTANT and str(node.attribute_as(Constant).value) in ("0", "0.0")


def ufunc_of(node: Node) -> numpy.ufunc | None:
    """The ufunc that computes an elementwise operation, if one does."""
    if node.operation not in ELEMENTWISE or node.operation in _NO_UFUNCS:
        return None
    found = getattr(numpy, node.operation.value, None)
    return found if isinstance(found, numpy.ufunc) else None


def is_elementwise(item: Item) -> bool:
    """Whether an element of the value needs only the elements of the inputs at its place."""
    return item.kind is Kind.NODE and (
        ufunc_of(item.node) is not None or item.node.operation in (Op.WHERE, Op.ASTYPE)
    )


def rows_of(item: Item) -> int | None:
    """The number of rows of a value that can be computed row by row; None of others."""
    node = item.node
    if not node.shape or node.sizes()[0] < 2:
        return None
    if item.kind is not Kind.NODE or is_elementwise(item):
        return node.sizes()[0]
    if node.operation in REDUCTIONS:
        return None if 0 in node.attribute_as(Reduction).dimensions else node.sizes()[0]
    if node.operation is Op.VIEW:
        dimensions = node.attribute_as(View).dimensions
        return node.sizes()[0] if dimensions[0] == 0 and is_ascending(dimensions) else None
    return None


def shares_memory(item: Item) -> bool:
    """Whether the value may share the memory of the first input."""
    return item.kind is Kind.NODE and item.node.operation in _SHARING


def is_ascending(dimensions: tuple[int | None, ...]) -> bool:
    """Whether a view keeps the order of the dimensions."""
    kept = [d for d in dimensions if d is not None]
    return kept == sorted(kept)


def is_by_rows(item: Item, source: Node) -> bool:
    """Whether a row of the value needs only the same row of an input; else it needs all of it."""
    if is_elementwise(item) or item.kind is not Kind.NODE:
        return source.ndim == item.node.ndim and source.sizes()[0] == item.node.sizes()[0]
    return True


def elements(node: Node) -> int:
    """The number of elements of a value."""
    return math.prod(node.sizes())


def width(node: Node) -> int:
    """The number of elements of a row."""
    return math.prod(node.sizes()[1:])
