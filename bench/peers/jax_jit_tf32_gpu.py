"""As jax_jit_gpu, with products in TF32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import tf32
from ..workloads import Data, Workload
from . import jax_jit_gpu

TITLE = jax_jit_gpu.TITLE + tf32.SUFFIX
COPIES_OF_LOGITS = 0.0  # in host memory, which is the one that is checked

version = jax_jit_gpu.version
missing = jax_jit_gpu.missing
wait = jax_jit_gpu.wait
device = jax_jit_gpu.device
time_calls = jax_jit_gpu.time_calls
memory = jax_jit_gpu.memory
tolerance = tf32.tolerance


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    tf32.require(workload)
    return jax_jit_gpu.prepare(workload, data, "tensorfloat32")
