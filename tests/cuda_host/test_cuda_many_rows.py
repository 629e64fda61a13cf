"""Sums of float32 over many rows on a GPU, where a group of threads adds up thousands of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from cuda_programs import Call, Form, program_of
from host_device import HostDevice
from onepass.backends.common.trees import leaves


def sums_of_rows(x: Any) -> Any:
    xp = array_namespace(x)
    return xp.sum(x, axis=0), xp.max(x, axis=0)


@pytest.mark.parametrize("form", [Form(32, 1), Form(64, 64, blocks=True)], ids=["a lane a row", "in blocks"])
def test_a_sum_of_equal_rows_is_as_exact_as_of_a_few(form: Form) -> None:
    # As many groups as one processor has of them, each with thousands of rows that round alike.
    rows = 64 * 32 * 60 if form.group == 1 else 64 * 600
    x = np.full((rows, 2), 290.3, np.float32)
    call = Call(sums_of_rows, (x,))
    total, largest = program_of(call, HostDevice(processors=1), form)(leaves((call.args, {})))
    np.testing.assert_allclose(total, x.sum(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_array_equal(largest, x[0])


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 128, 129, 1000, 4097])
@pytest.mark.parametrize("columns", [3, 40])
def test_no_part_of_a_sum_is_lost_or_added_twice(columns: int, rows: int) -> None:
    """Small whole numbers, whose sums are exact, by one group and in several blocks of rows."""
    x = np.random.default_rng(rows).integers(-8, 9, (rows, columns)).astype(np.float32)
    for form in (Form(1024, 1024), Form(128, 8), Form(64, 64, blocks=True)):
        call = Call(sums_of_rows, (x,))
        total, largest = program_of(call, HostDevice(processors=1), form)(leaves((call.args, {})))
        np.testing.assert_array_equal(total, x.sum(axis=0))
        np.testing.assert_array_equal(largest, x.max(axis=0))
