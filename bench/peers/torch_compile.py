"""torch.compile of the loss: forward and backward are compiled. Updates as in PyTorch eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..workloads import Data, Workload
from . import torch_eager

TITLE = "torch.compile"
COPIES_OF_LOGITS = 1.5

missing = torch_eager.missing
version = torch_eager.version


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    # Compiled for these sizes only, which is the fastest case. Earlier compilations are discarded.
    torch._dynamo.reset()
    if workload.kind == "training step":
        loss_of = torch_eager.network_loss(workload)
        compiled = torch.compile(loss_of, fullgraph=True, dynamic=False)
        return torch_eager.TrainingStep(workload, data, compiled)
    loss_of = torch_eager.head_loss if workload.kind == "linear head" else torch_eager.cross_entropy
    compiled = torch.compile(loss_of, fullgraph=True, dynamic=False)
    return torch_eager.loss_and_grads(workload, data, compiled)
