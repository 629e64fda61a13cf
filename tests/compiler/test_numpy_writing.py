"""Kernels written with NumPy's own functions, ufuncs and methods: compiled for the CPU, against NumPy."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from same_results import assert_same

import onepass as op

DOUBLE = np.array([[1.5, -2.0, 3.25, 0.5], [4.0, 0.0, -1.5, 2.0], [2.5, 7.0, 1.0, -3.0]])
SPECIAL = np.array([[1.5, np.nan, -np.inf, 2.0], [np.inf, -3.0, 0.0, -0.0], [4.0, 5.0, 6.0, 7.0]])
ARRAYS = {
    "float64": DOUBLE,
    "float32": DOUBLE.astype(np.float32),
    "int64": np.array([[7, -2, 3, 5], [4, 0, -1, 25], [2, 15, 1, -3]]),
    "int32": np.array([[7, -2, 3, 5], [4, 0, -1, 25], [2, 15, 1, -3]], np.int32),
    "uint8": np.array([[250, 3, 7, 15], [100, 200, 255, 0]], np.uint8),
    "bool": np.array([[True, False, True, True], [False, False, True, False]]),
    "special": SPECIAL,
}


def require_same(function: Callable[..., Any], *args: Any, tolerance: float = 1e-6) -> None:
    """Compare two calls with NumPy's result; the arguments stay as they are."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of NaN and of no elements
        expected = function(*copy.deepcopy(args))
    kernel, given = op.kernel(function), copy.deepcopy(args)
    with op.use_backend("numba"):
        for _ in range(2):
            assert_same(kernel(*given), expected, tolerance)
    assert_same(given, args, 0.0)


def of_all_dtypes(x):
    totals = x.sum(), x.sum(0), x.sum(axis=-1, keepdims=True), x.sum(axis=(0, 1)), x.prod(1), np.cumsum(x)
    means = x.mean(), x.mean(1, keepdims=True), x.var(axis=0, ddof=1), x.std(), np.mean(x, dtype=np.float64)
    extremes = x.max(), x.min(1), x.argmax(), x.argmin(0), x.argmax(axis=1, keepdims=True), np.max(x, 0)
    tests = x.any(), x.all(0), np.count_nonzero(x, axis=1), np.isfinite(x), np.array_equal(x, x), x == 1
    return *totals, *means, *extremes, *tests, np.median(x), np.sort(x, axis=None), np.sum(x, where=x > 2)


def of_numbers(x):
    sums = x + 1, x + 1.5, x * True, x - 1, 2**x if x.dtype.kind == "f" else x * 2, x + np.float32(1), x // 2
    more = x / 2, x % 3, x**2, -x, abs(x), x > 300, x == -1, x + np.int64(1), x * np.float64(2), divmod(x, 2)
    shaped = (
        np.diff(x),
        np.diff(x, prepend=0),
        np.ptp(x, axis=0),
        np.clip(x, 1, 5),
        x.clip(min=1),
        np.round(x),
    )
    order = np.median(x, axis=0), np.median(x, 1, keepdims=True), np.percentile(x, [10, 75], axis=1)
    ufuncs = np.maximum(x, 1), np.fmax(x, 1), np.multiply(x, x, dtype="float64"), np.add.outer(x[0], x[1])
    return *sums, *more, *shaped, *order, *ufuncs, np.quantile(x, 0.6), np.add.accumulate(x), np.nansum(x, 1)


def of_floats(x):
    ignoring = np.nanmax(x), np.nanmean(x, axis=0), np.nan_to_num(x), np.nan_to_num(x, nan=1, posinf=2)
    near = np.isclose(x, x + 1e-9), np.allclose(x, x), np.isclose(x, x, equal_nan=True), np.fmin(x, x[::-1])
    same = np.array_equal(x, x), np.array_equal(x, x, equal_nan=True), np.sign(x), np.heaviside(x, 0.5)
    rounded = np.round(x, 1), x.round(-1), np.rint(x), np.trunc(x), np.modf(x), np.fmod(x, 3), np.cbrt(x)
    return *ignoring, *near, *same, *rounded, np.linspace(x[2, 0], x[2, 1], 4), np.polyval([1, 2, 3], x)


def of_wide_integers(x):
    return np.round(x, -1), x.round(2), np.rint(x), np.average(x, weights=x + 30), x & 3, ~x, x << 1, x >> 1


@pytest.mark.parametrize("name", ARRAYS)
def test_reductions_of_every_dtype(name: str) -> None:
    require_same(of_all_dtypes, ARRAYS[name])


@pytest.mark.parametrize("name", ["float64", "float32", "int64", "int32", "special"])
def test_arithmetic_and_order_of_numbers(name: str) -> None:
    require_same(of_numbers, ARRAYS[name])


@pytest.mark.parametrize("name", ["float64", "float32", "special"])
def test_functions_of_floats(name: str) -> None:
    require_same(of_floats, ARRAYS[name])


