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

FEW = 6
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


def check_drawn(choose: Callable[[int], int], report: Callable[[str], None]) -> None:
    """Draw a program and its arguments by `choose(n)`, a whole number below n, and check it."""
    program = random_program(choose, sizes=SIZES[choose(len(SIZES))], lines=20)
    dtype = ("float32", "float64")[choose(2)]
    report(f"{dtype}, donated {program.donated}, arguments {program.arguments}\n{program.text()}")
    check(program, dtype, choose(1000), special=choose(6) == 0)


@pytest.mark.parametrize("seed", range(FEW))
def test_a_random_program(seed: int) -> None:
    random = np.random.default_rng(seed)
    check_drawn(lambda count: int(random.integers(0, count)), print)


@pytest.mark.exhaustive
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_many_random_programs(data: st.DataObject) -> None:
    """Hypothesis looks for the smallest program that fails."""
    check_drawn(lambda count: data.draw(st.integers(0, count - 1)), note)


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


WERE_WRONG = [
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
    for got, right in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-12, atol=1e-12)
