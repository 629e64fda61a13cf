"""The smallest and the largest of an array of integers, without the price of a NumPy call."""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy

from .forks import compiling


def bounds(array: Any) -> tuple[int, int]:
    """(smallest, largest) of a NumPy array of integers that is not empty."""
    # A kernel that is called is compiled by then; a check alone should not bring Numba in.
    if f"{__package__}.numba_backend" in sys.modules and array.flags.carray and array.dtype.isnative:
        smallest, largest = _compiled(array.dtype)(array)
        return smallest, largest
    return int(array.min()), int(array.max())


def _find(array):  # type: ignore[no-untyped-def]
    smallest = largest = array[0]
    for index in range(array.shape[0]):
        smallest = min(smallest, array[index])
        largest = max(largest, array[index])
    return smallest, largest


@functools.cache
def _compiled(dtype: numpy.dtype[Any]) -> Any:
    with compiling:
        import numba

        from .machine_code import compiled

    element = numba.from_dtype(dtype)
    return compiled(_find, numba.njit, numba.types.UniTuple(element, 2)(element[::1]))
