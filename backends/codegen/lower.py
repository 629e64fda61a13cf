"""From a call to its plan: trace, simplify, merge, and put into phases and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..trace.trace import Traced, trace
from .passes import PASSES, after_trace
from .plan import Plan, make_plan


@dataclass
class Lowered:
    """A traced call and its plan.

    shapes:  of the result's arrays as the kernel returns them
    numbers: those of the graph that the program is given like arguments, by slot
    """

    traced: Traced
    plan: Plan
    shapes: list[tuple[int, ...]]
    numbers: dict[int, float]


def lower(
    function: Callable[..., Any],
    kernel: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    donated_leaves: Sequence[int] = (),
    numbers: frozenset[int] = frozenset(),
    *,
    takes_halves: bool = False,
    reads_rows_first: bool = False,
) -> Lowered:
    """The plan of a call.

    donated_leaves: arguments whose memory results may take
    numbers:        leaves whose number is an option, part of the form of the call
    takes_halves:   whether arrays may be of half precision
    reads_rows_first: see `make_plan`
    """
    traced = trace(function, kernel, args, kwargs, numbers, takes_halves=takes_halves)
    state = after_trace(traced)
    for each in PASSES:
        each.run(state)
    plan = make_plan(
        kernel,
        state.graph,
        state.outputs,
        donated_leaves,
        traced.trace.halves,
        traced.half,
        rounds=not traced.trace.any_single,
        reads_rows_first=reads_rows_first,
    )
    return Lowered(traced, plan, [node.sizes() for node in traced.outputs], state.slots)
