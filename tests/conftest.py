"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import onepass as op

# JAX warns where it finds no GPU plugin; nothing here needs one.
os.environ.setdefault("JAX_PLATFORMS", "cpu")


@pytest.fixture
def as_written() -> Iterator[None]:
    """The formulas themselves, run operation by operation; compiled ones are held against that elsewhere."""
    with op.use_backend("numpy"):
        yield
