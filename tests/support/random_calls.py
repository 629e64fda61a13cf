"""Calls of random kernels: their arguments, and how close results must come."""

from __future__ import annotations

from typing import Any

import numpy as np
from onepass.backends.common.trees import leaves
from program_text import Argument, RandomProgram, array_of

# Of the largest intermediate value: an error of the compiler is larger, one of rounding smaller.
TOLERANCE = {"float64": 1e-11, "float32": 2e-5}
LARGEST = 1e6


def given_to(program: RandomProgram, dtype: str, seed: int, special: bool) -> list[Any]:
    """The same arguments at every call, in memory of their own."""
    random = np.random.default_rng(seed)
    return [
        array_of(argument, dtype, random, special) if isinstance(argument, Argument) else argument
        for argument in program.arguments
    ]


def largest(tree: Any) -> float:
    floats = [array for array in map(np.asarray, leaves(tree)) if array.dtype.kind == "f"]
    return max([1.0, *(float(np.abs(a[np.isfinite(a)]).max(initial=0)) for a in floats)])
