"""The tests of hard numbers and labels that a GPU runs, over real CuPy arrays on the host."""

from __future__ import annotations

from typing import Any

import pytest
import test_gpu_edges

# The parameters come with them, and the fixtures with their names.
on_the_gpu, xp, backend = test_gpu_edges.on_the_gpu, test_gpu_edges.xp, test_gpu_edges.backend
globals().update(
    {name: test for name, test in vars(test_gpu_edges).items() if name.startswith("test_") and callable(test)}
)


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch, cupy: Any) -> None:
    """They ask for CuPy in their own way."""
    monkeypatch.setattr(test_gpu_edges, "cupy_or_skip", lambda: cupy)
