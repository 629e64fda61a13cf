"""What the tests with real CuPy arrays on a machine without a GPU share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import host_cuda
import pytest

import onepass as op


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that go through backends and libraries, once: here all of them are CuPy's."""
    seen: set[str] = set()
    kept = []
    for item in items:
        name = item.nodeid.replace("[numba-", "[numpy-")
        is_here = item.path.parent == Path(__file__).parent
        if not (is_here and (name in seen or _other_library(item))):
            kept.append(item)
        seen.add(name)
    items[:] = kept


def _other_library(item: pytest.Item) -> bool:
    parameters = getattr(item, "callspec", None)
    return parameters is not None and parameters.params.get("other") in ("strict", "torch", "jax")


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
