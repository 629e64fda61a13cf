"""Kernels that the tests on a GPU run, and their arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

import onepass as op
from onepass import kernels


@op.kernel(donate="params")
def step(params: Any, x: Any, labels: Any, lr: Any) -> Any:
    loss, grads = op.mlp_loss_and_grads(params, x, labels, activation="sigmoid")
    return loss, op.sgd_step(params, grads, lr)


@op.kernel
def head(x: Any, weight: Any, labels: Any) -> Any:
    loss, grad_logits = op.softmax_cross_entropy_with_grad(op.linear(x, weight), labels)
    return loss, grad_logits @ weight.T, x.T @ grad_logits


def network(rows: int = 300, seed: int = 0) -> Any:
    """Params, x and labels of a small network in NumPy's float64."""
    random = np.random.default_rng(seed)
    widths = [(2, 100), (100, 3)]
    params = [(random.standard_normal((d, k)), random.standard_normal(k)) for d, k in widths]
    return params, random.standard_normal((rows, 2)), random.integers(0, 3, rows)


def plain_step(params: Any, x: Any, labels: Any, lr: float) -> Any:
    """The step from the formulas, in NumPy."""
    loss, grads = kernels.mlp_loss_and_grads(params, x, labels, activation="sigmoid")
    return loss, kernels.sgd_step(params, grads, lr)
