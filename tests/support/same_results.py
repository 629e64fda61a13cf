"""Whether a compiled result is the one of NumPy: containers, dtypes, shapes, values."""

from __future__ import annotations

from typing import Any

import numpy as np
from onepass.backends.common.trees import leaves, map_leaves


def assert_same(got: Any, expected: Any, tolerance: float) -> None:
    """Equal but for rounding.

    tolerance: of floats, relative to the largest element of each array
    """
    assert map_leaves(lambda _: None, got) == map_leaves(lambda _: None, expected)
    for number, (mine, theirs) in enumerate(zip(leaves(got), leaves(expected), strict=True)):
        assert_same_array(mine, theirs, tolerance, f"result {number}")


def assert_same_bits(got: Any, expected: Any) -> None:
    """Equal structures, types, dtypes, shapes and bits."""
    assert map_leaves(type, got) == map_leaves(type, expected)
    for mine, theirs in zip(leaves(got), leaves(expected), strict=True):
        if isinstance(theirs, np.ndarray | np.generic):
            assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
            assert mine.tobytes() == theirs.tobytes()
        else:
            assert mine == theirs


def assert_same_array(mine: Any, theirs: Any, tolerance: float, name: str) -> None:
    """The same of one array, NumPy scalar or number."""
    if theirs is None or isinstance(theirs, str):
        assert mine == theirs, name
        return
    is_number = type(theirs) in (bool, int, float)  # has no dtype to keep
    a, b = np.asarray(mine), np.asarray(theirs)
    assert a.shape == b.shape, name
    assert a.dtype == b.dtype or (is_number and a.dtype.kind == b.dtype.kind), f"{name}: {a.dtype}, {b.dtype}"
    if b.dtype.kind != "f":
        np.testing.assert_array_equal(a, b, err_msg=name)
        return
    finite = np.isfinite(b)
    np.testing.assert_array_equal(a[~finite], b[~finite], err_msg=name)
    largest = np.abs(b[finite]).max(initial=0)
    np.testing.assert_allclose(a[finite], b[finite], rtol=0, atol=tolerance * largest, err_msg=name)
