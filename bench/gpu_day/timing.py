"""Device times by name. They are printed at once and stored in a JSON file, to which several steps add."""

from __future__ import annotations

import json
import statistics
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import gpu

WARM_UPS, COLD_CALLS, BACK_TO_BACK = 6, 11, 50
MICRO = 1e6


class Times:
    """Times of calls, measured by the events of `clock`.

    cold:         the median of single calls, each after a flush of the caches, which hides host time
    back to back: time per call of calls that follow each other without waiting
    host:         time per call that the host needs to start them
    """

    def __init__(self, path: Path, clock: gpu.Clock) -> None:
        self._path, self._clock = path, clock
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def measure(
        self,
        name: str,
        call: Callable[[], Any],
        *,
        least_bytes: int = 0,
        operations: int = 0,
        calls: int = BACK_TO_BACK,
    ) -> None:
        """Time a call. An error becomes an entry too, and does not end the run."""
        try:
            entry = self._measured(call, least_bytes, operations, calls)
        except Exception as error:
            entry = {"failed": f"{type(error).__name__}: {error}"[:300]}
            traceback.print_exc(limit=-3)
        self.found[name] = entry
        print(line(name, entry), flush=True)
        # An interrupted step keeps its results so far.
        self._path.write_text(json.dumps(self.found, indent=1))

    def _measured(
        self, call: Callable[[], Any], least_bytes: int, operations: int, calls: int
    ) -> dict[str, Any]:
        clock = self._clock
        for _ in range(WARM_UPS):
            call()
        cold = statistics.median(gpu.time_calls(clock, call, 1, cold=True) * MICRO for _ in range(COLD_CALLS))
        start, begun = clock.event(), time.perf_counter()
        for _ in range(calls):
            call()
        host = (time.perf_counter() - begun) / calls * MICRO
        back_to_back = clock.seconds(start, clock.event()) / calls * MICRO
        entry = {"cold_us": cold, "back_to_back_us": back_to_back, "host_us": host}
        if least_bytes:
            entry["TBps_cold"] = least_bytes / cold / 1e6
        if operations:
            entry["TFLOPs"] = operations / back_to_back / 1e6
        return entry


def line(name: str, entry: dict[str, Any]) -> str:
    if "failed" in entry:
        return f"{name}: FAILED {entry['failed']}"
    text = f"{name:46s} cold {entry['cold_us']:9.1f} us  back to back {entry['back_to_back_us']:9.1f}"
    text += f"  host {entry['host_us']:7.1f}"
    if "TBps_cold" in entry:
        text += f"  {entry['TBps_cold']:.2f} TB/s"
    if "TFLOPs" in entry:
        text += f"  {entry['TFLOPs']:.1f} TFLOP/s"
    return text
