"""The base of passes that make a new graph, node by node.

Takes the outputs of a graph; gives the same outputs in a new one. A pass says what each node becomes, with
its inputs made already:

    class Doubled(Rebuild):
        def rebuilt(self, old, inputs):
            return self.make(old.operation, inputs, old, old.shape, old.attribute)
"""

from __future__ import annotations

from ..ir.attributes import Attribute, View
from ..ir.graph import Graph, Node, Shape, walk
from ..ir.operations import Op


class Rebuild:
    """A graph that is being made from another one.

    known: what the nodes of the old graph have become
    """

    def __init__(self) -> None:
        self.graph = Graph()
        self.known: dict[Node, Node] = {}

    def run(self, outputs: list[Node]) -> tuple[Graph, list[Node]]:
        """The outputs in the new graph."""
        for node in walk(outputs):
            self.known[node] = self.rebuilt(node, [self.known[source] for source in node.inputs])
        return self.graph, [self.known[node] for node in outputs]

    def rebuilt(self, old: Node, inputs: list[Node]) -> Node:
        """What a node becomes, whose inputs are made."""
        raise NotImplementedError

    def make(
        self, operation: Op, inputs: list[Node], old: Node, shape: Shape, attribute: Attribute | None = None
    ) -> Node:
        """A node with the dtype and the line of the old one."""
        return self.graph.node(
            operation, inputs, attribute, shape=shape, dtype=old.dtype, weak=old.weak, line=old.line
        )

    def view(self, node: Node, dimensions: tuple[int | None, ...], old: Node) -> Node:
        """The node with its dimensions in another order; a view of a view is one view."""
        if node.operation is Op.VIEW:
            seen = node.attribute_as(View).dimensions
            dimensions = tuple(None if d is None else seen[d] for d in dimensions)
            node = node.inputs[0]
        if dimensions == tuple(range(node.ndim)):
            return node
        shape = tuple(None if d is None else node.shape[d] for d in dimensions)
        return self.make(Op.VIEW, [node], old, shape, View(dimensions))
