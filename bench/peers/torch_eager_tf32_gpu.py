"""As torch_eager_gpu, with products in TF32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import tf32
from ..workloads import Data, Workload
from . import torch_eager_gpu

TITLE = torch_eager_gpu.TITLE + tf32.SUFFIX
COPIES_OF_LOGITS = 0.0  # in host memory, which is the one that is checked

version = torch_eager_gpu.version
missing = torch_eager_gpu.missing
wait = torch_eager_gpu.wait
device = torch_eager_gpu.device
time_calls = torch_eager_gpu.time_calls
memory = torch_eager_gpu.memory
tolerance = tf32.tolerance


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    tf32.require(workload)
    return torch_eager_gpu.prepare(workload, data, "high")
