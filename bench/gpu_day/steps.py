"""The steps of a GPU day, the most important first."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A module of this package, which runs in its own process.

    seconds:   its time limit
    arguments: of the module
    """

    name: str
    seconds: int
    module: str
    arguments: tuple[str, ...] = ()

    def command(self) -> list[str]:
        return [sys.executable, "-m", f"bench.gpu_day.{self.module}", *self.arguments]


STEPS = (
    Step("smoke", 60, "smoke"),
    Step("tests", 165, "pytest_run", ("together",)),
    Step("use", 60, "pytest_run", ("alone",)),
    Step("times", 60, "times"),
    Step("torch", 60, "torch_times"),
    Step("bench", 240, "bench_run"),
    Step("sanitizer", 105, "sanitizer"),
    Step("ncu", 40, "nsight"),
    Step("sweep", 45, "sweep"),
)
NAMES = tuple(step.name for step in STEPS)
