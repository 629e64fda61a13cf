"""Run a command with a time limit, and copy its output to the terminal and to the log."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

# After an interrupt pytest writes its XML and compute-sanitizer its summary.
GRACE_SECONDS = 10.0


class Log:
    """Prints text to the terminal and to a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")

    def __call__(self, text: str) -> None:
        print(text, flush=True)
        print(text, file=self._file, flush=True)

    def close(self) -> None:
        self._file.close()


def run(
    command: Sequence[str],
    seconds: float,
    environment: Mapping[str, str],
    folder: Path,
    say: Callable[[str], None],
) -> int:
    """Run a command and return its exit status, negative for a signal. All its child processes are ended."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    copying = threading.Thread(target=_copy, args=(process.stdout, say), daemon=True)
    copying.start()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        say(f"--- interrupted after {seconds:.0f} s")
        _signal(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_SECONDS)
    # Also end its workers, which may still run.
    _signal(process.pid, signal.SIGKILL)
    process.wait()
    copying.join(timeout=GRACE_SECONDS)
    return process.returncode


def _copy(stream: IO[str], say: Callable[[str], None]) -> None:
    with stream:
        for line in stream:
            say(line.rstrip("\n"))


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
