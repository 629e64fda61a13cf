"""Floor on a GPU: the workload's matrix products, by the cuBLAS of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import gpu_torch
from ..workloads import Data, Workload
from . import OtherWorkError, torch_eager

TITLE = "products"
COPIES_OF_LOGITS = 0.0  # of the host's memory, which is what is guarded

version = torch_eager.version
missing = gpu_torch.missing
wait = gpu_torch.wait
time_calls = gpu_torch.time_calls


def prepare(workload: Workload, data: Data, precision: gpu_torch.Precision = "highest") -> Callable[[], Any]:
    call = gpu_torch.products_of(workload, precision)
    if call is None:
        raise OtherWorkError("it has no products")
    # Small products take less time than their launches, which a graph does without.
    return gpu_torch.recorded(call) if workload.kind == "training step" else call
