"""A pytest plugin for tests on a GPU: it writes failures to a file at once, and ends workers without context.

A kernel that faults destroys the CUDA context of its process. Every later test of the process would fail. The
plugin ends such a worker, and xdist starts another one.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Generator
from typing import Any

import pytest

# The exit status of a worker whose context is lost.
LOST = 86


@functools.cache
def _had_a_device(cupy: Any) -> bool:
    return bool(cupy.cuda.is_available())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: Any, nextitem: Any) -> Generator[None, Any, Any]:
    result = yield
    cupy = sys.modules.get("cupy")
    if cupy is not None and os.environ.get("PYTEST_XDIST_WORKER") and _had_a_device(cupy):
        try:
            cupy.cuda.runtime.deviceSynchronize()
        except Exception as error:
            os.write(2, f"\nCONTEXT LOST after {item.nodeid}: {error}\n".encode())
            os._exit(LOST)
    return result


def pytest_runtest_logreport(report: Any) -> None:
    path = os.environ.get("GPU_DAY_FAILED")
    if report.failed and path and not os.environ.get("PYTEST_XDIST_WORKER"):
        crash = getattr(report.longrepr, "reprcrash", None)
        why = (crash.message if crash else str(report.longrepr)).strip().partition("\n")[0]
        with open(path, "a") as file:
            file.write(f"{report.when} {report.nodeid} :: {why[:200]}\n")
