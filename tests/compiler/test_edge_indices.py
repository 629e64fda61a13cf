"""Indices of take and take_along_axis: negative ones wrap, and others outside are errors, as in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from cuda_programs import Call, expected_of, program_of, run
from host_device import HostDevice
from onepass.backends.codegen import cost as work
from onepass.backends.common.trees import leaves
from onepass.backends.cpu.runtime import threads

import onepass as op

Kernel = Callable[..., Any]

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
ROWS = 200  # more than are computed side by side


def along(x: Any, index: Any) -> Any:
    return array_namespace(x).take_along_axis(x, index[:, None], axis=1)


def along_of_values(x: Any, index: Any) -> Any:
    xp = array_namespace(x)
    return xp.exp(x - xp.max(x, axis=1, keepdims=True)) * xp.take_along_axis(x * 2, index[:, None], axis=-1)


def from_vector(x: Any, index: Any) -> Any:
    xp = array_namespace(x)
    return xp.take(xp.max(x, axis=0), index) + 1


def from_vector_for_columns(x: Any, index: Any) -> Any:
    xp = array_namespace(x)
    return xp.take(xp.sum(x, axis=0), index[:, None]) + x


KERNELS = [along, along_of_values, from_vector, from_vector_for_columns]
# Each is compiled: every dtype once where rows are computed side by side and once where they are not.
CASES = [
    *((along, columns, dtype) for columns in (7, 40) for dtype in INTEGERS),
    *((kernel, columns, "int64") for kernel in KERNELS[1:] for columns in (7, 40)),
    *((kernel, 1, dtype) for kernel in (along, from_vector) for dtype in ("int64", "uint64")),
]


def computed(kernel: Kernel) -> Kernel:
    """The kernel with an index that is no argument."""

    def with_computed(x: Any, index: Any, more: Any) -> Any:
        return kernel(x, index + more)

    with_computed.__name__ = f"computed_{kernel.__name__}"
    return with_computed


def table(columns: int, dtype: str = "float32") -> Any:
    return np.random.default_rng(3).standard_normal((ROWS, columns)).astype(dtype)


def inside(columns: int, dtype: str) -> Any:
    """Indices of all values there are, negative ones too where the dtype has them."""
    lowest = -columns if dtype.startswith("i") else 0
    return (lowest + np.arange(ROWS) % (columns - lowest)).astype(dtype)


def eager(kernel: Kernel, *args: Any) -> Any:
    with op.use_backend("numpy"):
        return op.kernel(kernel)(*args)


@pytest.mark.parametrize(("kernel", "columns", "dtype"), CASES)
def test_an_index_inside_is_numpy_s(kernel: Kernel, columns: int, dtype: str) -> None:
    x, index = table(columns), inside(columns, dtype)
    with op.use_backend("numba"):
        got = op.kernel(kernel)(x, index), op.kernel(computed(kernel))(x, index, np.zeros_like(index))
    for mine in got:
        np.testing.assert_allclose(mine, eager(kernel, x, index), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kernel", "columns", "dtype"), CASES)
def test_an_index_outside_is_an_error(kernel: Kernel, columns: int, dtype: str) -> None:
    x = table(columns)
    compiled, of_computed = op.kernel(kernel), op.kernel(computed(kernel))
    limits = np.iinfo(dtype)
    below = [-columns - 1, limits.min] if limits.min else []
    for value in [columns, limits.max, *below]:
        index = inside(columns, dtype)
        index[[150, 170]] = value
        zero = np.zeros_like(index)
        with op.use_backend("numba"):
            with pytest.raises(IndexError) as error:
                compiled(x, index)
            assert f"{kernel.__name__}: " in str(error.value)
            assert f"got the index {value} at [150]; expected {-columns} <= index < {columns}" in str(
                error.value
            )
            with pytest.raises(
                IndexError, match=f"^{of_computed.__name__}: take.* got a computed index"
            ) as error:
                of_computed(x, index, zero)
            assert f"expected {-columns} <= index < {columns}" in str(error.value)
            assert "test_edge_indices.py, line" in str(error.value)
            # The call after it is not the error's.
            np.testing.assert_array_equal(of_computed(x, 0 * index, zero), compiled(x, 0 * index))
        if value <= np.iinfo(np.int64).max:
            with pytest.raises(IndexError):
                eager(kernel, x, index)


@pytest.mark.parametrize("count", [1, 3])
def test_every_share_of_the_rows_reports(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "worker_count", lambda: count)
    monkeypatch.setattr(work, "WORTH_A_WORKER_NS", 1)
    x, zero = np.ones((9000, 40), np.float32), np.zeros(9000, np.int64)
    kernel = op.kernel(computed(along))
    with op.use_backend("numba"):
        for row in (0, 4500, 8999):
            index = zero.copy()
            index[row] = 40
            with pytest.raises(IndexError):
                kernel(x, index, zero)
            assert kernel(x, zero, zero).tolist() == [[1]] * 9000


def test_an_argument_is_looked_at_before_anything_is_overwritten() -> None:
    @op.kernel(donate="x")
    def doubled(x: Any, index: Any) -> Any:
        xp = array_namespace(x)
        return 2 * x, xp.sum(xp.take_along_axis(x, index[:, None], axis=1))

    x = table(7)
    before = x.copy()
    with op.use_backend("numba"), pytest.raises(IndexError, match="got the index 7 at"):
        doubled(x, np.full(ROWS, 7))
    np.testing.assert_array_equal(x, before)


def test_a_number_as_an_index() -> None:
    kernel = op.kernel(lambda x, i: array_namespace(x).take(x, i) + array_namespace(x).take(x, 1))
    constant = op.kernel(lambda x: array_namespace(x).take(x, 5))
    x = np.arange(5.0)
    with op.use_backend("numba"):
        assert [float(kernel(x, i)) for i in (3, -5, 4)] == [4, 1, 5]
        for i in (5, -6, 2**40):
            with pytest.raises(IndexError, match=f"got the index {i}; expected -5 <= index < 5"):
                kernel(x, i)
        with pytest.raises(IndexError, match="got the index 5; expected -5 <= index < 5"):
            constant(x)


def test_an_index_from_outside_the_arguments_is_looked_at() -> None:
    index = np.array([2, 7, 1])
    kernel = op.kernel(lambda x: array_namespace(x).take_along_axis(x, index[:, None], axis=1))
    with op.use_backend("numba"):
        assert kernel(np.tile(np.arange(8.0), (3, 1))).tolist() == [[2], [7], [1]]
        with pytest.raises(IndexError, match=r"got the index 7 at \[1, 0\]"):
            kernel(np.ones((3, 7)))


def test_nothing_to_take_from() -> None:
    with op.use_backend("numba"):
        for kernel in (along, computed(along)):
            more = (np.zeros(3, int),) if kernel is not along else ()
            with pytest.raises(IndexError):
                op.kernel(kernel)(np.ones((3, 0)), np.zeros(3, int), *more)
        assert op.kernel(along)(np.ones((0, 4)), np.zeros(0, int)).shape == (0, 1)


@pytest.mark.parametrize("rows", [0, 2, 5])
def test_another_number_of_indices_than_rows_is_an_error(rows: int) -> None:
    kernel = op.kernel(along)
    for backend, words in {"numba": f"3 rows, {rows} indices", "auto": None, "numpy": None}.items():
        with op.use_backend(backend), pytest.raises(IndexError, match=words):
            kernel(np.ones((3, 4)), np.zeros(rows, int))


def test_labels_that_are_clipped_are_not_watched() -> None:
    """The library's own losses pay nothing: no flag, and no second look at the labels."""
    for columns in (1, 7, 40):
        explained = op.explain(
            op.softmax_cross_entropy, table(columns), np.zeros(ROWS, int), class_weight=np.ones(columns, "f4")
        )
        assert "outside" not in explained.source
        assert "_inside_is" not in explained.cuda


