"""Floor on a GPU: the matrix products of the workload in PyTorch's cuBLAS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import gpu_torch
from ..workloads import Data, Workload
from . import OtherWorkError, torch_eager

TITLE = "products"
COPIES_OF_LOGITS = 0.0  # in host memory, which is the one that is checked

version = torch_eager.version
missing = gpu_torch.missing
wait = gpu_torch.wait
time_calls = gpu_torch.time_calls


def prepare(workload: Workload, data: Data, precision: gpu_torch.Precision = "highest") -> Callable[[], Any]:
    call = gpu_torch.products_of(workload, precision)
    if call is None:
        raise OtherWorkError("it has no products")
    # The launch of a small product takes longer than the product. A graph has a single launch.
    return gpu_torch.recorded(call) if workload.kind == "training step" else call
