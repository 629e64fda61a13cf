"""Warnings that name the line of the user's code that called."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

_BACKENDS = Path(__file__).parents[1]
# This package, and the public API above it, which has no folders of its own.
_OURS = (str(_BACKENDS), str(Path(sys.modules[__package__.split(".")[0]].__file__ or "").parent))


def warn(message: str) -> None:
    """A RuntimeWarning at the innermost line that is not ours."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_ours(Path(frame.f_code.co_filename)):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, RuntimeWarning, stacklevel=level + 1)


def _is_ours(file: Path) -> bool:
    return _BACKENDS in file.parents or str(file.parent) in _OURS
