"""Keep idle processors from sleeping while peers are timed.

A processor that has nothing to do sleeps, and a virtual one hands itself back to its host: it takes tens of
microseconds to wake up. Libraries that hand work from thread to thread several times in a call, such as JAX,
then measure the machine: in a loop of small calls no processor is ever asleep for as long as between the
turns of a benchmark. So a process for each processor does nothing, at the lowest priority there is
(SCHED_IDLE), which gives way to anything else at once.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

_IDLE = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


def can_keep_awake() -> bool:
    """Whether this system has processes that run only where nothing else does."""
    return hasattr(os, "SCHED_IDLE") and hasattr(os, "sched_setaffinity")


@contextlib.contextmanager
def processors() -> Iterator[None]:
    """While the context lasts, the processors of this process do not sleep."""
    numbers = sorted(os.sched_getaffinity(0)) if can_keep_awake() else []
    idle = [subprocess.Popen([sys.executable, "-S", "-c", _IDLE, str(number)]) for number in numbers]
    try:
        yield
    finally:
        for process in idle:
            process.kill()
            process.wait()
