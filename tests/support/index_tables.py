"""Values to take from, and indices of them."""

from __future__ import annotations

from typing import Any

import numpy as np

ROWS = 200  # more than are computed side by side


def table(columns: int, dtype: str = "float32") -> Any:
    return np.random.default_rng(3).standard_normal((ROWS, columns)).astype(dtype)


def inside(columns: int, dtype: str) -> Any:
    """Indices of all values there are, negative ones too where the dtype has them."""
    lowest = -columns if dtype.startswith("i") else 0
    return (lowest + np.arange(ROWS) % (columns - lowest)).astype(dtype)
