"""Arrays of the caller's that take results: whether they share memory, and how results get into them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy

from .libraries import library_of
from .trees import leaves, map_leaves, named_leaves

# Steps that may be taken to find out whether two strided arrays have an element in common.
MOST_WORK: Any = 10_000


class Wanted:
    """What an array must be to take a result. No dataclass, because it is a leaf of a tree.

    dtype: of the result's library, whose name is `library`; a number of Python's takes any library
    is_number: the result is immutable, so that a number in its place asks for no more than a fresh one
    """

    __slots__ = ("device", "dtype", "is_number", "library", "shape")

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        library: str | None = "numpy",
        device: Any = None,
        *,
        is_number: bool = False,
    ) -> None:
        self.shape, self.dtype, self.library = shape, dtype, library
        self.device, self.is_number = device, is_number


@dataclass(frozen=True, slots=True)
class Destinations:
    """The caller's arrays, one or None for every leaf of the result, which has the structure of `like`."""

    kernel: str
    like: Any
    arrays: list[Any]

    def require_apart(self, some: Iterable[int] | None = None) -> None:
        """A ValueError where two of the arrays share memory, of which one is among `some` or any."""
        given = [number for number, array in enumerate(self.arrays) if array is not None]
        for one in given if some is None else some:
            for other in given:
                if other != one and share_memory(self.arrays[one], self.arrays[other], exactly=True):
                    names = [path for path, _ in named_leaves(self.like, "out")]
                    first, second = sorted((one, other))
                    raise ValueError(
                        f"{self.kernel}: {names[first]} and {names[second]} share memory; expected arrays "
                        "apart from each other. Give another array, or None for a fresh one."
                    )

    def filled(self, result: Any, there: Collection[int] = ()) -> Any:
        """`result` with these arrays in place of its leaves, which are copied into them.

        there: the numbers of arrays that have their result already
        """
        copied = [n for n, array in enumerate(self.arrays) if array is not None and n not in there]
        found = leaves(result)
        # A result may be an argument, and that may be the destination of another result.
        for number, leaf in enumerate(found) if copied else ():
            if number not in there and library_of(leaf) is not None and not isinstance(leaf, numpy.generic):
                clashes = (n for n in copied if n != number or library_of(leaf) != "numpy")
                if any(share_memory(leaf, self.arrays[n]) for n in clashes):
                    found[number] = leaf[...].copy() if library_of(leaf) == "numpy" else _copy(leaf)
        for number in copied:
            self.arrays[number][...] = found[number]
        each = iter(leaf if array is None else array for leaf, array in zip(found, self.arrays, strict=True))
        return map_leaves(lambda _: next(each), result)


def _copy(array: Any) -> Any:
    import array_api_compat

    return array_api_compat.array_namespace(array).asarray(array, copy=True)


def share_memory(a: Any, b: Any, *, exactly: bool = False) -> bool:
    """Whether two arrays have memory in common, or might have; `exactly`, where that can be found out."""
    if a is b:
        return True
    first, second = _memory(a), _memory(b)
    if first is None or second is None:
        return not exactly
    if not numpy.may_share_memory(first, second):
        return False
    try:
        return not exactly or numpy.shares_memory(first, second, max_work=MOST_WORK)
    except numpy.exceptions.TooHardError:
        return True


class _At:
    """What NumPy needs to know to take a place in memory for an array, without looking at what is there."""

    def __init__(self, address: int, shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> None:
        self.__array_interface__ = {
            "data": (address, False),
            "shape": shape,
            "strides": strides,
            "typestr": f"|V{size}",
            "version": 3,
        }


def _memory(array: Any) -> Any:
    """A NumPy array at the memory of any library's array, never to be read; None where it does not say."""
    library = library_of(array)
    if library == "numpy":
        return array
    if library == "torch" and array.layout is _strided():
        size = array.element_size()
        strides = tuple(size * step for step in array.stride())
        return numpy.asarray(_At(array.data_ptr(), tuple(array.shape), strides, size))
    if library == "cupy":
        return numpy.asarray(_At(array.data.ptr, array.shape, array.strides, array.itemsize))
    try:
        return numpy.from_dlpack(array)
    except Exception:  # libraries say in many ways that an array is on another device, or spread over several
        return None


def _strided() -> Any:
    import torch

    return torch.strided


def is_apart_from_itself(array: Any) -> bool:
    """Whether every element has memory of its own, as far as the strides tell; True where nobody knows."""
    memory = _memory(array)
    if memory is None or memory.flags.c_contiguous or memory.size < 2:
        return True
    reach = memory.itemsize
    steps = zip(memory.strides, memory.shape, strict=True)
    for step, count in sorted((abs(step), count) for step, count in steps if count > 1):
        if step < reach:
            return False
        reach += step * (count - 1)
    return True
