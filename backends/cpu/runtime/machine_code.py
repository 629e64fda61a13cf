"""Functions of this library compiled by Numba, with machine code cached on disk if possible."""

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

    Damaged cache files are deleted and made again. Without a usable cache folder it is compiled in memory.
    """
    with forks.compile_lock:
        for _ in range(2 if _may_be_cached(function) else 0):
            try:
                return decorate(*signature, cache=True, **options)(function)
            except NumbaError:
                raise
            except Exception:
                # A damaged file raises UnpicklingError, EOFError, ValueError, RuntimeError and others.
                with contextlib.suppress(Exception):
                    FunctionCache(function).flush()
        return decorate(*signature, **options)(function)


def _may_be_cached(function: Callable[..., Any]) -> bool:
    """Whether code in Numba's cache folder for the function is as safe to run as the function itself."""
    try:
        folder = Path(FunctionCache(function).cache_path)
        if folder.parent != Path(function.__code__.co_filename).parent:
            require_private(folder)
    except NotPrivateError as error:
        cache_folder.warn(error)
        return False
    except Exception:  # no folder, or none that is writable: compiling shows that
        pass
    return True
