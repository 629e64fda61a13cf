"""Where arrays lie: which of them overlap, and which can be read as they are although they have gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from ...ir.attributes import Layout


def overlap(arrays: Sequence[Any], positions: Sequence[int]) -> bool:
    """Whether one of the arrays at some positions shares memory with another one."""
    bounds = [numpy.lib.array_utils.byte_bounds(array) for array in arrays]
    return any(
        other != position and bounds[other][0] < bounds[position][1] and bounds[position][0] < end
        for position in positions
        for other, (_, end) in enumerate(bounds)
    )


def layout_of(array: Any) -> Layout | None:
    """The layout of a matrix whose rows, or columns, have no gaps; None where it is contiguous, or neither.

    Rows may not overlap. A matrix of one row or one column is neither.
    """
    if type(array) is not numpy.ndarray or array.ndim != 2 or min(array.shape) < 2:
        return None
    flags, size = array.flags, array.itemsize
    if flags.c_contiguous or not flags.aligned or not array.dtype.isnative:
        return None
    (row, column), (rows, columns) = array.strides, array.shape
    if column == size and row >= columns * size and row % size == 0:
        return Layout.ROWS
    if row == size and column >= rows * size and column % size == 0:
        return Layout.COLUMNS
    return None
