"""Penalties on weights, to be added to a loss."""

from __future__ import annotations

from .arrays import Array, Scalar, namespace

__all__ = [
    "l2_penalty",
    "l2_penalty_backward",
    "l1_penalty",
    "l1_penalty_backward",
]


def l2_penalty(weight: Array, strength: Scalar) -> Array:
    """Squared L2 norm of `weight`, times strength / 2.

    R = strength / 2 * sum W^2. With the factor 1/2 the gradient is strength * W.

    weight:   real, any shape
    strength: a number >= 0 (the lambda of the course notes)
    returns:  scalar
    raises:   TypeError for integer data, or a `strength` that is not a number; ValueError if < 0 or NaN
    source:   CS231n, "Minimal Neural Network Case Study"
    """
    xp = namespace(weight)
    return 0.5 * strength * xp.sum(weight * weight)


def l2_penalty_backward(grad_out: Array | Scalar, weight: Array, strength: Scalar) -> Array:
    """Vector-Jacobian product of `l2_penalty`: grad_out * strength * W.

    grad_out: scalar
    weight:   real, any shape
    strength: a number >= 0
    returns:  the shape of `weight`
    raises:   as `l2_penalty`; TypeError if `grad_out` is not a scalar
    """
    return grad_out * strength * weight


def l1_penalty(weight: Array, strength: Scalar) -> Array:
    """L1 norm of `weight`, times strength: R = strength * sum |W|.

    weight:   real, any shape
    strength: a number >= 0
    returns:  scalar
    raises:   TypeError for integer data, or a `strength` that is not a number; ValueError if < 0 or NaN
    source:   E6930, Lecture 1, "Loss Function"
    """
    xp = namespace(weight)
    return strength * xp.sum(xp.abs(weight))


def l1_penalty_backward(grad_out: Array | Scalar, weight: Array, strength: Scalar) -> Array:
    """Vector-Jacobian product of `l1_penalty`: grad_out * strength * sign(W). It is 0 at the kink W = 0.

    grad_out: scalar
    weight:   real, any shape
    strength: a number >= 0
    returns:  the shape of `weight`
    raises:   as `l1_penalty`; TypeError if `grad_out` is not a scalar
    """
    xp = namespace(weight)
    return grad_out * strength * xp.sign(weight)
