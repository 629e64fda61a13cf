"""onepass with the backend "cupy": arrays on the GPU, device time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from .. import gpu
from ..workloads import Data, Workload
from . import onepass_numpy

TITLE = "onepass cupy"
COPIES_OF_LOGITS = 0.0  # in host memory, which is the one that is checked

# CuPy reads this at its first product. It selects float32, whatever the environment says.
os.environ["CUPY_TF32"] = "0"

version = onepass_numpy.version
wait = gpu.wait
device = gpu.device
memory = gpu.PoolMemory()


def missing() -> str:
    return onepass_numpy.why_not("cupy")


def time_calls(call: Callable[[], Any], count: int, workload: Workload) -> float:
    return gpu.time_calls(gpu.CupyClock(), call, count, cold=gpu.is_cold(workload))


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    params = [(gpu.to_device(weight), gpu.to_device(bias)) for weight, bias in data.params]
    on_device = Data(gpu.to_device(data.x), gpu.to_device(data.labels), params)
    return onepass_numpy.on_backend("cupy", onepass_numpy.work(workload, on_device))
