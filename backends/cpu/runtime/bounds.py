"""The smallest and the largest value of an integer array, by one compiled loop for each dtype."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy

from ...ir.dtypes import DType, Kind, dtype_of
from .python_objects import ALIGNED, CONTIGUOUS, DATA, FLAGS, SHAPE, function

TEXT = """\
def bounds(self, given, count):
    pair = 0
    if int64(int32_at(given[0] + FLAGS)[0]) & NEEDED == NEEDED:
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
    else:
        pair = PyTuple_New(0)
    return pair
"""


def bounds(array: Any) -> tuple[int, ...]:
    """(smallest, largest) of a non-empty NumPy array of integers of one dimension; () for one with gaps."""
    found: tuple[int, ...] = _function_of(array.dtype)(array)
    return found


@functools.cache
def _function_of(dtype: numpy.dtype[Any]) -> Callable[[Any], tuple[int, ...]]:
    element = dtype_of(dtype.name) if dtype.isnative else None
    if element is None or not element.is_integer:
        return lambda _array: ()
    found: Callable[[Any], tuple[int, ...]] = function(_text(element), "bounds", f"bounds_{element}")
    return found


def _text(element: DType) -> str:
    is_signed = element.kind is Kind.SIGNED
    make = "PyLong_FromLongLong" if is_signed else "PyLong_FromUnsignedLongLong"
    names = {"ELEMENT": element.name, "MAKE": make, "WIDE": "int64" if is_signed else "uint64"}
    names |= {
        "DATA": str(DATA),
        "SHAPE": str(SHAPE),
        "FLAGS": str(FLAGS),
        "NEEDED": str(CONTIGUOUS | ALIGNED),
    }
    text = TEXT
    for name, meaning in names.items():
        text = text.replace(name, meaning)
    return text
