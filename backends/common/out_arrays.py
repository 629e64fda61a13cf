"""The arrays of `out=`: what each must be, whether they share memory, and copying results into them.

Takes a result and the user's arrays, and gives the result with these arrays in it:

    OutArrays("f", like=(x, y), arrays=[None, mine]).copy_from((x, y)) == (x, mine)   # mine holds y
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy

from .libraries import library_of
from .trees import leaves, map_leaves, named_leaves

# Limit on the work of the exact test whether two strided arrays share an element.
MAX_WORK: Any = 10_000


class ArraySpec:
    """What an array of `out=` must be to take a result. Not a dataclass, because it is a leaf of a pytree.

    dtype:     in the library named `library`
    is_scalar: the result is an immutable number, so a number in its place means "allocate"
    """

    __slots__ = ("device", "dtype", "is_scalar", "library", "shape")

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        library: str | None = "numpy",
        device: Any = None,
        *,
        is_scalar: bool = False,
    ) -> None:
        self.shape, self.dtype, self.library = shape, dtype, library
        self.device, self.is_scalar = device, is_scalar


@dataclass(frozen=True, slots=True)
class OutArrays:
    """The user's arrays, one or None for each leaf of the result. The result has the structure of `like`."""

    kernel: str
    like: Any
    arrays: list[Any]

    def require_disjoint(self, some: Iterable[int] | None = None) -> None:
        """Raise a ValueError if two of the arrays share memory.

        some: the leaf numbers to compare with all others; None compares all pairs
        """
        used = [number for number, array in enumerate(self.arrays) if array is not None]
        for one in used if some is None else some:
            for other in used:
                if other != one and shares_memory(self.arrays[one], self.arrays[other]):
                    paths = [path for path, _ in named_leaves(self.like, "out")]
                    first, second = sorted((one, other))
                    raise ValueError(
                        f"{self.kernel}: {paths[first]} and {paths[second]} share memory; expected arrays "
                        "that do not overlap. Pass another array, or None to allocate one."
                    )

    def copy_from(self, result: Any, done: Collection[int] = ()) -> Any:
        """Copy the leaves of `result` into these arrays.

        done:    the leaf numbers of arrays that already hold their result
        returns: `result` with these arrays in place of its leaves
        """
        to_copy = [n for n, array in enumerate(self.arrays) if array is not None and n not in done]
        values = leaves(result)
        # A result may be an argument, which may be the out array of another result: copy it first.
        for number in range(len(values)) if to_copy else ():
            if number not in done and self._is_overwritten(values[number], number, to_copy):
                values[number] = _copy(values[number])
        for number in to_copy:
            self.arrays[number][...] = values[number]
        each = iter(leaf if array is None else array for leaf, array in zip(values, self.arrays, strict=True))
        return map_leaves(lambda _: next(each), result)

    def _is_overwritten(self, leaf: Any, number: int, to_copy: list[int]) -> bool:
        """Whether copying other results would change the leaf of this number."""
        if library_of(leaf) is None or isinstance(leaf, numpy.generic):
            return False
        # NumPy buffers an overlap within one assignment; other libraries may not.
        buffers = library_of(leaf) == "numpy"
        return any(may_share_memory(leaf, self.arrays[n]) for n in to_copy if n != number or not buffers)


def _copy(array: Any) -> Any:
    if library_of(array) == "numpy":
        return array[...].copy()
    import array_api_compat

    return array_api_compat.array_namespace(array).asarray(array, copy=True)


def may_share_memory(a: Any, b: Any) -> bool:
    """Whether two arrays of any library might share memory; True if that is unknown."""
    if a is b:
        return True
    first, second = _memory(a), _memory(b)
    return first is None or second is None or numpy.may_share_memory(first, second)


def shares_memory(a: Any, b: Any) -> bool:
    """Whether two arrays of any library share an element; False if their memory is unknown."""
    if a is b:
        return True
    first, second = _memory(a), _memory(b)
    if first is None or second is None or not numpy.may_share_memory(first, second):
        return False
    try:
        return numpy.shares_memory(first, second, max_work=MAX_WORK)
    except numpy.exceptions.TooHardError:
        return True


class _Interface:
    """An `__array_interface__` for memory that is never read: it may be on a device."""

    def __init__(self, address: int, shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> None:
        self.__array_interface__ = {
            "data": (address, False),
            "shape": shape,
            "strides": strides,
            "typestr": f"|V{size}",
            "version": 3,
        }


def _memory(array: Any) -> Any:
    """A NumPy array at the memory of any library's array, never to be read; None if that is unknown."""
    library = library_of(array)
    if library == "numpy":
        return array
    if library == "torch" and array.layout is _strided():
        size = array.element_size()
        strides = tuple(size * step for step in array.stride())
        return numpy.asarray(_Interface(array.data_ptr(), tuple(array.shape), strides, size))
    if library == "cupy":
        return numpy.asarray(_Interface(array.data.ptr, array.shape, array.strides, array.itemsize))
    try:
        return numpy.from_dlpack(array)
    except Exception:  # libraries raise different errors for an array on a device, or on several
        return None


def _strided() -> Any:
    import torch

    return torch.strided


def has_internal_overlap(array: Any) -> bool:
    """Whether two elements of the array may share memory, by its strides; False if they are unknown."""
    memory = _memory(array)
    if memory is None or memory.flags.c_contiguous or memory.size < 2:
        return False
    reach = memory.itemsize
    steps = zip(memory.strides, memory.shape, strict=True)
    for step, count in sorted((abs(step), count) for step, count in steps if count > 1):
        if step < reach:
            return True
        reach += step * (count - 1)
    return False
