"""Every pass of the compiler keeps the values of a graph. Nothing is compiled to find out."""

from __future__ import annotations

import inspect
import os
import random
from typing import Any

import array_api_strict
import pytest
from array_api_compat import array_namespace
from array_trees import of_dtype
from cases import CASES, Case
from golden_calls import CALLS
from graph_values import TracedCall, assert_passes_keep_values
from operation_check import numbers
from programs import random_program
from random_calls import given_to

from onepass import kernels

# More of them look further: ONEPASS_EXAMPLES=5000 pytest tests/compiler/test_passes.py
PROGRAMS = max(300, int(os.environ.get("ONEPASS_EXAMPLES", "0")))
SIZES = [(1, 2, 3, 4), (2, 5), (1, 3, 40), (4,), (0, 1, 2)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_case(case: Case) -> None:
    # Where Python numbers, float64, meet arrays of float32, a pass can lose a dtype.
    args, kwargs = of_dtype((case.args, case.kwargs), "float32")
    assert_passes_keep_values(TracedCall(getattr(kernels, case.kernel), *args, **kwargs))


@pytest.mark.parametrize("name", CALLS)
def test_users_kernels(name: str) -> None:
    function, args = CALLS[name]
    assert_passes_keep_values(TracedCall(inspect.unwrap(function), *args))


def neutral_numbers(x: Any) -> Any:
    return x - 0.0, x - -0.0, x + 0.0, x * 1, 1 * x, x / 1, array_namespace(x).negative(-x)


def powers(x: Any) -> Any:
    return x**0.5, x**1, x**2, x**3, x**4


def of_three_dimensions(x: Any) -> Any:
    xp = array_namespace(x)
    wide = x[None, :, :] * xp.arange(x.shape[1], dtype=x.dtype)
    return xp.sum(wide), xp.max(wide, axis=(0, 1)), xp.sum(wide, axis=2), wide - xp.mean(wide, axis=(1, 2))


def merged_with_ones(x: Any) -> Any:
    xp = array_namespace(x)
    return x - xp.max(x, keepdims=True), xp.expand_dims(x, axis=1) * 2, xp.sum(x[None] + x[None])


def turned(x: Any) -> Any:
    xp = array_namespace(x)
    square = x.T @ x
    return square + square.T, x.T @ x.T.T, (x @ square.T).T, xp.sum(square, axis=0) - xp.sum(square.T, axis=0)


@pytest.mark.parametrize("function", [neutral_numbers, powers, of_three_dimensions, merged_with_ones, turned])
def test_what_simplification_and_coalescing_look_for(function: Any) -> None:
    for shape in ((6, 4), (1, 4), (6, 1), (0, 3)):
        for dtype in ("float32", "float64"):
            x = numbers(shape, dtype, special=function is neutral_numbers)
            try:
                call = TracedCall(function, x)
            except ValueError:  # the largest of no elements
                continue
            assert_passes_keep_values(call)


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_random_programs(seed: int) -> None:
    choose = random.Random(seed).randrange
    program = random_program(choose, sizes=SIZES[choose(len(SIZES))], lines=20)
    dtype, special = ("float32", "float64")[choose(2)], choose(6) == 0
    args = given_to(program, dtype, seed, special)
    try:
        call = TracedCall(program.function(array_namespace), *args)
    except ValueError:  # the largest of no elements
        return
    assert_passes_keep_values(call, is_exact="logaddexp" not in program.text())


@pytest.mark.parametrize("case", CASES[::9], ids=str)
def test_another_library(case: Case) -> None:
    call = TracedCall(getattr(kernels, case.kernel), *case.args, xp=array_api_strict, **case.kwargs)
    assert_passes_keep_values(call)
