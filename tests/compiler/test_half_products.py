"""In which dtypes a GPU program multiplies halves: what its plan holds, and what host execution computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from half_dtypes import HALVES, half_of
from onepass.backends.codegen.half_products import is_of_eleven_bits
from onepass.backends.codegen.lower import lower
from onepass.backends.codegen.plan import Plan
from onepass.backends.cuda.target import CUDA
from onepass.backends.ir.nest import MatMul

import onepass as op


def head(x: Any, weight: Any, labels: Any) -> Any:
    loss, grad = op.softmax_cross_entropy_with_grad(op.linear(x, weight), labels)
    return loss, grad @ weight.T, x.T @ grad


def hidden(x: Any, weight: Any) -> Any:
    return op.relu(x @ weight) @ weight.T


def product(x: Any, weight: Any) -> Any:
    return x @ weight


def plan_of(function: Any, *dtypes: str, rows: int = 40) -> Plan:
    shapes = [(rows, 8), (8, 24)]
    arrays = [np.zeros(shape, half_of(dtype)) for shape, dtype in zip(shapes, dtypes, strict=True)]
    labels = [np.zeros(rows, np.int64)] if function is head else []
    return lower(function, function.__name__, (*arrays, *labels), {}, target=CUDA).plan


def products_of(plan: Plan) -> list[MatMul]:
    inside = [step for loop in plan.loops for step in loop.steps if isinstance(step, MatMul)]
    return [*inside, *(product for stage in plan.stages for product in stage.products)]


def held(plan: Plan) -> list[tuple[str, str, str]]:
    """The dtypes in memory of both factors and the result of every product."""
    return [tuple(str(b.held) for b in (p.a, p.b, p.out)) for p in products_of(plan)]  # type: ignore[misc]


@pytest.mark.needs(name="ml_dtypes")
def test_bfloat16_is_multiplied_as_it_is_and_logits_stay_float32() -> None:
    assert held(plan_of(head, "bfloat16", "bfloat16")) == [
        ("bfloat16", "bfloat16", "float32"),  # logits
        ("bfloat16", "bfloat16", "bfloat16"),  # of all columns at once, so it may be rounded there
        ("bfloat16", "bfloat16", "float32"),  # a sum over blocks of rows, rounded at the end
    ]


@pytest.mark.needs(name="ml_dtypes")
def test_the_loss_comes_from_numbers_that_are_not_rounded() -> None:
    plan = plan_of(head, "bfloat16", "bfloat16")
    (logits, gradient) = (b for b in plan.buffers if str(b.kind) == "block")
    assert (str(logits.held), str(gradient.held)) == ("float32", "bfloat16")


def test_computed_float16_is_multiplied_in_float32_of_eleven_bits() -> None:
    plan = plan_of(hidden, "float16", "float16")
    assert held(plan) == [("float32", "float32", "float32")] * 2
    assert all(is_of_eleven_bits(p.node, plan.rounding) for p in products_of(plan))


def test_float16_arguments_are_multiplied_as_they_are() -> None:
    assert held(plan_of(product, "float16", "float16")) == [("float16", "float16", "float16")]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("function", [product, hidden])
def test_a_half_beside_float32_is_widened(function: Any, half: str) -> None:
    for dtypes in ((half, "float32"), ("float32", half)):
        plan = plan_of(function, *dtypes)
        assert set(held(plan)) == {("float32", "float32", "float32")}
        assert not any(is_of_eleven_bits(p.node, plan.rounding) for p in products_of(plan))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_floats_are_as_they_were(dtype: str) -> None:
    plan = plan_of(head, dtype, dtype)
    assert set(held(plan)) == {(dtype,) * 3}
    assert not any(is_of_eleven_bits(p.node, plan.rounding) for p in products_of(plan))


def test_float16_heads_need_no_more_than_a_block_of_logits() -> None:
    """A widened weight does not part the products of a row: no stage keeps all logits."""
    plan = plan_of(head, "float16", "float16", rows=48)
    rows = plan.loops[-1].axis if len(plan.loops[-1].steps) > 1 else plan.loops[-2].axis
    stored = [b for b in plan.buffers if str(b.kind) == "stage" and rows.find() in b.axes]
    assert stored == []
