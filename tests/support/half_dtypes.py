"""NumPy's dtypes of half precision; that of bfloat16 needs ml_dtypes."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from selection import needing

# For `pytest.mark.parametrize`: the names of both.
HALVES = ["float16", needing("ml_dtypes", "bfloat16")]


def half_of(name: str) -> np.dtype[Any]:
    """The dtype of this name; other names are NumPy's."""
    return np.dtype(importlib.import_module("ml_dtypes").bfloat16 if name == "bfloat16" else name)
