"""Strides: whether NumPy's `reshape` of an array would be a view, or a copy.

Takes an array and its views; gives strides in elements, as NumPy's arrays have them:

    strides_of(x)            (4, 1)    for x of shape (3, 4)
    strides_of(x.T[1:])      (1, 4)
    reshaped((3, 2), (4, 1), (6,))     None: no strides show the elements in that order, so NumPy copies

Arguments are taken to lie in C order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .symbolic import SymbolicArray

Strides = tuple[int, ...]


def in_c_order(sizes: Sequence[int]) -> Strides:
    """The strides of an array without gaps in C order."""
    return tuple(math.prod(sizes[d + 1 :]) for d in range(len(sizes)))


def strides_of(array: SymbolicArray) -> Strides:
    """The strides of an array or a view."""
    if array.base is None or array.look is None:
        sizes = array.node.sizes()
        return _in_order(sizes, array.order) if array.order else in_c_order(sizes)
    return array.look.strides(strides_of(array.base), array.base.node.sizes())


def _in_order(sizes: Sequence[int], order: Sequence[int]) -> Strides:
    packed = in_c_order([sizes[d] for d in order])
    return tuple(packed[order.index(d)] for d in range(len(sizes)))


def is_contiguous(sizes: Sequence[int], strides: Strides) -> bool:
    """Whether the elements lie in C order without gaps."""
    pairs = zip(sizes, strides, in_c_order(sizes), strict=True)
    return 0 in sizes or all(size == 1 or own == packed for size, own, packed in pairs)


def reshaped(sizes: Sequence[int], strides: Strides, new: Sequence[int]) -> Strides | None:
    """The strides of a reshaped view; None where there are none."""
    if 0 in sizes:
        return in_c_order(new)
    # Neighbouring dimensions without gaps between them, as (size, stride) of their elements.
    runs: list[tuple[int, int]] = []
    for size, stride in zip(sizes, strides, strict=True):
        if size == 1:
            continue
        if runs and runs[-1][1] == size * stride:
            runs[-1] = (runs[-1][0] * size, stride)
        else:
            runs.append((size, stride))
    found: list[int] = []
    for size in reversed(new):
        if size == 1:
            found.append(1)
            continue
        count, stride = runs.pop()
        if count % size:
            return None
        found.append(stride)
        if count > size:
            runs.append((count // size, stride * size))
    return tuple(reversed(found))


def order_of_result(sizes: tuple[int, ...], arrays: Sequence[SymbolicArray]) -> tuple[int, ...]:
    """The order in memory of the result of an elementwise operation in NumPy; () for C order.

    A dimension comes behind another one if its stride is smaller in all arrays that have both.
    """
    known = [_aligned(array, len(sizes)) for array in arrays if array.ndim]
    order: list[int] = []
    for dimension in range(len(sizes)):
        place = len(order)
        for position in range(len(order) - 1, -1, -1):
            is_before = _is_outer(known, dimension, order[position])
            if is_before is False:
                break
            if is_before:
                place = position
        order.insert(place, dimension)
    return () if order == list(range(len(sizes))) else tuple(order)


def order_without(array: SymbolicArray, gone: Sequence[int]) -> tuple[int, ...]:
    """The order in memory of the result of a reduction in NumPy; () for C order."""
    kept = [d for d in range(array.ndim) if d not in gone]
    strides = strides_of(array)
    order = sorted(range(len(kept)), key=lambda place: -abs(strides[kept[place]]))
    return () if order == list(range(len(kept))) else tuple(order)


def _aligned(array: SymbolicArray, ndim: int) -> Strides:
    """The strides of the dimensions of a result; 0 where the array has no dimension, or one of size 1."""
    pairs = zip(array.node.sizes(), strides_of(array), strict=True)
    return (0,) * (ndim - array.ndim) + tuple(0 if size == 1 else stride for size, stride in pairs)


def _is_outer(known: Sequence[Strides], dimension: int, other: int) -> bool | None:
    """Whether a dimension has larger strides than one before it; None if no array tells."""
    found: bool | None = None
    for strides in known:
        own, of_other = abs(strides[dimension]), abs(strides[other])
        if own and of_other:
            if own <= of_other:
                return False
            found = True
    return found
