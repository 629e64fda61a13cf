"""The kernels whose plans and emitted texts are written down in the folder `plans`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import training
from array_api_compat import array_namespace

import onepass as op

random = np.random.default_rng(20261121)


def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    return random.standard_normal(shape).astype(dtype)


def network(*widths: int, dtype: str = "float32") -> list[tuple[np.ndarray, np.ndarray]]:
    return [(0.1 * normal(a, b, dtype=dtype), 0.1 * normal(b, dtype=dtype)) for a, b in pairwise(widths)]


train_step = op.kernel(training.train_step, donate="params")


@op.kernel
def linear_head(x: Any, weight: Any, labels: Any) -> Any:
    """Loss, and the gradients of both factors of the logits."""
    loss, grad_logits = op.softmax_cross_entropy_with_grad(op.linear(x, weight), labels)
    return loss, grad_logits @ weight.T, x.T @ grad_logits


@op.kernel
def focal_loss_with_grad(logits: Any, labels: Any, gamma: float) -> Any:
    """-(1 - p)^gamma log p of the label, and its gradient on the logits (Lin et al., 2017)."""
    xp = array_namespace(logits)
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    probs = xp.exp(shifted) / xp.sum(xp.exp(shifted), axis=-1, keepdims=True)
    hot = xp.arange(logits.shape[-1]) == xp.astype(labels, xp.int64)[:, None]
    p = xp.take_along_axis(probs, xp.astype(labels, xp.int64)[:, None], axis=-1)
    loss = -((1 - p) ** gamma) * xp.log(p)
    slope = gamma * (1 - p) ** (gamma - 1) * p * xp.log(p) - (1 - p) ** gamma
    return xp.mean(loss), slope * (xp.astype(hot, logits.dtype) - probs) / logits.shape[0]


@op.kernel(donate="params")
def gelu_step(params: Any, x: Any, targets: Any, lr: float) -> Any:
    """A network with a layer of GELU units (the tanh form), squared error, and its step."""
    xp = array_namespace(x)
    (w1, b1), (w2, b2) = params
    z = x @ w1 + b1
    inner = 0.7978845608 * (z + 0.044715 * z**3)
    t = xp.tanh(inner)
    error = (0.5 * z * (1 + t)) @ w2 + b2 - targets
    grad = 2 * error / error.shape[0]
    slope = 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * 0.7978845608 * (1 + 3 * 0.044715 * z * z)
    grad_z = (grad @ w2.T) * slope
    grads = [(x.T @ grad_z, xp.sum(grad_z, axis=0)), ((0.5 * z * (1 + t)).T @ grad, xp.sum(grad, axis=0))]
    return xp.sum(error * error) / error.shape[0], op.sgd_step(params, grads, lr)


@op.kernel
def huber_regression(weight: Any, x: Any, targets: Any, delta: float) -> Any:
    """Mean Huber loss of a linear model, and its gradient on the weights."""
    xp = array_namespace(x)
    error = x @ weight - targets
    clipped = xp.clip(error, -delta, delta)
    return xp.mean(clipped * (error - 0.5 * clipped)), x.T @ clipped / error.shape[0]


N = 96
labels_of = {classes: random.integers(0, classes, N) for classes in (3, 40)}
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "softmax": (op.softmax, (normal(N, 40),)),
    "softmax_cross_entropy_with_grad": (op.softmax_cross_entropy_with_grad, (normal(N, 40), labels_of[40])),
    "softmax_cross_entropy_with_grad of few classes": (
        op.softmax_cross_entropy_with_grad,
        (normal(N, 3), labels_of[3]),
    ),
    "train_step": (train_step, (network(20, 50, 40), normal(N, 20), labels_of[40], 0.1)),
    "linear_head": (linear_head, (normal(N, 20), normal(20, 40), labels_of[40])),
    "focal_loss_with_grad": (focal_loss_with_grad, (normal(N, 40), labels_of[40], 2.0)),
    "gelu_step": (gelu_step, (network(20, 50, 4), normal(N, 20), normal(N, 4), 0.1)),
    "huber_regression": (huber_regression, (normal(20), normal(N, 20), normal(N), 1.0)),
    "adam_step": (op.adam_step, ([normal(50, 40)], [normal(50, 40)], op.kernels.adam_init([normal(50, 40)]))),
}
