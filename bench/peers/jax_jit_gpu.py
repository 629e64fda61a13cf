"""JAX on a GPU: the whole call under jit. It has no events, so its time is a difference of the host's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

# Before JAX is imported: it takes most of the device's memory otherwise, and falls back to the processor.
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
os.environ["JAX_PLATFORMS"] = "cuda"

import jax
import jax.numpy as jnp

from .. import gpu
from ..workloads import Data, Workload
from . import OtherWorkError, jax_jit

TITLE = "JAX jit"
COPIES_OF_LOGITS = 0.0  # of the host's memory, which is what is guarded

version = jax_jit.version


class DeviceMemory:
    """JAX's memory in the words of `memory`; its peak cannot be set back, and is that of both calls."""

    def resident(self) -> int:
        return int(jax.devices()[0].memory_stats()["bytes_in_use"])

    def start_peak(self) -> None:
        pass

    def peak(self) -> int:
        return int(jax.devices()[0].memory_stats()["peak_bytes_in_use"])


memory = DeviceMemory()


def missing() -> str:
    try:
        jax.devices()
    except Exception as error:  # in whatever way its plugin fails, if there is one
        why = str(error).partition("\n")[0]
        install = "pip install 'jax[cuda12]' or 'jax[cuda13]'"
        return f"JAX finds no GPU; {install}{f' ({why})' if why else ''}"
    return ""


def device() -> str:
    return str(jax.devices()[0].device_kind)


# Less than this part of what is measured is not told from the noise of the rest.
LEAST_SHARE = 0.01

_until_ready: Any = jax.block_until_ready  # not annotated in JAX
_newest: Any = None


def prepare(workload: Workload, data: Data, precision: str = "highest") -> Callable[[], Any]:
    """precision: of products of float32; by itself JAX would take TF32 on a GPU"""
    config: Any = jax.config
    config.update("jax_default_matmul_precision", precision)
    return jax_jit.prepare(workload, data, computed=_promised)


def _promised(result: Any) -> Any:
    global _newest
    _newest = result
    return result


def wait() -> None:
    _until_ready(_newest)


def time_calls(call: Callable[[], Any], count: int, workload: Workload) -> float:
    """As `gpu.time_calls`, but by the host's clock; of cold calls, without what the flushes take alone."""
    if not gpu.is_cold(workload):
        return _seconds([call], [wait], count)
    flush = _Flush()
    both = _seconds([flush, call], [flush.wait, wait], count)
    difference = both - _seconds([flush], [flush.wait], count)
    if difference < LEAST_SHARE * both:
        raise OtherWorkError("takes too little time for the host's clock; JAX has no events")
    return difference


def _seconds(calls: list[Callable[[], Any]], waits: list[Callable[[], None]], count: int) -> float:
    """Of all calls `count` times over, and of waiting for the last."""
    for call in calls:
        call()
    for waiting in waits:
        waiting()
    start = time.perf_counter()
    for _ in range(count):
        for call in calls:
            call()
    for waiting in waits:
        waiting()
    return time.perf_counter() - start


class _Flush:
    """Reads and writes FLUSH_BYTES; JAX works off what one process queues in its order."""

    def __init__(self) -> None:
        self._step = jax.jit(lambda a: a + 1, donate_argnums=0)
        self._memory = jnp.zeros(gpu.FLUSH_BYTES // 4, jnp.float32)

    def __call__(self) -> None:
        self._memory = self._step(self._memory)

    def wait(self) -> None:
        _until_ready(self._memory)
