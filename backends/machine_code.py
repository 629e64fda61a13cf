"""Functions of this library compiled by Numba, with machine code kept on disk where that works."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from numba.core.caching import FunctionCache
from numba.core.errors import NumbaError

from . import forks


def compiled(
    function: Callable[..., Any], decorate: Callable[..., Any], *signature: Any, **options: Any
) -> Any:
    """`function` compiled for one signature by `decorate`, which is numba.njit or numba.cfunc.

    What is on disk and damaged is made anew; where no folder can be used, this process compiles in memory.
    """
    with forks.compiling:
        for _ in range(2):
            try:
                return decorate(*signature, cache=True, **options)(function)
            except NumbaError:
                raise
            except Exception:
                # A damaged file raises nearly anything: UnpicklingError, EOFError, ValueError, RuntimeError.
                with contextlib.suppress(Exception):
                    FunctionCache(function).flush()
        return decorate(*signature, **options)(function)
