"""How close float64 results must come to numbers of 50 digits."""

from __future__ import annotations

from typing import Any

import numpy as np
from high_precision import mp, number

# Eighteen times the epsilon of float64, for sums of up to thirty terms; three epsilons is what is seen.
TOLERANCE = 4e-15
SMALLEST = 5e-324  # the step of subnormal numbers, where nothing is relative any more


def arrays_of(tree: Any) -> list[Any]:
    """The leaves of lists, tuples and dicts, None among them."""
    if isinstance(tree, dict):
        tree = [tree[key] for key in sorted(tree)]
    return [leaf for item in tree for leaf in arrays_of(item)] if isinstance(tree, list | tuple) else [tree]


def assert_close(got: Any, expected: Any, *, tolerance: float = TOLERANCE, terms: float | None = 0.0) -> None:
    """Equal to `tolerance` of the array's largest value, or of `terms`; of each value if that is None."""
    for mine, theirs in zip(arrays_of(got), arrays_of(expected), strict=True):
        if theirs is None or isinstance(theirs, int):
            assert mine == theirs
            continue
        exact = [number(value).value for value in np.asarray(theirs, dtype=object).flat]
        assert np.asarray(mine).dtype == np.float64
        assert np.shape(mine) == np.shape(theirs)
        largest = max(map(abs, exact), default=0)
        for value, true in zip(np.asarray(mine).flat, exact, strict=True):
            scale = abs(true) if terms is None else max(largest, terms)
            error = abs(mp.mpf(float(value)) - true)
            assert error <= tolerance * scale + SMALLEST, f"got {value!r}, expected {true}"
