"""Calls in parts, and values that are put together from parts: compiled for the CPU, against NumPy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from guarded_memory import broken_guards, guarded_copy
from onepass.backends.codegen.chain import Chain
from onepass.backends.codegen.parts import needs_parts, split
from onepass.backends.ir.operations import Op
from onepass.backends.trace.trace import trace
from same_results import assert_same

import onepass as op

RANDOM = np.random.default_rng(7)


def normal(*shape: int) -> Any:
    return RANDOM.standard_normal(shape)


def require_same(function: Callable[..., Any], *arrays: Any, donate: str = "") -> None:
    """Compare with NumPy's result; the arrays end where memory cannot be read."""
    expected = function(*(array.copy() for array in arrays))
    given = [guarded_copy(array, fence=True) for array in arrays]
    with op.use_backend("numba"):
        got = op.kernel(function, donate=donate or ())(*given)
    assert_same(got, expected, 1e-12)
    assert not broken_guards()


# Values that are put together from parts: nothing outside of an array is read


def reversed_beside_itself(a, b):
    joined = np.concatenate([a, b], axis=1)
    return np.exp(joined[:, ::-1] + joined)


def joined_at_other_borders(a, b, c):
    return np.concatenate([a, b, c], axis=1) + np.concatenate([b, c, a], axis=1)


def strided_beside_joined(a, b, c):
    joined = np.concatenate([a, b, c], axis=1)
    joined[:, 1::300] = 2.0 * a[:, :1]
    joined[:, 2:1002:500] = a[:, :2]
    return joined + np.concatenate([c, a, b], axis=1)


@pytest.mark.parametrize(
    "function", [joined_at_other_borders, strided_beside_joined, lambda a, b, c: reversed_beside_itself(a, c)]
)
@pytest.mark.parametrize("counts", [(3000, 2000, 5000), (3, 9000, 2), (9000, 2, 3)])
def test_parts_of_rows(function: Callable[..., Any], counts: tuple[int, int, int]) -> None:
    require_same(function, *(normal(5, count) for count in counts))


# Elements of other rows, which other workers compute


def returned_with_its_reverse(x):
    doubled = 2 * x
    return doubled, doubled[::-1] + np.sum(doubled, axis=1, keepdims=True)


def product_and_reverse(x):
    doubled = 2 * x
    return doubled @ np.ones((x.shape[1], 4)) + doubled[::-1, :4]


def read_in_two_passes(x):
    doubled = 2 * x
    largest = np.max(x, axis=1, keepdims=True)
    return doubled[::-1] * np.sum(x, axis=1, keepdims=True) + x * largest + x[::-1]


@pytest.mark.parametrize("function", [returned_with_its_reverse, product_and_reverse, read_in_two_passes])
@pytest.mark.parametrize("donate", ["", "x"])
@pytest.mark.parametrize("shape", [(3000, 300), (3000, 5), (3000, 17)])
def test_other_rows(function: Callable[..., Any], donate: str, shape: tuple[int, int]) -> None:
    require_same(function, normal(*shape), donate=donate)


# Many parts


def many_joined(*arrays):
    return np.concatenate(arrays, axis=1) * 2


def many_replaced(x):
    made = x * 1
    for i in range(100):
        made[:, i] = x[:, i + 4] * 2
    return made


def replaced_by_what_was_replaced(x):
    made = x * 1
    for i in range(40):
        made[i + 1] = made[i] * x[i + 1] + 1
    return made


def test_a_hundred_joined_arrays() -> None:
    require_same(many_joined, *(normal(30, 5 + i) for i in range(100)))


@pytest.mark.parametrize("function", [many_replaced, replaced_by_what_was_replaced])
def test_a_hundred_replaced_parts(function: Callable[..., Any]) -> None:
    require_same(function, normal(50, 120))


# The chain

CAPTURED = normal(300)


def sorted_between(x, factor):
    ordered = np.sort(x * factor, axis=1)
    largest = np.max(ordered)
    return np.sort(ordered / largest, axis=0) + factor, largest, ordered * CAPTURED


def chain_of(function: Callable[..., Any], *args: Any) -> list[Any]:
    traced = trace(function, function.__name__, args, {})
    assert needs_parts(traced)
    return split(traced)


