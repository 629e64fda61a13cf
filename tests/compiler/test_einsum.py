"""np.einsum in a kernel: every form of subscripts, compiled for the CPU, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from same_results import assert_same

import onepass as op

random = np.random.default_rng(0)
A, B, C = random.normal(size=(2, 3, 4, 5)), random.normal(size=(2, 3, 5, 6)), random.normal(size=(5, 6))
SQUARE = random.normal(size=(2, 3, 3))

CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("ij,jk->ik", (A[0, 0], C)),
    ("ij,jk", (A[0, 0], C)),
    ("ba", (C,)),
    ("ij->", (C,)),
    ("ij->j", (C,)),
    ("i,j->ji", (C[0], C[1])),
    ("bii->bi", (SQUARE,)),
    ("...ii->...", (SQUARE,)),
    ("bhij,bhjk->bhik", (A, B)),
    ("...ij,...jk->...ik", (A, B)),
    ("...ij,jk->...ik", (A, C)),
    ("i...,i...->...", (A, A)),
    ("...i,...i", (A, A)),
    ("...->...", (A,)),
    ("ij,jk,lk->il", (A[0, 0], C, C)),
]


@pytest.mark.parametrize(("subscripts", "arrays"), CALLS, ids=lambda part: part if type(part) is str else "")
def test_subscripts(subscripts: str, arrays: tuple[Any, ...]) -> None:
    def product(*given: Any) -> Any:
        return np.einsum(subscripts, *given)

    with op.use_backend("numba"):
        assert_same(op.kernel(product)(*arrays), product(*arrays), 1e-12)


@pytest.mark.parametrize("subscripts", ["ij,jk->ik", "ij,jk->iz", "ij,j,k"])
def test_subscripts_that_do_not_fit_are_an_error_that_names_the_shapes(subscripts: str) -> None:
    def product(*given: Any) -> Any:
        return np.einsum(subscripts, *given)

    with op.use_backend("numba"), pytest.raises(ValueError, match="product: einsum of"):
        op.kernel(product)(A, C)
