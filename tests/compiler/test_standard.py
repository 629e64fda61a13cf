"""The table of all calls of the array API standard, compiled for the CPU, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from same_results import assert_same
from selection import exhaustively
from standard_calls import CASES, VALUE_DEPENDENT, Case

import onepass as op

# Every so many-th case in every run; the others with --exhaustive.
STEP = 12


def cases() -> list[object]:
    """All cases, named."""
    return [exhaustively(case, when=n % STEP != 0, id=case.name) for n, case in enumerate(CASES)]


@pytest.mark.parametrize("case", cases())
def test_a_call_of_the_standard(case: Case) -> None:
    with np.errstate(all="ignore"):
        expected = case.function(*case.arrays)
    before = [array.tobytes() for array in case.arrays]
    kernel = op.kernel(case.function)
    with op.use_backend("numba"):
        for _ in range(2):
            assert_same(kernel(*case.arrays), expected, case.tolerance)
    assert [array.tobytes() for array in case.arrays] == before


@pytest.mark.parametrize("case", VALUE_DEPENDENT, ids=lambda case: case.name)
def test_what_depends_on_values_or_is_complex_falls_back_and_says_so(case: Case) -> None:
    kernel = op.kernel(case.function)
    with op.use_backend("numba"), pytest.raises((TypeError, AttributeError)) as error:
        kernel(*case.arrays)
    assert case.function.__name__ in str(error.value)
    with pytest.warns(RuntimeWarning, match="operation by operation"):
        assert_same(kernel(*case.arrays), case.function(*case.arrays), case.tolerance)
