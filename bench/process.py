"""A worker as the driver sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

# What makes cuBLAS, and PyTorch, take TF32 or do without it, whatever a program asks for.
PRECISIONS = ("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")
ROOT = Path(__file__).resolve().parent.parent


class WorkerDiedError(Exception):
    """The process ended instead of answering; its message says how."""


class Worker:
    """The process of one peer. Send commands with `ask`; leave with `stop`."""

    def __init__(self, peer: str, output: Path, scratch: Path) -> None:
        """output: a folder for what the process prints; scratch: one for what it compiles"""
        self.peer = peer
        self._log = output / f"{peer}.log"
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker", peer],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=_environment(scratch),
            )

    def send(self, do: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # `receive` finds out
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)

    def receive(self) -> Any:
        """The answer to the oldest command not answered yet."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        code = self._process.wait()
        how = f"ended by signal {-code}" if code < 0 else f"ended with {code}"
        raise WorkerDiedError(f"its process {how}; see {self._log.name}")

    def ask(self, do: str, **arguments: Any) -> Any:
        """One command and its answer; raises WorkerDiedError."""
        self.send(do, **arguments)
        return self.receive()

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def _environment(scratch: Path) -> dict[str, str]:
    """Every library with as many threads and digits as it takes by itself, and no code of an earlier run."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith("_NUM_THREADS") and name not in PRECISIONS
    }
    for cache in ("TORCHINDUCTOR_CACHE_DIR", "NUMBA_CACHE_DIR", "ONEPASS_CACHE_DIR"):
        kept[cache] = str(scratch / "compiled")
    return kept
