"""The reduction of the losses of many rows to one number: "mean", "sum" or "none", as in PyTorch."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from .arrays import Array, Scalar

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def reduce(xp: Any, losses: Array, total: Array | int, reduction: Reduction) -> Array:
    """The reduced loss.

    losses:  (N,), or any shape for elementwise losses; already weighted
    total:   the divisor of "mean": the number of losses, or the sum of their weights
    returns: scalar, or `losses` for "none"; the mean of an empty array is NaN
    """
    if reduction == "none":
        return losses
    loss = xp.sum(losses)
    return loss / total if reduction == "mean" else loss


def reduced_weight(
    xp: Any, weight: Array, total: Array | int, reduction: Reduction, *, no_zeros: bool = False
) -> Array:
    """The derivative of the reduced loss with respect to a loss that has this weight.

    no_zeros: whether no weight is known to be 0
    """
    if reduction != "mean":
        return weight
    if no_zeros:
        return weight / total
    # A weight of 0 gives 0, even if all weights are 0 and the total is 0.
    return xp.where(weight == 0, 0.0, weight / total)


def rows_first(grad_out: Array | Scalar, reduction: Reduction) -> Array | Scalar:
    """`grad_out` in a shape that broadcasts against an (N, K) gradient: (N,) becomes (N, 1)."""
    return grad_out[:, None] if reduction == "none" else grad_out
