"""NVIDIA's tools: where they are, and how they are run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from . import runner
from .places import ROOT

FEW = [sys.executable, "-m", "bench.gpu_day.few"]

# Where the toolkit and Nsight Compute are installed, beside the PATH.
FOLDERS = ("/usr/local/cuda/bin", "/opt/nvidia/nsight-compute/*")


def found(name: str) -> str | None:
    """The path of a tool, the newest one of several."""
    on_path = shutil.which(name)
    if on_path:
        return on_path
    places = [path for folder in FOLDERS for path in sorted(Path("/").glob(f"{folder[1:]}/{name}"))]
    return str(places[-1]) if places else None


def run(command: Sequence[str], seconds: float) -> tuple[int, str]:
    """Exit status, and all that it printed; after its time it is interrupted, and may still sum up."""
    lines: list[str] = []
    status = runner.run(command, seconds, os.environ, ROOT, lines.append)
    return status, "\n".join([*lines, ""])


def seconds_each(runs: int) -> float:
    """How long each of so many runs may take, so that the step ends in its own time."""
    return max(5.0, float(os.environ["GPU_DAY_STEP_SECONDS"]) / runs - runner.GRACE_SECONDS - 1)
