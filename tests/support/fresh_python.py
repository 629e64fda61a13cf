"""Code that runs in a Python process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def run_python(
    code: str, *arguments: str, options: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `code` and return what became of it.

    arguments:   sys.argv[1:] of the process
    options:     of the interpreter
    environment: variables beside those of this process
    """
    return subprocess.run(
        [sys.executable, *options, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )
