"""Coalescing: neighbouring dimensions that every value has together become one, and sums go row by row.

Takes a simplified graph; gives one whose values have at most two dimensions, rows and columns. An elementwise
kernel of (N, K) arrays becomes one of N * K elements, and a batch of sequences becomes a batch of rows:

    v1: float32(8, 16, 4) = exp(v0)        becomes    v1: float32(512) = exp(v0)
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..ir.attributes import (
    BroadcastTo,
    Gather,
    Iota,
    Layout,
    Leaf,
    LibraryCall,
    Reduction,
    Size,
    Transposes,
    View,
)
from ..ir.graph import Axis, Graph, Node, Shape, base, walk
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op
from .rebuild import Rebuild


class TooManyDimensionsError(TypeError):
    """A value has more dimensions than the loops have: rows and columns."""


def coalesce(outputs: list[Node]) -> tuple[Graph, list[Node]]:
    """The same outputs in a new graph; a coalesced output has fewer dimensions than before.

    raises: TooManyDimensionsError where an operation needs dimensions as they are, and they are products
    """
    return _Coalesced(_groups(list(walk(outputs)))).run(outputs)


def nodes_of_many_dimensions(outputs: list[Node]) -> set[Node]:
    """The nodes of a simplified graph that cannot be coalesced."""
    coalesced = _Coalesced(_groups(list(walk(outputs))))
    found: set[Node] = set()
    for node in walk(outputs):
        try:
            made = coalesced.rebuilt(node, [coalesced.known[source] for source in node.inputs])
        except TooManyDimensionsError:
            found.add(node)
            made = coalesced.stand_in(node)
        coalesced.known[node] = made
    return found


# What is indexed by position keeps its dimensions.
_BY_POSITION = (Op.MATMUL, Op.TAKE_ALONG_AXIS, Op.TAKE, Op.COPY)


def _groups(nodes: list[Node]) -> dict[Axis, Axis]:
    """Axis -> the coalesced axis that it is part of; the first of a group comes first."""
    after: dict[Axis, set[Axis | None]] = {}
    before: dict[Axis, set[Axis | None]] = {}
    for node in nodes:
        axes = _factors(node.shape)
        for position, axis in enumerate(axes):
            after.setdefault(axis, set()).add(axes[position + 1] if position + 1 < len(axes) else None)
            before.setdefault(axis, set()).add(axes[position - 1] if position else None)
        for dimension in _apart(node):
            factors = dimension.factors()
            before.setdefault(factors[0], set()).add(None)
            after.setdefault(factors[-1], set()).add(None)
        if node.operation in REDUCTIONS:
            source = node.inputs[0]
            along = node.attribute_as(Reduction).dimensions
            inside = set(_factors([source.shape[d] for d in along]))
            axes = _factors(source.shape)
            for first, second in itertools.pairwise(axes):
                if (first in inside) != (second in inside):
                    after[first].add(None)
    coalesced: dict[Axis, Axis] = {}
    parts: dict[Axis | None, list[Axis]] = {}  # of a coalesced axis
    for first, followers in after.items():
        follower = next(iter(followers))
        if len(followers) > 1 or follower is None or before[follower] != {first}:
            continue
        group = parts.pop(coalesced.get(first), [first]) + parts.pop(coalesced.get(follower), [follower])
        whole = Axis(math.prod(axis.size for axis in group), first.source)
        parts[whole] = group
        coalesced.update(dict.fromkeys(group, whole))
    return coalesced


def _factors(shape: Iterable[Axis | None]) -> list[Axis]:
    """The axes of a shape; a product of axes is replaced by its factors."""
    return [factor for axis in shape if axis is not None for factor in axis.factors()]


def _apart(node: Node) -> Iterator[Axis]:
    """The dimensions that cannot become one with a neighbour."""
    shapes: list[Iterable[Axis | None]] = []
    if node.operation in _BY_POSITION:
        shapes = [value.shape for source in [node, *node.inputs] for value in (source, base(source))]
    elif node.operation is Op.GATHER:
        # Those that are looked up; the others stay together where they are taken as they are.
        seen, places = node.inputs[0], node.attribute_as(Gather).places
        shapes = [[axis for axis, place in zip(seen.shape, places, strict=True) if place < 0]]
    elif node.operation is Op.INPUT and node.attribute_as(Leaf).layout is not Layout.CONTIGUOUS:
        shapes = [node.shape]
    return (axis for shape in shapes for axis in shape if axis is not None)


def _axes_along(node: Node, positions: tuple[int, ...]) -> list[Axis]:
    """The axes of some of the dimensions, where they are no 1."""
    return [axis.find() for d in positions if (axis := node.shape[d]) is not None]


class _Coalesced(Rebuild):
    def __init__(self, coalesced: dict[Axis, Axis]) -> None:
        super().__init__()
        self.coalesced = coalesced
        self.shapes: dict[Shape, tuple[Shape, dict[int, tuple[int, ...]]]] = {}

    def shape(self, shape: Shape) -> tuple[Shape, dict[int, tuple[int, ...]]]:
        """The shape with coalesced dimensions, and where each old dimension went: a product to several."""
        if shape not in self.shapes:
            self.shapes[shape] = self._coalesced_shape(shape)
        return self.shapes[shape]

    def _coalesced_shape(self, shape: Shape) -> tuple[Shape, dict[int, tuple[int, ...]]]:
        made: list[Axis | None] = []
        place: dict[int, tuple[int, ...]] = {}
        seen: set[Axis] = set()
        for position, axis in enumerate(shape):
            if axis is None:
                place[position] = (len(made),)
                made.append(None)
                continue
            found: dict[int, None] = {}
            for factor in axis.factors():
                if factor in seen:
                    raise self.too_many()
                seen.add(factor)
                whole = self.coalesced.get(factor, factor)
                if whole not in made:
                    made.append(whole)
                found[made.index(whole)] = None
            place[position] = tuple(found)
        return tuple(made), place

    def stand_in(self, node: Node) -> Node:
        """For a node that cannot be coalesced: an argument of its shape, if that can be."""
        with contextlib.suppress(TooManyDimensionsError):
            return self.make(Op.LIBRARY, [], node, self.shape(node.shape)[0], LibraryCall("none"))
        return self.make(Op.LIBRARY, [], node, node.shape, LibraryCall("none"))

    def too_many(self) -> TooManyDimensionsError:
        """The error for a value whose dimensions cannot stay as its operation needs them."""
        return TooManyDimensionsError("the dimensions of a value cannot be two; run it by the library.")

    def rebuilt(self, old: Node, inputs: list[Node]) -> Node:
        shape, place = self.shape(old.shape)
        if old.operation in REDUCTIONS:
            _, place = self.shape(old.inputs[0].shape)
            positions = {p for d in old.attribute_as(Reduction).dimensions for p in place[d]}
            return self.reduction(inputs[0], tuple(sorted(positions)), old)
        if old.operation is Op.VIEW:
            return self.view(inputs[0], self.viewed(old), old)
        if old.operation is Op.RESHAPE:
            return self.in_order(inputs[0], shape, old)
        if old.operation is Op.IOTA:
            return self.position(shape, old)
        is_input = old.operation is Op.INPUT and old.attribute_as(Leaf).layout is not Layout.CONTIGUOUS
        if old.operation in _BY_POSITION or is_input:
            places = [place, *(self.shape(base(source).shape)[1] for source in old.inputs)]
            if any(len(found) > 1 for one in places for found in one.values()):
                raise self.too_many()
        if old.operation is Op.MATMUL:
            return self.product(inputs, shape, old)
        if old.operation in ELEMENTWISE or old.operation is Op.BROADCAST_TO:
            inputs = [self.in_order(self.known[source], shape, None) for source in old.inputs]
        attribute = BroadcastTo(shape) if old.operation is Op.BROADCAST_TO else old.attribute
        if old.operation is Op.GATHER:
            inputs = [inputs[0], *(self.in_order(self.known[index], shape, None) for index in old.inputs[1:])]
            attribute = self.looked_up(old)
        return self.make(old.operation, inputs, old, shape, attribute)

    def product(self, inputs: list[Node], shape: Shape, old: Node) -> Node:
        """A matrix product; a reshape may have become a transposition of the second factor."""
        transposed = list(old.attribute_as(Transposes).transposed)
        for position, node in enumerate(inputs):
            seen = node.attribute_as(View).dimensions if node.operation is Op.VIEW else ()
            kept = [dimension for dimension in seen if dimension is not None]
            if kept != sorted(kept):
                transposed[position] ^= True
                inputs[position] = node.inputs[0]
        # Rows that are added up have to be the same axis in both factors.
        if transposed[0] != old.attribute_as(Transposes).transpose_a or all(transposed):
            raise self.too_many()
        return self.make(old.operation, inputs, old, shape, Transposes(*transposed))

    def looked_up(self, old: Node) -> Gather:
        """Where the dimensions of what is looked up in are now found."""
        _, place = self.shape(old.shape)
        _, own = self.shape(old.inputs[0].shape)
        places: dict[int, int] = {}
        for dimension, found in enumerate(old.attribute_as(Gather).places):
            mine = own[dimension]
            if found < 0 and len(mine) > 1:
                raise self.too_many()
            theirs = place[found] if found >= 0 else (found,)
            for position, other in zip(mine, theirs, strict=True):
                places.setdefault(position, other)
        return replace(old.attribute_as(Gather), places=tuple(places[d] for d in sorted(places)))

    def position(self, shape: Shape, old: Node) -> Node:
        """The positions along a product of axes, computed from those along each axis."""
        found: Node | None = None
        for dimension, axis in enumerate(shape):
            along = self.make(Op.IOTA, [], old, (axis,), Iota(axis))
            behind = (None,) * (len(shape) - 1 - dimension)
            along = self.view(along, (0, *behind), old)
            if found is None:
                found = along
                continue
            assert axis is not None, "a product of axes has no dimension of 1"
            length = self.make(Op.SIZE, [], old, (), Size(axis))
            so_far = tuple(a if d < dimension else None for d, a in enumerate(shape))
            found = self.make(Op.MULTIPLY, [found, length], old, so_far)
            so_far = tuple(a if d <= dimension else None for d, a in enumerate(shape))
            found = self.make(Op.ADD, [found, along], old, so_far)
        assert found is not None
        return found

    def viewed(self, old: Node) -> tuple[int | None, ...]:
        """The dimensions that a view has now."""
        _, place = self.shape(old.inputs[0].shape)
        kept: list[int | None] = []
        for dimension in old.attribute_as(View).dimensions:
            for position in (None,) if dimension is None else place[dimension]:
                if position is None or position not in kept:
                    kept.append(position)
        return tuple(kept)

    def in_order(self, node: Node, shape: Shape, old: Node | None) -> Node:
        """A value with its dimensions where a shape has them, counted from the last.

        Of (N, K) and (1, 1), where N and K become one dimension, the second becomes (1).
        old: of which it is all the dimensions; None for an operand, which may have fewer
        """
        own = {axis: dimension for dimension, axis in enumerate(node.shape) if axis is not None}
        if any(axis not in shape for axis in own):
            raise self.too_many()
        dimensions = tuple(None if axis is None else own.get(axis) for axis in shape)
        if old is not None:
            return self.view(node, dimensions, old)
        as_it_is = tuple(None if axis is None else d for d, axis in enumerate(node.shape))
        short = dimensions[len(shape) - node.ndim :] if node.ndim <= len(shape) else None
        return node if short == as_it_is else self.view(node, dimensions, node)

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
