"""The shape that a node must have, computed from its inputs and its attribute.

Takes: a node, and how its graph aligns dimensions. Gives: the dimensions of its result; raises a
MalformedError where the inputs do not fit the operation. Where v0 has the axes (n, k),

    v1 = view(v0) [1, None, 0]    gives     (k, None, n)
    v1 = view(v0) [1, None]       raises    got a view without dimension 0, of size 3; expected ...

A dimension of an expected shape is an axis, None for a 1, or an integer where any axis of that size will do.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from typing import NoReturn

from .attributes import BroadcastTo, Concat, Gather, Iota, Reduction, Reshape, Slice, Transposes, View
from .graph import Axis, Node

Dimension = Axis | int | None


class Alignment(enum.Enum):
    """What two dimensions must have in common where an operation aligns them."""

    SIZES = enum.auto()  # after the trace: the size
    AXES = enum.auto()  # after simplification: the axis; and a value has each axis once
    RESOLVED = enum.auto()  # after coalescing: the same, and shapes hold resolved axes


class MalformedError(Exception):
    """What is wrong with a node."""


def fail(got: str, expected: str) -> NoReturn:
    """Raise a MalformedError."""
    raise MalformedError(f"got {got}; expected {expected}")


def size(dimension: Dimension) -> int:
    """The size of a dimension."""
    return 1 if dimension is None else dimension if isinstance(dimension, int) else dimension.size


def agree(a: Axis | None, b: Axis | None, alignment: Alignment) -> bool:
    """Whether an operation may align two dimensions."""
    if a is None or b is None or alignment is Alignment.SIZES:
        return size(a) == size(b)
    return a.find() is b.find()


def shape_text(shape: Iterable[Dimension]) -> str:
    """The sizes of a shape, for a message."""
    return f"({', '.join(str(size(dimension)) for dimension in shape)})"


def own_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """An argument has a shape of its own."""
    return node.shape


def no_dimensions(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """A number has the shape ()."""
    return ()


def iota_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """One dimension, along the axis of the attribute."""
    return (node.attribute_as(Iota).axis,)


def broadcast_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """The dimensions of all inputs, aligned from the last."""
    shape: list[Axis | None] = [None] * max(source.ndim for source in node.inputs)
    for source in node.inputs:
        for position in range(-source.ndim, 0):
            mine, others = source.shape[position], shape[position]
            if mine is not None and others is not None and not agree(mine, others, alignment):
                got = f"v{source.number} of size {mine.size} in dimension {position}"
                fail(got, f"size {others.size} and the same axis as the other inputs")
            shape[position] = others or mine
    return tuple(shape)


def target_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """The shape of the attribute, to which the input must broadcast."""
    (source,), target = node.inputs, node.attribute_as(BroadcastTo).shape
    padded = (None,) * (len(target) - source.ndim) + source.shape
    if len(padded) != len(target) or any(
        mine is not None and not agree(mine, theirs, alignment)
        for mine, theirs in zip(padded, target, strict=True)
    ):
        expected = f"one that broadcasts to {shape_text(target)}"
        fail(f"an input of shape {shape_text(source.shape)}", expected)
    return target


def copied_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """The sizes of the input, along any axes."""
    return node.inputs[0].sizes()


def viewed_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """The input's dimensions in the order of the attribute."""
    (source,), dimensions = node.inputs, node.attribute_as(View).dimensions
    kept = [d for d in dimensions if d is not None]
    _check_dimensions(source, kept)
    for dimension, axis in enumerate(source.shape):
        if axis is not None and dimension not in kept:
            fail(f"a view without dimension {dimension}, of size {axis.size}", "all dimensions but of 1")
    return tuple(None if d is None else source.shape[d] for d in dimensions)


def reduced_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """The dimensions that are not combined."""
    (source,), along = node.inputs, node.attribute_as(Reduction).dimensions
    _check_dimensions(source, along)
    return tuple(axis for dimension, axis in enumerate(source.shape) if dimension not in along)


def _check_dimensions(source: Node, dimensions: Iterable[int]) -> None:
    dimensions = list(dimensions)
    if len(set(dimensions)) < len(dimensions) or not set(dimensions) <= set(range(source.ndim)):
        got = f"the dimensions {', '.join(map(str, dimensions))}"
        fail(got, f"each at most once, of the {source.ndim} of v{source.number}")


