"""What the tests of `out=` share: arguments, kernels of several results, and how results are compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from onepass.backends.common.trees import leaves, map_leaves

import onepass as op

Array = np.ndarray[Any, Any]
ROWS, COLUMNS = 6, 40  # more columns than those that the compiler writes a program of their own for
random = np.random.default_rng(20261121)
X, Y = random.standard_normal((ROWS, COLUMNS)), random.standard_normal((ROWS, COLUMNS))
LABELS = random.integers(0, COLUMNS, ROWS)
LAYERS = [
    (random.standard_normal((COLUMNS, 50)), random.standard_normal(50)),
    (Y.T[:, :5].repeat(10, 0)[:50], None),
]


@op.kernel
def statistics(x: Any, y: Any) -> Any:
    """A dict of a sum of rows, something whose every row needs all rows, products and a number."""
    xp = array_namespace(x)
    mean = xp.mean(x, axis=0)
    return {"mean": mean, "rest": {"centred": (x - mean) * y, "least": xp.min(y)}, "gram": [x @ y.T]}


@op.kernel
def swap(x: Any, y: Any) -> Any:
    return y, x


@op.kernel(donate=("x", "y"))
def donated(x: Any, y: Any) -> Any:
    xp = array_namespace(x)
    return x + y, y * xp.max(x, axis=1, keepdims=True), xp.sum(x * y)


@op.kernel(donate=("x", "y"))
def in_place(x: Any, y: Any) -> Any:
    """Both results can be written over the arguments."""
    return x - 0.1 * y, 0.9 * y + x, array_namespace(x).sum(x)


@pytest.fixture(params=["numba", "numpy"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    with op.use_backend(request.param):
        yield request.param


def of_dtype(tree: Any, dtype: str) -> Any:
    """A copy in memory of its own, with floating arrays in `dtype`."""

    def leaf_of(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        return np.array(leaf, dtype if leaf.dtype.kind == "f" else leaf.dtype)

    return map_leaves(leaf_of, tree)


def unwritten(result: Any) -> Any:
    """Arrays that take the parts of a result; its Python numbers stay."""

    def like(leaf: Any) -> Any:
        return np.full(leaf.shape, -7, leaf.dtype) if isinstance(leaf, np.ndarray | np.generic) else leaf

    return map_leaves(like, result)


def assert_same(got: Any, expected: Any) -> None:
    for mine, theirs in zip(leaves(got), leaves(expected), strict=True):
        if isinstance(theirs, np.ndarray | np.generic):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs, strict=isinstance(mine, type(theirs)))
        else:
            assert mine == theirs


def assert_taken(got: Any, out: Any) -> None:
    """The very arrays of `out` are in the result."""
    for mine, given in zip(leaves(got), leaves(out), strict=True):
        assert mine is given or not isinstance(given, np.ndarray)
