"""From a call to its plan: trace, simplify, coalesce axes, and plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..ir.attributes import Layout, Leaf
from ..ir.expected_shapes import Alignment
from ..ir.operations import Op
from ..ir.verify import is_requested
from ..trace.trace import Traced, trace
from .buffers import Rounding
from .half_products import multiply_in_halves
from .passes import PASSES, after_trace
from .plan import Plan, make_plan
from .target import Target
from .verify_plan import verify_plan


@dataclass
class Lowered:
    """A traced call and its plan.

    shapes:      of the result's arrays as the kernel returns them
    slot_values: numbers of the graph that the program is passed like arguments, by slot
    """

    traced: Traced
    plan: Plan
    shapes: list[tuple[int, ...]]
    slot_values: dict[int, float]


def lower(
    function: Callable[..., Any],
    kernel: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    donated_leaves: Sequence[int] = (),
    static_leaves: frozenset[int] = frozenset(),
    *,
    target: Target,
    layouts: Mapping[int, Layout] | None = None,
    traced: Traced | None = None,
) -> Lowered:
    """The plan of a call.

    donated_leaves: arguments whose memory results may take, where it is contiguous
    static_leaves:  leaves whose numbers are constants of the graph, part of the signature
    layouts:        of the arguments and captured arrays that are not contiguous, by leaf
    traced:         the call, if it was traced already; it can be lowered once
    """
    if traced is None:
        traced = trace(function, kernel, args, kwargs, static_leaves, takes_halves=target.takes_halves)
    given = layouts or {}
    for node in traced.trace.graph.nodes if given else ():
        if node.operation is Op.INPUT and (layout := given.get(node.attribute_as(Leaf).number)):
            node.attribute = Leaf(node.attribute_as(Leaf).number, layout)
    state = after_trace(traced)
    for each in PASSES:
        each.run(state)
    rounding = Rounding(traced.trace.halves, traced.half, rounds=not traced.trace.any_single)
    if traced.trace.halves:
        state.graph, state.outputs = multiply_in_halves(state.outputs, rounding)
        state.verify("half products", Alignment.RESOLVED)
    donated = [leaf for leaf in donated_leaves if leaf not in given]
    plan = make_plan(kernel, state.graph, state.outputs, target, rounding, donated)
    if is_requested():
        verify_plan(plan)
    return Lowered(traced, plan, [node.sizes() for node in traced.outputs], state.slots)
