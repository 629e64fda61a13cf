"""Find and run NVIDIA's tools."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from . import runner
from .places import ROOT

FEW = [sys.executable, "-m", "bench.gpu_day.few"]

# Folders of the CUDA toolkit and Nsight Compute that may not be on the PATH.
FOLDERS = ("/usr/local/cuda/bin", "/opt/nvidia/nsight-compute/*")


def found(name: str) -> str | None:
    """The path of a tool, or None. If there are several versions, the newest."""
    on_path = shutil.which(name)
    if on_path:
        return on_path
    places = [path for folder in FOLDERS for path in sorted(Path("/").glob(f"{folder[1:]}/{name}"))]
    return str(places[-1]) if places else None


def run(command: Sequence[str], seconds: float) -> tuple[int, str]:
    """Exit status and output of a tool. At its time limit it is interrupted and may print a summary."""
    lines: list[str] = []
    status = runner.run(command, seconds, os.environ, ROOT, lines.append)
    return status, "\n".join([*lines, ""])


def seconds_each(runs: int) -> float:
    """The time limit for each of so many runs that fits the time limit of the step."""
    return max(5.0, float(os.environ["GPU_DAY_STEP_SECONDS"]) / runs - runner.GRACE_SECONDS - 1)
