"""Compiled operations against eager NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onepass.backends.common.trees import map_leaves
from selection import exhaustively

import onepass as op

FLOAT_DTYPES = ("float32", "float64")
# Columns that are computed one by one, and few, which are computed side by side.
COLUMNS = pytest.mark.parametrize("columns", [40, exhaustively(3)])
Results = dict[str, Any]

SPECIAL = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    1.0,
    -1.0,
    0.5,
    1.5,
    2.5,
    -0.5,
    -1.5,
    -2.5,
    1e-30,
    -1e30,
    87.0,
    3e4,
]


def check(
    kernel: Callable[..., Results], *arguments: Any, ulps: float = 4, scale: float = 0.0, wide: Any = None
) -> None:
    """Compiled against eager in float64.

    ulps:  of the result that floats may differ by
    scale: the size of what is added up, of which as many ulps are allowed too
    wide:  the arguments of the float64 reference where they are not these, converted
    """
    with op.use_backend("numba"):
        results = op.kernel(kernel)(*arguments)
    with op.use_backend("numpy"), np.errstate(all="ignore"):
        same = op.kernel(kernel)(*arguments)
        exact = op.kernel(kernel)(*(map_leaves(_wide, list(arguments)) if wide is None else wide))
    assert list(results) == list(same)
    for name, got in results.items():
        eager, expected = np.asarray(same[name]), np.asarray(exact[name])
        assert np.asarray(got).dtype == eager.dtype, name
        assert np.asarray(got).shape == eager.shape, name
        assert isinstance(got, np.ndarray) or eager.shape == (), name
        if eager.dtype.kind != "f":
            np.testing.assert_array_equal(got, eager, err_msg=name)
            continue
        with np.errstate(all="ignore"):
            # NaN, infinities and the signs of zeros are eager's own; numbers are as near as they say.
            odd = ~np.isfinite(eager)
            np.testing.assert_array_equal(np.asarray(got)[odd], eager[odd], err_msg=name)
            error = np.abs(np.asarray(got)[~odd].astype("float64") - expected[~odd])
            allowed = ulps * np.finfo(eager.dtype).eps * np.maximum(np.abs(expected[~odd]), scale)
            allowed += ulps * np.finfo(eager.dtype).smallest_subnormal
            assert np.all(error <= allowed), f"{name}: {np.asarray(got)[~odd]} instead of {eager[~odd]}"


def _wide(leaf: Any) -> Any:
    is_float = isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"
    return leaf.astype("float64") if is_float else leaf


def numbers(shape: tuple[int, ...], dtype: str, seed: int = 0, *, special: bool = False) -> Any:
    random = np.random.default_rng(seed)
    array = np.asarray(3 * random.standard_normal(shape)).astype(dtype)
    if special:
        array.flat[: len(SPECIAL)] = np.array(SPECIAL, dtype)[: array.size]
    return array
