"""NumPy by hand: the code of the course notes, line by line (CS231n, "Minimal Neural Network Case Study").

Like the notes, it does not subtract the row maximum. This is faster, but overflows for large scores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..workloads import LEARNING_RATES, Data, Workload

TITLE = "NumPy by hand"
COPIES_OF_LOGITS = 3.0  # scores, their exponentials, probabilities


def missing() -> str:
    return ""


def version() -> str:
    return np.__version__


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    if workload.kind == "cross-entropy":
        return lambda: cross_entropy(data.x, data.labels)
    if workload.kind == "linear head":
        return lambda: head(data.x, data.params[0][0], data.labels)
    return training_step(workload, data)


def cross_entropy(scores: Any, y: Any) -> tuple[Any, Any]:
    num_examples = scores.shape[0]
    exp_scores = np.exp(scores)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    correct_logprobs = -np.log(probs[range(num_examples), y])
    loss = np.sum(correct_logprobs) / num_examples
    dscores = probs
    dscores[range(num_examples), y] -= 1
    dscores /= num_examples
    return loss, dscores


def hinge(scores: Any, y: Any) -> tuple[Any, Any]:
    num_examples = scores.shape[0]
    margins = np.maximum(0, scores - scores[range(num_examples), y][:, None] + 1)
    margins[range(num_examples), y] = 0
    loss = np.sum(margins) / num_examples
    dscores = (margins > 0).astype(scores.dtype)
    dscores[range(num_examples), y] -= np.sum(dscores, axis=1)
    dscores /= num_examples
    return loss, dscores


def squared_error(scores: Any, targets: Any) -> tuple[Any, Any]:
    error = scores - targets
    return np.sum(error * error) / error.size, 2 * error / error.size


def head(x: Any, weight: Any, y: Any) -> tuple[Any, Any, Any]:
    loss, dscores = cross_entropy(np.dot(x, weight), y)
    return loss, np.dot(dscores, weight.T), np.dot(x.T, dscores)


LOSSES = {
    "softmax_cross_entropy": cross_entropy,
    "multiclass_hinge": hinge,
    "mean_squared_error": squared_error,
}


def training_step(workload: Workload, data: Data) -> Callable[[], Any]:
    """The loop body of the notes, for any number of layers."""
    weights = [weight.copy() for weight, _ in data.params]
    biases = [bias.reshape(1, -1).copy() for _, bias in data.params]
    batches = data.batches(workload.rows)
    reg, step_size = workload.l2, LEARNING_RATES[workload.optimizer]
    sigmoid = workload.activation == "sigmoid"
    moments = [[np.zeros_like(p), np.zeros_like(p)] for p in weights + biases]
    steps = 0

    def adam(grads: list[Any]) -> None:
        nonlocal steps
        steps += 1
        for p, g, moment in zip(weights + biases, grads, moments, strict=True):
            moment[0] = 0.9 * moment[0] + 0.1 * g
            moment[1] = 0.999 * moment[1] + 0.001 * (g * g)
            mean, square = moment[0] / (1 - 0.9**steps), moment[1] / (1 - 0.999**steps)
            p += -step_size * mean / (np.sqrt(square) + 1e-8)

    def one_batch(x: Any, y: Any) -> Any:
        layers = [x]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            scores = np.dot(layers[-1], weight) + bias
            layers.append(1 / (1 + np.exp(-scores)) if sigmoid else np.maximum(0, scores))
        scores = np.dot(layers[-1], weights[-1]) + biases[-1]
        loss, dhidden = LOSSES[workload.loss](scores, y)
        if reg:
            loss = loss + sum(0.5 * reg * np.sum(weight * weight) for weight in weights)
        dweights: list[Any] = []
        dbiases: list[Any] = []
        for layer in reversed(range(len(weights))):
            dweight = np.dot(layers[layer].T, dhidden)
            if reg:
                dweight += reg * weights[layer]
            dweights.insert(0, dweight)
            dbiases.insert(0, np.sum(dhidden, axis=0, keepdims=True))
            if layer > 0:
                dhidden = np.dot(dhidden, weights[layer].T)
                if sigmoid:
                    dhidden *= layers[layer] * (1 - layers[layer])
                else:
                    dhidden[layers[layer] <= 0] = 0
        if workload.optimizer == "adam":
            adam(dweights + dbiases)
        else:
            for p, g in zip(weights + biases, dweights + dbiases, strict=True):
                p += -step_size * g
        return loss

    def call() -> Any:
        for x, y in batches:
            loss = one_batch(x, y)
        return loss, [(weight, bias[0]) for weight, bias in zip(weights, biases, strict=True)]

    return call
