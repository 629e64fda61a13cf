"""The passes between the trace and the plan, in order.

Takes: a traced call. Gives: its graph after all passes.

    simplify       fewer and cheaper operations; aligned dimensions become one axis
    scalar slots   numbers in the graph become scalars of the call
    coalesce       neighbouring dimensions become one
    flatten        more than two dimensions become rows and columns

With ONEPASS_VERIFY=1 the graph is verified after the trace and after every pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..ir.expected_shapes import Alignment
from ..ir.graph import Graph, Node
from ..ir.verify import VerificationError, is_requested, verify
from ..trace.trace import Traced
from . import moves  # noqa: F401 - gives `simplify` its moves
from .coalesce import TooManyDimensionsError, coalesce
from .flatten import flatten, needs_flattening
from .scalar_slots import into_slots
from .simplify import ReshapeError, simplify


@dataclass
class State:
    """A graph between two passes.

    first_slot: the first number behind the leaves of the call and the captured arrays
    slots:      numbers of the graph that are passed to the program, by slot
    """

    kernel: str
    graph: Graph
    outputs: list[Node]
    first_slot: int
    slots: dict[int, float] = field(default_factory=dict)

    def verify(self, after: str, alignment: Alignment, before: Sequence[Node] = ()) -> None:
        """Check the graph if that is requested.

        before: the outputs before the pass, which have as many elements
        """
        if not is_requested():
            return
        verify(self.graph, self.outputs, after, alignment)
        for old, new in zip(before, self.outputs, strict=bool(before)):
            if math.prod(old.sizes()) != math.prod(new.sizes()) or old.dtype is not new.dtype:
                raise VerificationError(f"after {after}: the output {old} became {new}.")


class Pass(NamedTuple):
    """A step from one graph to the next.

    alignment: what aligned dimensions have in common afterwards
    """

    name: str
    change: Callable[[State], None]
    alignment: Alignment

    def run(self, state: State) -> None:
        """Change the state, and verify it on request."""
        before = state.outputs
        self.change(state)
        state.verify(self.name, self.alignment, before)


def after_trace(traced: Traced) -> State:
    """The state before the first pass."""
    first_slot = traced.trace.first_captured + len(traced.trace.captured)
    state = State(traced.kernel, traced.trace.graph, traced.outputs, first_slot)
    state.verify("trace", Alignment.SIZES)
    return state


def _simplify(state: State) -> None:
    try:
        state.graph, state.outputs = simplify(state.graph, state.outputs)
    except ReshapeError:
        raise TooManyDimensionsError(
            f"{state.kernel}: reshapes whose cuts do not nest cannot be compiled as one program."
        ) from None


def _scalar_slots(state: State) -> None:
    state.slots = into_slots(state.outputs, state.first_slot)


def _coalesce(state: State) -> None:
    state.graph, state.outputs = coalesce(state.outputs)


def _flatten(state: State) -> None:
    if needs_flattening(state.graph):
        state.graph, state.outputs = flatten(state.outputs)


PASSES = (
    Pass("simplify", _simplify, Alignment.AXES),
    Pass("scalar slots", _scalar_slots, Alignment.AXES),
    Pass("coalesce", _coalesce, Alignment.RESOLVED),
    Pass("flatten", _flatten, Alignment.RESOLVED),
)
