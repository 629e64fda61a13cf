"""What all tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest

import onepass as op

# JAX warns where it finds no GPU plugin; nothing here needs one.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

COMPILES_MOST = "test_a_kernel_computes_the_same_in_every_library[numpy-"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The table of cases first: its programs are those of most other tests, which then find them on disk."""
    items.sort(key=lambda item: not item.name.startswith(COMPILES_MOST))


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
