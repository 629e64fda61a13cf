"""Warnings that name the line of the user's code that called."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

_OURS = (
    str(Path(__file__).parent),
    str(Path(sys.modules[__package__.rpartition(".")[0]].__file__ or "").parent),
)


def warn(message: str) -> None:
    """A RuntimeWarning at the innermost line that is not ours."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(Path(frame.f_code.co_filename).parent) in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, RuntimeWarning, stacklevel=level + 1)
