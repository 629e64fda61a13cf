"""Timing on a GPU by its own events, and its memory, through CuPy."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable
from typing import Any, Protocol

from .workloads import Workload

# Several times the last-level cache of any GPU, which has 50 MB on an H100 and up to 126 MB on Blackwell:
# writing it puts everything else out.
FLUSH_BYTES = 512 << 20


class Clock(Protocol):
    """A library's events, on the stream that its calls go to."""

    def flush(self) -> None:
        """Write FLUSH_BYTES, without waiting for it."""

    def event(self) -> Any:
        """An event, recorded now."""

    def seconds(self, start: Any, end: Any) -> float:
        """What the device took from one event to the other; waits for the second."""


def time_calls(clock: Clock, call: Callable[[], Any], count: int, *, cold: bool) -> float:
    """Seconds that `count` calls took on the device; none of them is waited for before all are queued.

    cold: each call by itself, after a flush. The host runs ahead while the device flushes, so that its time
          shows only where it is longer than that. Otherwise one call after the other, as in a training loop:
          the host's time counts where the device has to wait for it.
    """
    if not cold:
        start = clock.event()
        for _ in range(count):
            call()
        return clock.seconds(start, clock.event())
    pairs = []
    for _ in range(count):
        clock.flush()
        start = clock.event()
        call()
        pairs.append((start, clock.event()))
    # The last first: once it has happened, all have.
    return sum(clock.seconds(*pair) for pair in reversed(pairs))


def is_cold(workload: Workload) -> bool:
    """A training step finds its parameters where the step before has left them, everything else does not."""
    return workload.kind != "training step"


def _cupy() -> Any:
    return importlib.import_module("cupy")


class CupyClock:
    """Events on CuPy's current stream."""

    def __init__(self) -> None:
        self._cupy = _cupy()
        self._memory = self._cupy.empty(FLUSH_BYTES, self._cupy.uint8)

    def flush(self) -> None:
        self._memory.fill(0)

    def event(self) -> Any:
        event = self._cupy.cuda.Event()
        event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        end.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(start, end)) / 1e3


class PoolMemory:
    """CuPy's memory in the words of `memory`: what its pool holds of the device's."""

    def resident(self) -> int:
        gc.collect()
        pool = _cupy().get_default_memory_pool()
        pool.free_all_blocks()
        return int(pool.used_bytes())

    def start_peak(self) -> None:
        _cupy().get_default_memory_pool().free_all_blocks()

    def peak(self) -> int:
        """The pool keeps what was freed, so that what it holds is the most that it held."""
        return int(_cupy().get_default_memory_pool().total_bytes())


def to_device(array: Any) -> Any:
    return _cupy().asarray(array)


def wait() -> None:
    _cupy().cuda.get_current_stream().synchronize()


def finished(result: Any) -> Any:
    """`result`, once the device has computed it."""
    wait()
    return result


def device() -> str:
    """The name of the current device, and the CUDA that its driver is for."""
    runtime = _cupy().cuda.runtime
    name = runtime.getDeviceProperties(runtime.getDevice())["name"].decode()
    version = runtime.driverGetVersion()
    return f"{name}, driver for CUDA {version // 1000}.{version % 1000 // 10}"


def copy_of(total_bytes: int) -> Callable[[], None]:
    """A call that moves `total_bytes` in all: half of them read, half of them written."""
    cupy = _cupy()
    size = max(total_bytes // 2, 1)
    source, target = cupy.zeros(size, cupy.uint8), cupy.empty(size, cupy.uint8)

    def call() -> None:
        cupy.copyto(target, source)

    return call
