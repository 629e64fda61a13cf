"""Functions of this library compiled by Numba, with machine code kept on disk where that works."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache
from numba.core.errors import NumbaError

from ...common import cache_folder, forks
from ...common.private import NotPrivateError, require_private


def compiled(
    function: Callable[..., Any], decorate: Callable[..., Any], *signature: Any, **options: Any
) -> Any:
    """`function` compiled for one signature by `decorate`, which is numba.njit or numba.cfunc.

    What is on disk and damaged is made anew; where no folder can be used, this process compiles in memory.
    """
    with forks.compiling:
        for _ in range(2 if _may_be_kept(function) else 0):
            try:
                return decorate(*signature, cache=True, **options)(function)
            except NumbaError:
                raise
            except Exception:
                # A damaged file raises nearly anything: UnpicklingError, EOFError, ValueError, RuntimeError.
                with contextlib.suppress(Exception):
                    FunctionCache(function).flush()
        return decorate(*signature, **options)(function)


def _may_be_kept(function: Callable[..., Any]) -> bool:
    """Whether Numba's folder for the function is as safe to run code from as the function's own source."""
    try:
        folder = Path(FunctionCache(function).cache_path)
        if folder.parent != Path(function.__code__.co_filename).parent:
            require_private(folder)
    except NotPrivateError as error:
        cache_folder.warn(error)
        return False
    except Exception:  # no folder, or none that Numba can write into: the compiling itself finds out
        pass
    return True
