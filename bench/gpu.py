"""Device time by events, and device memory, through CuPy."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable
from typing import Any, Protocol

from .workloads import Workload

# Several times the last-level cache of any GPU (50 MB on an H100, up to 126 MB on Blackwell). A write of this
# size evicts everything else.
FLUSH_BYTES = 512 << 20


class Clock(Protocol):
    """The events of a library, on the stream of its calls."""

    def flush(self) -> None:
        """Write FLUSH_BYTES asynchronously."""

    def event(self) -> Any:
        """Record an event."""

    def seconds(self, start: Any, end: Any) -> float:
        """Device time between two events. Waits for the second."""


def time_calls(clock: Clock, call: Callable[[], Any], count: int, *, cold: bool) -> float:
    """Seconds of device time of `count` calls. All calls are queued before the first wait.

    cold: whether each call is timed separately, after a flush. The host runs ahead during the flush, so host
          time counts only if it is longer than that. Otherwise the calls follow each other as in a training
          loop, and host time counts if the device waits for it.
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
    # Wait for the last event first: then all others have happened.
    return sum(clock.seconds(*pair) for pair in reversed(pairs))


def is_cold(workload: Workload) -> bool:
    """Whether the caches are flushed before each call: for everything except training steps."""
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
    """The interface of `bench.memory` for CuPy: the device memory that its pool holds."""

    def resident(self) -> int:
        gc.collect()
        pool = _cupy().get_default_memory_pool()
        pool.free_all_blocks()
        return int(pool.used_bytes())

    def start_peak(self) -> None:
        _cupy().get_default_memory_pool().free_all_blocks()

    def peak(self) -> int:
        """The pool keeps freed memory, so its size is the peak."""
        return int(_cupy().get_default_memory_pool().total_bytes())


def to_device(array: Any) -> Any:
    return _cupy().asarray(array)


def wait() -> None:
    _cupy().cuda.get_current_stream().synchronize()


def finished(result: Any) -> Any:
    """`result`, after the device has computed it."""
    wait()
    return result


def device() -> str:
    """The name of the current device, and the CUDA version of its driver."""
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
