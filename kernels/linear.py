"""The linear layer y = x W + b. The batch is the first axis."""

from __future__ import annotations

from .arrays import Array, namespace

__all__ = [
    "linear",
    "linear_backward",
]


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Scores of a linear layer.

    y = x @ weight + bias

    x:       (N, D) real
    weight:  (D, K) real; the transpose of PyTorch's `nn.Linear.weight`
    bias:    (K,) or (1, K) real, or None
    returns: (N, K)
    raises:  TypeError for integer data; ValueError if the shapes do not match
    source:  CS231n, "Minimal Neural Network Case Study"
    """
    scores = x @ weight
    return scores if bias is None else scores + bias


def linear_backward(grad_out: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Vector-Jacobian product of `linear`.

    grad_x = grad_out @ weight.T,  grad_weight = x.T @ grad_out,  grad_bias = sum of grad_out over rows

    grad_out: (N, K) real, the gradient of a loss with respect to the result of `linear`
    x:        (N, D) real
    weight:   (D, K) real
    returns:  grad_x (N, D), grad_weight (D, K), grad_bias (K,)
    raises:   as `linear`
    source:   CS231n, "Minimal Neural Network Case Study"
    """
    grad_weight, grad_bias = linear_parameters_backward(grad_out, x)
    return grad_out @ weight.T, grad_weight, grad_bias


def linear_parameters_backward(grad_out: Array, x: Array) -> tuple[Array, Array]:
    """The gradients of weight and bias alone. The first layer needs no gradient with respect to the data.

    grad_out: (N, K) real
    x:        (N, D) real
    returns:  grad_weight (D, K), grad_bias (K,)
    raises:   as `linear`
    """
    xp = namespace(grad_out)
    return x.T @ grad_out, xp.sum(grad_out, axis=0)
