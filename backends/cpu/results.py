"""Results of a program on the CPU: how fresh arrays are made, and how numbers are read from its table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from ..codegen.results import NumberText
from ..ir.dtypes import PYTHON_TYPES, numpy_dtype
from ..ir.graph import Node, base
from ..ir.nest import Buffer
from .dialect import kept_number
from .runtime import memory


def allocation(
    result: Buffer, shape: tuple[int, ...]
) -> tuple[Callable[..., Any], tuple[int, ...], numpy.dtype[Any]]:
    """How a fresh array for a result is made: function, shape, dtype."""
    dtype = numpy_dtype(result.dtype)
    is_small = math.prod(shape) * dtype.itemsize < memory.LARGE
    return numpy.empty if is_small else memory.empty, shape, dtype


def number_of_memory(slots: Mapping[Node, int]) -> NumberText:
    """For programs that leave numbers in `scalars`, or in `integers`, which is the same memory as integers.

    slots: where they are left
    """

    def text(node: Node, shape: tuple[int, ...], constant: Callable[[Any], str]) -> str:
        number = kept_number(node.dtype, str(slots[base(node)]))
        if node.weak:
            return f"{PYTHON_TYPES[node.dtype].__name__}({number})"
        if shape:
            return f"{constant(_of_number)}({shape}, {constant(numpy_dtype(node.dtype))}, {number})"
        return f"{constant(numpy_dtype(node.dtype).type)}({number})"

    return text


def _of_number(shape: tuple[int, ...], dtype: numpy.dtype[Any], number: float) -> Any:
    """numpy.full for arrays of one element, at a third of its price."""
    array = numpy.empty(shape, dtype)
    array.fill(number)
    return array
