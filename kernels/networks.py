"""Complete models: softmax classifier and multi-layer network, with loss and all gradients.

`params` is a list of layers (weight, bias): weight (D, K), bias (K,) or (1, K) or None. Gradients have the
structure of `params`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from .activations import relu, relu_backward, sigmoid, sigmoid_backward, tanh, tanh_backward
from .arrays import Array, Scalar, Tree, is_zero
from .elementwise_losses import (
    binary_cross_entropy_with_logits_with_grad,
    half_squared_error_with_grad,
    mean_squared_error_with_grad,
)
from .label_losses import multiclass_hinge_with_grad, softmax_cross_entropy_with_grad
from .linear import linear, linear_parameters_backward
from .penalties import l2_penalty, l2_penalty_backward
from .trees import rebuild

__all__ = [
    "softmax_classifier_loss_and_grads",
    "mlp_forward",
    "mlp_forward_backward",
    "mlp_loss_and_grads",
]

Activation: TypeAlias = Literal["identity", "relu", "sigmoid", "tanh"]
Loss: TypeAlias = Literal[
    "softmax_cross_entropy",
    "multiclass_hinge",
    "binary_cross_entropy_with_logits",
    "mean_squared_error",
    "half_squared_error",
]


class ActivationPair(NamedTuple):
    """An activation, and its backward function, which takes the gradient and the result of the activation."""

    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]


ACTIVATIONS: dict[str, ActivationPair] = {
    "identity": ActivationPair(lambda x: x, lambda grad_out, out: grad_out),
    "relu": ActivationPair(relu, relu_backward),
    "sigmoid": ActivationPair(sigmoid, sigmoid_backward),
    "tanh": ActivationPair(tanh, tanh_backward),
}

# name -> function of (scores, labels) that returns the mean loss and its gradient
LOSSES: dict[str, Callable[..., tuple[Array, Array]]] = {
    "softmax_cross_entropy": softmax_cross_entropy_with_grad,
    "multiclass_hinge": multiclass_hinge_with_grad,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits_with_grad,
    "mean_squared_error": mean_squared_error_with_grad,
    "half_squared_error": half_squared_error_with_grad,
}


def softmax_classifier_loss_and_grads(
    params: Tree, x: Array, labels: Array, *, l2: Scalar = 0.0
) -> tuple[Array, Tree]:
    """Loss and gradients of a linear classifier under softmax cross-entropy.

    L = mean_i cross_entropy(x_i W + b, label_i) + l2 / 2 * sum W^2

    params:  [(weight (D, K), bias (K,) or (1, K) or None)], real
    x:       (N, D) real
    labels:  (N,) integer, 0 <= label < K; or (N, K) real probabilities
    l2:      strength of the penalty on the weight, >= 0; the bias has no penalty
    returns: loss, a scalar in nats; gradients in the structure of `params`
    raises:  TypeError for dtypes, ValueError for structure, shapes and labels outside [0, K)
    source:  CS231n, "Minimal Neural Network Case Study", "Training a Softmax Classifier"
    """
    return mlp_loss_and_grads(params, x, labels, l2=l2)


def mlp_forward(params: Tree, x: Array, *, activation: Activation = "relu") -> Array:
    """Scores of a multi-layer network: linear layers with an activation after each, except the last.

    params:     [(weight, bias), ...], real; each weight has as many rows as the one before has columns
    x:          (N, D) real
    activation: "relu", "sigmoid", "tanh" or "identity", after the hidden layers; the last layer has none
    returns:    (N, K), where K is the number of columns of the last weight
    raises:     TypeError for dtypes, ValueError for structure, shapes and an unknown activation
    source:     CS231n, "Minimal Neural Network Case Study", "Training a Neural Network"
    """
    return _layers(params, x, activation)[1]


def mlp_loss_and_grads(
    params: Tree,
    x: Array,
    labels: Array,
    *,
    activation: Activation = "relu",
    loss: Loss = "softmax_cross_entropy",
    l2: Scalar = 0.0,
) -> tuple[Array, Tree]:
    """Loss and gradients of a multi-layer network of any depth, by back-propagation.

    L = mean loss(scores, labels) + l2 / 2 * sum over the layers of sum W^2

    params:     [(weight, bias), ...], real; each weight has as many rows as the one before has columns
    x:          (N, D) real
    labels:     depends on the loss: (N,) integer labels or (N, K) real probabilities for
                "softmax_cross_entropy", (N,) integer labels for "multiclass_hinge", and (N, K) real
                targets for the others
    activation: "relu", "sigmoid", "tanh" or "identity", after the hidden layers
    loss:       "softmax_cross_entropy", "multiclass_hinge", "binary_cross_entropy_with_logits",
                "mean_squared_error" or "half_squared_error", with reduction="mean"
    l2:         strength of the penalty on the weights, >= 0; biases have no penalty
    returns:    loss, a scalar; gradients in the structure of `params`
    raises:     TypeError for dtypes, ValueError for structure, shapes, labels and unknown names
    source:     CS231n, "Minimal Neural Network Case Study", "Training a Neural Network"
    """
    inputs, scores = _layers(params, x, activation)
    value, grad = LOSSES[loss](scores, labels)
    grads, _ = _backpropagated(params, inputs, grad, activation)
    if is_zero(l2):
        return value, _in_structure(params, grads)
    for weight, _ in reversed(params):
        value = value + l2_penalty(weight, l2)
    penalised = [
        (grad_weight + l2_penalty_backward(1.0, weight, l2), grad_bias)
        for (weight, _), (grad_weight, grad_bias) in zip(params, grads, strict=True)
    ]
    return value, _in_structure(params, penalised)


def mlp_forward_backward(
    grad_out: Array, params: Tree, x: Array, *, activation: Activation = "relu"
) -> tuple[Tree, Array]:
    """Vector-Jacobian product of `mlp_forward`.

    grad_out: (N, K) real, the gradient of a loss with respect to the result of `mlp_forward`
    params, x, activation, raises: as for `mlp_forward`
    returns:  gradients in the structure of `params`; grad_x (N, D)
    source:   CS231n, "Minimal Neural Network Case Study", "Training a Neural Network"
    """
    inputs, _ = _layers(params, x, activation)
    grads, grad = _backpropagated(params, inputs, grad_out, activation)
    return _in_structure(params, grads), grad @ params[0][0].T


def _backpropagated(
    params: Tree, inputs: Sequence[Array], grad: Array, activation: Activation
) -> tuple[list[tuple[Array, Array | None]], Array]:
    """The gradients of each layer's weight and bias, and that with respect to the first layer's scores.

    inputs: of every layer
    grad:   the gradient with respect to the last layer's scores
    """
    backward = ACTIVATIONS[activation].backward
    grads: list[tuple[Array, Array | None]] = []
    for layer in reversed(range(len(params))):
        weight, bias = params[layer]
        grad_weight, grad_bias = linear_parameters_backward(grad, inputs[layer])
        grads.append((grad_weight, _bias_grad(grad_bias, bias)))
        if layer > 0:  # the first layer needs no gradient with respect to the data
            grad = backward(grad @ weight.T, inputs[layer])
    return grads[::-1], grad


def _layers(params: Sequence[Any], x: Array, activation: Activation) -> tuple[list[Array], Array]:
    """The input of every layer, and the scores of the last layer."""
    inputs = [x]
    for weight, bias in params[:-1]:
        inputs.append(ACTIVATIONS[activation].forward(linear(inputs[-1], weight, bias)))
    weight, bias = params[-1]
    return inputs, linear(inputs[-1], weight, bias)


def _in_structure(params: Tree, pairs: Iterable[tuple[Array, Array | None]]) -> Tree:
    """A pair for each layer, in the structure of `params`."""
    return rebuild(params, (rebuild(layer, pair) for layer, pair in zip(params, pairs, strict=True)))


def _bias_grad(grad_bias: Array, bias: Array | None) -> Array | None:
    """The (K,) gradient in the shape of the bias, (K,) or (1, K); None without a bias."""
    if bias is None or bias.ndim == 1:
        return None if bias is None else grad_bias
    return grad_bias[None, :]
