"""Gradients of the table of differentiable functions, of NumPy arrays and PyTorch tensors, against JAX."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from differentiable import ROWS, Differentiable, weighted_sum
from libraries import LIBRARIES
from onepass.backends.common.trees import map_leaves, named_leaves
from selection import exhaustively, needing

import onepass as op

pytestmark = pytest.mark.needs(name="jax")

TOLERANCE = 1e-10  # relative to the largest element of a gradient
# XLA compiles in half of the time with these options, and each program runs once. JAX 0.10 has given wrong
# gradients with them, of functions that are not in the table: look at a difference without them first.
XLA_OPTIONS = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


def twice(grad: Callable[..., Any], function: Callable[..., Any], argnums: Any) -> Callable[..., Any]:
    """The gradient of the weighted sum of the gradient's elements."""
    return grad(lambda *args: weighted_sum(grad(function, argnums)(*args)), argnums)


@functools.cache
def in_jax(row: Differentiable, *, second: bool) -> Any:
    """The value and the gradients, or the second derivatives, as NumPy arrays."""
    jax = importlib.import_module("jax")
    derivative = twice(jax.grad, row.for_jax, row.argnums) if second else None
    library = LIBRARIES["jax"]()
    with library.enter():
        args = map_leaves(library.asarray, row.make_args())
        lowered = jax.jit(derivative or jax.value_and_grad(row.for_jax, row.argnums)).lower(*args)
        return map_leaves(np.asarray, lowered.compile(compiler_options=XLA_OPTIONS)(*args))


def in_onepass(row: Differentiable, where: str, *, second: bool) -> Any:
    """The same by onepass, on a backend of NumPy arrays or on PyTorch tensors."""
    library = LIBRARIES["torch" if where == "torch" else "numpy"]()
    derivative = twice(op.grad, row.function, row.argnums) if second else None
    with nullcontext() if where == "torch" else op.use_backend(where):
        found = (derivative or op.value_and_grad(row.function, argnums=row.argnums))(
            *map_leaves(lambda leaf: library.asarray(np.asarray(leaf)), row.make_args())
        )
    return map_leaves(library.to_numpy, found)


def assert_near(got: Any, expected: Any) -> None:
    """The same tree of float64 arrays, but for rounding. The order of the keys of dicts does not matter."""
    mine, theirs = dict(named_leaves(got, "")), dict(named_leaves(expected, ""))
    assert sorted(mine) == sorted(theirs)
    for path, reference in theirs.items():
        assert np.all(np.isfinite(reference)), path
        assert (np.shape(mine[path]), np.asarray(mine[path]).dtype) == (reference.shape, np.float64), path
        atol = TOLERANCE * (np.abs(reference).max(initial=0.0) or 1.0)
        np.testing.assert_allclose(mine[path], reference, rtol=0, atol=atol, err_msg=path)


def calls(rows: Sequence[Differentiable]) -> list[object]:
    """Each row in each library; every second one is compiled, since compilation takes most of the time."""
    params: list[object] = []
    for n, row in enumerate(rows):
        params.append(exhaustively(row, "numba", when=n % 2 == 0, id=f"{row}-numba"))
        params.append(pytest.param(row, "numpy", id=f"{row}-numpy"))
        params.append(needing("torch", row, "torch", id=f"{row}-torch"))
    return params


@pytest.mark.parametrize(("row", "where"), calls(ROWS))
def test_value_and_gradients_are_those_of_jax(row: Differentiable, where: str) -> None:
    assert_near(in_onepass(row, where, second=False), in_jax(row, second=False))


@pytest.mark.parametrize(("row", "where"), calls([row for row in ROWS if row.twice]))
def test_second_derivatives_are_those_of_jax(row: Differentiable, where: str) -> None:
    assert_near(in_onepass(row, where, second=True), in_jax(row, second=True))