@pytest.mark.parametrize("name", ["int64", "int32"])
def test_functions_of_integers(name: str) -> None:
    require_same(of_wide_integers, ARRAYS[name])


def small_unsigned(x):
    y = x + x
    y -= 255
    y[0] = 7
    means = np.average(x, weights=x), np.gradient(x, axis=1), np.add(x, 1, dtype=np.float64), x.mean(0)
    return y, *means, x * 2, x - x[:, ::-1], x // 2, x**2, x << 1, ~x, x > 250, np.add.accumulate(x)


def bools(x):
    y = ~x
    y &= x[:, ::-1]
    y |= x[0]
    y[0, 0], y[1, 1] = 2, 0.0
    return (
        y,
        x + x,
        x * x,
        x ^ True,
        x + 1,
        x / 2,
        np.add.accumulate(x),
        np.where(x, 1.5, 0),
        np.max(x, initial=1),
    )


def test_small_integers_and_bools() -> None:
    require_same(small_unsigned, ARRAYS["uint8"])
    require_same(bools, ARRAYS["bool"])


# In place


def out_arrays(x):
    y, z, small = x * 2, x + 1, (x * 2).astype(np.float32)
    np.add(y[0], y[1], out=y[2])
    same = np.multiply(y, 2, out=y)
    same[0] += 1
    np.exp(z[:, 0], out=z[:, 1])
    np.add(x[0], 1, out=z)
    np.add(z, 100, out=z, where=x > 1)
    z.clip(2, 4, out=z)
    np.sum(x, axis=0, out=z[0])
    np.add(small, np.float64(0.5), out=small)
    counts = np.ones_like(x[0]).astype(int)
    x.mean(axis=0, out=counts)
    return y, z, small, counts


def methods_in_place(x):
    y, z = x * -2, x * 2
    y[0].fill(3)
    y.T[1].fill(4)
    y[2].sort()
    z.sort(axis=0)
    np.copyto(y[1], x[0])
    np.copyto(z, 0, where=x > 2)
    np.fill_diagonal(y, 0)
    np.put_along_axis(z, np.array([[0], [1], [2]]), 9, axis=1)
    y[1, 0] = np.nan
    np.nan_to_num(y, copy=False, nan=5)
    y.flat[7] = 77
    return y, z, y.item(5), y.item(1, 2)


def ufunc_at(x):
    y = x * 2
    np.add.at(y, [0, 0, 1], x)
    np.add.at(y.T, ([0, 0, 1], [1, 1, 2]), 1)
    np.subtract.at(y, (slice(None), [0, 0]), x[:, :2])
    return y


def augmented(x):
    y = x.astype(np.float32)
    y += np.float64(1) / 3
    y *= np.ones(4)
    y[:, :3] += y[:, :3].T
    n = x.astype(int)
    n **= 2
    n //= 3
    n <<= 1
    n |= 1
    return y, y * np.float64(2), n


@pytest.mark.parametrize("function", [out_arrays, methods_in_place, ufunc_at, augmented])
def test_in_place(function: Callable[..., Any]) -> None:
    require_same(function, DOUBLE)


# Arrays of the function's own


def filled_element_by_element(x):
    sums, largest, whole = np.zeros(3), np.empty(3), np.zeros(x.shape[1], dtype=int)
    for i in range(3):
        sums[i] = x[i].sum()
        largest[i] = x[i].max()
        whole[i] = x[i].min()
    return sums, largest, whole


def filled_by_slices(x):
    out, ones, full = np.zeros(x.shape), np.ones_like(x), np.full(x.shape, -np.inf)
    out[:, 0] = x[:, 0]
    out[1:] += x[:-1]
    ones[0] = x[1]
    full[x > 1] = 3
    eye = np.eye(3)
    eye[0] += x[0, :3]
    return out, ones, full, eye @ x


def copied_and_converted(x):
    y = x * 2
    copied, same = np.array(y), np.asarray(y)
    own = np.array(x)
    copied[0], same[1], own[2] = 0, 1, 2
    return y, copied, own, np.array([x[0], x[1]]), np.array([row.sum() for row in x]), np.stack([x[0], x[2]])


def zero_dimensional(x):
    total, scalar = np.zeros(()), x.sum()
    same, row = total, scalar[None]
    same += scalar
    row[0] = 5
    return total, same, scalar, row


def scattered(x):
    sums, weights = np.zeros((2, 4)), np.array([1.0, 2.0, 3.0, 4.0])
    np.add.at(sums, [0, 0, 1], x)
    weights[0] = x[0, 0]
    return sums, weights, np.unravel_index(x.argmax(), x.shape)


@pytest.mark.parametrize(
    "function",
    [filled_element_by_element, filled_by_slices, copied_and_converted, zero_dimensional, scattered],
)
def test_own_arrays(function: Callable[..., Any]) -> None:
    require_same(function, DOUBLE)
    assert type(np.zeros(1)) is np.ndarray


