"""The passes between the trace and the plan, in order, each verified on request.

Takes: a traced call. Gives: its graph after all passes.

    simplify       fewer and plainer operations, every axis known
    scalar slots   numbers of the graph become scalars of the call
    coalesce       neighbouring dimensions become one

With ONEPASS_VERIFY=1 the graph is verified after the trace and after every pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..ir.expected_shapes import Alignment
from ..ir.graph import Graph, Node
from ..ir.verify import is_requested, verify
from ..trace.trace import Traced
from .coalesce import merge
from .scalar_slots import into_slots
from .simplify import simplify


@dataclass
class State:
    """A graph between two passes.

    first_slot: the first number behind the leaves of the call and the captured arrays
    slots:      numbers of the graph that the program is given like arguments
    """

    kernel: str
    graph: Graph
    outputs: list[Node]
    first_slot: int
    slots: dict[int, float] = field(default_factory=dict)

    def verify(self, after: str, alignment: Alignment) -> None:
        """Check the graph, where that is asked for."""
        if is_requested():
            verify(self.graph, self.outputs, after, alignment)


class Pass(NamedTuple):
    """A step from one graph to the next.

    alignment: how the dimensions agree that an operation lines up afterwards
    """

    name: str
    change: Callable[[State], None]
    alignment: Alignment

    def run(self, state: State) -> None:
        """Change the state, and verify it on request."""
        self.change(state)
        state.verify(self.name, self.alignment)


def after_trace(traced: Traced) -> State:
    """What the first pass is given."""
    first_slot = traced.trace.first_captured + len(traced.trace.captured)
    state = State(traced.kernel, traced.trace.graph, traced.outputs, first_slot)
    state.verify("trace", Alignment.SIZES)
    return state


def _simplify(state: State) -> None:
    state.graph, state.outputs = simplify(state.graph, state.outputs)


def _scalar_slots(state: State) -> None:
    state.slots = into_slots(state.outputs, state.first_slot)


def _coalesce(state: State) -> None:
    state.graph, state.outputs = merge(state.kernel, state.outputs)


PASSES = (
    Pass("simplify", _simplify, Alignment.AXES),
    Pass("scalar slots", _scalar_slots, Alignment.AXES),
    Pass("coalesce", _coalesce, Alignment.RESOLVED),
)
