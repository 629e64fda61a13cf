"""Indices of take and take_along_axis: negative ones wrap, and others outside are errors, as in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from index_tables import ROWS, inside, table
from onepass.backends.codegen import cost as work
from onepass.backends.cpu.runtime import threads
from selection import exhaustively

import onepass as op

Kernel = Callable[..., Any]

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


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
IN_EVERY_RUN = [(7, "int64"), (7, "int8"), (40, "int64"), (40, "uint64")]
# Each is compiled: every dtype once where rows are computed side by side and once where they are not.
CASES = [
    *(
        exhaustively(along, columns, dtype, when=(columns, dtype) not in IN_EVERY_RUN)
        for columns in (7, 40)
        for dtype in INTEGERS
    ),
    *((kernel, 40, "int64") for kernel in KERNELS[1:]),
    *(exhaustively(kernel, 7, "int64") for kernel in KERNELS[1:]),
    *((kernel, 1, "int64") for kernel in (along, from_vector)),
    *(exhaustively(kernel, 1, "uint64") for kernel in (along, from_vector)),
]


def computed(kernel: Kernel) -> Kernel:
    """The kernel with an index that is no argument."""

    def with_computed(x: Any, index: Any, more: Any) -> Any:
        return kernel(x, index + more)

    with_computed.__name__ = f"computed_{kernel.__name__}"
    return with_computed


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
    for backend, words in {"numba": rf"\(3, 4\) at \({rows}, 1\)", "auto": None, "numpy": None}.items():
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
