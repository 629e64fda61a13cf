"""Slices, joined arrays and replaced parts as elements at computed indices, so that loops compute them.

Takes a node of a graph that is being simplified, and its inputs; gives the node that replaces it:

    x[:, 2::3]             x at (row, 2 + 3 * column)
    concat([a, b])         a at position where position < len(a), else b at position - len(a)
    x with x[1:3] = v      v at position - 1 where 1 <= position < 3, else x

A loop is split at the numbers that these tests compare with, so that no part of it has a test (`borders`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from ..ir.attributes import Bounds, Concat, Gather, Iota, Slice
from ..ir.dtypes import BOOL, INT64
from ..ir.graph import Axis, Node
from ..ir.operations import Op
from .simplify import MOVES, Simplified


def sliced(made: Simplified, inputs: list[Node], old: Node) -> Node:
    """Elements from a start on, in steps."""
    (source,), attribute = inputs, old.attribute_as(Slice)
    places: list[int] = []
    indices: list[Node] = []
    ranges = zip(attribute.ranges, attribute.sizes, strict=True)
    for dimension, (given, count) in enumerate(ranges):
        if given is None:
            places.append(dimension)
            continue
        start, step = given
        index = made.index(start, old)
        if count != 1:
            index = _position(made, Axis(count), old)
            if step != 1:
                index = made.elementwise(Op.MULTIPLY, [index, made.index(step, old)], old, None, INT64)
            if start:
                index = made.elementwise(Op.ADD, [index, made.index(start, old)], old, None, INT64)
        places.append(-1 - len(indices))
        indices.append(_in_dimension(made, index, dimension, old))
    return made.gathered([source, *indices], old, old.ndim, Gather(tuple(places), Bounds.INSIDE))


def gathered(made: Simplified, inputs: list[Node], old: Node) -> Node:
    """Elements at looked-up indices."""
    return made.gathered(inputs, old, old.ndim, old.attribute_as(Gather))


def joined(made: Simplified, inputs: list[Node], old: Node) -> Node:
    """Arrays one after another."""
    dimension = old.attribute_as(Concat).dimension
    parts = [(node, node.sizes()[dimension]) for node in inputs if 0 not in node.sizes()]
    if not parts:
        return made.nothing(old)
    if len(parts) == 1:
        return parts[0][0]
    axis = Axis(sum(count for _, count in parts))
    position = _in_dimension(made, _position(made, axis, old), dimension, old)
    ends = list(itertools.accumulate(count for _, count in parts))
    starts = [0, *ends[:-1]]
    # The tests are made in the order of the borders, in which a loop is split.
    tests = [_below(made, position, end, old) for end in ends[:-1]]
    moved = [
        _moved(made, node, dimension, _Chosen(position, start, tuple(known)), old)
        for (node, _), start, known in zip(parts, starts, _outcomes(tests), strict=True)
    ]
    found = moved[-1]
    for test, part in zip(reversed(tests), reversed(moved[:-1]), strict=True):
        found = made.elementwise(Op.WHERE, [test, part, found], old)
    return found


class _Chosen(NamedTuple):
    """Where a part is chosen.

    start: the position of its element 0
    tests: of the position, with their outcomes there
    """

    position: Node
    start: int
    tests: tuple[tuple[Node, bool], ...]


def _outcomes(tests: list[Node]) -> Iterator[list[tuple[Node, bool]]]:
    """For each part the tests beside it: it lies behind the border before it, and before its own."""
    for part in range(len(tests) + 1):
        yield [*((test, False) for test in tests[:part][-1:]), *((test, True) for test in tests[part:][:1])]


def _moved(made: Simplified, node: Node, dimension: int, chosen: _Chosen, old: Node) -> Node:
    """The array, shifted along a dimension so that its element 0 is at the start of where it is chosen."""
    if node.shape[dimension] is None:
        return node
    index = _subtracted(made, chosen.position, chosen.start, old)
    places = tuple(-1 if d == dimension else d for d in range(node.ndim))
    tests, outcomes = [test for test, _ in chosen.tests], tuple(outcome for _, outcome in chosen.tests)
    return made.gathered([node, index, *tests], old, node.ndim, Gather(places, Bounds.CHOSEN, outcomes))


def updated(made: Simplified, inputs: list[Node], old: Node) -> Node:
    """An array with other elements in a slice."""
    (source, value), attribute = inputs, old.attribute_as(Slice)
    if 0 in attribute.sizes:
        return source
    ranges = zip(attribute.ranges, attribute.sizes, source.sizes(), strict=True)
    tests: list[tuple[Node, bool]] = []  # what must be true, or false, where the value is
    places: list[int] = list(range(old.ndim))
    indices: list[Node] = []
    for dimension, (given, count, size) in enumerate(ranges):
        if given is None or size == 1:
            continue
        start, step = given
        part = range(start, start + step * count, step) if count > 1 else range(start, start + 1)
        axis = source.shape[dimension]
        assert axis is not None
        position = _in_dimension(made, _position(made, axis, old), dimension, old)
        index, own_tests = _in_slice(made, position, part, size, old)
        tests += own_tests
        if value.shape[dimension] is not None:
            places[dimension] = -1 - len(indices)
            indices.append(index)
    found = value
    if indices:
        bounds = Bounds.CHOSEN if tests else Bounds.INSIDE
        attribute_of_value = Gather(tuple(places), bounds, tuple(outcome for _, outcome in tests))
        inputs = [value, *indices, *(test for test, _ in tests)]
        found = made.gathered(inputs, old, old.ndim, attribute_of_value)
    for test, wanted in reversed(tests):
        chosen = [test, found, source] if wanted else [test, source, found]
        found = made.elementwise(Op.WHERE, chosen, old)
    return found if tests else made.elementwise(Op.BROADCAST_TO, [found], old, source.shape)


def _in_slice(
    made: Simplified, position: Node, part: range, size: int, old: Node
) -> tuple[Node, list[tuple[Node, bool]]]:
    """The index into a slice for a position along an axis, and the tests whether the slice has the position.

    part: the positions of the slice
    size: of the axis
    """
    tests = []
    index = _subtracted(made, position, part.start, old)
    if abs(part.step) == 1:
        low = min(part[0], part[-1])
        if low > 0:
            tests.append((_below(made, position, low, old), False))
        if low + len(part) < size:
            tests.append((_below(made, position, low + len(part), old), True))
        if part.step == -1:
            index = made.elementwise(Op.NEGATIVE, [index], old, None, INT64)
    else:
        by = made.index(part.step, old)
        rest = made.elementwise(Op.REMAINDER, [index, by], old, None, INT64)
        index = made.elementwise(Op.FLOOR_DIVIDE, [index, by], old, None, INT64)
        is_on = made.elementwise(Op.EQUAL, [rest, made.index(0, old)], old, None, BOOL)
        tests.append((is_on, True))
        tests.append((_below(made, index, 0, old), False))
        tests.append((_below(made, index, len(part), old), True))
    return index, tests


def _below(made: Simplified, position: Node, border: int, old: Node) -> Node:
    return made.elementwise(Op.LESS, [position, made.index(border, old)], old, None, BOOL)


def _subtracted(made: Simplified, position: Node, start: int, old: Node) -> Node:
    if not start:
        return position
    return made.elementwise(Op.SUBTRACT, [position, made.index(start, old)], old, None, INT64)


def _position(made: Simplified, axis: Axis, old: Node) -> Node:
    """The positions along an axis."""
    return made.make(Op.IOTA, [], old, (axis,), Iota(axis), INT64)


def _in_dimension(made: Simplified, index: Node, dimension: int, old: Node) -> Node:
    """An index along one dimension of the result, with dimensions of 1 behind it."""
    behind = (None,) * (old.ndim - 1 - dimension)
    return made.view(index, (0, *behind), index) if index.ndim and behind else index


MOVES.update({Op.SLICE: sliced, Op.GATHER: gathered, Op.CONCAT: joined, Op.UPDATE: updated})
