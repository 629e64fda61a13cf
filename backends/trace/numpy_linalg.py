"""The functions of `np.linalg` of symbolic arrays, with NumPy's signatures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import linalg, products
from .numpy_arguments import accepting_list, array_of, finished, unsupported


def _qr(a: Any, mode: str = "reduced") -> Any:
    return linalg.qr(array_of(a), mode=mode)


def _svd(a: Any, full_matrices: Any = True, compute_uv: Any = True, hermitian: Any = False) -> Any:
    x = array_of(a)
    return linalg.svd(x, full_matrices=full_matrices) if compute_uv else linalg.svdvals(x)


def _eigh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803 - NumPy's name
    if UPLO != "L":
        raise unsupported(a, f"np.linalg.eigh with UPLO={UPLO!r}")
    return linalg.eigh(array_of(a))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    return linalg.norm(array_of(x), ord, axis, keepdims)


def _multi_dot(arrays: Any, *, out: Any = None) -> Any:
    return finished(functools.reduce(products.matmul, arrays), out=out)


def _linalg(name: str) -> Callable[..., Any]:
    return accepting_list(getattr(linalg, name))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{
        f"linalg.{name}": _linalg(name)
        for name in (
            *("cholesky", "det", "diagonal", "eigvalsh", "inv", "matrix_norm", "matrix_power"),
            *("matrix_rank", "matrix_transpose", "pinv", "slogdet", "svdvals", "trace", "vector_norm"),
            *("solve", "cross", "outer", "tensordot", "vecdot", "matmul"),
        )
    },
    "linalg.qr": _qr,
    "linalg.svd": _svd,
    "linalg.eigh": _eigh,
    "linalg.norm": _norm,
    "linalg.multi_dot": _multi_dot,
}
