"""PyTorch, operation by operation, with autograd and in-place updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from ..workloads import LEARNING_RATES, Data, Workload

TITLE = "PyTorch eager"
COPIES_OF_LOGITS = 3.2  # logits, log-probabilities, a gradient


def missing() -> str:
    return ""


def version() -> str:
    return str(torch.__version__)


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    if workload.kind == "training step":
        return TrainingStep(workload, data, network_loss(workload))
    return loss_and_grads(workload, data, head_loss if workload.kind == "linear head" else cross_entropy)


def cross_entropy(inputs: list[Any], labels: Any) -> Any:
    return functional.cross_entropy(inputs[0], labels)


def head_loss(inputs: list[Any], labels: Any) -> Any:
    return functional.cross_entropy(inputs[0] @ inputs[1], labels)


def loss_and_grads(
    workload: Workload, data: Data, loss_of: Callable[..., Any], device: str = "cpu"
) -> Callable[[], Any]:
    arrays = [data.x, *(weight for weight, _ in data.params)]
    inputs = [torch.from_numpy(array).to(device).requires_grad_() for array in arrays]
    labels = torch.from_numpy(data.labels).to(device)

    def call() -> Any:
        loss = loss_of(inputs, labels)
        return loss.detach(), *torch.autograd.grad(loss, inputs)

    return call


def network_loss(workload: Workload) -> Callable[..., Any]:
    """The loss as a function of [weight, bias, weight, bias, ...], x and labels."""
    activation = torch.sigmoid if workload.activation == "sigmoid" else torch.relu

    def loss_of(params: list[Any], x: Any, labels: Any) -> Any:
        hidden = x
        for weight, bias in zip(params[:-2:2], params[1:-2:2], strict=True):
            hidden = activation(torch.addmm(bias, hidden, weight))
        scores = torch.addmm(params[-1], hidden, params[-2])
        if workload.loss == "mean_squared_error":
            loss = functional.mse_loss(scores, labels)
        elif workload.loss == "multiclass_hinge":
            # PyTorch also divides by the number of classes.
            loss = functional.multi_margin_loss(scores, labels) * workload.classes
        else:
            loss = functional.cross_entropy(scores, labels)
        if workload.l2:
            loss = loss + 0.5 * workload.l2 * sum((weight * weight).sum() for weight in params[::2])
        return loss

    return loss_of


class TrainingStep:
    """A step, or an epoch of steps. Each call starts from the parameters and the state of the last."""

    def __init__(
        self, workload: Workload, data: Data, loss_of: Callable[..., Any], device: str = "cpu"
    ) -> None:
        self._loss_of, self._lr = loss_of, LEARNING_RATES[workload.optimizer]
        self._params = [
            torch.tensor(array, device=device).requires_grad_() for pair in data.params for array in pair
        ]
        self._batches = [
            (torch.from_numpy(x).to(device), torch.from_numpy(y).to(device))
            for x, y in data.batches(workload.rows)
        ]
        self._adam: torch.optim.Adam | None = None
        if workload.optimizer == "adam":
            self._adam = torch.optim.Adam(self._params, self._lr, fused=True, capturable=device != "cpu")

    def __call__(self) -> Any:
        params = self._params
        for x, labels in self._batches:
            loss = self._loss_of(params, x, labels)
            grads = torch.autograd.grad(loss, params)
            if self._adam is None:
                with torch.no_grad():
                    torch._foreach_add_(params, grads, alpha=-self._lr)
            else:
                for param, grad in zip(params, grads, strict=True):
                    param.grad = grad
                self._adam.step()
        return loss.detach(), list(zip(params[::2], params[1::2], strict=True))

    def restart(self, data: Data) -> None:
        """Restore the initial parameters and state, in the same memory."""
        arrays = [array for pair in data.params for array in pair]
        with torch.no_grad():
            for param, array in zip(self._params, arrays, strict=True):
                param.copy_(torch.from_numpy(array))
        for state in self._adam.state.values() if self._adam is not None else ():
            for tensor in state.values():
                tensor.zero_()
