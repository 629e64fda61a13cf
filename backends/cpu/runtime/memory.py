"""Memory pools: large result arrays, and the workspace of programs, reuse memory of earlier calls."""

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

# Smaller arrays come from NumPy's allocator, which has memory without page faults.
LARGE = 256 << 10

# The largest size of the pool in bytes: at most an eighth of the machine's memory.
MAX_POOLED = 512 << 20
with contextlib.suppress(AttributeError, ValueError, OSError):  # no sysconf or name: not POSIX
    MAX_POOLED = min(MAX_POOLED, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8)

_ALIGNMENT = 64

# Nothing here takes a lock. A finaliser may run at any moment, even inside `empty` in the same thread, where
# waiting for a lock would never end. So each step below is one atomic operation of a dict or a deque.
_pool: dict[int, deque[_Memory]] = {}  # by size class
_returns = count()
_blocks = count()


class _Memory:
    """A block of memory, as bytes. `returned` says when it returned to the pool, as a count of returns."""

    __slots__ = ("block", "interface", "returned")

    def __init__(self, size: int) -> None:
        self.block = _new_block(size)
        self.interface = self.block.__array_interface__
        self.returned = 0


class _Lent:
    """The base of all arrays that view a block: it is deleted when the last of them is deleted.

    NumPy follows the bases of a view down to the first one that is not an array, which is this object.
    """

    __slots__ = ("__array_interface__", "memory")

    def __init__(self, memory: _Memory) -> None:
        self.memory = memory
        self.__array_interface__ = memory.interface

    # A default argument still exists when the interpreter exits; the names of this module do not.
    def __del__(self, exiting: Callable[[], bool] = sys.is_finalizing) -> None:
        if not exiting():
            _return_to_pool(self.memory)


def empty(shape: tuple[int, ...], dtype: numpy.dtype[Any]) -> numpy.ndarray[Any, Any]:
    """An uninitialised C-contiguous array, like numpy.empty; a large one comes from the pool.

    A large array is aligned to 64 bytes. Its memory returns to the pool when no array, memoryview or tensor
    of another library views it any more.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE or dtype.hasobject:
        return numpy.empty(shape, dtype)
    size = size_class(size)
    try:
        memory = _pool[size].pop()
    except (KeyError, IndexError):
        memory = _new_memory(size)
    return numpy.ndarray(shape, dtype, buffer=numpy.asarray(_Lent(memory)))


def release() -> None:
    """Free all memory of the pool."""
    _pool.clear()


def pooled() -> int:
    """Bytes in the pool."""
    return sum(size * len(memories) for size, memories in list(_pool.items()))


def size_class(size: int) -> int:
    """`size` in bytes, rounded up by at most an eighth, so that arrays of similar size reuse memory."""
    step = 1 << max(size.bit_length() - 4, 12)
    return max(-(-size // step), 1) * step


def _new_memory(size: int) -> _Memory:
    try:
        return _Memory(size)
    except MemoryError:
        release()
        return _Memory(size)


def _return_to_pool(memory: _Memory) -> None:
    size = memory.block.size
    if size > MAX_POOLED:
        return
    memory.returned = next(_returns)
    _pool.setdefault(size, deque()).append(memory)
    while pooled() > MAX_POOLED:
        _drop_oldest()


def _drop_oldest() -> None:
    oldest: deque[_Memory] = deque()
    since = next(_returns)
    for memories in list(_pool.values()):
        # Another thread may have taken the last one meanwhile.
        with contextlib.suppress(IndexError):
            if memories[0].returned < since:
                oldest, since = memories, memories[0].returned
    with contextlib.suppress(IndexError):
        oldest.popleft()


def _new_block(size: int) -> numpy.ndarray[Any, Any]:
    """`size` aligned bytes. NumPy itself asks the system for huge pages."""
    # Blocks that begin at the same offset in a page compete for cache lines when a loop goes over several of
    # them: 15 % for the seven arrays of Adam. So the blocks begin at different offsets.
    offset = next(_blocks) % 12 * 5 * _ALIGNMENT if size >= LARGE else 0
    memory = numpy.empty(size + offset + _ALIGNMENT, numpy.uint8)
    start = -memory.ctypes.data % _ALIGNMENT + offset
    return memory[start : start + size]


class Workspace:
    """The workspace of one program, kept between its calls. Threads that run at once get different blocks.

    borrow(size)       an uninitialised uint8 array of at least `size` bytes, aligned to 64 bytes
    give_back(array)   make it available for another `borrow`
    """

    __slots__ = ("_free", "give_back")

    def __init__(self) -> None:
        # More than the threads that are likely to run one program; one more drops the oldest block.
        self._free: deque[numpy.ndarray[Any, Any]] = deque(maxlen=16)
        self.give_back = self._free.append

    def borrow(self, size: int) -> numpy.ndarray[Any, Any]:
        try:
            block = self._free.pop()
        except IndexError:
            return _new_block(size_class(size))
        # A block that is too small is dropped, so blocks grow to the size that the program needs.
        return block if block.size >= size else _new_block(size_class(size))
