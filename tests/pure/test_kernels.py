"""Every kernel has a case in the table and a public name, and computes its formula in every dtype."""

from __future__ import annotations

import inspect

import pytest
from array_trees import assert_near
from cases import CASES, Case
from libraries import LIBRARIES, convert

import onepass as op
from onepass import kernels

pytestmark = pytest.mark.usefixtures("as_written")


def test_every_kernel_stands_in_the_table() -> None:
    assert {case.kernel for case in CASES} == set(kernels.__all__)


def test_the_public_api_offers_every_kernel_with_its_signature() -> None:
    for name in kernels.__all__:
        assert inspect.signature(getattr(op, name)) == inspect.signature(getattr(kernels, name))
        assert getattr(op, name).__doc__ == getattr(kernels, name).__doc__
        assert name in op.__all__


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_in_every_dtype(case: Case, dtype: str) -> None:
    expected = getattr(kernels, case.kernel)(*case.args, **case.kwargs)
    args, kwargs = convert((case.args, case.kwargs), LIBRARIES["numpy"](), dtype)
    assert_near(getattr(op, case.kernel)(*args, **kwargs), expected, dtype)
