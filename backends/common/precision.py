"""How exactly products of float32 are computed: the innermost `use_precision`, else ONEPASS_PRECISION.

ONEPASS_PRECISION is read when onepass is imported. None is no choice: a GPU follows CuPy then.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from contextvars import ContextVar

from .settings import SettingError, set_inside

VARIABLE = "ONEPASS_PRECISION"
_from_environment = os.environ.get(VARIABLE) or None
NAMES = ("highest", "high", "medium")

# A context variable, so that other threads and async tasks do not see the choice.
_chosen: ContextVar[str | None] = ContextVar("onepass_precision", default=None)


def use_precision(name: str) -> AbstractContextManager[None]:
    """Context manager: matrix products of float32 in kernels called in the block are this precise.

    name:   "highest": float32 arithmetic. On an NVIDIA GPU with tensor cores, "high" rounds the factors to
            TF32 (11 bits), and "medium" lets cuBLAS round them to bfloat16 (8 bits), which it may decline;
            sums stay float32. Elsewhere the three are the same.
    raises: ValueError for another name

    On an H100, for all shapes of products in the benchmarks, entries of products of random matrices are off
    by 3e-4 of |a| |b| / sqrt(k) with "high", root mean square, and by at most 2e-6 with "highest"; |a|
    and |b| are the norms of the entry's row and column, k is their length. With more than 100,000 terms it is
    4e-4 and 3e-6. "medium" gave the same numbers as "high" there: cuBLAS 13.1 used TF32.

    Products of float64 and of half precision, and all that is no product, are not affected. Nor are products
    of more than two dimensions, which CuPy computes by its own switch. Without a choice, a GPU follows that
    switch, `CUPY_TF32=1`, for all products; a choice comes before it.

    The names are those of `torch.set_float32_matmul_precision` and `jax.default_matmul_precision`. The choice
    holds for this thread and async task until the block ends. A new thread starts with ONEPASS_PRECISION, or
    with none.
    """
    if name not in NAMES:
        raise ValueError(f"use_precision: got {name!r}; expected one of {', '.join(map(repr, NAMES))}.")
    return set_inside(_chosen, name)


def chosen_precision() -> str | None:
    """The precision chosen here; None if there is no choice.

    raises: SettingError for the value of ONEPASS_PRECISION
    """
    name = _chosen.get() or _from_environment
    if name is not None and name not in NAMES:
        raise SettingError(f"{VARIABLE}: got {name!r}; expected one of {', '.join(map(repr, NAMES))}.")
    return name
