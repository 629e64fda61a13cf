"""The smallest and the largest value of an integer array.

`bounds(numpy.asarray([3, -1, 2]))` is `(-1, 3)`. The CPU backend registers a compiled loop here, which is
faster than two calls of NumPy. A check that runs without the compiler does not import llvmlite for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_compiled: Callable[[Any], tuple[int, ...]] | None = None


def use_compiled(function: Callable[[Any], tuple[int, ...]]) -> None:
    """Use `function` for all later arrays; it returns () for one that it cannot read."""
    global _compiled
    _compiled = function


def bounds(array: Any) -> tuple[int, ...]:
    """(smallest, largest) of a non-empty NumPy array of integers."""
    found = () if _compiled is None else _compiled(array)
    return found or (int(array.min()), int(array.max()))
