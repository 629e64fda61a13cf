"""Tests with real CuPy arrays on a machine without a GPU; one skip where CuPy is not installed."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import host_cuda
import pytest

import onepass as op


@functools.cache
def _why_not() -> str:
    """What is missing, or in the way; empty where CuPy can compute on the host."""
    if reason := host_cuda.why_not():
        return reason
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy's, of libraries that are not there
        try:
            import cupy
        except Exception as error:  # a broken installation raises what it likes
            return f"needs CuPy: {str(error).splitlines()[0]}"
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        return ""
    return "needs a machine without a GPU; pytest -m gpu is for one with it"


class _Folder(pytest.Dir):
    def collect(self) -> Any:
        if reason := _why_not():
            pytest.skip(f"CuPy on the host {reason}", allow_module_level=True)
        return super().collect()


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return _Folder.from_parent(parent, path=path) if path == Path(__file__).parent else None


@pytest.fixture(scope="module")
def on_the_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """CuPy that computes on the host, for the tests of one file."""
    from host_cupy import host_cupy

    with host_cupy(tmp_path_factory.mktemp("machine_code")) as recorder:
        yield recorder


@pytest.fixture
def cupy(on_the_host: Any) -> Iterator[Any]:
    """CuPy, as the backend that was asked for."""
    import cupy

    with op.use_backend("cupy"):
        yield cupy
    host_cuda.check_guards()
