"""Activations and their gradients.

Each backward function takes the result of the activation, which training code has kept, instead of the input.
"""

from __future__ import annotations

from .arrays import Array, namespace

__all__ = [
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "tanh",
    "tanh_backward",
    "softmax",
    "softmax_backward",
    "log_softmax",
    "log_softmax_backward",
]


def relu(x: Array) -> Array:
    """Rectified linear unit: max(x, 0).

    x:       real, any shape
    returns: the shape of `x`; NaN where `x` is NaN
    raises:  TypeError for integer data
    source:  CS231n, "Minimal Neural Network Case Study"; `torch.nn.functional.relu`
    """
    xp = namespace(x)
    return xp.maximum(x, 0.0)


def relu_backward(grad_out: Array, out: Array) -> Array:
    """Vector-Jacobian product of `relu`: grad_out times the mask out > 0. The gradient at the kink is 0.

    grad_out: real, finite, the shape of `out` (an infinite gradient becomes NaN if the mask is 0)
    out:      `relu(x)`
    returns:  the shape of `out`
    raises:   TypeError for integer data; ValueError if the shapes differ
    """
    xp = namespace(out)
    # A product is used instead of `where`: with the irregular mask of a hidden layer, NumPy's `where` takes
    # five times as long.
    return grad_out * xp.astype(out > 0, out.dtype)


def sigmoid(x: Array) -> Array:
    """Logistic sigmoid: 1 / (1 + exp(-x)).

    x:       real, any shape
    returns: the shape of `x`, in [0, 1]
    raises:  TypeError for integer data
    source:  ECE 5307, Unit 8; `torch.sigmoid`
    """
    xp = namespace(x)
    # exp(-|x|) cannot overflow. exp(-x) overflows for large negative x, and the small result is lost.
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1.0, small) / (1 + small)


def sigmoid_backward(grad_out: Array, out: Array) -> Array:
    """Vector-Jacobian product of `sigmoid`: grad_out * out * (1 - out).

    grad_out: real, the shape of `out`
    out:      `sigmoid(x)`
    returns:  the shape of `out`
    raises:   TypeError for integer data; ValueError if the shapes differ
    """
    return grad_out * out * (1 - out)


def tanh(x: Array) -> Array:
    """Hyperbolic tangent.

    x:       real, any shape
    returns: the shape of `x`, in [-1, 1]
    raises:  TypeError for integer data
    source:  ECE 5307, Unit 8; `torch.tanh`
    """
    xp = namespace(x)
    return xp.tanh(x)


def tanh_backward(grad_out: Array, out: Array) -> Array:
    """Vector-Jacobian product of `tanh`: grad_out * (1 - out^2).

    grad_out: real, the shape of `out`
    out:      `tanh(x)`
    returns:  the shape of `out`
    raises:   TypeError for integer data; ValueError if the shapes differ
    """
    # The factored form is accurate if out is near 1; 1 - out^2 cancels.
    return grad_out * ((1 - out) * (1 + out))


def shifted_exponentials(logits: Array, axis: int = -1) -> tuple[Array, Array, Array]:
    """The terms common to softmax, log-softmax and cross-entropy: z - max z, its exponentials and their sum.

    logits:  real, at least one dimension
    returns: shifted and exp(shifted), the shape of `logits`; the sum of exp(shifted), with `axis` of length 1
    raises:  TypeError for integer data
    """
    xp = namespace(logits)
    # Subtracting the maximum changes no ratio of exponentials. It keeps exp from overflowing, and at least
    # one term of the sum is 1.
    shifted = logits - xp.max(logits, axis=axis, keepdims=True)
    exponentials = xp.exp(shifted)
    return shifted, exponentials, xp.sum(exponentials, axis=axis, keepdims=True)


def softmax(x: Array, *, axis: int = -1) -> Array:
    """Probabilities proportional to exp(x) along `axis`.

    p_k = exp(x_k) / sum_j exp(x_j)

    x:       real, at least one dimension; usually logits (N, K)
    axis:    the dimension of the classes
    returns: the shape of `x`, in [0, 1]; sums to 1 along `axis`
    raises:  TypeError for integer data; ValueError if `x` has no such `axis`
    source:  CS231n, "Minimal Neural Network Case Study"; `torch.softmax`
    """
    _, exponentials, total = shifted_exponentials(x, axis)
    return exponentials / total


def softmax_backward(grad_out: Array, out: Array, *, axis: int = -1) -> Array:
    """Vector-Jacobian product of `softmax`: out * (grad_out - sum_j grad_out_j out_j).

    grad_out: real, the shape of `out`
    out:      `softmax(x, axis=axis)`
    returns:  the shape of `out`
    raises:   TypeError for integer data; ValueError if the shapes differ
    """
    xp = namespace(grad_out)
    return out * (grad_out - xp.sum(grad_out * out, axis=axis, keepdims=True))


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """Logarithm of `softmax`, accurate even if the probability underflows to 0.

    log p_k = x_k - log sum_j exp(x_j)

    x:       real, at least one dimension; usually logits (N, K)
    axis:    the dimension of the classes
    returns: the shape of `x`, at most 0, in nats
    raises:  TypeError for integer data; ValueError if `x` has no such `axis`
    source:  `torch.log_softmax`
    """
    xp = namespace(x)
    shifted, _, total = shifted_exponentials(x, axis)
    return shifted - xp.log(total)


def log_softmax_backward(grad_out: Array, out: Array, *, axis: int = -1) -> Array:
    """Vector-Jacobian product of `log_softmax`: grad_out - exp(out) * sum_j grad_out_j.

    grad_out: real, the shape of `out`
    out:      `log_softmax(x, axis=axis)`
    returns:  the shape of `out`
    raises:   TypeError for integer data; ValueError if the shapes differ
    """
    xp = namespace(grad_out)
    return grad_out - xp.exp(out) * xp.sum(grad_out, axis=axis, keepdims=True)
