"""How the losses of many rows become one number: reduction="mean", "sum" or "none", as in PyTorch."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from .arrays import Array, Scalar

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def reduce(xp: Any, losses: Array, total: Array | int, reduction: Reduction) -> Array:
    """The reduced loss.

    losses:  (N,), or any shape for elementwise losses; weights already in them
    total:   what "mean" divides by: the number of losses, or the sum of their weights
    returns: scalar, or `losses` for "none"; the mean of nothing is NaN
    """
    if reduction == "none":
        return losses
    loss = xp.sum(losses)
    return loss / total if reduction == "mean" else loss


def share(
    xp: Any, weight: Array, total: Array | int, reduction: Reduction, *, no_zeros: bool = False
) -> Array:
    """How much a loss of this weight moves the reduced loss: the factor of its gradient."""
    if reduction != "mean":
        return weight
    if no_zeros:
        return weight / total
    # What has no weight has no share, also where nothing has any and the total is 0.
    return xp.where(weight == 0, 0.0, weight / total)


def rows_first(grad_out: Array | Scalar, reduction: Reduction) -> Array | Scalar:
    """A loss's `grad_out`, ready to multiply an (N, K) gradient: (N,) becomes (N, 1)."""
    return grad_out[:, None] if reduction == "none" else grad_out