def product_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """Rows of the first factor and columns of the second."""
    transpose_a, transpose_b = node.attribute_as(Transposes).transposed
    if any(source.ndim != 2 for source in node.inputs):
        fail("inputs of " + " and ".join(f"{source.ndim} dimensions" for source in node.inputs), "two each")
    a, b = (source.shape for source in node.inputs)
    (rows, inner), (terms, columns) = a[::-1] if transpose_a else a, b[::-1] if transpose_b else b
    # Only a product of transposed rows loops over the inner dimension of both factors.
    if not agree(inner, terms, alignment if transpose_a else Alignment.SIZES):
        fail(f"inner dimensions of {size(inner)} and {size(terms)}", "one axis, or one size")
    return size(rows) if transpose_a else rows, size(columns)


def elements_of_rows_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """One element for each row."""
    scores, index = (source.shape for source in node.inputs)
    matrices = len(scores) == len(index) == 2
    if not matrices or size(index[1]) != 1 or not agree(scores[0], index[0], alignment):
        shapes = " at ".join(shape_text(source.shape) for source in node.inputs)
        fail(f"inputs of shapes {shapes}", "(N, K) at (N, 1)")
    return scores[0], None


def elements_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """The shape of the indices."""
    vector, index = node.inputs
    if vector.ndim != 1:
        fail(f"an input of {vector.ndim} dimensions", "a vector")
    return index.shape


def sliced_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """The input's dimensions where nothing is left out, new ones elsewhere."""
    (source,), attribute = node.inputs, node.attribute_as(Slice)
    if len(attribute.ranges) != source.ndim:
        fail(f"{len(attribute.ranges)} ranges", f"one for each of {source.ndim} dimensions")
    for axis, given, count in zip(source.shape, attribute.ranges, attribute.sizes, strict=True):
        if given is not None and count and not all(0 <= end < size(axis) for end in _ends(given, count)):
            fail(f"{count} elements from {given[0]} in steps of {given[1]}", f"indices below {size(axis)}")
    return tuple(
        axis if given is None else count
        for axis, given, count in zip(source.shape, attribute.ranges, attribute.sizes, strict=True)
    )


def updated_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """The first input's shape; the second one has that of the slice."""
    source, value = node.inputs
    if value.sizes() != node.attribute_as(Slice).sizes:
        fail(f"a value of {shape_text(value.shape)}", f"the sizes {node.attribute_as(Slice).sizes}")
    return source.shape


def _ends(given: tuple[int, int], count: int) -> tuple[int, int]:
    return given[0], given[0] + given[1] * (count - 1)


def reshaped_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """The sizes of the attribute, of as many elements."""
    (source,), sizes = node.inputs, node.attribute_as(Reshape).sizes
    if math.prod(source.sizes()) != math.prod(sizes):
        fail(f"the sizes {sizes}", f"as many elements as {shape_text(source.shape)}")
    return sizes


def joined_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """The first input's dimensions, but as many elements along one of them as all inputs have."""
    along, first = node.attribute_as(Concat).dimension, node.inputs[0]
    for source in node.inputs:
        others = [size(a) == size(b) for a, b in zip(source.shape, first.shape, strict=False)]
        if source.ndim != first.ndim or not all(others[:along] + others[along + 1 :]):
            fail(f"inputs of {shape_text(source.shape)} and {shape_text(first.shape)}", "the same elsewhere")
    total = sum(size(source.shape[along]) for source in node.inputs)
    return (*first.sizes()[:along], total, *first.sizes()[along + 1 :])


def gathered_shape(node: Node, alignment: Alignment) -> tuple[Dimension, ...]:
    """A dimension of the first input where one runs along it; elsewhere those of the indices."""
    source, *indices = node.inputs
    places = node.attribute_as(Gather).places
    if len(places) != source.ndim or any(place >= node.ndim or place < -len(indices) for place in places):
        fail(f"the places {places}", f"one for each of {source.ndim} dimensions")
    for axis, place in zip(source.shape, places, strict=True):
        if place >= 0 and size(axis) not in (1, size(node.shape[place])):
            fail(f"dimension {place} of {size(node.shape[place])}", f"{size(axis)}, that of the input")
    for index in indices:
        padded = (None,) * (node.ndim - index.ndim) + index.shape
        if any(
            mine is not None and size(mine) != size(out) for mine, out in zip(padded, node.shape, strict=True)
        ):
            fail(
                f"an index of shape {shape_text(index.shape)}",
                f"one that broadcasts to {shape_text(node.shape)}",
            )
    return node.shape
