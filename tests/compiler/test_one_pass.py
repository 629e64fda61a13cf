"""What is fused although elements move: concat, slices, embeddings, reshapes, more than two dimensions.

The values are those of NumPy; the plan has as many loops over rows, and its nests as many parts, as needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from onepass.backends.codegen.lower import lower
from onepass.backends.codegen.plan import Plan
from onepass.backends.cpu.target import CPU
from onepass.backends.ir.nest import LoopNest, MatMul
from same_results import assert_same

import onepass as op

random = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return random.standard_normal(shape)


def plan_of(function: Callable[..., Any], *args: Any) -> Plan:
    """The plan of one program for the whole call, whose values are checked."""
    with np.errstate(all="ignore"):
        expected = function(*args)
    with op.use_backend("numba"):
        assert_same(op.kernel(function)(*args), expected, 1e-12)
    return lower(function, "kernel", args, {}, target=CPU).plan


def shape_of(plan: Plan) -> list[list[str]]:
    """By stage, the steps of its block loops."""
    return [
        ["product" if isinstance(step, MatMul) else "nest" for loop in stage.loops for step in loop.steps]
        for stage in plan.stages
    ]


def joined_head(x: Any, h: Any, weight: Any) -> Any:
    return np.tanh(np.concatenate([x, h], axis=1) @ weight)


def embedding_head(table: Any, ids: Any, weight: Any) -> Any:
    scores = table[ids] @ weight
    return np.exp(scores - scores.max(axis=1, keepdims=True))


def lstm(x: Any, h: Any, c: Any, weight: Any, bias: Any) -> Any:
    gates = np.concatenate([x, h], axis=1) @ weight + bias
    n = h.shape[1]
    i, f, o = (1 / (1 + np.exp(-gates[:, k * n : (k + 1) * n])) for k in range(3))
    c = f * c + i * np.tanh(gates[:, 3 * n :])
    return o * np.tanh(c), c


def block_of_a_transformer(x: Any, w1: Any, b1: Any, w2: Any) -> Any:
    hidden = x @ w1 + b1
    return x + np.maximum(hidden, 0) @ w2


def masked_softmax(scores: Any, mask: Any) -> Any:
    scores = np.where(mask, scores, -np.inf)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


def course_gradient(scores: Any, labels: Any) -> Any:
    probs = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    probs /= np.sum(probs, axis=1, keepdims=True)
    loss = -np.log(probs[range(len(labels)), labels]).mean()
    probs[range(len(labels)), labels] -= 1
    return loss, probs / len(labels)


def temporal_softmax(x: Any, weight: Any, bias: Any, labels: Any) -> Any:
    n, t, d = x.shape
    scores = x.reshape(n * t, d) @ weight + bias
    probs = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    probs /= np.sum(probs, axis=1, keepdims=True)
    flat = labels.reshape(n * t)
    loss = -np.sum(np.log(probs[np.arange(n * t), flat])) / n
    probs[np.arange(n * t), flat] -= 1
    grad = (probs / n).reshape(n, t, -1)
    return loss, x.reshape(n * t, d).T @ grad.reshape(n * t, -1), grad.sum(axis=(0, 1))


def heat(u: Any) -> Any:
    new = u * 1
    inside = u[1:-1, 1:-1]
    around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
    new[1:-1, 1:-1] = inside + 0.1 * (around - 4 * inside)
    return new


HIDDEN = normal(40, 9)
ONE_PASS = {
    joined_head: (normal(40, 7), HIDDEN, normal(16, 5)),
    embedding_head: (normal(11, 6), random.integers(0, 11, 40), normal(6, 50)),
    lstm: (normal(40, 7), HIDDEN, normal(40, 9), normal(16, 36), normal(36)),
    block_of_a_transformer: (normal(4, 10, 6), normal(6, 50), normal(50), normal(50, 6)),
    masked_softmax: (normal(3, 8, 40), np.tril(np.ones((8, 40), bool))),
    course_gradient: (normal(40, 50), random.integers(0, 50, 40)),
    temporal_softmax: (normal(4, 10, 6), normal(6, 50), normal(50), random.integers(0, 50, (4, 10))),
    heat: (normal(40, 50),),
}
STEPS = {
    joined_head: [["nest", "product", "nest"]],
    embedding_head: [["nest", "product", "nest"]],
    lstm: [["nest", "product", "nest"]],
    block_of_a_transformer: [["product", "nest", "product", "nest"]],
    masked_softmax: [["nest"]],
    course_gradient: [["nest"]],
    temporal_softmax: [["product", "nest", "product"]],
    # The new values cost more than to be computed at another index again.
    heat: [["nest"], ["nest"]],
}


@pytest.mark.parametrize("function", ONE_PASS, ids=lambda function: function.__name__)
def test_the_rows_are_gone_over_as_often_as_they_have_to(function: Callable[..., Any]) -> None:
    plan = plan_of(function, *ONE_PASS[function])
    assert shape_of(plan) == STEPS[function]


def test_a_loop_is_split_where_arrays_meet() -> None:
    """Each part of the loop loads from one array only, without a test of the position."""
    plan = plan_of(joined_head, *ONE_PASS[joined_head][:2], normal(16, 5))
    (loop,) = plan.loops
    nest = loop.steps[0]
    assert isinstance(nest, LoopNest)
    # Short rows are computed in tiles, where a test is cheaper than a loop.
    wide = plan_of(joined_head, normal(40, 60), normal(40, 70), normal(130, 5))
    nest = wide.loops[0].steps[0]
    assert isinstance(nest, LoopNest)
    source = op.explain(joined_head, normal(40, 60), normal(40, 70), normal(130, 5)).source
    first, second = source.split("for column in range(")[1:3]
    assert ("x0[" in first, "x1[" in first) == (True, False)
    assert ("x0[" in second, "x1[" in second) == (False, True)
    assert "select" not in first + second.split("def ")[0]


def test_slices_of_other_lengths_need_no_other_program() -> None:
    def parts(x: Any, n: int) -> Any:
        return x[:, :n] * 2, x[:, n:] + 1

    sources = {op.explain(lambda x, n=n: parts(x, n), normal(40, 80)).source for n in (33, 35, 40)}
    assert len(sources) == 1


def test_an_index_array_from_outside_is_read_anew() -> None:
    """One that the function makes is a constant; np.arange(n) is the position of the row."""
    rows = np.arange(4)
    kernel = op.kernel(lambda x, labels: x[rows, labels] * 1)
    x, labels = normal(4, 3), np.array([0, 2, 1, 1])
    with op.use_backend("numba"):
        np.testing.assert_array_equal(kernel(x, labels), x[rows, labels])
        rows[:] = [3, 1, 2, 2]
        np.testing.assert_array_equal(kernel(x, labels), x[rows, labels])


def test_a_reduction_of_the_middle_axis() -> None:
    def middle(x: Any) -> Any:
        xp = array_namespace(x)
        return xp.sum(x, axis=1), xp.max(x, axis=(0, 2)), xp.mean(x, axis=(0, 1))

    plan_of(middle, normal(5, 6, 7))
    plan_of(middle, normal(3, 300, 40))
