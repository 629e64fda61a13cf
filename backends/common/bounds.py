"""The smallest and the largest of an array of integers.

`bounds(numpy.asarray([3, -1, 2]))` is `(-1, 3)`. Where programs are compiled for the CPU, a compiled loop is
registered here that costs less than two calls of NumPy; a check alone should not import Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_compiled: Callable[[Any], tuple[int, int]] | None = None


def use_compiled(function: Callable[[Any], tuple[int, int]]) -> None:
    """Have `function` called from now on for arrays in C order and of the machine's byte order."""
    global _compiled
    _compiled = function


def bounds(array: Any) -> tuple[int, int]:
    """(smallest, largest) of a NumPy array of integers that is not empty."""
    if _compiled is not None and array.flags.carray and array.dtype.isnative:
        return _compiled(array)
    return int(array.min()), int(array.max())
