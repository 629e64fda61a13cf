"""Reverse mode: takes a graph and the cotangents of its outputs, gives those of some of its inputs.

A cotangent of a value is the derivative of a scalar with respect to it, in the value's shape and dtype. Nodes
are visited from the last to the first; the rule of each operation gives the cotangents of its inputs:

    v2 = multiply(v0, v1)    the cotangent g of v2 adds    g * v1 to that of v0, g * v0 to that of v1

The new nodes are operations of the same graph, so they can be differentiated again.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..ir.attributes import Mark, MarkKind
from ..ir.graph import Node, walk
from ..ir.operations import ELEMENTWISE, Op
from ..trace import namespace as xp
from ..trace.marks import is_mark
from ..trace.symbolic import SymbolicArray
from ..trace.tracer import Trace
from .elementwise_rules import ELEMENTWISE_RULES
from .shaping import as_cotangent, is_zero
from .structure_rules import STRUCTURE_RULES

Cotangents = list[SymbolicArray | None]


@dataclass(frozen=True)
class OwnDerivative:
    """A call that has a derivative of its own.

    first:     the number of the first node of the call; what has a lower one is outside
    arguments: marks of the arguments that the derivative covers; all others are differentiated as usual
    results:   marks of the results of floating-point dtypes
    pull_back: takes the cotangents of the results, gives those of the arguments; None is zero
    """

    first: int
    arguments: Sequence[Node]
    results: Sequence[Node]
    pull_back: Callable[[Cotangents], Cotangents]


def pull_back(
    trace: Trace, outputs: Sequence[Node], cotangents: Sequence[SymbolicArray], variables: Sequence[Node]
) -> Cotangents:
    """The cotangents of the variables, marks of the graph; None where no output depends on one.

    cotangents: of the outputs
    raises:     TypeError for an operation that has no derivative in the compiler
    """
    return Reverse(trace, outputs, variables).run(outputs, cotangents)


class Reverse:
    """One sweep over a graph.

    blocked: nodes through which no cotangent flows
    """

    def __init__(
        self,
        trace: Trace,
        outputs: Sequence[Node],
        variables: Sequence[Node],
        blocked: Sequence[Node] = (),
    ) -> None:
        self.trace = trace
        self.variables = variables
        self.pending: dict[Node, list[SymbolicArray]] = {}
        self.blocked = frozenset(blocked)
        self.carried: set[Node] = set(variables)  # nodes that a cotangent may reach
        order = list(walk(outputs, self.carried))
        for node in order:
            if self._depends(node):
                self.carried.add(node)
        reached = [node for node in order if node in self.carried]
        self.order = sorted(reached, key=operator.attrgetter("number"), reverse=True)

    def _depends(self, node: Node) -> bool:
        """Whether a node depends on the variables."""
        if not node.dtype.is_float or node in self.blocked or is_mark(node, MarkKind.STOPPED):
            return False
        if any(source in self.carried for source in node.inputs):
            return True
        # A derivative of its own may cover an argument that the call itself does not use.
        is_result = is_mark(node, MarkKind.RESULT)
        return is_result and any(mark in self.carried for mark in self._call(node).arguments)

    def _call(self, mark: Node) -> OwnDerivative:
        found: OwnDerivative = self.trace.calls[mark.attribute_as(Mark).call]
        return found

    def run(self, outputs: Sequence[Node], cotangents: Sequence[SymbolicArray]) -> Cotangents:
        """The cotangents of the variables."""
        for node, cotangent in zip(outputs, cotangents, strict=True):
            if node in self.carried:
                self._add(node, cotangent)
        for node in self.order:
            self._visit(node)
        return [self._cotangent(node) for node in self.variables]

    def _add(self, node: Node, cotangent: SymbolicArray | None) -> None:
        if cotangent is not None and not is_zero(cotangent.node):
            self.pending.setdefault(node, []).append(as_cotangent(cotangent, node))

    def _cotangent(self, node: Node) -> SymbolicArray | None:
        found = self.pending.get(node)
        return functools.reduce(operator.add, found) if found else None

    def _visit(self, node: Node) -> None:
        """Pass the cotangent of a node on to its inputs."""
        if is_mark(node, MarkKind.RESULT):
            self._visit_result(node)
            return
        cotangent = self._cotangent(node)
        if cotangent is None:
            return
        inputs = [SymbolicArray(self.trace, source) for source in node.inputs]
        for position, source in enumerate(node.inputs):
            if source in self.carried:
                self._add(source, self._by_rule(node, cotangent, inputs, position))

    def _visit_result(self, node: Node) -> None:
        """Leave a call by its own derivative, when all its results were visited."""
        call = self._call(node)
        results = [result for result in call.results if result in self.carried]
        if node is not min(results, key=operator.attrgetter("number")):
            return
        cotangents = [self._cotangent(result) for result in call.results]
        if all(cotangent is None for cotangent in cotangents):
            return
        if any(mark in self.carried for mark in call.arguments):
            for mark, found in zip(call.arguments, call.pull_back(cotangents), strict=True):
                if mark in self.carried:
                    self._add(mark, found)
        self._leave_uncovered(call, cotangents)

    def _leave_uncovered(self, call: OwnDerivative, cotangents: Cotangents) -> None:
        """Leave a call by the rules of its operations, for what its own derivative does not cover."""
        sources = self._sources(call)
        if not sources:
            return
        inner = [result.inputs[0] for result in call.results]
        outputs = [(n, g) for n, g in zip(inner, cotangents, strict=True) if g is not None]
        nodes = [node for node, _ in outputs]
        sweep = Reverse(self.trace, nodes, sources, blocked=call.arguments)
        for node, found in zip(sources, sweep.run(nodes, [g for _, g in outputs]), strict=True):
            self._add(node, found)

    def _sources(self, call: OwnDerivative) -> list[Node]:
        """The values outside of a call that it reads, but for the arguments that are covered."""
        found: dict[Node, None] = {}
        seen: set[Node] = set(call.arguments)
        stack = [result.inputs[0] for result in call.results]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node.number >= call.first:
                stack.extend(node.inputs)
            elif node in self.carried:
                found[node] = None
        return list(found)

    def _by_rule(
        self, node: Node, cotangent: SymbolicArray, inputs: list[SymbolicArray], position: int
    ) -> SymbolicArray | None:
        """What the cotangent of a node adds to that of one of its inputs."""
        if node.operation in ELEMENTWISE:
            return self._of_elements(node, cotangent, inputs, position)
        rule = STRUCTURE_RULES.get(node.operation)
        if rule is None:
            raise self.trace.error(
                TypeError, f"{node.operation} has no derivative in the compiler", node.line
            )
        found: SymbolicArray | None = rule(cotangent, node, inputs, position)
        return found

    def _of_elements(
        self, node: Node, cotangent: SymbolicArray, inputs: list[SymbolicArray], position: int
    ) -> SymbolicArray | None:
        rule = ELEMENTWISE_RULES[node.operation][position]
        if rule is None:
            return None
        out = SymbolicArray(self.trace, node)
        # Where a branch of `where` was not taken, the cotangent is 0 and the derivative may be infinite. The
        # 0 is chosen after the rule, so that no product of the two arises.
        branches = [SymbolicArray(self.trace, source) for source in cotangent.node.inputs]
        is_choice = cotangent.node.operation is Op.WHERE
        if is_choice and is_zero(branches[2].node):
            return xp.where(branches[0], rule(branches[1], out, *inputs), 0.0)  # type: ignore[no-any-return]
        if is_choice and is_zero(branches[1].node):
            return xp.where(branches[0], 0.0, rule(branches[2], out, *inputs))  # type: ignore[no-any-return]
        return rule(cotangent, out, *inputs)  # type: ignore[no-any-return]
