"""NVIDIA's tools: where they are, and how they are run."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

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
    """Exit status, and all that it printed; an interrupt ends it after its time, and it may still sum up."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            text, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                text, _ = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                text, _ = process.communicate()
            text += f"\ninterrupted after {seconds:.0f} s\n"
        return process.returncode, text
