"""Views: how a view is read from its base, and how a write into the view changes the base.

Takes the node of a base; gives the node of a view, or of the base with new values in the view:

    Permuted((1, 0)).read(trace, x)              gives    view(x) [1, 0]
    Sliced(...).written(trace, x, part)          gives    update(x, part) [...]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..ir.attributes import BroadcastTo, Gather, LibraryCall, Reshape, Slice, View
from ..ir.graph import Axis, Node, Shape
from ..ir.operations import Op
from .strides import Strides, reshaped

if TYPE_CHECKING:
    from .tracer import Trace


class Look(Protocol):
    """A kind of view of an array, the base."""

    def read(self, trace: Trace, base: Node) -> Node:
        """The node of the view."""

    def written(self, trace: Trace, base: Node, seen: Node) -> Node:
        """The node of the base after `seen` is written into the view."""

    def strides(self, of_base: Strides, sizes: tuple[int, ...]) -> Strides:
        """The strides of the view of a base with these strides and sizes."""


@dataclass(frozen=True)
class Permuted:
    """Dimensions in another order; None is a new one of size 1, and dimensions of size 1 may be left out."""

    dimensions: tuple[int | None, ...]

    def read(self, trace: Trace, base: Node) -> Node:
        if self.dimensions == tuple(range(base.ndim)):
            return base
        shape = tuple(None if d is None else base.shape[d] for d in self.dimensions)
        attribute = View(self.dimensions)
        return trace.node(Op.VIEW, (base,), attribute, shape=shape, dtype=base.dtype)

    def written(self, trace: Trace, base: Node, seen: Node) -> Node:
        back = tuple(self.dimensions.index(d) if d in self.dimensions else None for d in range(base.ndim))
        return Permuted(back).read(trace, seen)

    def strides(self, of_base: Strides, sizes: tuple[int, ...]) -> Strides:
        return tuple(0 if d is None else of_base[d] for d in self.dimensions)


@dataclass(frozen=True)
class Sliced:
    """Some of the elements along some dimensions."""

    attribute: Slice

    def read(self, trace: Trace, base: Node) -> Node:
        ranges, sizes = self.attribute.ranges, self.attribute.sizes
        shape = tuple(
            axis if given is None else None if count == 1 else Axis(count)
            for axis, given, count in zip(base.shape, ranges, sizes, strict=True)
        )
        return trace.node(Op.SLICE, (base,), self.attribute, shape=shape, dtype=base.dtype)

    def written(self, trace: Trace, base: Node, seen: Node) -> Node:
        return trace.node(Op.UPDATE, (base, seen), self.attribute, shape=base.shape, dtype=base.dtype)

    def strides(self, of_base: Strides, sizes: tuple[int, ...]) -> Strides:
        steps = (1 if given is None else given[1] for given in self.attribute.ranges)
        return tuple(stride * step for stride, step in zip(of_base, steps, strict=True))


@dataclass(frozen=True)
class Reshaped:
    """The same elements, in C order, in another shape."""

    sizes: tuple[int, ...]

    def read(self, trace: Trace, base: Node) -> Node:
        return trace.node(
            Op.RESHAPE, (base,), Reshape(self.sizes), shape=axes_of(self.sizes), dtype=base.dtype
        )

    def written(self, trace: Trace, base: Node, seen: Node) -> Node:
        return Reshaped(base.sizes()).read(trace, seen)

    def strides(self, of_base: Strides, sizes: tuple[int, ...]) -> Strides:
        found = reshaped(sizes, of_base, self.sizes)
        assert found is not None, "a view in this shape is a copy"
        return found


@dataclass(frozen=True)
class Broadcast:
    """An array in a larger shape; like NumPy's, it cannot be written into."""

    shape: Shape

    def read(self, trace: Trace, base: Node) -> Node:
        return trace.node(
            Op.BROADCAST_TO, (base,), BroadcastTo(self.shape), shape=self.shape, dtype=base.dtype
        )

    def written(self, trace: Trace, base: Node, seen: Node) -> Node:
        raise _read_only(trace, "broadcast_to")

    def strides(self, of_base: Strides, sizes: tuple[int, ...]) -> Strides:
        own = tuple(0 if size == 1 else stride for size, stride in zip(sizes, of_base, strict=True))
        return (0,) * (len(self.shape) - len(own)) + own


@dataclass(frozen=True)
class _Gathered:
    """Elements at computed indices."""

    indices: tuple[Node, ...]
    attribute: Gather
    shape: Shape

    def read(self, trace: Trace, base: Node) -> Node:
        return trace.node(
            Op.GATHER, (base, *self.indices), self.attribute, shape=self.shape, dtype=base.dtype
        )


class Diagonal(_Gathered):
    """The diagonals of matrices, as elements that are looked up; like NumPy's, they are read-only."""

    def written(self, trace: Trace, base: Node, seen: Node) -> Node:
        raise _read_only(trace, "diagonal")

    def strides(self, of_base: Strides, sizes: tuple[int, ...]) -> Strides:
        return (*of_base[:-2], of_base[-2] + of_base[-1])


class Picked(_Gathered):
    """The elements at one computed index along some dimensions; for an integer NumPy gives a view."""

    def written(self, trace: Trace, base: Node, seen: Node) -> Node:
        places = self.attribute.places
        value = Permuted(tuple(place for place in places if place >= 0)).read(trace, seen)
        key = tuple(None if place < 0 else (None, None, None) for place in places)
        attribute = LibraryCall("assigned", (("key", key),))
        nodes = (base, value, *self.indices)
        return trace.node(Op.LIBRARY, nodes, attribute, shape=base.shape, dtype=base.dtype)

    def strides(self, of_base: Strides, sizes: tuple[int, ...]) -> Strides:
        places = self.attribute.places
        return tuple(of_base[places.index(d)] if d in places else 0 for d in range(len(self.shape)))


def _read_only(trace: Trace, function: str) -> Exception:
    return trace.error(
        ValueError, f"writes into the result of {function}, a view that is read-only. Copy it first"
    )


def axes_of(sizes: tuple[int, ...]) -> Shape:
    """A new axis for each size but 1."""
    return tuple(None if size == 1 else Axis(size) for size in sizes)
