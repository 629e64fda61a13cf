"""Options, selection and fixtures that all tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requirements import missing

import onepass as op

# JAX warns where it finds no GPU plugin; nothing here needs one.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Every graph of the compiler is verified, after each of its passes.
os.environ["ONEPASS_VERIFY"] = "1"

TESTS = Path(__file__).parent
# Folders whose tests all need the same thing.
FOLDERS = {
    TESTS / "gpu": "GPU",
    TESTS / "nvrtc": "NVRTC",
    TESTS / "cuda_host" / "cupy_on_host": "CuPy on the host",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive",
        action="store_true",
        help="also run the tests of every dtype, size and option, more random programs and long stress tests",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for and what cannot run here; test_requirements.py gives the reasons."""
    every = config.getoption("exhaustive")
    kept, left_out = [], []
    for item in items:
        (kept if (every or not _is_exhaustive(item)) and _can_run(item) else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def pytest_collection_finish() -> None:
    """Thousands of tests stay until the end: the garbage collector need not go through them in every test."""
    gc.collect()
    gc.freeze()


def _is_exhaustive(item: pytest.Item) -> bool:
    return item.get_closest_marker("exhaustive") is not None


def _can_run(item: pytest.Item) -> bool:
    return not any(missing(mark.kwargs["name"]) for mark in item.iter_markers("needs"))


class SkippedModule(pytest.Module):
    """A module that needs what is missing here: one skip, and no test is collected."""

    def collect(self) -> Any:
        pytest.skip(self.reason, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    requirement = FOLDERS.get(module_path.parent)
    if requirement is None or not missing(requirement):
        return None
    module = SkippedModule.from_parent(parent, path=module_path)
    module.reason = f"needs {requirement}: {missing(requirement)}"
    return module


@pytest.fixture(params=["numpy", "numba"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The formulas run operation by operation, and compiled for the CPU; the name of the backend in use."""
    with op.use_backend(request.param):
        yield request.param


@pytest.fixture
def as_written() -> Iterator[None]:
    """The formulas run operation by operation; other tests compare compiled kernels with them."""
    with op.use_backend("numpy"):
        yield


@pytest.fixture
def cupy() -> Iterator[Any]:
    """CuPy on a GPU, as the backend in use; its memory is given back afterwards."""
    from on_gpu import cupy_or_skip

    cupy = cupy_or_skip()
    with op.use_backend("cupy"):
        yield cupy
    cupy.cuda.get_current_stream().synchronize()
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
