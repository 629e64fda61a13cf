"""PyTorch, operation by operation, with its autograd and with updates in place."""

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
        return training_step(workload, data, network_loss(workload))
    return loss_and_grads(workload, data, head_loss if workload.kind == "linear head" else cross_entropy)


def cross_entropy(inputs: list[Any], labels: Any) -> Any:
    return functional.cross_entropy(inputs[0], labels)


def head_loss(inputs: list[Any], labels: Any) -> Any:
    return functional.cross_entropy(inputs[0] @ inputs[1], labels)


def loss_and_grads(workload: Workload, data: Data, loss_of: Callable[..., Any]) -> Callable[[], Any]:
    arrays = [data.x, *(weight for weight, _ in data.params)]
    inputs = [torch.from_numpy(array).requires_grad_() for array in arrays]
    labels = torch.from_numpy(data.labels)

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
            # PyTorch divides by the classes as well.
            loss = functional.multi_margin_loss(scores, labels) * workload.classes
        else:
            loss = functional.cross_entropy(scores, labels)
        if workload.l2:
            loss = loss + 0.5 * workload.l2 * sum((weight * weight).sum() for weight in params[::2])
        return loss

    return loss_of


def training_step(workload: Workload, data: Data, loss_of: Callable[..., Any]) -> Callable[[], Any]:
    params = [torch.tensor(array).requires_grad_() for pair in data.params for array in pair]
    batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in data.batches(workload.rows)]
    lr = LEARNING_RATES[workload.optimizer]
    adam = torch.optim.Adam(params, lr, fused=True) if workload.optimizer == "adam" else None

    def call() -> Any:
        for x, labels in batches:
            loss = loss_of(params, x, labels)
            grads = torch.autograd.grad(loss, params)
            if adam is None:
                with torch.no_grad():
                    torch._foreach_add_(params, grads, alpha=-lr)
            else:
                for param, grad in zip(params, grads, strict=True):
                    param.grad = grad
                adam.step()
        return loss.detach(), list(zip(params[::2], params[1::2], strict=True))

    return call
