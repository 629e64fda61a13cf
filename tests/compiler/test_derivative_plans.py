"""What derived gradients cost: one pass over the rows, and memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onepass.backends.codegen.lower import lower
from onepass.backends.codegen.plan import Plan
from onepass.backends.cpu.target import CPU

import onepass as op

random = np.random.default_rng(0)
D, H, K = 24, 40, 7


def normal(*shape: int) -> Any:
    return random.standard_normal(shape, dtype=np.float32)


def network(params: Any, x: Any, labels: Any) -> Any:
    (w1, b1), (w2, b2) = params
    hidden = x @ w1 + b1
    hidden = 0.5 * hidden * (1 + np.tanh(0.7978845608 * (hidden + 0.044715 * hidden**3)))
    return op.softmax_cross_entropy(hidden @ w2 + b2, labels)


def layer_norm_and_head(params: Any, x: Any, labels: Any) -> Any:
    (scale, shift), (weight, bias) = params
    mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    scores = ((x - mean) / np.sqrt(variance + 1e-5) * scale + shift) @ weight + bias
    # Written by hand, with the constant that the gradient does not need.
    scores = scores - op.stop_gradient(np.max(scores, axis=1, keepdims=True))
    log_probs = scores - np.log(np.sum(np.exp(scores), axis=1, keepdims=True))
    return -np.mean(log_probs[np.arange(len(labels)), labels])


def focal_loss(scores: Any, labels: Any) -> Any:
    loss = op.softmax_cross_entropy(scores, labels, reduction="none")
    return np.mean((1 - np.exp(-loss)) ** 2 * loss)


def arguments(function: Callable[..., Any], rows: int) -> tuple[Any, ...]:
    labels = random.integers(0, K, rows)
    if function is focal_loss:
        return normal(rows, K), labels
    if function is network:
        return [(normal(D, H), normal(H)), (normal(H, K), normal(K))], normal(rows, D), labels
    return [(normal(D), normal(D)), (normal(D, K), normal(K))], normal(rows, D), labels


def plan_of(function: Callable[..., Any], rows: int) -> Plan:
    derivative = op.value_and_grad(function)
    return lower(derivative, "loss", arguments(function, rows), {}, target=CPU).plan


LOSSES = pytest.mark.parametrize("function", [network, layer_norm_and_head, focal_loss])


@LOSSES
def test_one_pass_over_the_rows(function: Callable[..., Any]) -> None:
    plan = plan_of(function, 4096)
    over_rows = [loop for stage in plan.stages for loop in stage.loops if loop.axis.size == 4096]
    assert len(over_rows) == 1


@LOSSES
def test_memory_does_not_grow_with_the_rows(function: Callable[..., Any]) -> None:
    few, many = (op.explain(op.value_and_grad(function), *arguments(function, n)) for n in (8192, 32768))
    assert few.bytes_held == many.bytes_held
    assert few.bytes_held < 8192 * K * 4 + (1 << 20)


def test_the_gradient_of_a_hand_written_loss_has_the_plan_of_the_library() -> None:
    def loss(params: Any, x: Any, labels: Any) -> Any:
        (w1, b1), (w2, b2) = params
        return op.softmax_cross_entropy(op.relu(x @ w1 + b1) @ w2 + b2, labels)

    args = arguments(network, 4096)
    derived, by_hand = op.explain(op.value_and_grad(loss), *args), op.explain(op.mlp_loss_and_grads, *args)
    assert derived.bytes_held == by_hand.bytes_held
    assert derived.bytes_moved == by_hand.bytes_moved
    assert derived.operations == by_hand.operations
    for mine, theirs in zip(op.value_and_grad(loss)(*args), op.mlp_loss_and_grads(*args), strict=True):
        np.testing.assert_equal(mine, theirs)  # to the bit
