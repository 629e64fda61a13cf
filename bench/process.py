"""The driver's side of a worker process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

# Environment variables that override the precision that a program selects in cuBLAS and PyTorch.
PRECISIONS = ("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")
ROOT = Path(__file__).resolve().parent.parent


class WorkerDiedError(Exception):
    """The process ended without an answer. The message gives the exit status."""


class Worker:
    """The process of one peer. Send commands with `ask`, end it with `stop`."""

    def __init__(self, peer: str, output: Path, scratch: Path) -> None:
        """output: folder for the log of the process; scratch: folder for compiled code"""
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
        with suppress(BrokenPipeError):  # `receive` reports it
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)

    def receive(self) -> Any:
        """The answer to the oldest unanswered command."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        code = self._process.wait()
        how = f"ended by signal {-code}" if code < 0 else f"ended with {code}"
        raise WorkerDiedError(f"its process {how}; see {self._log.name}")

    def ask(self, do: str, **arguments: Any) -> Any:
        """Send a command and return the answer. Raises WorkerDiedError."""
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
    """Default threads and precision for every library, and no compiled code from an earlier run."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith("_THREADS") and name not in PRECISIONS
    }
    for cache in ("TORCHINDUCTOR_CACHE_DIR", "ONEPASS_CACHE_DIR"):
        kept[cache] = str(scratch / "compiled")
    return kept
