"""Elementwise losses: binary cross-entropy and squared error.

Predictions and targets have the same shape, which can be any shape. "mean" divides by the number of elements,
with and without weights. `_with_grad` returns the loss and its gradient. With reduction="none" that is the
gradient of the loss of each element.
"""

from __future__ import annotations

import math
from typing import Any

from .activations import sigmoid
from .arrays import Array, Scalar, namespace, weighted
from .reductions import Reduction, reduce

__all__ = [
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_with_grad",
    "binary_cross_entropy_with_logits_backward",
    "binary_cross_entropy",
    "binary_cross_entropy_with_grad",
    "binary_cross_entropy_backward",
    "mean_squared_error",
    "mean_squared_error_with_grad",
    "mean_squared_error_backward",
    "half_squared_error",
    "half_squared_error_with_grad",
    "half_squared_error_backward",
]


def binary_cross_entropy_with_logits(
    logits: Array,
    targets: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Negative log-likelihood of binary `targets` under sigmoid(`logits`).

    loss = -weight * (pos_weight * y log sigmoid(x) + (1 - y) log(1 - sigmoid(x)))

    logits:     real, any shape
    targets:    real, the shape of `logits`, 0 <= y <= 1
    weight:     real, broadcasts to that shape, or None for 1
    pos_weight: real, broadcasts to that shape, or None for 1: the weight of the positive class
    reduction:  "mean" over the elements; "sum"; "none"
    returns:    scalar, or the shape of `logits` with reduction="none"; in nats
    raises:     TypeError for dtypes (integer targets too), ValueError for shapes and options
    source:     ECE 5307, Unit 8; `torch.nn.functional.binary_cross_entropy_with_logits`
    """
    xp = namespace(logits)
    # log(1 - sigmoid(x)) = -softplus(x) and log sigmoid(x) = -softplus(-x), where
    # softplus(x) = max(x, 0) + log1p(exp(-|x|)) cannot overflow. Neither term is negative, so there is no
    # cancellation.
    tail = xp.log1p(xp.exp(-xp.abs(logits)))
    positive = weighted(xp, _times(targets, pos_weight), xp.maximum(-logits, 0.0) + tail)
    negative = weighted(xp, 1 - targets, xp.maximum(logits, 0.0) + tail)
    return _reduce(xp, positive + negative, weight, reduction)


def binary_cross_entropy_with_logits_with_grad(
    logits: Array,
    targets: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: Reduction = "mean",
) -> tuple[Array, Array]:
    """`binary_cross_entropy_with_logits` and its gradient with respect to `logits`, in their shape.

    d loss / dx = weight * ((1 - y) sigmoid(x) - pos_weight * y sigmoid(-x)): sigmoid(x) - y without weights.

    Arguments, errors and source as for `binary_cross_entropy_with_logits`.
    """
    loss = binary_cross_entropy_with_logits(
        logits, targets, weight=weight, pos_weight=pos_weight, reduction=reduction
    )
    # sigmoid(-x) instead of 1 - sigmoid(x), which loses all digits for large x.
    slope = (1 - targets) * sigmoid(logits) - _times(targets, pos_weight) * sigmoid(-logits)
    return loss, _mean_slope(slope, weight, reduction)


def binary_cross_entropy_with_logits_backward(
    grad_out: Array | Scalar,
    logits: Array,
    targets: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Vector-Jacobian product of `binary_cross_entropy_with_logits`: the gradient of `logits`.

    grad_out: scalar, or the shape of `logits` with reduction="none"; the rest as for the loss.
    """
    _, grad_logits = binary_cross_entropy_with_logits_with_grad(
        logits, targets, weight=weight, pos_weight=pos_weight, reduction=reduction
    )
    return grad_out * grad_logits


def binary_cross_entropy(
    probs: Array, targets: Array, *, weight: Array | None = None, reduction: Reduction = "mean"
) -> Array:
    """Negative log-likelihood of binary `targets` under the probabilities `probs`.

    loss = -weight * (y max(log p, -100) + (1 - y) max(log(1 - p), -100))

    The bound of -100 is PyTorch's. It keeps the loss finite for a wrong prediction of 0 or 1. If you have
    logits, use `binary_cross_entropy_with_logits`, which needs no bound.

    probs:     real, any shape, 0 <= p <= 1
    targets:   real, the shape of `probs`, 0 <= y <= 1
    weight:    real, broadcasts to that shape, or None for 1
    reduction: "mean" over the elements; "sum"; "none"
    returns:   scalar, or the shape of `probs` with reduction="none"; in nats
    raises:    TypeError for dtypes (integer targets too), ValueError for shapes and options
    source:    ECE 5307, Unit 8; `torch.nn.functional.binary_cross_entropy`
    """
    xp = namespace(probs)
    positive = targets * xp.maximum(xp.log(probs), -100.0)
    negative = (1 - targets) * xp.maximum(xp.log1p(-probs), -100.0)
    return _reduce(xp, 0.0 - (positive + negative), weight, reduction)


def binary_cross_entropy_with_grad(
    probs: Array, targets: Array, *, weight: Array | None = None, reduction: Reduction = "mean"
) -> tuple[Array, Array]:
    """`binary_cross_entropy` and its gradient with respect to `probs`, in their shape.

    d loss / dp = weight * (p - y) / max(p (1 - p), 1e-12), with PyTorch's bound on the denominator.

    Arguments, errors and source as for `binary_cross_entropy`.
    """
    xp = namespace(probs)
    loss = binary_cross_entropy(probs, targets, weight=weight, reduction=reduction)
    slope = (probs - targets) / xp.maximum(probs * (1 - probs), 1e-12)
    return loss, _mean_slope(slope, weight, reduction)


def binary_cross_entropy_backward(
    grad_out: Array | Scalar,
    probs: Array,
    targets: Array,
    *,
    weight: Array | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Vector-Jacobian product of `binary_cross_entropy`: the gradient with respect to `probs`.

    grad_out: scalar, or the shape of `probs` with reduction="none"; the rest as for the loss.
    """
    _, grad_probs = binary_cross_entropy_with_grad(probs, targets, weight=weight, reduction=reduction)
    return grad_out * grad_probs


def mean_squared_error(predictions: Array, targets: Array, *, reduction: Reduction = "mean") -> Array:
    """Squared error, without a factor 1/2: (prediction - target)^2.

    predictions: real, any shape
    targets:     real, the shape of `predictions`
    reduction:   "mean" over the elements; "sum"; "none"
    returns:     scalar, or the shape of `predictions` with reduction="none"; in squared units of the target
    raises:      TypeError for dtypes (integer targets too), ValueError for shapes and options
    source:      `torch.nn.functional.mse_loss`
    """
    xp = namespace(predictions)
    error = predictions - targets
    return _reduce(xp, error * error, None, reduction)


def mean_squared_error_with_grad(
    predictions: Array, targets: Array, *, reduction: Reduction = "mean"
) -> tuple[Array, Array]:
    """`mean_squared_error` and its gradient with respect to `predictions`: 2 (prediction - target).

    Arguments, errors and source as for `mean_squared_error`.
    """
    loss = mean_squared_error(predictions, targets, reduction=reduction)
    return loss, _mean_slope(2 * (predictions - targets), None, reduction)


def mean_squared_error_backward(
    grad_out: Array | Scalar, predictions: Array, targets: Array, *, reduction: Reduction = "mean"
) -> Array:
    """Vector-Jacobian product of `mean_squared_error`: the gradient with respect to `predictions`.

    grad_out: scalar, or the shape of `predictions` with reduction="none"; the rest as for the loss.
    """
    return grad_out * _mean_slope(2 * (predictions - targets), None, reduction)


def half_squared_error(predictions: Array, targets: Array, *, reduction: Reduction = "mean") -> Array:
    """Half the squared error: (prediction - target)^2 / 2. Its gradient has no factor 2.

    Arguments, returns and errors as for `mean_squared_error`.
    source: ITCS "Introduction to ML", Lecture 2; scikit-learn's `HalfSquaredError`
    """
    xp = namespace(predictions)
    error = predictions - targets
    return _reduce(xp, (0.5 * error) * error, None, reduction)


def half_squared_error_with_grad(
    predictions: Array, targets: Array, *, reduction: Reduction = "mean"
) -> tuple[Array, Array]:
    """`half_squared_error` and its gradient with respect to `predictions`: prediction - target.

    Arguments, errors and source as for `half_squared_error`.
    """
    loss = half_squared_error(predictions, targets, reduction=reduction)
    return loss, _mean_slope(predictions - targets, None, reduction)


def half_squared_error_backward(
    grad_out: Array | Scalar, predictions: Array, targets: Array, *, reduction: Reduction = "mean"
) -> Array:
    """Vector-Jacobian product of `half_squared_error`: the gradient with respect to `predictions`.

    grad_out: scalar, or the shape of `predictions` with reduction="none"; the rest as for the loss.
    """
    return grad_out * _mean_slope(predictions - targets, None, reduction)


def _times(values: Array, factor: Array | None) -> Array:
    return values if factor is None else factor * values


def _reduce(xp: Any, losses: Array, weight: Array | None, reduction: Reduction) -> Array:
    if weight is not None:
        losses = weighted(xp, weight, losses)
    return reduce(xp, losses, math.prod(losses.shape), reduction)


def _mean_slope(slope: Array, weight: Array | None, reduction: Reduction) -> Array:
    """The gradient of the reduced loss, given the derivative of the loss of each element."""
    if weight is not None:
        slope = weighted(namespace(slope), weight, slope)
    return slope / math.prod(slope.shape) if reduction == "mean" else slope
