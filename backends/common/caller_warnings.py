"""Warnings that point at the user's line, not at a line of this library."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

_BACKENDS = Path(__file__).parents[1]
# This package, and the public API above it, which has no sub-folders of its own.
_OURS = (str(_BACKENDS), str(Path(sys.modules[__package__.split(".")[0]].__file__ or "").parent))


def warn(message: str) -> None:
    """A RuntimeWarning at the innermost line outside this library."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_ours(Path(frame.f_code.co_filename)):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, RuntimeWarning, stacklevel=level + 1)


def _is_ours(file: Path) -> bool:
    return _BACKENDS in file.parents or str(file.parent) in _OURS
