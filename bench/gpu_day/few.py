"""A few kernels for tools that slow them down: every way to share a row, aligned and unaligned, and replayed.

There are no matrix products, because the tools take long for them. The argument `large` runs only the two
large cross-entropies, once each.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

import onepass as op

SMALL = ((33, 3), (40, 31), (9, 257), (5, 8192), (3, 49152), (2, 131072))
LARGE = ((4096, 8192), (256, 131072))


def cross_entropies(xp: Any, shapes: Sequence[tuple[int, int]], *, large: bool) -> None:
    """xp: CuPy; in a test NumPy"""
    random = np.random.default_rng(0)
    for n, k in shapes:
        for dtype in (np.dtype("float32"), np.dtype(ml_dtypes.bfloat16)):
            logits = xp.asarray(random.standard_normal((n, k), dtype=np.float32).astype(dtype))
            labels = xp.asarray(random.integers(0, k, n))
            given = [logits] if large else [logits, _off_by_one(xp, logits)]
            for array in given:
                for _ in range(1 if large else 3):  # run, recorded, replayed
                    loss, grad = op.softmax_cross_entropy_with_grad(array, labels)
                    total = float(loss)
                    del loss, grad
            print(n, k, dtype.name, total, flush=True)


def _off_by_one(xp: Any, array: Any) -> Any:
    """A copy whose address is not aligned for vector loads."""
    copy = xp.empty(array.size + 1, array.dtype)[1:].reshape(array.shape)
    copy[...] = array
    return copy


def adam(xp: Any) -> float:
    """The sum of a parameter after three steps with gradients of 1. Its mean changes by lr in each step."""
    params = [(xp.ones((20, 50), "float32"), xp.ones(50, "float32"))]
    grads, state = params, op.adam_init(params)
    for _ in range(3):
        params, state = op.adam_step(params, grads, state, 0.1)
    return float(params[0][0].sum())


def main() -> None:
    large = "large" in sys.argv[1:]
    cupy = importlib.import_module("cupy")
    cupy.cuda.set_allocator(None)  # one allocation per array, so that a tool knows its bounds
    with op.use_backend("cupy"):
        cross_entropies(cupy, LARGE if large else SMALL, large=large)
        if not large:
            print("Adam", adam(cupy))


if __name__ == "__main__":
    main()
