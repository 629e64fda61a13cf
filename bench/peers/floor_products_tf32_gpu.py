"""Floor of the TF32 columns: the same matrix products in TF32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import tf32
from ..workloads import Data, Workload
from . import floor_products_gpu

TITLE = floor_products_gpu.TITLE + tf32.SUFFIX
COPIES_OF_LOGITS = 0.0  # in host memory, which is the one that is checked

version = floor_products_gpu.version
missing = floor_products_gpu.missing
wait = floor_products_gpu.wait
time_calls = floor_products_gpu.time_calls


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    tf32.require(workload)
    return floor_products_gpu.prepare(workload, data, "high")
