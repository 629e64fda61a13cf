"""Reductions, views, picks and products against eager NumPy; many of them share one kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from onepass.backends.common.trees import leaves
from operation_check import COLUMNS, Results, check, numbers
from selection import exhaustively

import onepass as op


def reduced(x: Any) -> Results:
    xp = array_namespace(x)
    results: Results = {}
    axes = [None, *range(-1, x.ndim - 1)]
    empty = 0 in x.shape
    for axis in axes:
        for keepdims in (False, True):
            how: dict[str, Any] = {"axis": axis, "keepdims": keepdims}
            tag = f"{axis} {keepdims}"
            results |= {f"sum {tag}": xp.sum(x, **how), f"any {tag}": xp.any(x > 0.5, **how)}
            results |= {f"all {tag}": xp.all(x > -4.0, **how), f"prod {tag}": xp.prod(xp.tanh(x), **how)}
            if not empty:
                results |= {f"max {tag}": xp.max(x, **how), f"min {tag}": xp.min(x, **how)}
                results |= {f"mean {tag}": xp.mean(x, **how), f"var {tag}": xp.var(x, **how)}
                if axis is not None:
                    results |= {f"argmax {tag}": xp.argmax(x, **how), f"argmin {tag}": xp.argmin(x, **how)}
        results[f"nonzero {axis}"] = xp.count_nonzero(x, axis=axis)
    return results


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((9, 40), "float32"),
        *(
            exhaustively(*given)
            for given in [
                ((9, 3), "float64"),
                ((1, 40), "float64"),
                ((9, 1), "float32"),
                ((7,), "float64"),
                ((1, 1), "float32"),
                ((), "float64"),
                ((0, 3), "float32"),
                ((3, 0), "float64"),
            ]
        ),
    ],
    ids=str,
)
def test_reductions(shape: tuple[int, ...], dtype: str) -> None:
    check(reduced, numbers(shape, dtype), ulps=8, scale=20)


@COLUMNS
def test_reductions_of_nan_and_infinities(columns: int) -> None:
    x = numbers((6, columns), "float32")
    x[1, 1], x[2, 0], x[3, -1], x[4, :] = np.nan, np.inf, -np.inf, -np.inf

    def kernel(x: Any) -> Results:
        xp = array_namespace(x)
        names = ["sum", "prod", "max", "min", "mean", "argmax", "argmin", "any", "all", "count_nonzero"]
        results = {f"{name} {axis}": getattr(xp, name)(x, axis=axis) for name in names for axis in (0, 1)}
        return results | {f"{name}": getattr(xp, name)(x) for name in ["max", "min", "any", "all"]}

    check(kernel, x, ulps=16, scale=1e3)


@COLUMNS
def test_labels_outside_the_row(columns: int) -> None:
    """No column is this label, and memory beside the row is not touched."""

    def kernel(x: Any, label: Any) -> Results:
        xp = array_namespace(x)
        here = xp.arange(x.shape[1]) == label[:, None]
        return {"smaller": xp.where(here, x - 1, x)}

    label = np.array([0, -1, -1, -1, columns, -2 * columns - 20])
    check(kernel, numbers((6, columns), "float32"), label, scale=3)


@COLUMNS
def test_more_reductions(columns: int) -> None:
    def kernel(x: Any) -> Results:
        xp = array_namespace(x)
        return {
            "std": xp.std(x, axis=1), "corrected": xp.var(x, axis=0, correction=1), "of all": xp.std(x),
            "both axes": xp.sum(x, axis=(0, 1)), "of sums": xp.max(xp.sum(x, axis=0)),
            "of products": xp.sum(xp.prod(x, axis=1)), "of the largest": xp.mean(xp.max(x, axis=1)),
            "range": xp.max(x) - xp.min(x), "deviation": x - xp.mean(x, axis=0),
            "vecdot": xp.vecdot(x, x), "of one": xp.sum(x[:, :, None], axis=2),
        }  # fmt: skip

    x = numbers((6, columns), "float64")
    check(kernel, x / 3, ulps=16, scale=60)


def structure(x: Any, square: Any, row: Any, column: Any, label: Any) -> Results:
    xp = array_namespace(x)
    n, k = x.shape
    index = label[:, None]
    return {
        "pick": xp.take_along_axis(x, index, axis=1),
        "pick of tanh": xp.take_along_axis(xp.tanh(x), index, axis=-1),
        "take": xp.take(row, label), "take of columns": xp.take(row, xp.astype(index, xp.int64) * 0),
        "one-hot": xp.arange(k) == xp.astype(index, xp.int64), "iota": x + xp.astype(xp.arange(k), x.dtype),
        "rows": xp.astype(xp.arange(n), x.dtype)[:, None] * x, "only iota": xp.arange(n),
        "smoothed": xp.where(xp.arange(k) == xp.astype(index, xp.int64), x - 1, x),
        "T": x.T, "T of a sum": (x + row).T, "expand_dims": xp.expand_dims(row, axis=0), "None": row[None, :],
        "squeeze": xp.squeeze(column, axis=1), "0": column[:, 0], "reshape": xp.reshape(column, (-1,)),
        "broadcast_to": xp.broadcast_to(row, (n, k)), "broadcast": xp.broadcast_arrays(x, row)[1] * 2,
        "matrix_transpose": xp.matrix_transpose(x), "permute_dims": xp.permute_dims(x, (1, 0)),
        "zeros": xp.zeros((n, k), dtype=x.dtype), "ones": xp.ones(n, dtype=x.dtype),
        "full": xp.full((k,), 2.5),
        "zeros_like": xp.zeros_like(x), "ones_like": xp.ones_like(row), "full_like": xp.full_like(x, 0.5),
        "with its transpose": square + square.T, "of its transpose": xp.maximum(square, square.T * 2),
        "symmetric": square - xp.sum(square, axis=0)[:, None], "as it was": x,
        "twice": x, "moved": xp.moveaxis(x, 0, 1),
        "of size": x / n, "of both sizes": x * (n * k),
        "asarray": xp.asarray(x) * xp.asarray(2.0, dtype=x.dtype),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((6, 40), "float32"),
        exhaustively((6, 3), "float64"),
        exhaustively((1, 4), "float32"),
        exhaustively((4, 1), "float64"),
        exhaustively((4, 4), "float32"),
    ],
    ids=str,
)
def test_structure(shape: tuple[int, int], dtype: str) -> None:
    n, k = shape
    label = np.random.default_rng(0).integers(0, k, n).astype("uint8")
    square, row, column = numbers((k, k), dtype, 1), numbers((k,), dtype, 2), numbers((n, 1), dtype, 3)
    check(structure, numbers(shape, dtype), square, row, column, label, scale=10)


def products(a: Any, b: Any, tall: Any, square: Any, u: Any, v: Any) -> Results:
    xp = array_namespace(a)
    return {
        "ab": a @ b, "a tall.T": a @ tall.T, "a.T c": a.T @ (a @ b), "tall b": tall @ b,
        "both turned": b.T @ a.T, "gram": a @ a.T, "inner gram": a.T @ a, "squared": square @ square,
        "residual": square + xp.tanh(square @ square), "turned square": square.T @ square + square @ square.T,
        "of a vector": a @ v, "by a vector": u @ a, "inner": v @ v, "of a sum": (a + v) @ b,
        "kept for later": xp.sum(a @ b, axis=0), "outer": u[:, None] @ v[None, :], "twice": (a @ b) @ b.T,
        "of a total": xp.sum(a, axis=0) @ b, "by a column": a @ xp.sum(b, axis=1, keepdims=True),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [
        ((6, 40, 3), "float32"),
        exhaustively((1, 3, 2), "float64"),
        exhaustively((5, 1, 3), "float32"),
        exhaustively((4, 3, 1), "float64"),
        exhaustively((1, 1, 1), "float32"),
        exhaustively((4, 4, 4), "float64"),
    ],
    ids=str,
)
def test_products(sizes: tuple[int, int, int], dtype: str) -> None:
    n, k, m = sizes
    shapes = [(n, k), (k, m), (m, k), (n, n), (n,), (k,)]
    check(products, *(numbers(shape, dtype, i) for i, shape in enumerate(shapes)), ulps=16, scale=3e3)


def test_products_of_nothing() -> None:
    def kernel(a: Any, b: Any) -> Results:
        return {"no terms": a @ b, "no elements": (a.T @ a) * 1, "no rows": b.T @ b}

    check(kernel, numbers((3, 0), "float32"), numbers((0, 4), "float32"))


def test_both_floats_meet() -> None:
    def kernel(x: Any, y: Any) -> Results:
        xp = array_namespace(x)
        return {
            "+": x + y,
            "where": xp.where(x > 0, x, y),
            "down": xp.astype(y, xp.float32) + x,
            "@": x @ y.T,
        }

    check(kernel, numbers((4, 5), "float32"), numbers((4, 5), "float64", 1), scale=30)


def test_results_are_what_eager_gives() -> None:
    """Trees, arrays of shape (), the same array twice, numbers that only Python's numbers made."""

    def kernel(x: Any, number: Any) -> Results:
        xp = array_namespace(x)
        total = xp.sum(x)
        return {
            "0-d": total,
            "twice": total,
            "kept": xp.sum(x, keepdims=True),
            "number": number,
            "more": number + 1,
        }

    x = numbers((3, 4), "float32")
    check(kernel, x, 0.5)
    with op.use_backend("numba"):
        results = op.kernel(kernel)(x, 0.5)
    assert [type(leaf) for leaf in leaves(results)] == [np.float32, np.float32, np.ndarray, float, float]
