"""The smallest and the largest value of an integer array, by one compiled loop for each dtype."""

from __future__ import annotations

import functools
from typing import Any

import numpy

from ...ir.dtypes import DType, Kind, dtype_of
from .python_objects import DATA, SHAPE, function

TEXT = """\
def bounds(self, given, count):
    array = ELEMENT_at(int64_at(given[0] + DATA)[0])
    length = int64_at(int64_at(given[0] + SHAPE)[0])[0]
    smallest = array[0]
    largest = array[0]
    for index in range(length):
        smallest = min(smallest, array[index])
        largest = max(largest, array[index])
    pair = PyTuple_New(2)
    PyTuple_SetItem(pair, 0, MAKE(WIDE(smallest)))
    PyTuple_SetItem(pair, 1, MAKE(WIDE(largest)))
    return pair
"""


def bounds(array: Any) -> tuple[int, int]:
    """(smallest, largest) of a non-empty NumPy array of integers, of one dimension without gaps."""
    found: tuple[int, int] = _function_of(array.dtype)(array)
    return found


@functools.cache
def _function_of(dtype: numpy.dtype[Any]) -> Any:
    element = dtype_of(dtype.name)
    assert element is not None
    return function(_text(element), "bounds", f"bounds_{element}")


def _text(element: DType) -> str:
    is_signed = element.kind is Kind.SIGNED
    make = "PyLong_FromLongLong" if is_signed else "PyLong_FromUnsignedLongLong"
    names = {"ELEMENT": element.name, "MAKE": make, "WIDE": "int64" if is_signed else "uint64"}
    text = TEXT.replace("DATA", str(DATA)).replace("SHAPE", str(SHAPE))
    for name, meaning in names.items():
        text = text.replace(name, meaning)
    return text
