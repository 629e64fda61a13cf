"""PyTorch on a GPU, operation by operation. A training step is recorded as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import gpu_torch
from ..workloads import Data, Workload
from . import torch_eager

TITLE = "PyTorch eager"
COPIES_OF_LOGITS = 0.0  # in host memory, which is the one that is checked

version = torch_eager.version
missing = gpu_torch.missing
wait = gpu_torch.wait
device = gpu_torch.device
time_calls = gpu_torch.time_calls
memory = gpu_torch.AllocatorMemory()


def prepare(workload: Workload, data: Data, precision: gpu_torch.Precision = "highest") -> Callable[[], Any]:
    gpu_torch.multiply_in(precision)
    if workload.kind == "training step":
        step = torch_eager.TrainingStep(workload, data, torch_eager.network_loss(workload), gpu_torch.DEVICE)
        return gpu_torch.recorded(step, lambda: step.restart(data))
    loss_of = torch_eager.head_loss if workload.kind == "linear head" else torch_eager.cross_entropy
    return torch_eager.loss_and_grads(workload, data, loss_of, gpu_torch.DEVICE)
