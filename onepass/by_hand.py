"""What people write by hand with NumPy: the code that `python -m onepass bench` compares with.

As in `kernels/`, the row maximum is subtracted before the exponentials. Temporaries are reused where a line
allows it.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def cross_entropy(scores: Any, labels: Any) -> tuple[Any, Any]:
    """The mean cross-entropy of scores (N, K) and labels (N,), and its gradient (N, K)."""
    rows = np.arange(len(scores))
    shifted = scores - scores.max(axis=1, keepdims=True)
    at_label = shifted[rows, labels]
    probs = np.exp(shifted, out=shifted)
    total = probs.sum(axis=1, keepdims=True)
    loss = (np.log(total[:, 0]) - at_label).mean()
    probs /= total
    probs[rows, labels] -= 1
    probs /= len(scores)
    return loss, probs


def head(x: Any, weight: Any, labels: Any) -> tuple[Any, Any, Any]:
    """The loss of x (N, D) @ weight (D, K), and the gradients of both."""
    loss, grad = cross_entropy(x @ weight, labels)
    return loss, grad @ weight.T, x.T @ grad


def train_step(params: list[tuple[Any, Any]], x: Any, labels: Any, lr: float) -> tuple[Any, Any]:
    """A step of gradient descent of a network with ReLU, in place; returns the loss and `params`."""
    layers = [x]
    for weight, bias in params[:-1]:
        scores = layers[-1] @ weight
        scores += bias
        layers.append(np.maximum(scores, 0, out=scores))
    weight, bias = params[-1]
    loss, grad = cross_entropy(layers[-1] @ weight + bias, labels)
    for number in reversed(range(len(params))):
        weight, bias = params[number]
        grad_weight, grad_bias = layers[number].T @ grad, grad.sum(axis=0)
        if number:
            grad = grad @ weight.T
            grad[layers[number] <= 0] = 0
        weight -= lr * grad_weight
        bias -= lr * grad_bias
    return loss, params
