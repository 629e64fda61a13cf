"""What the tests with real CuPy arrays on a machine without a GPU share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import host_cuda
import pytest

import onepass as op


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that go through backends and libraries, once, and what their files call slow not at all."""
    items[:] = [item for item in items if item.path.parent != Path(__file__).parent or _is_run(item)]


def _is_run(item: pytest.Item) -> bool:
    parameters = getattr(item, "callspec", None)
    chosen = parameters.params if parameters else {}
    # With these parameters the same call is on CuPy's arrays once more.
    again = chosen.get("backend") == "numpy" or chosen.get("other") in ("strict", "torch", "jax")
    return not again and item.get_closest_marker("slow") is None


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
