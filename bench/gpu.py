"""Timing on a GPU through CuPy. Nobody has run this file on a device yet."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

# More than the last-level cache of any GPU: writing it puts everything else out.
FLUSH_BYTES = 256 << 20


def _cupy() -> Any:
    return importlib.import_module("cupy")


def to_device(array: Any) -> Any:
    return _cupy().asarray(array)


def finished(result: Any) -> Any:
    """`result`, once the device has computed it."""
    _cupy().cuda.get_current_stream().synchronize()
    return result


def time_calls(call: Callable[[], Any], count: int) -> float:
    """Seconds that `count` calls took on the device, by events, each call with a cold cache.

    A call that waits for the device, as a peer's does, waits inside its own pair of events: the time of the
    host that the device spends idle counts, as it does for a user who looks at the loss of every step.
    """
    cupy = _cupy()
    flush = cupy.empty(FLUSH_BYTES, cupy.uint8)
    pairs = [(cupy.cuda.Event(), cupy.cuda.Event()) for _ in range(count)]
    for start, end in pairs:
        flush.fill(0)
        start.record()
        call()
        end.record()
    pairs[-1][1].synchronize()
    milliseconds: float = sum(cupy.cuda.get_elapsed_time(start, end) for start, end in pairs)
    return milliseconds / 1e3
