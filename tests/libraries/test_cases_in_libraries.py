"""Every kernel, with every case of the table, on the arrays of every library that is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from array_trees import assert_near
from cases import CASES, Case
from libraries import LIBRARIES, Library, convert
from selection import needing

import onepass as op
from onepass import kernels


@pytest.fixture(
    params=[
        "strict",
        "strict-device1",
        needing("torch"),
        needing("jax"),
        needing("jax", "jax-jit"),
    ]
)
def library(request: pytest.FixtureRequest) -> Iterator[Library]:
    library = LIBRARIES[request.param]()
    with library.enter():
        yield library


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_kernel_computes_the_same_in_every_library(case: Case, dtype: str, library: Library) -> None:
    expected = getattr(kernels, case.kernel)(*case.args, **case.kwargs)
    args, kwargs = convert((case.args, case.kwargs), library, dtype)
    got = library.call(getattr(op, case.kernel), *args, **kwargs)
    assert_near(got, expected, dtype, to_numpy=library.to_numpy)
