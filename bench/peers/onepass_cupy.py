"""onepass on its backend "cupy": the arrays on the GPU, the clock the GPU's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import gpu
from ..workloads import Data, Workload
from . import onepass_numpy

TITLE = "onepass cupy"
COPIES_OF_LOGITS = 0.0  # of the host's memory, which is what is guarded

version = onepass_numpy.version
time_calls = gpu.time_calls


def missing() -> str:
    return onepass_numpy.why_not("cupy")


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    params = [(gpu.to_device(weight), gpu.to_device(bias)) for weight, bias in data.params]
    on_device = Data(gpu.to_device(data.x), gpu.to_device(data.labels), params)
    call = onepass_numpy.on_backend("cupy", onepass_numpy.work(workload, on_device))
    return lambda: gpu.finished(call())
