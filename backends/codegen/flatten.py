"""Flattening: values of more than two dimensions become rows and columns.

Takes a coalesced graph; gives one whose values have at most two dimensions. All dimensions but the last
become one, the rows. A value with other dimensions is looked up at indices that are computed from the row:

    v2: float32(8, 16, 4) = add(v0, v1)     with v0 of (8, 16, 4) and v1 of (16, 4) becomes
    v2: float32(128, 4) = add(v0, gather(v1 at row % 16))

A reduction goes over one axis at a time. To reduce x (a, b, c) along b, the rows are (a, c), the columns b.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

from ..ir.attributes import Bounds, BroadcastTo, Gather, Iota, Leaf, Reduction, Size
from ..ir.attributes import Layout as ArgumentLayout
from ..ir.dtypes import INT64
from ..ir.graph import Axis, Graph, Node
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op
from .coalesce import TooManyDimensionsError
from .rebuild import Rebuild

# For each dimension of a value, the axes whose product it is.
Groups = tuple[tuple[Axis, ...], ...]


class Value(NamedTuple):
    """A value of the new graph, all of whose dimensions are products of axes of the old one."""

    node: Node
    groups: Groups


class Gathering(NamedTuple):
    """Elements of a value, found at an index along each of its axes; tests as those of a `Gather`."""

    value: Value
    found_at: dict[Axis, Node]
    tests: Sequence[Node] = ()
    outcomes: tuple[bool, ...] = ()


def flatten(outputs: list[Node]) -> tuple[Graph, list[Node]]:
    """The same outputs in a new graph.

    raises: TooManyDimensionsError for an argument of several dimensions that is not in C order
    """
    return Flattened().run(outputs)


def needs_flattening(graph: Graph) -> bool:
    """Whether a value has more than two dimensions."""
    return any(len(node.axes) > 2 for node in graph.nodes)


class Flattened(Rebuild):
    """The graph of rows and columns, while it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.flat: dict[Node, Groups] = {}  # of old nodes that are not as they were
        self.products: dict[tuple[Axis, ...], Axis] = {}

    def run(self, outputs: list[Node]) -> tuple[Graph, list[Node]]:
        graph, _ = super().run(outputs)
        return graph, [self.output(node) for node in outputs]

    def output(self, old: Node) -> Node:
        """An output with its elements in the order of its dimensions."""
        value = self.value(old)
        if old not in self.flat or sum(value.groups, ()) == old.axes:
            return self.known[old]
        return self.converted(value, rows_and_columns(old.axes), old)

    def value(self, old: Node) -> Value:
        """What an old node has become, without dimensions of 1."""
        node = self.known[old]
        if old in self.flat:
            return Value(node, self.flat[old])
        dimensions = tuple(d for d, axis in enumerate(node.shape) if axis is not None)
        return Value(self.view(node, dimensions, old), tuple((axis,) for axis in old.axes))

    def axis(self, group: tuple[Axis, ...]) -> Axis:
        """The product of some axes."""
        if len(group) == 1:
            return group[0]
        if group not in self.products:
            self.products[group] = Axis(math.prod(axis.size for axis in group))
        return self.products[group]

    def rebuilt(self, old: Node, inputs: list[Node]) -> Node:
        is_flat = any(source in self.flat for source in old.inputs)
        if len(old.axes) < 3 and not is_flat:
            return self.make(old.operation, inputs, old, old.shape, old.attribute)
        if old.operation is Op.VIEW:
            self.flat[old] = self.flat[old.inputs[0]]
            return inputs[0]
        if old.operation is Op.INPUT:
            return self.argument(old)
        if old.operation in ELEMENTWISE or old.operation is Op.BROADCAST_TO:
            return self.elementwise(old)
        if old.operation in REDUCTIONS:
            return self.reduction(old)
        if old.operation in (Op.GATHER, Op.COPY):
            return self.moved(old)
        return self.make(old.operation, list(map(self.natural, old.inputs)), old, old.shape, old.attribute)

    def kept(self, old: Node, value: Value) -> Node:
        """Note what an old node has become."""
        self.flat[old] = value.groups
        return value.node

    def argument(self, old: Node) -> Node:
        if old.attribute_as(Leaf).layout is not ArgumentLayout.CONTIGUOUS:
            raise TooManyDimensionsError("an argument of several dimensions is read in C order only.")
        groups = rows_and_columns(old.axes)
        node = self.make(Op.INPUT, [], old, tuple(map(self.axis, groups)), old.attribute)
        return self.kept(old, Value(node, groups))

    def elementwise(self, old: Node) -> Node:
        groups = self.groups_of(old)
        operands = [self.converted(self.value(source), groups, old) for source in old.inputs]
        shape = tuple(map(self.axis, groups))
        attribute = BroadcastTo(shape) if old.operation is Op.BROADCAST_TO else old.attribute
        return self.kept(old, Value(self.make(old.operation, operands, old, shape, attribute), groups))

    def groups_of(self, old: Node) -> Groups:
        """Rows and columns; two axes stay one dimension if they are one in an operand."""
        if len(old.axes) > 2:
            return rows_and_columns(old.axes)
        if any(self.flat.get(source) == (old.axes,) for source in old.inputs):
            return (old.axes,)
        return tuple((axis,) for axis in old.axes)

    def natural(self, old: Node) -> Node:
        """A value with the dimensions that it had."""
        if old not in self.flat:
            return self.known[old]
        node = self.converted(self.value(old), tuple((axis,) for axis in old.axes), old)
        places = iter(range(len(old.axes)))
        return self.view(node, tuple(None if axis is None else next(places) for axis in old.shape), old)

    # Elements at the indices that rows and columns stand for

    def converted(self, value: Value, groups: Groups, old: Node) -> Node:
        """A value with other groups of axes as its dimensions; one that it lacks may be a dimension of 1."""
        if not value.groups:
            return value.node
        if all(group in groups for group in value.groups):
            dimensions = tuple(
                value.groups.index(group) if group in value.groups else None for group in groups
            )
            return self.view(value.node, dimensions, old)
        index = {axis: self.position(axis, groups, old) for group in value.groups for axis in group}
        return self.gathered(Gathering(value, index), groups, old)

    def gathered(self, gathering: Gathering, groups: Groups, old: Node) -> Node:
        """The elements of a value at an index along each of its axes, for each place of the groups."""
        value, index, tests, outcomes = gathering
        places: list[int] = []
        indices: list[Node] = []
        for group in value.groups:
            is_same = group in groups and all(
                index[axis] is self.position(axis, groups, old) for axis in group
            )
            if is_same:
                places.append(groups.index(group))
                continue
            places.append(-1 - len(indices))
            indices.append(self.along(group, index, old))
        shape: list[Axis | None] = [None] * len(groups)
        for place in places:
            if place >= 0:
                shape[place] = self.axis(groups[place])
        for node in (*indices, *tests):
            for d, axis in enumerate(node.shape, len(groups) - node.ndim):
                shape[d] = shape[d] or axis
        attribute = Gather(tuple(places), Bounds.CHOSEN if tests else Bounds.INSIDE, outcomes)
        inputs = [value.node, *indices, *tests]
        return self.make(Op.GATHER, inputs, old, tuple(shape), attribute, value.node.dtype)

    def along(self, group: Sequence[Axis], index: dict[Axis, Node], old: Node) -> Node:
        """The index along a product of axes."""
        found = index[group[0]]
        for axis in group[1:]:
            found = self.computed(Op.MULTIPLY, found, self.length([axis], old), old)
            found = self.computed(Op.ADD, found, index[axis], old)
        return found

    def position(self, axis: Axis, groups: Groups, old: Node) -> Node:
        """The index along an axis, computed from the position in the group that contains it."""
        dimension = next(d for d, group in enumerate(groups) if axis in group)
        group = groups[dimension]
        product = self.axis(group)
        found = self.make(Op.IOTA, [], old, (product,), Iota(product), INT64)
        place = group.index(axis)
        if behind := group[place + 1 :]:
            found = self.computed(Op.FLOOR_DIVIDE, found, self.length(behind, old), old)
        if place:
            found = self.computed(Op.REMAINDER, found, self.length([axis], old), old)
        after = (None,) * (len(groups) - 1 - dimension)
        return self.view(found, (0, *after), old) if after else found

    def length(self, axes: Sequence[Axis], old: Node) -> Node:
        """The number of elements along a product of axes."""
        lengths = [self.make(Op.SIZE, [], old, (), Size(axis), INT64) for axis in axes]
        return functools.reduce(lambda a, b: self.computed(Op.MULTIPLY, a, b, old), lengths)

    def computed(self, operation: Op, a: Node, b: Node, old: Node) -> Node:
        """An operation of two indices."""
        ndim = max(a.ndim, b.ndim)
        shape: list[Axis | None] = [None] * ndim
        for node in (a, b):
            for d, axis in enumerate(node.shape, ndim - node.ndim):
                shape[d] = shape[d] or axis
        return self.make(operation, [a, b], old, tuple(shape), None, INT64)

    # Reductions

    def reduction(self, old: Node) -> Node:
        (source,) = old.inputs
        along = old.attribute_as(Reduction).dimensions
        dropped = [axis.find() for d in along if (axis := source.shape[d]) is not None]
        value, axes = self.value(source), list(source.axes)
        while dropped:
            value = self.without_groups(value, dropped, old)
            axes = [axis for axis in axes if any(axis in group for group in value.groups)]
            dropped = [axis for axis in dropped if axis in axes]
            if dropped:
                last = next(axis for axis in reversed(axes) if axis in dropped)
                rows = tuple(axis for axis in axes if axis is not last)
                groups: Groups = (rows, (last,)) if len(axes) > 2 else tuple((axis,) for axis in axes)
                value = Value(self.converted(value, groups, old), groups)
        return self.kept(old, value)

    def without_groups(self, value: Value, dropped: Sequence[Axis], old: Node) -> Value:
        """Reduced along the dimensions all of whose axes are dropped, the last one first."""
        for dimension in reversed(range(len(value.groups))):
            if all(axis in dropped for axis in value.groups[dimension]):
                groups = value.groups[:dimension] + value.groups[dimension + 1 :]
                shape = tuple(map(self.axis, groups))
                node = self.make(old.operation, [value.node], old, shape, Reduction((dimension,)))
                value = Value(node, groups)
        return value

    # Copies, and elements at looked-up indices

    def moved(self, old: Node) -> Node:
        seen, *indices = old.inputs
        groups = self.groups_of(old)
        is_copy = old.operation is Op.COPY
        attribute = Gather(tuple(range(old.ndim)), Bounds.INSIDE) if is_copy else old.attribute_as(Gather)
        index: dict[Axis, Node] = {}
        for axis, place in zip(seen.shape, attribute.places, strict=True):
            if axis is None:
                continue
            if place >= 0:
                along = old.shape[place]
                assert along is not None
                index[axis.find()] = self.position(along.find(), groups, old)
            else:
                looked_up = indices[-1 - place]
                index[axis.find()] = self.looked_up(looked_up, axis.find(), groups, attribute.bounds, old)
        tests = old.inputs[len(old.inputs) - len(attribute.tests) :]
        chosen = [self.converted(self.value(test), groups, old) for test in tests]
        node = self.gathered(Gathering(self.value(seen), index, chosen, attribute.tests), groups, old)
        if node.axes != tuple(map(self.axis, groups)):
            shape = tuple(map(self.axis, groups))
            node = self.make(Op.BROADCAST_TO, [node], old, shape, BroadcastTo(shape))
        return self.kept(old, Value(node, groups))

    def looked_up(self, index: Node, axis: Axis, groups: Groups, bounds: Bounds, old: Node) -> Node:
        """An index; one that has to be checked becomes the position that it means."""
        node = self.converted(self.value(index), groups, old)
        if bounds is Bounds.CHECKED:
            positions = self.make(Op.IOTA, [], old, (axis,), Iota(axis), INT64)
            return self.make(Op.TAKE, [positions, node], old, node.shape, None, INT64)
        return node if node.dtype == INT64 else self.make(Op.ASTYPE, [node], old, node.shape, None, INT64)


def rows_and_columns(axes: tuple[Axis, ...]) -> Groups:
    """All axes but the last as rows, and that one as columns."""
    if len(axes) < 3:
        return tuple((axis,) for axis in axes)
    return axes[:-1], axes[-1:]
