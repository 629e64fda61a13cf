"""The compiled steps of the estimators: loss, gradients and update for one mini-batch.

Losses and updates are those of scikit-learn's networks. They differ from `onepass.kernels` in three places:
a loss is bounded as if probabilities were clipped to [eps, 1 - eps]; the velocity of SGD contains the
learning rate; Adam adds epsilon to the root of the second moment before its bias is corrected.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..functions import (
    binary_cross_entropy_with_logits_with_grad,
    half_squared_error_with_grad,
    log_softmax,
    mlp_forward,
    mlp_forward_backward,
    multiclass_hinge_with_grad,
    sigmoid,
    softmax,
    softmax_cross_entropy_with_grad,
)
from ..kernels.arrays import Array, is_zero, namespace
from ..kernels.networks import Activation
from ..kernels.trees import tree_map
from ..user_kernels import kernel

__all__ = ["Data", "Objective", "Params", "adam_step", "loss_and_grads", "outputs", "sgd_step"]

# Weight and bias of each layer in turn, in one flat list: a call looks through fewer containers.
Params = list[Array]


class Data(NamedTuple):
    """Training data, or the rows of a mini-batch."""

    x: Array  # (N, D) real
    target: Array  # (N,) integer labels for "softmax" and "multiclass_hinge", else (N, K) real
    weight: Array | None  # (N,) real, or None for 1


class Objective(NamedTuple):
    """What is minimised: the weighted mean loss, plus alpha / 2 * sum W^2 over the sum of the weights."""

    loss: str  # a name in LOSSES
    activation: Activation  # of the hidden layers
    alpha: float
    label_smoothing: float  # for "softmax" only


def softmax_losses(scores: Array, labels: Array, label_smoothing: float) -> tuple[Array, Array]:
    """Cross-entropy of each row, (N,), and its gradient, (N, K)."""
    losses, slope = softmax_cross_entropy_with_grad(
        scores, labels, label_smoothing=label_smoothing, reduction="none"
    )
    return _bounded(losses, label_smoothing), slope


def logistic_losses(scores: Array, target: Array, label_smoothing: float) -> tuple[Array, Array]:
    """Sum of the K binary cross-entropies of each row, (N,), and its gradient, (N, K)."""
    losses, slope = binary_cross_entropy_with_logits_with_grad(scores, target, reduction="none")
    return namespace(losses).sum(_bounded(losses, label_smoothing), axis=1), slope


def hinge_losses(scores: Array, labels: Array, _: float) -> tuple[Array, Array]:
    """Multiclass hinge loss of each row, (N,), and its gradient, (N, K)."""
    losses, slope = multiclass_hinge_with_grad(scores, labels, reduction="none")
    return losses, slope


def squared_losses(scores: Array, target: Array, _: float) -> tuple[Array, Array]:
    """Half the squared error of each row, (N,), and scores - target, (N, K).

    As in scikit-learn, the loss is the mean over the K outputs, and the gradient that of the sum over them.
    """
    losses, slope = half_squared_error_with_grad(scores, target, reduction="none")
    return namespace(losses).mean(losses, axis=1), slope


def poisson_losses(scores: Array, target: Array, _: float) -> tuple[Array, Array]:
    """Half the Poisson deviance of each row, (N,), for predictions exp(scores), and its gradient, (N, K).

    sum_k y log y - y s - y + exp(s), where 0 log 0 = 0
    """
    xp = namespace(scores)
    predictions = xp.exp(scores)
    entropy = xp.where(target > 0, target * xp.log(xp.where(target > 0, target, 1.0)), 0.0)
    losses = entropy - target * scores - target + predictions
    return xp.sum(losses, axis=1), predictions - target


def _bounded(losses: Array, label_smoothing: float) -> Array:
    """Losses as if probabilities were clipped to [eps, 1 - eps], which scikit-learn does. NaN stays NaN."""
    if not is_zero(label_smoothing):
        return losses
    xp = namespace(losses)
    eps = float(xp.finfo(losses.dtype).eps)
    return xp.clip(losses, -math.log1p(-eps), -math.log(eps))


# name -> function of (scores, target, label_smoothing)
LOSSES: dict[str, Callable[[Array, Array, float], tuple[Array, Array]]] = {
    "softmax": softmax_losses,
    "logistic": logistic_losses,
    "multiclass_hinge": hinge_losses,
    "squared_error": squared_losses,
    "poisson": poisson_losses,
}

OUTPUTS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda scores: scores,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "logistic": sigmoid,
    "exp": lambda scores: namespace(scores).exp(scores),
}


@kernel
def loss_and_grads(params: Params, data: Data, objective: Objective) -> tuple[Array, Params]:
    """The objective, and its gradients in the order of `params`."""
    xp = namespace(data.x)
    x, target, weight = data
    layers = _layers(params)
    scores = mlp_forward(layers, x, activation=objective.activation)
    losses, slope = LOSSES[objective.loss](scores, target, objective.label_smoothing)
    total: Any = x.shape[0]
    if weight is not None:
        total, losses, slope = xp.sum(weight), weight * losses, weight[:, None] * slope
    # The gradient with respect to x, which is not used, is not computed.
    grads, _ = mlp_forward_backward(slope / total, layers, x, activation=objective.activation)
    decay = objective.alpha / total
    squares = sum(xp.sum(weight * weight) for weight, _ in layers)
    penalised: Params = []
    for (weight, _), (grad_weight, grad_bias) in zip(layers, grads, strict=True):
        penalised += [grad_weight + decay * weight, grad_bias]
    return xp.sum(losses) / total + 0.5 * decay * squares, penalised


def _layers(params: Params) -> list[tuple[Array, Array]]:
    return list(zip(params[::2], params[1::2], strict=True))


@kernel(donate=("params", "velocity"))
def sgd_step(
    params: Params,
    velocity: Params,
    data: Data,
    objective: Objective,
    rate: float,
    momentum: float,
    nesterov: bool,
) -> tuple[Array, Params, Params]:
    """One step of gradient descent with (Nesterov) momentum on a mini-batch.

    v' = momentum v - rate g,  p' = p + v',  or p' = p + momentum v' - rate g with `nesterov`

    velocity: zeros like `params`, or from the previous step
    returns:  the objective before the step, new params, new velocity
    """
    loss, grads = loss_and_grads(params, data, objective)
    velocity = tree_map(lambda v, g: momentum * v - rate * g, velocity, grads)
    step = tree_map(lambda v, g: momentum * v - rate * g, velocity, grads) if nesterov else velocity
    return loss, tree_map(lambda p, s: p + s, params, step), velocity


@kernel(donate=("params", "mean", "square"))
def adam_step(
    params: Params,
    mean: Params,
    square: Params,
    data: Data,
    objective: Objective,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> tuple[Array, Params, Params, Params]:
    """One step of Adam on a mini-batch.

    m' = beta_1 m + (1 - beta_1) g,  v' = beta_2 v + (1 - beta_2) g^2
    p' = p - rate m' / (sqrt(v') + epsilon)

    mean, square: zeros like `params`, or from the previous step
    rate:         for step t, learning rate * sqrt(1 - beta_2^t) / (1 - beta_1^t)
    returns:      the objective before the step, new params, new mean, new square
    """
    xp = namespace(data.x)
    loss, grads = loss_and_grads(params, data, objective)
    mean = tree_map(lambda m, g: beta_1 * m + (1 - beta_1) * g, mean, grads)
    square = tree_map(lambda v, g: beta_2 * v + (1 - beta_2) * (g * g), square, grads)
    params = tree_map(lambda p, m, v: p - rate * m / (xp.sqrt(v) + epsilon), params, mean, square)
    return loss, params, mean, square


@kernel
def outputs(params: Params, x: Array, activation: Activation, output: str) -> Array:
    """The outputs of the network, (N, K), after the activation `output`, a name in OUTPUTS."""
    return OUTPUTS[output](mlp_forward(_layers(params), x, activation=activation))
