"""The tests of every kernel that a GPU runs, with real CuPy arrays on the host; those that are quick."""

from __future__ import annotations

from typing import Any

import pytest
import test_gpu
from cases import CASES, Case
from test_gradients import NETWORKS, WITH_BACKWARD

OF_HALVES = [(case, ("float16", "bfloat16")[number % 2]) for number, case in enumerate(CASES[4::8])]
# The rest are a device's: the host takes one thread after the other.
SHAPES = [shape for shape in test_gpu.SHAPES if shape[0] * shape[1] <= 10_000]
SIZES = [*((shape, "float32") for shape in SHAPES), ((7, 3), "float64"), ((65, 33), "float16")]
NETWORKS_OF_SIZES = [
    (1, (2, 100, 3), "float32"),
    (31, (65, 33, 17, 9), "float32"),
    (31, (784, 100, 10), "float32"),
    (1, (1, 1, 1), "float64"),
    (31, (2, 100, 3), "float64"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_kernel_computes_what_its_formula_says(case: Case, cupy: Any) -> None:
    test_gpu.test_a_kernel_computes_what_its_formula_says(case, "float32", cupy)


@pytest.mark.parametrize("case", CASES[::8], ids=str)
def test_the_same_in_float64(case: Case, cupy: Any) -> None:
    test_gpu.test_a_kernel_computes_what_its_formula_says(case, "float64", cupy)


@pytest.mark.parametrize(("case", "half"), OF_HALVES, ids=str)
def test_a_half_is_computed_in_float32_and_rounded(case: Case, half: str, cupy: Any) -> None:
    test_gpu.test_a_half_is_computed_in_float32_and_rounded(case, half, cupy)


@pytest.mark.parametrize(("shape", "dtype"), SIZES, ids=str)
def test_every_size_gives_the_right_numbers(shape: tuple[int, int], dtype: str, cupy: Any) -> None:
    test_gpu.test_every_size_gives_the_right_numbers(shape, dtype, cupy)


@pytest.mark.parametrize(("rows", "widths", "dtype"), NETWORKS_OF_SIZES, ids=str)
def test_networks_of_every_size(rows: int, widths: tuple[int, ...], dtype: str, cupy: Any) -> None:
    test_gpu.test_networks_of_every_size(rows, widths, dtype, cupy)


@pytest.mark.parametrize("case", WITH_BACKWARD[::6], ids=str)
def test_backward_agrees_with_differences(case: Case, cupy: Any) -> None:
    test_gpu.test_backward_agrees_with_differences(case, cupy)


@pytest.mark.parametrize("case", NETWORKS[:1], ids=str)
def test_network_gradients_agree_with_differences(case: Case, cupy: Any) -> None:
    test_gpu.test_network_gradients_agree_with_differences(case, cupy)


test_a_number_is_an_array_of_no_dimensions = test_gpu.test_a_number_is_an_array_of_no_dimensions_on_the_gpu
