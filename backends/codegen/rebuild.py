"""The base of passes that make a new graph, node by node.

Takes the outputs of a graph; gives the same outputs in a new one. A pass says what each node becomes, with
its inputs made already:

    class Doubled(Rebuild):
        def rebuilt(self, old, inputs):
            return self.make(old.operation, inputs, old, old.shape, old.attribute)
"""

from __future__ import annotations

from ..ir.attributes import Attribute, View
from ..ir.dtypes import DType
from ..ir.graph import Graph, Node, Shape, walk
from ..ir.operations import Op


class Rebuild:
    """A graph that is being made from another one.

    known: what the nodes of the old graph have become
    """

    def __init__(self) -> None:
        self.graph = Graph()
        self.known: dict[Node, Node] = {}
        self.current: Node | None = None  # the node of the old graph that is being rebuilt
        self.origins: dict[Node, Node] = {}  # for each node, the old one that it was made for first

    def run(self, outputs: list[Node]) -> tuple[Graph, list[Node]]:
        """The outputs in the new graph."""
        for node in walk(outputs):
            self.current = node
            self.known[node] = self.rebuilt(node, [self.known[source] for source in node.inputs])
        return self.graph, [self.known[node] for node in outputs]

    def rebuilt(self, old: Node, inputs: list[Node]) -> Node:
        """What a node becomes, whose inputs are made."""
        raise NotImplementedError

    def make(
        self,
        operation: Op,
        inputs: list[Node],
        old: Node,
        shape: Shape,
        attribute: Attribute | None = None,
        dtype: DType | None = None,
    ) -> Node:
        """A node with the line of the old one, and with its dtype unless another one is given."""
        weak = old.weak and dtype is None
        node = self.graph.node(
            operation, inputs, attribute, shape=shape, dtype=dtype or old.dtype, weak=weak, line=old.line
        )
        if self.current is not None:
            self.origins.setdefault(node, self.current)
        return node

    def view(self, node: Node, dimensions: tuple[int | None, ...], old: Node) -> Node:
        """The node with its dimensions in another order; a view of a view is one view."""
        if node.operation is Op.VIEW:
            seen = node.attribute_as(View).dimensions
            dimensions = tuple(None if d is None else seen[d] for d in dimensions)
            node = node.inputs[0]
        if dimensions == tuple(range(node.ndim)):
            return node
        shape = tuple(None if d is None else node.shape[d] for d in dimensions)
        dtype = None if node.dtype is old.dtype else node.dtype
        return self.make(Op.VIEW, [node], old, shape, View(dimensions), dtype)
