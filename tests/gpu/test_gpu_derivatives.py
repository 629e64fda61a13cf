"""Derivatives of a sample of the table of functions on a GPU, against NumPy."""

from __future__ import annotations

from typing import Any

import differentiable
import numpy as np
import pytest
from differentiable import ROWS, Differentiable
from onepass.backends.common.trees import leaves, map_leaves

import onepass as op

pytestmark = pytest.mark.gpu

TOLERANCE = 1e-10  # relative to the largest element of a gradient


def on_gpu(cupy: Any, leaf: Any) -> Any:
    return cupy.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf


SAMPLE = ROWS[4::18]
# By cuSOLVER, which the host does not have.
SOLVED = [row for row in SAMPLE if row.name == "eigenvalues"]


@pytest.mark.parametrize("row", [row for row in SAMPLE if row not in SOLVED], ids=str)
def test_value_and_gradients(row: Differentiable, cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    args, derivative = row.make_args(), op.value_and_grad(row.function, argnums=row.argnums)
    with op.use_backend("numpy"):
        expected: Any = derivative(*args)
    monkeypatch.setattr(differentiable, "WEIGHTS", cupy.asarray(differentiable.WEIGHTS))
    got = derivative(*map_leaves(lambda leaf: on_gpu(cupy, leaf), args))
    for mine, theirs in zip(leaves(got), leaves(expected), strict=True):
        scale = np.max(np.abs(theirs), initial=1e-300)
        np.testing.assert_allclose(cupy.asnumpy(mine), theirs, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("row", SOLVED, ids=str)
def test_linear_algebra(row: Differentiable, cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    test_value_and_gradients(row, cupy, monkeypatch)


def test_a_training_step(cupy: Any) -> None:
    def loss(params: Any, x: Any, labels: Any) -> Any:
        (w1, b1), (w2, b2) = params
        return op.softmax_cross_entropy(np.tanh(x @ w1 + b1) @ w2 + b2, labels)

    @op.kernel
    def step(params: Any, x: Any, labels: Any) -> Any:
        value, grads = op.value_and_grad(loss)(params, x, labels)
        return value, op.sgd_step(params, grads, 0.1)

    random = np.random.default_rng(0)
    params = [(random.standard_normal((5, 8)), np.zeros(8)), (random.standard_normal((8, 3)), np.zeros(3))]
    x, labels = random.standard_normal((40, 5)), random.integers(0, 3, 40)
    with op.use_backend("numpy"):
        value, expected = step(params, x, labels)
    got_value, got = step(*map_leaves(lambda leaf: on_gpu(cupy, leaf), (params, x, labels)))
    np.testing.assert_allclose(float(got_value), value, rtol=1e-12)
    for mine, theirs in zip(leaves(got), leaves(expected), strict=True):
        np.testing.assert_allclose(mine.get(), theirs, rtol=1e-11, atol=1e-14)
