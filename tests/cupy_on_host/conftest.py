"""What the tests with real CuPy arrays on a machine without a GPU share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import host_cuda
import pytest

import onepass as op


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
