"""Marks: places in a trace where derivatives begin, end, or have a rule of their own.

Takes a symbolic array; gives one with the same value, whose node is new in the graph:

    v0: float32(3) = input() [0]
    v1: float32(3) = mark(v0) [variable]     a derivative with respect to v1, and not to v0

When the trace is over, `without_marks` takes them out.
"""

from __future__ import annotations

from typing import Any

from ..common.trees import leaves, map_leaves
from ..ir.attributes import Mark, MarkKind
from ..ir.graph import Graph, Node, walk
from ..ir.operations import Op
from .symbolic import SymbolicArray, current_trace, in_order_of
from .tracer import Trace


def marked(array: SymbolicArray, kind: MarkKind, call: int = 0, owner: str = "") -> SymbolicArray:
    """The array behind a mark.

    call:  the number of the call that it is an argument or a result of
    owner: of an array that must not be written into; see `SymbolicArray.owner`
    """
    trace, node = array.tracer, array.node
    made = trace.node(Op.MARK, (node,), Mark(kind, call), shape=node.shape, dtype=node.dtype, weak=node.weak)
    found = in_order_of(array, SymbolicArray(trace, made, array.known, array.depends))
    found.owner, found.is_box = owner, array.is_box
    return found


def is_mark(node: Node, *kinds: MarkKind) -> bool:
    """Whether a node is a mark of one of these kinds."""
    return node.operation is Op.MARK and node.attribute_as(Mark).kind in kinds


def stopped(array: SymbolicArray) -> SymbolicArray:
    """The same values, with a derivative of 0."""
    if not array.tracer.derivatives or not array.node.dtype.is_float:
        return array
    return marked(array, MarkKind.STOPPED)


def is_differentiating() -> bool:
    """Whether a function that is differentiated is running in this thread or async task."""
    running = current_trace.get()
    return running is not None and running.derivatives > 0


def without_marks(running: Trace, result: Any) -> Any:
    """The result of a traced function in a graph without marks, which becomes the graph of the trace."""
    old = running.graph
    if not any(node.operation is Op.MARK for node in old.nodes):
        return result
    # A view makes its node when it is read: read each once.
    outputs = [leaf.node for leaf in leaves(result) if isinstance(leaf, SymbolicArray)]
    needed = set(walk([*outputs, *(decision.node for decision in running.decisions)]))
    graph, known = Graph(), dict[Node, Node]()
    for node in old.nodes:
        if node.operation is Op.MARK:
            if node.inputs[0] in known:
                known[node] = known[node.inputs[0]]
        elif node in needed or node.operation in (Op.INPUT, Op.SCALAR):
            known[node] = graph.node(
                node.operation,
                [known[source] for source in node.inputs],
                node.attribute,
                shape=node.shape,
                dtype=node.dtype,
                weak=node.weak,
                line=node.line,
            )
    running.graph = graph
    running.decisions = [each._replace(node=known[each.node]) for each in running.decisions]
    each = iter(outputs)
    return map_leaves(
        lambda leaf: SymbolicArray(running, known[next(each)]) if isinstance(leaf, SymbolicArray) else leaf,
        result,
    )
