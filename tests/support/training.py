"""One step of training a network, which many tests run."""

from __future__ import annotations

from typing import Any

import onepass as op


def train_step(params: Any, x: Any, labels: Any, lr: float) -> Any:
    """One step of gradient descent."""
    loss, grads = op.mlp_loss_and_grads(params, x, labels, l2=1e-3)
    return loss, op.sgd_step(params, grads, lr)
