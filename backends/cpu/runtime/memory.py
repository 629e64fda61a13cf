"""Memory that is kept between calls: large result arrays and the scratch memory of programs."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy

# Below this the allocator of NumPy has memory at hand that needs no page faults.
LARGE = 256 << 10

# Bytes of returned memory that are kept for the next result; an eighth of a small machine's memory.
MOST_KEPT = 512 << 20
with contextlib.suppress(AttributeError, ValueError, OSError):  # no sysconf, or not this name: not POSIX
    MOST_KEPT = min(MOST_KEPT, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8)

_ALIGNMENT = 64

# Nothing here takes a lock. Finalisers run at any moment, also in the middle of `empty` in the same thread,
# where waiting for a lock would last for ever; every step below is one atomic operation of a dict or a deque.
_kept: dict[int, deque[_Memory]] = {}
_returns = count()
_blocks = count()


class _Memory:
    """A block of memory, as bytes; `returned` says when it came back, in returns of any block."""

    __slots__ = ("block", "interface", "returned")

    def __init__(self, size: int) -> None:
        self.block = _new_block(size)
        self.interface = self.block.__array_interface__
        self.returned = 0


class _Lent:
    """Stands between memory and the arrays that view it: when the last of them is gone, so is this.

    NumPy replaces the base of a view by the base's own base, down to the first that is no array: here.
    """

    __slots__ = ("__array_interface__", "memory")

    def __init__(self, memory: _Memory) -> None:
        self.memory = memory
        self.__array_interface__ = memory.interface

    # The default argument outlives the names of this module, which are gone when the interpreter exits.
    def __del__(self, exiting: Callable[[], bool] = sys.is_finalizing) -> None:
        if not exiting():
            _take_back(self.memory)


def empty(shape: tuple[int, ...], dtype: numpy.dtype[Any]) -> numpy.ndarray[Any, Any]:
    """A fresh C-contiguous array of any values, like numpy.empty; a large one on memory used before.

    A large one is aligned to 64 bytes. Its memory goes to another `empty` once no array, memoryview or
    tensor of another library views it any more.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE or dtype.hasobject:
        return numpy.empty(shape, dtype)
    size = size_class(size)
    try:
        memory = _kept[size].pop()
    except (KeyError, IndexError):
        memory = _new_memory(size)
    return numpy.ndarray(shape, dtype, buffer=numpy.asarray(_Lent(memory)))


def release() -> None:
    """Free all memory that is kept for later results."""
    _kept.clear()


def kept() -> int:
    """Bytes that are kept for later results."""
    return sum(size * len(memories) for size, memories in list(_kept.items()))


def size_class(size: int) -> int:
    """`size` in bytes, rounded up by at most an eighth, so that batches of about one size share memory."""
    step = 1 << max(size.bit_length() - 4, 12)
    return max(-(-size // step), 1) * step


def _new_memory(size: int) -> _Memory:
    try:
        return _Memory(size)
    except MemoryError:
        release()
        return _Memory(size)


def _take_back(memory: _Memory) -> None:
    size = memory.block.size
    if size > MOST_KEPT:
        return
    memory.returned = next(_returns)
    _kept.setdefault(size, deque()).append(memory)
    while kept() > MOST_KEPT:
        _drop_oldest()


def _drop_oldest() -> None:
    oldest: deque[_Memory] = deque()
    since = next(_returns)
    for memories in list(_kept.values()):
        # Another thread may have taken the last one since.
        with contextlib.suppress(IndexError):
            if memories[0].returned < since:
                oldest, since = memories, memories[0].returned
    with contextlib.suppress(IndexError):
        oldest.popleft()


def _new_block(size: int) -> numpy.ndarray[Any, Any]:
    """`size` aligned bytes. NumPy asks the system for huge pages itself."""
    # Blocks that all begin at one place of a page compete for the same lines of the cache when a loop goes
    # over several of them together, which costs Adam's seven arrays 15 %. So each begins somewhere else.
    offset = next(_blocks) % 12 * 5 * _ALIGNMENT if size >= LARGE else 0
    memory = numpy.empty(size + offset + _ALIGNMENT, numpy.uint8)
    start = -memory.ctypes.data % _ALIGNMENT + offset
    return memory[start : start + size]


class Workspace:
    """Scratch memory of one program, kept between its calls; two threads at once get different blocks.

    borrow(size) -> uint8 array of at least `size` bytes, aligned to 64 bytes, of any values
    give_back(array)
    """

    __slots__ = ("_free", "give_back")

    def __init__(self) -> None:
        # More threads than are likely to run one program; a block beyond that pushes out the oldest.
        self._free: deque[numpy.ndarray[Any, Any]] = deque(maxlen=16)
        self.give_back = self._free.append

    def borrow(self, size: int) -> numpy.ndarray[Any, Any]:
        try:
            block = self._free.pop()
        except IndexError:
            return _new_block(size_class(size))
        # A block that has become too small is dropped, so the blocks grow to what the program needs.
        return block if block.size >= size else _new_block(size_class(size))
