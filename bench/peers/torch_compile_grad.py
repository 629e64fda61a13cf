"""torch.compile of user-written losses: forward and backward are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..workloads import Data, Workload
from . import torch_compile, torch_eager_grad

TITLE = torch_compile.TITLE
COPIES_OF_LOGITS = torch_compile.COPIES_OF_LOGITS

missing = torch_compile.missing
version = torch_compile.version


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    # Compiled for these sizes only, which is the fastest case. Earlier compilations are discarded.
    torch._dynamo.reset()
    compiled = torch.compile(torch_eager_grad.LOSSES[workload.title], fullgraph=True, dynamic=False)
    return torch_eager_grad.value_and_grads(workload, data, compiled)
