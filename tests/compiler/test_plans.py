"""Plans as records: what the verifier finds, and when buffers may share memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from golden_calls import CALLS
from onepass.backends.codegen import aliasing
from onepass.backends.codegen.lower import lower
from onepass.backends.codegen.plan import Plan
from onepass.backends.codegen.target import Target
from onepass.backends.codegen.verify_plan import PlanError, verify_plan
from onepass.backends.cpu.target import CPU
from onepass.backends.cuda.target import CUDA
from onepass.backends.ir.dtypes import FLOAT64
from onepass.backends.ir.nest import (
    BufferKind,
    Compute,
    Item,
    Keep,
    Literal,
    Load,
    Loop,
    LoopNest,
    Start,
    Store,
)

import onepass as op
from onepass.compilation import leaves_of

TARGETS = {"cpu": CPU, "cuda": CUDA}
Change = Callable[[Item], Item | None]


def plan_of(function: Any, args: tuple[Any, ...], target: Target = CPU, donate: tuple[str, ...] = ()) -> Plan:
    function = getattr(function, "__wrapped__", function)
    donated = leaves_of(function, args, {}, donate)
    return lower(function, "kernel", args, {}, donated, target=target).plan


def with_change(plan: Plan, change: Change) -> Plan:
    """The plan with every statement of its nests changed; None leaves a statement out."""

    def items(old: tuple[Item, ...]) -> tuple[Item, ...]:
        changed = (replace(i, body=items(i.body)) if isinstance(i, Loop) else change(i) for i in old)
        return tuple(item for item in changed if item is not None)

    def nest(step: Any) -> Any:
        return replace(step, body=items(step.body)) if isinstance(step, LoopNest) else step

    stages = tuple(
        replace(stage, loops=tuple(replace(loop, steps=tuple(map(nest, loop.steps))) for loop in stage.loops))
        for stage in plan.stages
    )
    return replace(plan, stages=stages)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CALLS)
def test_the_golden_plans_are_right(name: str, target: str) -> None:
    function, args = CALLS[name]
    verify_plan(plan_of(function, args, TARGETS[target]))


def leave_out(kind: type) -> Change:
    return lambda item: None if isinstance(item, kind) else item


def half_the_operands(item: Item) -> Item:
    if isinstance(item, Compute) and len(item.operands) == 2:
        return replace(item, operands=(Literal(0.5, FLOAT64), item.operands[1]))
    return item


CHANGES = {
    "no loads": (leave_out(Load), "before it is computed"),
    "no computes": (leave_out(Compute), "before it is computed"),
    "no starts": (leave_out(Start), "before it is computed"),
    "no stores": (leave_out(Store), "which has None|is stored 0 times"),
    "another dtype": (half_the_operands, "takes float32; got float64"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_plan_with_something_left_out_is_found(change: str) -> None:
    plan = plan_of(*CALLS["softmax"])
    changed, message = CHANGES[change]
    with pytest.raises(PlanError, match=message):
        verify_plan(with_change(plan, changed))


def test_registers_that_nothing_keeps_are_found() -> None:
    plan = plan_of(*CALLS["softmax"], CUDA)
    with pytest.raises(PlanError, match="before it is computed"):
        verify_plan(with_change(plan, leave_out(Keep)))


# Kernels of (a, b), the first of which is donated, whose result must not be written over it.


def read_in_a_later_pass(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    return b - xp.max(a, axis=1, keepdims=True), xp.sum(xp.exp(a - xp.max(a, axis=1, keepdims=True)), axis=1)


def read_at_another_row(a: Any, b: Any) -> Any:
    return b + 1, a + a.T


def read_by_a_later_stage(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    return b + 1, a - xp.mean(a, axis=0)


def read_by_a_product(a: Any, b: Any) -> Any:
    return b + 1, b @ a


def read_again_where_rows_do_not_fit_into_registers(a: Any, b: Any) -> Any:
    return a + b, a * array_namespace(a).max(b, axis=1, keepdims=True)


MUST_NOT = [
    read_at_another_row,
    read_by_a_later_stage,
    read_by_a_product,
    read_again_where_rows_do_not_fit_into_registers,
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kernel", MUST_NOT, ids=lambda kernel: kernel.__name__)
def test_what_is_read_later_is_not_overwritten(kernel: Any, target: str) -> None:
    a, b = np.ones((40, 40), np.float32), np.ones((40, 40), np.float32)
    plan = plan_of(kernel, (a, b), TARGETS[target], ("a",))
    verify_plan(plan)
    first = plan.place[plan.outputs[0]]
    assert first.kind is BufferKind.RESULT


@pytest.mark.parametrize("kernel", [*MUST_NOT, read_in_a_later_pass], ids=lambda kernel: kernel.__name__)
def test_a_wrong_decision_about_memory_is_found(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With rules that let every result be written over every argument, the verifier refuses the plan."""
    monkeypatch.setattr(aliasing, "_may_take", lambda *_: True)
    monkeypatch.setattr(aliasing, "_form", lambda _: None)
    a, b = np.ones((40, 40), np.float32), np.ones((40, 40), np.float32)
    with pytest.raises(PlanError, match=r"reads|is loaded from"):
        verify_plan(plan_of(kernel, (a, b), CPU, ("a",)))


@pytest.mark.parametrize("target", TARGETS)
def test_a_gradient_is_written_over_donated_logits(target: str) -> None:
    logits, labels = np.ones((40, 50), np.float32), np.zeros(40, np.int64)
    function = op.softmax_cross_entropy_with_grad.__wrapped__
    plan = plan_of(function, (logits, labels), TARGETS[target], ("logits",))
    verify_plan(plan)
    # Threads that share a row load the label's element while others may store theirs.
    taken = {"cpu": {0: 0}, "cuda": {}}
    assert plan.donated == taken[target]


def test_the_gradient_of_relu_is_written_over_its_mask() -> None:
    """Within a block, a value takes the buffer of one that no later step reads."""
    function, args = CALLS["train_step"]
    plan = plan_of(function, args)
    (loop,) = plan.stages[0].loops
    blocks = [buffer for buffer in plan.of_kind(BufferKind.BLOCK) if buffer.loop == loop.number]
    stored = {node for step in loop.steps if isinstance(step, LoopNest) for node in step.stores}
    products = {
        step.node
        for step in loop.steps
        if not isinstance(step, LoopNest) and step.node.axes[:1] == (loop.axis,)
    }
    assert len(blocks) < len(stored | products)
