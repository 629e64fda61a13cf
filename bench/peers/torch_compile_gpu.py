"""torch.compile on a GPU: the loss is compiled, and the whole call is one CUDA graph, except for heads.

The graph is recorded by hand. mode="reduce-overhead" would copy the data into its own memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .. import gpu_torch
from ..workloads import Data, Workload
from . import torch_eager, torch_eager_gpu

TITLE = "torch.compile"
COPIES_OF_LOGITS = 0.0  # in host memory, which is the one that is checked

version = torch_eager.version
missing = gpu_torch.missing_for_compile
wait = gpu_torch.wait
device = gpu_torch.device
time_calls = gpu_torch.time_calls
memory = torch_eager_gpu.memory


def prepare(workload: Workload, data: Data, precision: gpu_torch.Precision = "highest") -> Callable[[], Any]:
    gpu_torch.multiply_in(precision)
    # Compiled for these sizes only, which is the fastest case. Earlier compilations are discarded.
    torch._dynamo.reset()
    if workload.kind == "training step":
        step = torch_eager.TrainingStep(
            workload, data, _compiled(torch_eager.network_loss(workload)), gpu_torch.DEVICE
        )
        return gpu_torch.recorded(step, lambda: step.restart(data))
    if workload.kind == "linear head":
        # A graph saves no time here, and the allocator would not count its memory.
        return torch_eager.loss_and_grads(workload, data, _compiled(torch_eager.head_loss), gpu_torch.DEVICE)
    compiled = _compiled(torch_eager.cross_entropy)
    return gpu_torch.recorded(torch_eager.loss_and_grads(workload, data, compiled, gpu_torch.DEVICE))


def _compiled(loss_of: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = torch.compile(loss_of, fullgraph=True, dynamic=False)
    return compiled
