"""The operations that Numba lacks: values, types, and that a largest element is found with vectors."""

from __future__ import annotations

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from onepass.backends.cpu.runtime import vector_intrinsics  # noqa: E402

FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}
DTYPES = ("float32", "float64")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "kind"), [("maximum", "fmaximum"), ("minimum", "fminimum")])
def test_largest_and_smallest(name: str, kind: str, dtype: str) -> None:
    choose = getattr(vector_intrinsics, name)

    @numba.njit(fastmath=FASTMATH)
    def reduction(x):  # type: ignore[no-untyped-def]
        best = x[0]
        for i in range(x.size):
            best = choose(best, x[i])
        return best

    for x in (np.linspace(-500, -499, 301), np.array([1, np.inf, 3]), np.array([1, 2, np.nan, -np.inf])):
        best = reduction(x.astype(dtype))
        np.testing.assert_array_equal(best, getattr(np, name).reduce(x.astype(dtype)))
    assert f"llvm.vector.reduce.{kind}" in reduction.inspect_llvm(reduction.signatures[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [
        (
            "nearest",
            [(-2.5,), (0.5,), (1.5,), (2.4999,), (np.inf,), (np.nan,)],
            [-2, 0, 2, 2, np.inf, np.nan],
        ),
        ("sqrt", [(2.25,), (0.0,), (-1.0,), (np.inf,)], [1.5, 0, np.nan, np.inf]),
        ("fabs", [(-0.0,), (-1.5,), (np.nan,)], [0, 1.5, np.nan]),
        ("copysign", [(1.5, -0.0), (-2.0, 3.0)], [-1.5, 2]),
        ("maximum", [(1, 2), (np.nan, 2), (2, np.nan)], [2, np.nan, np.nan]),
        ("minimum", [(1, 2), (np.nan, 2), (2, np.nan)], [1, np.nan, np.nan]),
    ],
)
def test_operations(name: str, operands: list[tuple[float, ...]], expected: list[float], dtype: str) -> None:
    operation, real = getattr(vector_intrinsics, name), np.dtype(dtype).type
    if len(operands[0]) == 1:
        call = numba.njit(lambda x: operation(x))
    else:
        call = numba.njit(lambda x, y: operation(x, y))
    got = [call(*map(real, numbers)) for numbers in operands]
    np.testing.assert_array_equal(got, expected)
    assert str(call.nopython_signatures[0].return_type) == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_and_back(dtype: str) -> None:
    to_bits, from_bits = vector_intrinsics.bits_of_float, vector_intrinsics.float_of_bits
    bits_of = numba.njit(lambda x: to_bits(x))
    there_and_back = numba.njit(lambda x: from_bits(to_bits(x)))
    for number in (1.0, -0.0, 1e-40, np.inf):
        real = np.dtype(dtype).type(number)
        assert bits_of(real) == np.array(real).view(f"i{real.itemsize}")
        assert np.array_equal(np.signbit(there_and_back(real)), np.signbit(real))
        assert there_and_back(real) == real
