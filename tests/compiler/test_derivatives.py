"""Gradients of the table of differentiable functions against finite differences."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import pytest
from array_trees import copied
from differentiable import ROWS, Differentiable
from onepass.backends.common.trees import leaves, map_leaves, named_leaves
from selection import exhaustively

import onepass as op

DIRECTIONS = 3  # random ones for each argument
STEP = 3e-6
TOLERANCE = 1e-6  # relative to the norm of the gradient


class Slope(NamedTuple):
    """How fast a function grows when one of its arguments moves in a direction of length 1."""

    direction: Any  # a tree like the argument
    slope: float


@functools.cache
def slopes_of(row: Differentiable) -> list[list[Slope]]:
    """Central differences of the function as it is written, for each argument to differentiate by."""
    args, random = row.make_args(), np.random.default_rng(0)

    def value(argnum: int, direction: Any, step: float) -> float:
        steps = iter(leaves(direction))
        moved = map_leaves(lambda leaf: leaf + step * next(steps), args[argnum])
        return float(row.function(*args[:argnum], moved, *args[argnum + 1 :]))

    def slope(argnum: int) -> Slope:
        drawn = map_leaves(lambda leaf: random.standard_normal(np.shape(leaf)), args[argnum])
        length = np.sqrt(sum(np.sum(leaf**2) for leaf in leaves(drawn)))
        direction = map_leaves(lambda leaf: leaf / length, drawn)
        difference = value(argnum, direction, STEP) - value(argnum, direction, -STEP)
        return Slope(direction, difference / (2 * STEP))

    with op.use_backend("numpy"):
        return [[slope(argnum) for _ in range(DIRECTIONS)] for argnum in row.differentiated]


def calls() -> list[object]:
    """Every row as it is written, and every second one compiled; the libraries' tests compile the others."""
    rows = [row for row in ROWS if row.slope]
    return [
        exhaustively(row, backend, when=backend == "numba" and n % 2 != 0, id=f"{row}-{backend}")
        for n, row in enumerate(rows)
        for backend in ("numpy", "numba")
    ]


@pytest.mark.parametrize(("row", "backend"), calls(), indirect=["backend"])
def test_gradient_agrees_with_differences(row: Differentiable, backend: str) -> None:
    args = row.make_args()
    before = copied(args)
    value, gradients = op.value_and_grad(row.function, argnums=row.argnums)(*args)
    np.testing.assert_equal(args, before)
    with op.use_backend("numpy"):
        np.testing.assert_allclose(value, row.function(*args), rtol=1e-12)
    gradients = gradients if isinstance(row.argnums, tuple) else (gradients,)
    assert len(gradients) == len(row.differentiated)
    for argnum, gradient, slopes in zip(row.differentiated, gradients, slopes_of(row), strict=True):
        _assert_like(gradient, args[argnum])
        norm = np.sqrt(sum(np.sum(leaf**2) for leaf in leaves(gradient)))
        for direction, slope in slopes:
            along = sum(np.sum(g * d) for g, d in zip(leaves(gradient), leaves(direction), strict=True))
            np.testing.assert_allclose(along, slope, rtol=0, atol=TOLERANCE * norm, err_msg=f"{argnum}")


def _assert_like(gradient: Any, argument: Any) -> None:
    """The structure, the shapes and the dtypes of the argument."""
    assert map_leaves(lambda _: None, gradient) == map_leaves(lambda _: None, argument)
    for (path, mine), given in zip(named_leaves(gradient, "grad"), leaves(argument), strict=True):
        assert (np.shape(mine), np.asarray(mine).dtype) == (np.shape(given), np.asarray(given).dtype), path
