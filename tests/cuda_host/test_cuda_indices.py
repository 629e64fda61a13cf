"""Indices of take_along_axis on a GPU: what is outside is NaN, 0 or an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from cuda_programs import Call, expected_of, program_of, run
from host_device import HostDevice
from index_tables import ROWS, inside, table
from onepass.backends.common.trees import leaves

pytestmark = pytest.mark.needs(name="g++")


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
