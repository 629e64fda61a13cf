"""The linear layer: y = x W + b, rows first."""

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
    raises:  TypeError for integer data; ValueError where the shapes do not fit
    source:  CS231n, "Minimal Neural Network Case Study"
    """
    scores = x @ weight
    return scores if bias is None else scores + bias


def linear_backward(grad_out: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Vector-Jacobian product of `linear`.

    grad_x = grad_out @ weight.T,  grad_weight = x.T @ grad_out,  grad_bias = sum of grad_out over rows

    grad_out: (N, K) real, the gradient of a loss with respect to `linear`'s result
    x:        (N, D) real
    weight:   (D, K) real
    returns:  grad_x (N, D), grad_weight (D, K), grad_bias (K,)
    raises:   as `linear`
    source:   CS231n, "Minimal Neural Network Case Study"
    """
    grad_weight, grad_bias = linear_parameters_backward(grad_out, x)
    return grad_out @ weight.T, grad_weight, grad_bias


def linear_parameters_backward(grad_out: Array, x: Array) -> tuple[Array, Array]:
    """The part of `linear_backward` that the first layer needs: nobody asks for the data's gradient.

    grad_out: (N, K) real
    x:        (N, D) real
    returns:  grad_weight (D, K), grad_bias (K,)
    raises:   as `linear`
    """
    xp = namespace(grad_out)
    return x.T @ grad_out, xp.sum(grad_out, axis=0)