@pytest.mark.parametrize("columns", [1, 7, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
@pytest.mark.parametrize("check_values", ["0", "1"])
def test_on_a_gpu_what_is_outside_is_nan_or_zero_or_an_error(
    check_values: str, dtype: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASS_CHECK", check_values)

    def kernel(x: Any, y: Any, index: Any) -> Any:
        return array_namespace(x).take_along_axis(y, (index + 0)[:, None], axis=1), x * 2

    x, y, index = table(columns), np.ones((ROWS, columns), dtype), inside(columns, "int64")
    call = Call(kernel, (x, y, index))
    program = program_of(call, HostDevice())

    def assert_right(got: list[Any]) -> None:
        for mine, theirs in zip(got, expected_of(call), strict=True):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)

    assert_right(run(program, call))
    rows = [3, 77, 150, 199]
    index = index.copy()
    index[rows] = [columns, -columns - 1, 2**62, -(2**62)]
    if check_values == "1":
        for _ in range(2):
            with pytest.raises(IndexError, match="kernel: take_along_axis got a computed index"):
                program(leaves(((x, y, index), {})))
        assert_right(run(program, call))
        return
    expected = np.ones((ROWS, 1), dtype)
    expected[rows] = np.nan if dtype.startswith("float") else 0
    got, doubled = program(leaves(((x, y, index), {})))
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(doubled, 2 * x)
