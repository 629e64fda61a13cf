"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

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
