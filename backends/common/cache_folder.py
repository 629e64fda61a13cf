"""The cache folder of compiled programs: where it is, and a warning where it cannot be used."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import platformdirs

from .private import NotPrivateError, require_private

_warned = False


def folder() -> Path:
    """The folder for machine code: ONEPASS_CACHE_DIR, or the user's cache folder."""
    chosen = os.environ.get("ONEPASS_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("onepass"))


def private_folder() -> Path:
    """`folder()`, created if it is missing.

    raises: NotPrivateError if other users can write into it; OSError if it cannot be created
    """
    path = folder()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_private(path)
    return path


def warn(problem: Exception) -> None:
    """Warn, once per process, that compiled programs are not cached, and say why."""
    global _warned
    if not _warned:
        _warned = True
        advice = "Set ONEPASS_CACHE_DIR to a writable folder with free space."
        if isinstance(problem, NotPrivateError):
            advice = (
                "Files from other users would be run as code. Run chmod 700 on the folder, or set "
                "ONEPASS_CACHE_DIR to a folder of your own."
            )
        warnings.warn(
            f"onepass cannot cache compiled programs in {folder()} ({type(problem).__name__}: {problem}). "
            f"Every process compiles them again. {advice}",
            RuntimeWarning,
            stacklevel=3,
        )
