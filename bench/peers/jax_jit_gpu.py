"""JAX on a GPU: the whole call in one jit. JAX has no events, so times are differences of host times."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

# Set before JAX is imported. Otherwise it reserves most of the device memory, and falls back to the CPU.
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
os.environ["JAX_PLATFORMS"] = "cuda"

import jax
import jax.numpy as jnp

from .. import gpu
from ..workloads import Data, Workload
from . import OtherWorkError, jax_jit

TITLE = "JAX jit"
COPIES_OF_LOGITS = 0.0  # in host memory, which is the one that is checked

version = jax_jit.version


class DeviceMemory:
    """The interface of `bench.memory` for JAX. The peak cannot be reset, so it covers both calls."""

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
    except Exception as error:  # the plugin may fail with any exception
        why = str(error).partition("\n")[0]
        install = "pip install 'jax[cuda12]' or 'jax[cuda13]'"
        return f"JAX finds no GPU; {install}{f' ({why})' if why else ''}"
    return ""


def device() -> str:
    return str(jax.devices()[0].device_kind)


# A difference below this fraction of the measured time is within its noise.
LEAST_SHARE = 0.01

_until_ready: Any = jax.block_until_ready  # not annotated in JAX
_newest: Any = None


def prepare(workload: Workload, data: Data, precision: str = "highest") -> Callable[[], Any]:
    """precision: of float32 products; the default of JAX on a GPU is TF32"""
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
    """As `gpu.time_calls`, with host time. For cold calls the time of the flushes alone is subtracted."""
    if not gpu.is_cold(workload):
        return _seconds([call], [wait], count)
    flush = _Flush()
    both = _seconds([flush, call], [flush.wait, wait], count)
    difference = both - _seconds([flush], [flush.wait], count)
    if difference < LEAST_SHARE * both:
        raise OtherWorkError("is too fast for the clock of the host; JAX has no events")
    return difference


def _seconds(calls: list[Callable[[], Any]], waits: list[Callable[[], None]], count: int) -> float:
    """Host time of `count` rounds of all calls, including the wait for the last."""
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
    """Reads and writes FLUSH_BYTES. JAX runs the work of one process in the order in which it is queued."""

    def __init__(self) -> None:
        self._step = jax.jit(lambda a: a + 1, donate_argnums=0)
        self._memory = jnp.zeros(gpu.FLUSH_BYTES // 4, jnp.float32)

    def __call__(self) -> None:
        self._memory = self._step(self._memory)

    def wait(self) -> None:
        _until_ready(self._memory)
