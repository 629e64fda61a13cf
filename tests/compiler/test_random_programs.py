"""Random kernels, compiled, against eager NumPy; and small ones that the compiler once got wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from onepass.backends.common.trees import leaves, map_leaves
from program_text import RandomProgram
from programs import random_program
from random_calls import LARGEST, TOLERANCE, given_to, largest
from selection import exhaustively

import onepass as op

FEW = 4
# With --exhaustive, ONEPASS_EXAMPLES=5000 looks further.
EXAMPLES = int(os.environ.get("ONEPASS_EXAMPLES", "24"))
SIZES = [(1, 2, 3, 4), (2, 5), (1, 3, 40), (4,), (0, 1, 2)]


def check(program: RandomProgram, dtype: str, seed: int, special: bool) -> None:
    """Values, dtypes, shapes; the same bits twice; arguments that are not donated untouched and unshared."""
    kernel = program.function(array_namespace)
    try:
        with op.use_backend("numpy"), np.errstate(all="ignore"):
            everything = op.kernel(program.function(array_namespace, everything=True))
            scale = largest(everything(*given_to(program, dtype, seed, special)))
            expected = op.kernel(kernel)(*given_to(program, dtype, seed, special))
    except ValueError:  # the largest of no elements
        return
    if scale > LARGEST:
        return
    compiled = op.kernel(kernel, donate=program.donated)
    runs = []
    for _ in range(2):
        arguments = given_to(program, dtype, seed, special)
        with op.use_backend("numba"):
            results = compiled(*arguments)
        runs.append(map_leaves(np.array, results))
        for i, (argument, before) in enumerate(
            zip(arguments, given_to(program, dtype, seed, special), strict=True)
        ):
            if isinstance(argument, np.ndarray) and f"a{i}" not in program.donated:
                assert argument.tobytes() == before.tobytes(), f"a{i} was changed"
                assert not any(np.shares_memory(argument, result) for result in leaves(results)), (
                    f"a{i} is shared"
                )
    assert type(runs[0]) is type(expected)
    for i, (got, again, right) in enumerate(zip(*map(leaves, (*runs, expected)), strict=True)):
        right = np.asarray(right)
        assert (got.dtype, got.shape) == (right.dtype, right.shape), f"result {i}"
        assert got.tobytes() == again.tobytes(), f"result {i} has other bits the second time"
        if right.dtype.kind == "f":
            np.testing.assert_allclose(
                got, right, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=f"result {i}"
            )
        else:
            np.testing.assert_array_equal(got, right, err_msg=f"result {i}")


def check_drawn(choose: Callable[[int], int], report: Callable[[str], None], *, whole: bool) -> None:
    """Draw a program and its arguments by `choose(n)`, a whole number below n, and check it.

    whole: whether the program draws from the whole standard
    """
    program = random_program(choose, sizes=SIZES[choose(len(SIZES))], lines=20, whole=whole)
    dtype = ("float32", "float64")[choose(2)]
    report(f"{dtype}, donated {program.donated}, arguments {program.arguments}\n{program.text()}")
    check(program, dtype, choose(1000), special=choose(6) == 0)


@pytest.mark.parametrize("seed", range(FEW))
@pytest.mark.parametrize("whole", [False, True], ids=["matrices", "whole"])
def test_a_random_program(seed: int, whole: bool) -> None:
    random = np.random.default_rng(seed)
    check_drawn(lambda count: int(random.integers(0, count)), print, whole=whole)


@pytest.mark.exhaustive
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data(), whole=st.booleans())
def test_many_random_programs(data: st.DataObject, whole: bool) -> None:
    """Hypothesis looks for the smallest program that fails."""
    check_drawn(lambda count: data.draw(st.integers(0, count - 1)), note, whole=whole)


def transposed_sum(a: Any, b: Any) -> Any:
    return a + a.T, b.T + a, array_namespace(a).less(a.T, array_namespace(a).min(abs(a), axis=0))


def reduced_again(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    return xp.max(xp.sum(a, axis=0)), xp.sum(xp.max(b, axis=1)), xp.sum(a, axis=0)


def written_before_it_is_read(a: Any, b: Any) -> Any:
    return b * 2, a + b


def filled_before_it_is_read(a: Any, b: Any) -> Any:
    return array_namespace(a).full_like(a, 0.75), a * a


def row_written_before_it_is_read(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    return b - xp.max(a, axis=1, keepdims=True), xp.sum(xp.exp(a), axis=1), xp.max(a + b, axis=0)


def of_one_column(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    mean = xp.mean(a, axis=1, keepdims=True)
    return mean.T @ mean, (mean.T @ mean + 1) @ (mean.T @ mean), mean.T @ b


def as_large_as_a_product_with_itself(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    square = a @ a.T
    return square + xp.ones_like(square), xp.full_like(b @ b.T, 0.5), xp.zeros_like(square) - b @ b.T


def number_of_a_vector_is_a_copy(a: Any, b: Any) -> Any:
    row = a[0, :] * 2
    first, view = row[0], row[0, ...]
    row[0] = 5.0
    return first + 0, view + 0, row


def reshaped_slice_is_a_view(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    flat = xp.reshape(a * 2, (-1,))
    rows = xp.reshape(flat[1:7], (2, 3))
    rows[1, :] = 0.5
    columns = xp.reshape((a * 2).T, (-1,))
    columns[0] = 7.0
    gaps = np.ravel(flat[::2])
    gaps[0] = 9.0
    return flat, columns, gaps


def broadcast_sees_what_is_written_later(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    row = a[0, :] * 2
    wide = xp.broadcast_to(row, b.shape)
    repeated = xp.repeat(row, 2)
    row[0] = 5.0
    repeated[1] = 3.0
    return wide + b, repeated


def array_is_a_copy(a: Any, b: Any) -> Any:
    whole = a * 2
    other = np.array(whole)
    same = np.asarray(whole)
    whole[0] = 0.0
    return whole, other + b, same + b


def part_of_own_array(a: Any, b: Any) -> Any:
    zeros = np.zeros(a.shape)
    zeros[1:] -= a[1:]
    twice = b * 2
    twice[np.zeros(len(a)) > 0] = 1.0
    twice[np.zeros(a.shape) <= 0] += 1.0
    return zeros, twice


def sum_that_is_written_into(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    total, number = xp.sum(a, keepdims=True), xp.sum(b)
    one = xp.expand_dims(number, axis=0)
    total[0, 0] = 1.0
    one[0] = 2.0
    return total, number, one


def row_at_computed_index(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    whole = a * 2
    row, column = whole[xp.argmax(b[:, 0]), :], whole[:, xp.argmin(b[0, :])]
    row[1:] = 0.5
    whole[0, :] = 2.0
    return whole, row + 0, column + 0


def vecdot_of_other_dimensions(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    wide = a[:, :, None] + b[:, None, :]
    return xp.vecdot(wide, a, axis=0), xp.vecdot(a, wide, axis=0), xp.vecdot(wide, a)


def product_without_a_dimension_of_1(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    total = xp.sum(a[:, :, None] + xp.ones((len(a), len(a), 1)), axis=2)
    return total @ total.T, total.T @ b


def constant_of_three_dimensions(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    whole = xp.full((2, 3, 4), 0.75, dtype=a.dtype)
    return whole, xp.min(whole, axis=1), a * 2


def product_that_waits_for_a_library_call(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    whole = xp.asarray(a[:2, None, :2, None] + b[None, :2, None, :2], copy=True) * 1
    row = xp.astype(a[0, :2] > 0, xp.uint8)
    whole[xp.arange(2), xp.arange(2) * 0] = row
    both = xp.concat([whole, whole * 2], axis=1)
    return xp.max(both / (1 + both * both), axis=1)


def into_an_array_of_another_shape(a: Any, b: Any) -> Any:
    whole, other, own = a * 2, b * 2, np.zeros(3)
    np.negative(a[0], out=whole)
    np.copyto(other, a, where=b > 0)
    np.copyto(other[0], 1.0, where=a[0, 0] > 0)
    np.add.at(own, [0, 2, 2], a[0, :3])
    own[1:] -= b[0, :2]
    return whole, other, own


@pytest.mark.parametrize("at", [0, 3])
def test_number_out_of_a_result_in_donated_memory(at: int) -> None:
    def element(row: Any) -> Any:
        xp = array_namespace(row)
        twice = row * 2
        return twice, xp.take_along_axis(twice, xp.full((1, 1), at, dtype=xp.int64), axis=1)

    with op.use_backend("numba"):
        twice, number = op.kernel(element, donate="row")(np.arange(4.0)[None])
    np.testing.assert_array_equal(twice, [[0, 2, 4, 6]])
    np.testing.assert_array_equal(number, [[2 * at]])


def own_array_that_changes_after_its_use(a: Any, b: Any) -> Any:
    own = np.zeros(len(a))
    first = a + own
    own += 2
    turned = a * 2
    np.rot90(turned)[0] = 1.0
    padded = np.pad(turned, 0)
    padded[0] = 3.0
    return first, b + own, turned


def element_of_what_rows_reduce(a: Any, b: Any) -> Any:
    best = array_namespace(a).argmax(b * a, axis=1, keepdims=True)
    return best[None, np.asarray([len(a) - 1]), :]


def condition_that_is_known(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    never = xp.zeros(a.shape, dtype=xp.bool)
    ones = xp.astype(xp.where(~never, xp.ones(a.shape), 0.5), a.dtype)
    return xp.where(never, a, 2 * b), xp.where(never, 1.0, b), ones * b


WERE_WRONG = [
    condition_that_is_known,
    own_array_that_changes_after_its_use,
    into_an_array_of_another_shape,
    number_of_a_vector_is_a_copy,
    reshaped_slice_is_a_view,
    broadcast_sees_what_is_written_later,
    array_is_a_copy,
    part_of_own_array,
    sum_that_is_written_into,
    row_at_computed_index,
    element_of_what_rows_reduce,
    vecdot_of_other_dimensions,
    product_without_a_dimension_of_1,
    constant_of_three_dimensions,
    product_that_waits_for_a_library_call,
    as_large_as_a_product_with_itself,
    transposed_sum,
    reduced_again,
    written_before_it_is_read,
    filled_before_it_is_read,
    row_written_before_it_is_read,
    of_one_column,
]


@pytest.mark.parametrize("size", [40, exhaustively(3)])
@pytest.mark.parametrize("kernel", WERE_WRONG, ids=lambda kernel: kernel.__name__)
def test_what_was_wrong_once(kernel: Callable[..., Any], size: int) -> None:
    random = np.random.default_rng(0)
    a, b = random.standard_normal((size, size)), random.standard_normal((size, size))
    with op.use_backend("numpy"):
        expected = op.kernel(kernel)(a, b)
    with op.use_backend("numba"):
        results = op.kernel(kernel, donate="a")(a.copy(), b)
    for got, right in zip(leaves(results), leaves(expected), strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-12, atol=1e-12)