# Errors

WRITES: dict[str, Callable[[Any], Any]] = {
    "x[0] = 1": lambda x: x.__setitem__(0, 1),
    "x[0] += 1": lambda x: x[0].__iadd__(1),
    "x.T": lambda x: x.T.__setitem__(0, 1),
    "x.reshape": lambda x: x.reshape(-1).__setitem__(0, 1),
    "x.ravel": lambda x: x.ravel().__iadd__(1),
    "asarray": lambda x: np.asarray(x).__iadd__(1),
    "mask": lambda x: x.__setitem__(x > 1, 0),
    "out": lambda x: np.add(x, 1, out=x[:]),
    "add.at": lambda x: np.add.at(x, [0, 0], 1),
    "fill": lambda x: x.fill(0),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("backend", ["numba", "numpy", "auto"])
def test_writing_into_an_argument_is_an_error(backend: str, name: str) -> None:
    def writes(x):
        WRITES[name](x)
        return x + 1

    x = DOUBLE[::-1].copy()
    with op.use_backend(backend), pytest.raises((TypeError, ValueError), match=r"writes.*x"):
        op.kernel(writes)(x)
    assert_same(x, DOUBLE[::-1], 0.0)


ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "shapes": (lambda x: x + x[:, :2], ValueError),
    "matmul": (lambda x: x @ x, ValueError),
    "batches": (lambda x: np.ones((2, 3, 4)) @ x.reshape(3, 4, 1), ValueError),
    "reshape": (lambda x: x.reshape(5, -1), ValueError),
    "concatenate": (lambda x: np.concatenate([x, x[0]]), ValueError),
    "stack": (lambda x: np.stack([x, x[0]]), ValueError),
    "axis 2": (lambda x: np.sum(x, axis=2), np.exceptions.AxisError),
    "axis twice": (lambda x: np.sum(x, axis=(0, 0)), ValueError),
    "swapaxes": (lambda x: np.swapaxes(x, 0, 2), np.exceptions.AxisError),
    "no elements": (lambda x: x[:0].max(), ValueError),
    "one element": (lambda x: np.gradient(x[:1], axis=0), ValueError),
    "a quantile": (lambda x: np.quantile(x, 1.5), ValueError),
    "bool - bool": (lambda x: (x > 1) - (x > 2), TypeError),
    "out=": (lambda x: np.add(x, 1, out=x.astype(int)), TypeError),
    "out= of a shape": (lambda x: np.add(x, 1, out=x[0] * 2), ValueError),
    "copyto": (lambda x: np.copyto(x.astype(int), x), TypeError),
    "+= 1.0": (lambda x: x.astype(int).__iadd__(1.0), TypeError),
    "item": (lambda x: x.item(), ValueError),
    "an attribute": (lambda x: x.rows, AttributeError),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_of_the_class_of_numpy(name: str) -> None:
    wrong, kind = ERRORS[name]

    def mistaken(x):
        wrong(x)
        return x + 1

    with pytest.raises(kind):
        mistaken(DOUBLE.copy())
    with op.use_backend("numba"), pytest.raises(kind, match=r"^mistaken: .*line \d+"):
        op.kernel(mistaken)(DOUBLE)


UNSUPPORTED: dict[str, Callable[[Any], Any]] = {
    "np.ediff1d": lambda x: np.ediff1d(x, to_end=9),
    "np.meshgrid": lambda x: np.meshgrid(x[0], x[1], sparse=True),
    "np.linspace": lambda x: np.linspace(x[0], x[1], 3),
    "np.var": lambda x: np.var(x, where=x > 1),
    "np.cov": lambda x: np.cov(x, aweights=np.ones(4)),
    "np.cross": lambda x: np.cross(x[:, :3], x[:, :3], axisa=0, axisb=0),
    "np.maximum.at": lambda x: np.maximum.at(x * 2, [0], 1),
    "np.reciprocal": lambda x: np.reciprocal(x.astype(int)),
    "np.unique": lambda x: np.unique(x),
    "np.median of the elements at a mask": lambda x: np.median(x[x > 1]),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_name(name: str) -> None:
    def unusual(x):
        UNSUPPORTED[name](x)
        return x + 1

    with op.use_backend("numba"), pytest.raises(TypeError, match=rf"^unusual: {name}.*line \d+"):
        op.kernel(unusual)(DOUBLE)
    with pytest.warns(RuntimeWarning, match="operation by operation"):
        assert_same(op.kernel(unusual)(DOUBLE), DOUBLE + 1, 0.0)


def test_an_array_from_outside_is_not_written_into() -> None:
    buffer = np.zeros(4)

    def adds(x):
        same = array_namespace(x).asarray(buffer)
        same += 1
        return same * x

    with op.use_backend("numba"), pytest.raises(TypeError, match="adds: writes into an array from outside"):
        op.kernel(adds)(DOUBLE)
    assert not buffer.any()
