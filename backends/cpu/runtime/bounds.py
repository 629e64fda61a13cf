"""The smallest and the largest value of an integer array, by one compiled loop for each dtype."""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy

from .machine_code import compiled


def bounds(array: Any) -> tuple[int, int]:
    """(smallest, largest) of a non-empty NumPy array of integers in C order."""
    smallest, largest = _function_of(array.dtype)(array)
    return smallest, largest


def _find(array):  # type: ignore[no-untyped-def]
    smallest = largest = array[0]
    for index in range(array.shape[0]):
        smallest = min(smallest, array[index])
        largest = max(largest, array[index])
    return smallest, largest


@functools.cache
def _function_of(dtype: numpy.dtype[Any]) -> Any:
    element = numba.from_dtype(dtype)
    return compiled(_find, numba.njit, numba.types.UniTuple(element, 2)(element[::1]))
