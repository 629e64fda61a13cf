"""The graph of a traced kernel: nodes of a closed set of operations, each made once.

Takes: operations of nodes, with their shapes and dtypes. Gives: the nodes, in the order of their making.

    graph = Graph()
    axis = Axis(3)
    x = graph.node(Op.INPUT, (), Leaf(0), shape=(axis,), dtype=FLOAT32)
    y = graph.node(Op.ADD, (x, x), shape=(axis,), dtype=FLOAT32)
    graph.node(Op.ADD, (x, x), shape=(axis,), dtype=FLOAT32) is y

print(x) and print(y) show

    v0: float32(3) = input() [0]
    v1: float32(3) = add(v0, v0)
"""

from __future__ import annotations

import functools
from collections.abc import Container, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from .attributes import Attribute
from .dtypes import DType
from .operations import Op


class Axis:
    """One dimension of the arrays of a graph, by identity: what an index runs over.

    Two axes that an operation lines up become one (`unify`), so that a loop over it serves both. A size of 1
    is no axis; a shape has None there.

    parts: the axes that this one is the product of, outermost first, where a reshape made it of them, or them
           of it; to be asked of the axis that `find` gives
    """

    def __init__(self, size: int, source: tuple[int, int] | None = None) -> None:
        self.size = size  # in the call that was traced
        self.source = source  # (leaf, dimension) of an argument that has this size; None for a constant
        self.parts: tuple[Axis, ...] = ()
        self._parent: Axis | None = None

    def find(self) -> Axis:
        """The axis that stands for all that were lined up with this one."""
        axis = self
        while axis._parent is not None:
            # Skipping a step makes the next search shorter.
            axis._parent = axis._parent._parent or axis._parent
            axis = axis._parent
        return axis

    def unify(self, other: Axis) -> None:
        """From now on this axis and `other` are one."""
        a, b = self.find(), other.find()
        if a is not b:
            # The size is the first argument's that has it, so that the same kernel gives the same text.
            if (b.source or _LAST) < (a.source or _LAST):
                a, b = b, a
            b._parent = a
            a.parts = a.parts or b.parts

    def factors(self) -> tuple[Axis, ...]:
        """The axes without parts that this one is the product of; itself where it has no parts."""
        root = self.find()
        return tuple(f for part in root.parts for f in part.factors()) if root.parts else (root,)


_LAST = (1 << 30, 0)

Shape = tuple[Axis | None, ...]
AnAttribute = TypeVar("AnAttribute", bound=Attribute)


@dataclass(eq=False, repr=False)
class Node:
    """One value: an operation of other values.

    attribute: what the operation needs to know beside its inputs
    weak:  whether it stands for a Python number, of no shape, which takes the dtype of the arrays it meets;
           the dtype is float64, int64 or bool then
    line:  where in the user's file it was asked for
    """

    number: int
    operation: Op
    inputs: tuple[Node, ...]
    attribute: Attribute | None
    shape: Shape
    dtype: DType
    weak: bool = False
    line: str = ""

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @functools.cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The dimensions that are no 1, outermost first; to be looked up when all axes are lined up."""
        return tuple(axis.find() for axis in self.shape if axis is not None)

    @functools.cached_property
    def sources(self) -> tuple[Node, ...]:
        """The inputs, seen through views."""
        return tuple(map(base, self.inputs))

    def sizes(self) -> tuple[int, ...]:
        """The shape of the traced call."""
        return tuple(1 if axis is None else axis.size for axis in self.shape)

    def attribute_as(self, kind: type[AnAttribute]) -> AnAttribute:
        """The attribute, which is of this class."""
        assert isinstance(self.attribute, kind), f"{self} has no {kind.__name__}"
        return self.attribute

    def __repr__(self) -> str:
        # Inputs by their numbers: in full, a graph would be as long as all paths through it.
        shape = ", ".join(map(str, self.sizes()))
        inputs = ", ".join(f"v{node.number}" for node in self.inputs)
        attribute = "" if self.attribute is None else f" [{self.attribute}]"
        return f"v{self.number}: {self.dtype}({shape}) = {self.operation}({inputs}){attribute}"


@dataclass
class Graph:
    """All nodes of one trace, in the order in which they were made, equal ones once."""

    nodes: list[Node] = field(default_factory=list)
    _known: dict[Hashable, Node] = field(default_factory=dict)

    def node(
        self,
        operation: Op,
        inputs: Iterable[Node] = (),
        attribute: Attribute | None = None,
        *,
        shape: Shape = (),
        dtype: DType,
        weak: bool = False,
        line: str = "",
    ) -> Node:
        """The node that is this operation of these inputs, made if there is none yet."""
        inputs = tuple(inputs)
        another = len(self.nodes) if operation in ALWAYS_NEW else 0
        numbers = tuple(node.number for node in inputs)
        key = operation, numbers, attribute, dtype, weak, len(shape), another
        known = self._known.get(key)
        if known is None:
            known = Node(len(self.nodes), operation, inputs, attribute, shape, dtype, weak, line)
            self.nodes.append(known)
            self._known[key] = known
        return known


# `copy` cuts axes apart; two copies of one array may be needed with different ones. A mark is one place of
# a function, however many others have the same value.
ALWAYS_NEW = frozenset({Op.COPY, Op.MARK})


def walk(outputs: Iterable[Node], known: Container[Node] = ()) -> Iterator[Node]:
    """Everything that the outputs need, each once, inputs first.

    known: nodes that are left out, with what only they need
    """
    seen: set[int] = set()
    stack = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif node.number not in seen and node not in known:
            seen.add(node.number)
            stack.append((node, True))
            stack.extend((source, False) for source in reversed(node.inputs) if source.number not in seen)


def base(node: Node) -> Node:
    """The value that a view shows."""
    return node.inputs[0] if node.operation is Op.VIEW else node


def sources(node: Node) -> tuple[Node, ...]:
    """The inputs, seen through views."""
    return node.sources
