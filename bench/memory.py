"""Memory of this process as counted by Linux. None on other systems."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident() -> int | None:
    """Bytes in use, after freed memory has been returned to the system."""
    gc.collect()
    _give_back()
    return _read(STATUS, "VmRSS")


def start_peak() -> None:
    """Reset the high-water mark."""
    # A container may forbid this. Then the mark covers the whole life of the process.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int | None:
    """The high-water mark since `start_peak`, in bytes."""
    return _read(STATUS, "VmHWM")


def page_faults() -> int:
    """The number of minor page faults of this process. 0 on systems that do not count them."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def available() -> int | None:
    """Bytes that can be allocated without swapping."""
    return _read(Path("/proc/meminfo"), "MemAvailable")


def die_first() -> None:
    """If the system runs out of memory, let it end this process and not the driver."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _read(path: Path, field: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)


def _give_back() -> None:
    with suppress(AttributeError, OSError, TypeError):  # the C library may not be glibc
        ctypes.CDLL(None).malloc_trim(0)
