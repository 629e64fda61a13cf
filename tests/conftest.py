"""What all tests share."""

from __future__ import annotations

import gc
import importlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import onepass as op

# JAX warns where it finds no GPU plugin; nothing here needs one.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Every graph of the compiler is verified, after each of its passes.
os.environ["ONEPASS_VERIFY"] = "1"

COMPILES_MOST = "test_a_kernel_computes_the_same_in_every_library[numpy-"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The table of cases first: its programs are those of most other tests, which then find them on disk."""
    items.sort(key=lambda item: not item.name.startswith(COMPILES_MOST))


CUPY_ON_HOST = Path(__file__).parent / "cuda_host" / "cupy_on_host"


class CupyOnHost(pytest.Dir):
    """The folder of the tests with CuPy on the host, which is one skip where something is missing."""

    def collect(self) -> Any:
        if reason := _no_cupy_on_host():
            pytest.skip(f"CuPy on the host {reason}", allow_module_level=True)
        return super().collect()


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return CupyOnHost.from_parent(parent, path=path) if path == CUPY_ON_HOST else None


def _no_cupy_on_host() -> str:
    """What is missing, or in the way; empty where CuPy's arrays can be laid over host memory."""
    import host_cuda

    if reason := host_cuda.why_not():
        return reason
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy's, of libraries that are not there
        try:
            cupy = importlib.import_module("cupy")
        except Exception as error:  # a broken installation raises what it likes
            return f"needs CuPy: {str(error).strip().splitlines()[0]}"
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        return ""
    return "needs a machine without a driver; pytest -m gpu is for one with a GPU"


@pytest.fixture
def as_written() -> Iterator[None]:
    """The formulas themselves, run operation by operation; compiled ones are held against that elsewhere."""
    with op.use_backend("numpy"):
        yield


@pytest.fixture
def cupy() -> Iterator[Any]:
    """CuPy where it can compute, as the backend that was asked for; its memory is given back afterwards."""
    from on_gpu import cupy_or_skip

    cupy = cupy_or_skip()
    with op.use_backend("cupy"):
        yield cupy
    cupy.cuda.get_current_stream().synchronize()
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
