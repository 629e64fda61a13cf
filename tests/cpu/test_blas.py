"""Matrix products inside compiled code: OpenBLAS and our own give NumPy's values and disturb nobody."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from compiled_text import compiled
from onepass.backends.cpu.llvm.values import Type
from onepass.backends.cpu.runtime import blas
from onepass.backends.ir.dtypes import FLOAT32, FLOAT64, INT64

Array = Any
DTYPES = [np.float32, np.float64]


@pytest.fixture(scope="module", params=["OpenBLAS", "our own"])
def library(request: pytest.FixtureRequest) -> blas.Blas:
    found = blas.load() if request.param == "OpenBLAS" else blas.fallback("asked for")
    assert found.name.startswith(request.param), found
    return found


PRODUCT = """\
def product(routine, ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc, skip):
    start = offset(REAL_at(a), skip)
    gemm(routine, ta, tb, m, n, k, start, lda, REAL_at(b), ldb, beta, REAL_at(c), ldc)


"""


@functools.cache
def compiled_product(real: str) -> Any:
    number: Type = {"float32": FLOAT32, "float64": FLOAT64}[real]
    types: list[Type] = [*[INT64] * 10, number, *[INT64] * 3]
    return compiled(PRODUCT.replace("REAL", real) + blas.GEMM, "product", *types)


def product(
    library: blas.Blas, a: Array, b: Array, c: Array, ta: int = 0, tb: int = 0, beta: float = 0
) -> Array:
    """op(a) op(b) + beta c, in c; all three may have more elements from row to row than a row has."""
    rows, inner = a.shape[::-1] if ta else a.shape
    columns = b.shape[0] if tb else b.shape[1]
    run = compiled_product(c.dtype.name)
    # Two elements in front of `a`, stepped over inside, so that `offset` is needed.
    start, size = a.ctypes.data, a.itemsize
    steps = [array.strides[0] // size for array in (a, b, c)]
    run(
        library.address(c.dtype), ta, tb, rows, columns, inner, start - 2 * size, steps[0],
        b.ctypes.data, steps[1], beta, c.ctypes.data, steps[2], 2,
    )  # fmt: skip
    return c


def matrix(rows: int, columns: int, dtype: Any, margin: int = 0, seed: int = 0) -> Array:
    """Normal numbers in a matrix whose rows are `margin` elements apart; NaN is between them."""
    whole = np.full((rows, columns + margin), np.nan, dtype)
    whole[:, :columns] = np.random.default_rng(seed + 100 * rows + columns).standard_normal((rows, columns))
    return whole[:, :columns]


def close(got: Array, a: Array, b: Array, addend: Array | float = 0) -> None:
    """Each sum is right to the rounding errors that its own terms allow."""
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble) + addend
    size = np.abs(a).astype(np.longdouble) @ np.abs(b).astype(np.longdouble) + np.abs(addend)
    assert np.all(np.abs(got - exact) <= 4 * np.sqrt(a.shape[1] + 1) * np.finfo(got.dtype).eps * size)


@pytest.mark.parametrize("margin", [0, 3])
@pytest.mark.parametrize("beta", [0.0, 1.0, -0.5])
@pytest.mark.parametrize("ta", [0, 1])
@pytest.mark.parametrize("tb", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_are_numpy_s(
    library: blas.Blas, dtype: Any, ta: int, tb: int, beta: float, margin: int
) -> None:
    for rows, columns, inner in [
        (1, 1, 1),
        (1, 5, 9),
        (7, 1, 3),
        (4, 3, 8),
        (33, 17, 65),
        (9, 300, 21),
        (64, 100, 2),
    ]:
        a = matrix(*((inner, rows) if ta else (rows, inner)), dtype, margin)
        b = matrix(*((columns, inner) if tb else (inner, columns)), dtype, margin, seed=1)
        c = matrix(rows, columns, dtype, margin, seed=2)
        before = c.astype(np.longdouble)
        if beta == 0:
            c[:] = np.nan
        product(library, a, b, c, ta, tb, beta)
        close(c, a.T if ta else a, b.T if tb else b, beta * before)
        # What lies between the rows is not C's.
        between = c.base[:, columns:] if margin else np.full(1, np.nan)
        assert np.isnan(between).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_nothing(library: blas.Blas, dtype: Any) -> None:
    a, b = np.ones((3, 0), dtype), np.ones((0, 4), dtype)
    for ta, tb in ((0, 0), (0, 1), (1, 0), (1, 1)):
        given = a.T.copy() if ta else a, b.T.copy() if tb else b
        assert np.all(product(library, *given, np.full((3, 4), np.nan, dtype), ta, tb) == 0)
        assert np.all(product(library, *given, np.full((3, 4), 3.0, dtype), ta, tb, beta=0.5) == 1.5)
    untouched = np.full((3, 4), 7.0, dtype)
    run = compiled_product(np.dtype(dtype).name)
    for rows, columns in ((0, 4), (3, 0)):
        # No address is called: 0 would end the process.
        run(0, 0, 0, rows, columns, 2, 0, 1, 0, 1, 0.0, untouched.ctypes.data, 4, 2)
    assert np.all(untouched == 7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_reach_their_row_or_column_and_no_other(
    library: blas.Blas, dtype: Any, value: float
) -> None:
    a, b = matrix(40, 30, dtype), matrix(30, 20, dtype, seed=1)
    a[5, 7] = value
    b[7, 3] = 0  # 0 times infinity is NaN too
    got = product(library, a, b, np.empty((40, 20), dtype))
    with np.errstate(invalid="ignore"):
        expected = a @ b
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
    assert np.isnan(got[5, 3])
    assert not np.isfinite(got[5]).any()
    a[5, 7], b[9, 2] = 0, value
    got = product(library, a, b, np.empty((40, 20), dtype))
    assert np.isfinite(np.delete(got, 2, axis=1)).all()
    assert not np.isfinite(got[:, 2]).any()


def test_the_same_product_has_the_same_bits_again_and_in_many_threads(library: blas.Blas) -> None:
    cases = [(128, 100, 784), (64, 100, 2), (256, 300, 100), (5, 3, 1000)]
    inputs = [(matrix(m, k, np.float32), matrix(k, n, np.float32, seed=1)) for m, n, k in cases]

    def run(index: int) -> bytes:
        a, b = inputs[index]
        return bytes(product(library, a, b, np.empty((len(a), b.shape[1]), np.float32)))

    expected = [run(index) for index in range(len(cases))]
    start = threading.Barrier(6)

    def work(seed: int) -> bool:
        start.wait()
        order = np.random.default_rng(seed).integers(0, len(cases), 40)
        return all(run(index) == expected[index] for index in order)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))


def test_each_dtype_has_its_product_and_others_have_none(library: blas.Blas) -> None:
    assert library.address("float32") == library.address(np.float32) == library.sgemm
    assert library.address("float64") == library.address(np.dtype(np.float64)) == library.dgemm
    with pytest.raises(TypeError, match="int64; expected float32 or float64"):
        library.address(np.dtype(np.int64))
