"""What the tests with real CuPy arrays on a machine without a GPU share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import host_cuda
import pytest
from on_gpu import is_another_backend

import onepass as op


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that go through backends and libraries, once; no exhaustive ones of the files they come from."""
    items[:] = [item for item in items if item.path.parent != Path(__file__).parent or _is_run(item)]


def _is_run(item: pytest.Item) -> bool:
    return not is_another_backend(item) and item.get_closest_marker("exhaustive") is None


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


@pytest.fixture(params=["auto", "cupy"])
def backend(request: pytest.FixtureRequest, cupy: Any) -> Iterator[str]:
    """CuPy's arrays choose CuPy by themselves, and by name."""
    with op.use_backend(request.param):
        yield request.param
