"""Derivatives of a sample of the table of functions, in CUDA that is executed on the host, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differentiable import ROWS, Differentiable
from onepass.backends.common.trees import leaves
from selection import exhaustively
from test_cuda_standard import program

import onepass as op

pytestmark = pytest.mark.needs(name="g++")

# Every so many-th row in every run: each is compiled anew.
STEP = 15
TOLERANCE = 1e-10  # relative to the largest element of a gradient


def rows() -> list[object]:
    return [exhaustively(row, when=n % STEP != 0, id=row.name) for n, row in enumerate(ROWS)]


@pytest.mark.parametrize("row", rows())
def test_value_and_gradients(row: Differentiable) -> None:
    args, derivative = row.make_args(), op.value_and_grad(row.function, argnums=row.argnums)
    with op.use_backend("numpy"):
        expected: Any = derivative(*args)
    made = program(derivative, args)(leaves((args, {})))
    for mine, theirs in zip(leaves(made), leaves(expected), strict=True):
        scale = np.max(np.abs(theirs), initial=1e-300)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=TOLERANCE * scale)
