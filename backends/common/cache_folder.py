"""The folder of compiled programs: where it is, and a warning where it cannot be used."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import platformdirs

from .private import NotPrivateError, require_private

_warned = False


def folder() -> Path:
    """Where source and machine code are kept: ONEPASS_CACHE_DIR, or the user's folder for caches."""
    chosen = os.environ.get("ONEPASS_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("onepass"))


def private_folder() -> Path:
    """`folder()`, made where it is missing.

    raises: NotPrivateError where others can write into it; OSError where it cannot be made
    """
    path = folder()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_private(path)
    return path


def warn(trouble: Exception) -> None:
    """Say, once in a process, why compiled programs are not kept."""
    global _warned
    if not _warned:
        _warned = True
        advice = "Set ONEPASS_CACHE_DIR to a folder that can be written and has space."
        if isinstance(trouble, NotPrivateError):
            advice = (
                "What others have put there would be run. Make it yours alone with chmod 700, or set "
                "ONEPASS_CACHE_DIR (and NUMBA_CACHE_DIR where that is in use) to a folder of your own."
            )
        warnings.warn(
            f"onepass cannot keep compiled programs in {folder()} ({type(trouble).__name__}: {trouble}). "
            f"They are compiled again in every process. {advice}",
            RuntimeWarning,
            stacklevel=3,
        )