def test_parts_run_behind_what_they_read() -> None:
    parts = chain_of(sorted_between, normal(4, 300), 2.0)
    assert [part.is_compiled for part in parts] == [True, False, True, False, True]
    there: set[Any] = set()
    for part in parts:
        assert all(node in there or node.operation in (Op.INPUT, Op.SCALAR) for node in part.inputs)
        assert set(part.outputs) <= set(part.nodes)
        there.update(part.outputs)


def test_numbers_and_captured_arrays_of_each_call() -> None:
    x, kernel = normal(3000, 300), op.kernel(sorted_between)
    with op.use_backend("numba"):
        for factor in (2.5, -1.5, 3, True, np.float64(2)):
            CAPTURED[:] = normal(300)
            assert_same(kernel(x, factor), sorted_between(x, factor), 1e-12)


@pytest.mark.parametrize("form", [np.asfortranarray, lambda x: x[::-1, ::-1], lambda x: x.copy()])
def test_arguments_are_not_shared_or_changed(form: Callable[..., Any]) -> None:
    x = form(normal(300, 300))
    x.flags.writeable = False
    before = x.copy()

    def everything(x):
        return x, x.T, np.reshape(x, (-1,)), x[1:], np.sort(x, axis=0), np.sort(x, axis=0)[::-1]

    with op.use_backend("numba"):
        got = op.kernel(everything)(x)
    assert_same(got, everything(x), 0.0)
    assert_same(x, before, 0.0)
    for number, array in enumerate(got):
        assert not any(np.shares_memory(array, other) for other in (x, *got[:number]))


def test_donated_arguments() -> None:
    def used_before_and_behind(x):
        scaled = x * 2
        return np.sort(scaled, axis=1) + x, scaled

    require_same(used_before_and_behind, normal(3000, 300), donate="x")
    require_same(lambda x: (np.sort(x * 2, axis=1)[:, ::-1] * 3, x[1:]), normal(3000, 300), donate="x")


def test_out() -> None:
    x, kernel = normal(40, 300), op.kernel(sorted_between)
    expected = sorted_between(x, 2.0)
    in_columns = np.empty((300, 40)).T
    with op.use_backend("numba"):
        got = kernel(x, 2.0, out=(in_columns, None, np.empty((40, 300))))
        assert got[0] is in_columns
        assert_same(got, expected, 1e-12)
        kernel(x, 2.0, out=(x, None, None))
    assert_same(x, expected[0], 1e-12)


@pytest.mark.parametrize("index", [[0, 3], [2**62, 0], [0, -9]])
def test_indices_out_of_bounds(index: list[int]) -> None:
    def in_compiled_part(x, i):
        return np.sort(x, axis=1)[:, i + 1] * 2

    def in_library(x, i):
        return np.sort(np.sort(x, axis=1)[:, i + 1], axis=1)

    for function in (in_compiled_part, in_library):
        with op.use_backend("numba"), pytest.raises(IndexError, match=f"{function.__name__}: .* index"):
            op.kernel(function)(normal(5, 4), np.array(index))


def test_results_of_no_array() -> None:
    with op.use_backend("numba"):
        assert_same(
            op.kernel(lambda x: (np.ones(3), np.sort(np.arange(3))))(normal(3)),
            (np.ones(3), np.arange(3)),
            0.0,
        )


@pytest.mark.parametrize("shape", [(0,), (1,), (0, 5), (5, 0), (1, 1)])
def test_few_elements(shape: tuple[int, ...]) -> None:
    require_same(lambda x: np.sort(x * 2, axis=-1)[..., ::-1] + 1, normal(*shape))


def test_threads_share_a_chain() -> None:
    x, kernel, wrong = normal(500, 300), op.kernel(sorted_between), []
    with op.use_backend("numba"):
        expected = kernel(x, 2.0)

    def call() -> None:
        with op.use_backend("numba"):
            for _ in range(10):
                got = kernel(x, 2.0)
                wrong.extend(a for a, b in zip(got, expected, strict=True) if not np.array_equal(a, b))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_chain_keeps_no_arrays() -> None:
    traced = trace(many_joined, "many_joined", tuple(normal(2, 2) for _ in range(9)), {})
    chain = Chain(traced, split(traced), lambda *_: None, np)
    assert [array.shape for array in chain.captured] == []
