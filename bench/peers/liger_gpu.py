"""Liger's Triton kernels as their users call them: cross-entropy, and linear head without stored logits."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import torch
from liger_kernel.transformers.functional import liger_cross_entropy, liger_fused_linear_cross_entropy

from .. import gpu_torch
from ..workloads import Data, Workload
from . import OtherWorkError, torch_eager_gpu

TITLE = "Liger"
COPIES_OF_LOGITS = 0.0  # in host memory, which is the one that is checked

missing = gpu_torch.missing_for_compile
wait = gpu_torch.wait
device = gpu_torch.device
time_calls = gpu_torch.time_calls
memory = torch_eager_gpu.memory


def version() -> str:
    return importlib.metadata.version("liger-kernel")


def prepare(workload: Workload, data: Data, precision: gpu_torch.Precision = "highest") -> Callable[[], Any]:
    gpu_torch.multiply_in(precision)
    if workload.dtype != "float32" or workload.kind == "training step":
        raise OtherWorkError("it has only cross-entropies and heads in float32")
    labels = torch.from_numpy(data.labels).to(gpu_torch.DEVICE)
    if workload.kind == "cross-entropy":
        return CrossEntropy(data.x, labels)
    x = torch.from_numpy(data.x).to(gpu_torch.DEVICE).requires_grad_()
    # Liger's weight has the layout of torch.nn.Linear, (K, D).
    weight = torch.from_numpy(data.params[0][0]).to(gpu_torch.DEVICE).T.contiguous().requires_grad_()

    def call() -> Any:
        loss = liger_fused_linear_cross_entropy(x, weight, labels)
        grad_x, grad_weight = torch.autograd.grad(loss, (x, weight))
        return loss.detach(), grad_x, grad_weight.T

    return call


class CrossEntropy:
    """Overwrites the logits with the gradient. In training code they are not needed again."""

    def __init__(self, logits: Any, labels: Any) -> None:
        self._given = torch.from_numpy(logits)
        self._logits = torch.tensor(logits, device=gpu_torch.DEVICE).requires_grad_()
        self._labels = labels

    def __call__(self) -> Any:
        loss = liger_cross_entropy(self._logits, self._labels)
        return loss.detach(), *torch.autograd.grad(loss, self._logits)

    def restore(self) -> None:
        with torch.no_grad():
            self._logits.copy_(self._given)
