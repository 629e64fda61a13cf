"""The smallest and the largest value of an integer array.

`bounds(numpy.asarray([3, -1, 2]))` is `(-1, 3)`. The CPU backend registers a compiled loop here, which is
faster than two calls of NumPy. A check that runs without the compiler does not import llvmlite for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_compiled: Callable[[Any], tuple[int, int]] | None = None


def use_compiled(function: Callable[[Any], tuple[int, int]]) -> None:
    """Use `function` for all later arrays that are in C order and in the machine's byte order."""
    global _compiled
    _compiled = function


def bounds(array: Any) -> tuple[int, int]:
    """(smallest, largest) of a non-empty NumPy array of integers."""
    flags = array.flags
    if _compiled is not None and flags.c_contiguous and flags.aligned and array.dtype.isnative:
        return _compiled(array)
    return int(array.min()), int(array.max())
