"""Coalescing: neighbouring dimensions that every value has together become one, and sums go row by row.

Takes a simplified graph; gives one whose values have at most two dimensions, rows and columns. An elementwise
kernel of (N, K) arrays becomes one of N * K elements, and a batch of sequences becomes a batch of rows:

    v1: float32(8, 16, 4) = exp(v0)        becomes    v1: float32(512) = exp(v0)
"""

from __future__ import annotations

import math

from ..ir.attributes import BroadcastTo, Layout, Leaf, Reduction, View
from ..ir.graph import Axis, Graph, Node, Shape, base, walk
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op
from .rebuild import Rebuild


class TooManyDimensionsError(TypeError):
    """A value has more dimensions than the loops have: rows and columns."""


def coalesce(kernel: str, outputs: list[Node]) -> tuple[Graph, list[Node]]:
    """The same outputs in a new graph; a coalesced output has fewer dimensions than before.

    raises: TooManyDimensionsError where a value still has more than two
    """
    graph, outputs = _Coalesced(_groups(list(walk(outputs)))).run(outputs)
    for node in graph.nodes:
        if len(node.axes) > 2:
            raise TooManyDimensionsError(
                f"{kernel}: a value of shape {node.sizes()} cannot be compiled; the compiler knows rows and "
                "columns, and more dimensions only where neighbours stay together in all values. Run the "
                f"kernel with use_backend('numpy') ({node.line or 'an argument'})."
            )
    return graph, outputs


def _groups(nodes: list[Node]) -> dict[Axis, Axis]:
    """Axis -> the coalesced axis that it is part of; the first of a group comes first."""
    after: dict[Axis, set[Axis | None]] = {}
    before: dict[Axis, set[Axis | None]] = {}
    alone: set[Axis] = set()
    for node in nodes:
        axes = node.axes
        for position, axis in enumerate(axes):
            after.setdefault(axis, set()).add(axes[position + 1] if position + 1 < len(axes) else None)
            before.setdefault(axis, set()).add(axes[position - 1] if position else None)
        # What is indexed by position keeps its dimensions.
        if node.operation in (Op.MATMUL, Op.TAKE_ALONG_AXIS, Op.TAKE, Op.COPY):
            alone.update(axis for source in [node, *node.inputs] for axis in base(source).axes)
        if node.operation is Op.INPUT and node.attribute_as(Leaf).layout is not Layout.CONTIGUOUS:
            alone.update(axes)
        if node.operation in REDUCTIONS:
            source = node.inputs[0]
            inside = set(_axes_along(source, node.attribute_as(Reduction).dimensions))
            for first, second in zip(source.axes, source.axes[1:], strict=False):
                if (first in inside) != (second in inside):
                    after[first].add(None)
    coalesced: dict[Axis, Axis] = {}
    parts: dict[Axis | None, list[Axis]] = {}  # of a coalesced axis
    for first, followers in after.items():
        follower = next(iter(followers))
        if len(followers) > 1 or follower is None or before[follower] != {first} or {first, follower} & alone:
            continue
        group = parts.pop(coalesced.get(first), [first]) + parts.pop(coalesced.get(follower), [follower])
        whole = Axis(math.prod(axis.size for axis in group), first.source)
        parts[whole] = group
        coalesced.update(dict.fromkeys(group, whole))
    return coalesced


def _axes_along(node: Node, positions: tuple[int, ...]) -> list[Axis]:
    """The axes of some of the dimensions, where they are no 1."""
    return [axis.find() for d in positions if (axis := node.shape[d]) is not None]


class _Coalesced(Rebuild):
    def __init__(self, coalesced: dict[Axis, Axis]) -> None:
        super().__init__()
        self.coalesced = coalesced
        self.shapes: dict[Shape, tuple[Shape, dict[int, int]]] = {}

    def shape(self, shape: Shape) -> tuple[Shape, dict[int, int]]:
        """The shape with coalesced dimensions, and where each old dimension went."""
        if shape not in self.shapes:
            self.shapes[shape] = self._coalesced_shape(shape)
        return self.shapes[shape]

    def _coalesced_shape(self, shape: Shape) -> tuple[Shape, dict[int, int]]:
        made: list[Axis | None] = []
        place: dict[int, int] = {}
        for position, axis in enumerate(shape):
            whole = None if axis is None else self.coalesced.get(axis.find(), axis.find())
            if whole is not None and whole in made:
                place[position] = made.index(whole)
                continue
            place[position] = len(made)
            made.append(whole)
        return tuple(made), place

    def rebuilt(self, old: Node, inputs: list[Node]) -> Node:
        shape, _ = self.shape(old.shape)
        if old.operation in REDUCTIONS:
            _, place = self.shape(old.inputs[0].shape)
            positions = {place[d] for d in old.attribute_as(Reduction).dimensions}
            return self.reduction(inputs[0], tuple(sorted(positions)), old)
        if old.operation is Op.VIEW:
            return self.make(Op.VIEW, inputs, old, shape, self.viewed(old))
        if old.operation in ELEMENTWISE or old.operation is Op.BROADCAST_TO:
            inputs = [self.lined_up(source, old) for source in old.inputs]
        attribute = BroadcastTo(shape) if old.operation is Op.BROADCAST_TO else old.attribute
        return self.make(old.operation, inputs, old, shape, attribute)

    def viewed(self, old: Node) -> View:
        """The dimensions that a view has now."""
        _, place = self.shape(old.inputs[0].shape)
        kept: list[int | None] = []
        for dimension in old.attribute_as(View).dimensions:
            position = None if dimension is None else place[dimension]
            if position is None or position not in kept:
                kept.append(position)
        return View(tuple(kept))

    def lined_up(self, source: Node, old: Node) -> Node:
        """An input with its dimensions, counted from the last, where those of the result now are.

        Of (N, K) and (1, 1), where N and K become one dimension, the second becomes (1).
        """
        node = self.known[source]
        shape, place = self.shape(old.shape)
        _, own_place = self.shape(source.shape)
        before = old.ndim - source.ndim
        dimensions: list[int | None] = [None] * len(shape)
        for dimension, axis in enumerate(source.shape):
            if axis is not None:
                dimensions[place[before + dimension]] = own_place[dimension]
        as_it_is = tuple(None if axis is None else d for d, axis in enumerate(node.shape))
        if tuple(dimensions[len(shape) - node.ndim :]) == as_it_is:
            return node
        return self.view(node, tuple(dimensions), node)

    def reduction(self, node: Node, positions: tuple[int, ...], old: Node) -> Node:
        """Along the first axis and others: first the others, which are within a row."""
        axes = node.axes
        along = _axes_along(node, positions)
        if axes[0] in along and len(along) > 1:
            first = next(d for d in range(node.ndim) if node.shape[d] is not None)
            within = tuple(d for d in positions if d != first)
            left = [d for d in range(node.ndim) if d not in within]
            rows = self.make(
                old.operation, [node], old, tuple(node.shape[d] for d in left), Reduction(within)
            )
            return self.reduction(rows, tuple(left.index(d) for d in positions if d in left), old)
        kept = tuple(d for d in range(node.ndim) if d not in positions)
        return self.make(old.operation, [node], old, tuple(node.shape[d] for d in kept), Reduction(positions))
