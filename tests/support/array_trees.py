"""Trees of NumPy arrays in tests: copies in another dtype, their bits, and how near results must come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onepass.backends.common.trees import leaves, map_leaves, named_leaves

Array = np.ndarray[Any, Any]
# Of the largest value of a result.
TOLERANCE = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 3e-5, "float64": 1e-13}


def map_arrays(change: Callable[[Array], Any], tree: Any) -> Any:
    """The tree with `change` applied to its NumPy arrays."""
    return map_leaves(lambda leaf: change(leaf) if isinstance(leaf, np.ndarray) else leaf, tree)


def copied(tree: Any) -> Any:
    """The same values in memory of their own."""
    return map_arrays(np.array, tree)


def of_dtype(tree: Any, dtype: Any) -> Any:
    """A copy in memory of its own, with floating arrays in `dtype`."""
    return map_arrays(lambda array: np.array(array, dtype if array.dtype.kind == "f" else array.dtype), tree)


def read_only(array: Array) -> Array:
    """A copy that raises an error when something writes into it."""
    array = array.copy()
    array.setflags(write=False)
    return array


def bits(tree: Any) -> list[Any]:
    """The shape and the bytes of each number and array; None stays None."""
    arrays = [None if leaf is None else np.asarray(leaf) for leaf in leaves(tree)]
    return [None if array is None else (array.shape, array.tobytes()) for array in arrays]


def assert_same(got: Any, expected: Any) -> None:
    """The same dtypes and values, to the bit; NaN equals NaN."""
    for mine, theirs in zip(leaves(got), leaves(expected), strict=True):
        if isinstance(theirs, np.ndarray | np.generic):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs, strict=isinstance(mine, type(theirs)))
        else:
            assert mine == theirs


def assert_near(
    got: Any,
    expected: Any,
    dtype: Any,
    *,
    to_numpy: Callable[[Any], Array] = np.asarray,
    tolerance: float | None = None,
) -> None:
    """The structure of `expected`, arrays of `dtype`, and values to rounding of each array's largest one.

    to_numpy:  how an array of the result comes to NumPy
    tolerance: of the largest value; TOLERANCE for None
    """
    dtype = np.dtype(dtype)
    got_by_path, expected_by_path = dict(named_leaves(got, "")), dict(named_leaves(expected, ""))
    assert got_by_path.keys() == expected_by_path.keys()
    for path, reference in expected_by_path.items():
        mine = got_by_path[path]
        if reference is None or isinstance(reference, int):
            assert (mine is None) if reference is None else int(mine) == reference, path
            continue
        with np.errstate(over="ignore"):  # what is beyond the range of a half is infinite there
            reference = np.asarray(reference).astype(dtype).astype(np.float64)
        value = to_numpy(mine)
        assert (value.dtype, value.shape) == (dtype, reference.shape), path
        scale = max(1.0, float(np.abs(reference[np.isfinite(reference)]).max(initial=0.0)))
        atol = (TOLERANCE[dtype.name] if tolerance is None else tolerance) * scale
        np.testing.assert_allclose(value.astype(np.float64), reference, rtol=0, atol=atol, err_msg=path)
