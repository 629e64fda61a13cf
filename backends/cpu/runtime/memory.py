"""The memory pool: large result arrays, and the workspace of programs, reuse memory of earlier calls.

One pool serves all programs. It holds at most as much as was lent at once lately, or a little; and nothing
any more when nobody has asked for memory for some seconds.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, TypeAlias

import numpy

# Smaller arrays come from NumPy's allocator, which has memory without page faults.
LARGE = 256 << 10

# The largest size of the pool in bytes: at most an eighth of the machine's memory.
MAX_POOLED = 512 << 20
with contextlib.suppress(AttributeError, ValueError, OSError):  # no sysconf or name: not POSIX
    MAX_POOLED = min(MAX_POOLED, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8)
# It may always be so large. Above that, it holds what was lent at once; an eighth of that peak is forgotten
# with every so many returns.
LEAST_POOLED, RETURNS_OF_A_PEAK = 16 << 20, 32
# Seconds without a new block after which the pool is emptied.
IDLE = 5.0

_ALIGNMENT = 64

# Nothing here takes a lock, but to start the thread that empties the pool. A finaliser may run at any moment,
# even inside `empty` in the same thread, where waiting for a lock would never end. So each step below is one
# atomic operation of a dict or a deque. The numbers of `_Lately` may be a little wrong where threads meet.
_lent: dict[int, int] = {}  # by the id of a block: its bytes
_pool: dict[int, deque[_Memory]] = {}  # by size class
_small: deque[_Memory] = deque(maxlen=16)  # workspaces of LARGE bytes
_returns = count()
_blocks = count()


class _Lately:
    """The most that was lent at once lately, in bytes, and how often memory was asked for."""

    peak = 0
    asked = 0


class _Memory:
    """A block of memory, as bytes. `returned` says when it returned to the pool, as a count of returns."""

    __slots__ = ("block", "interface", "returned")

    def __init__(self, block: Any) -> None:
        self.block = block
        self.interface = self.block.__array_interface__
        self.returned = 0


Workspace: TypeAlias = _Memory


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
    return numpy.ndarray(shape, dtype, buffer=numpy.asarray(_Lent(_taken(size_class(size)))))


def borrow(size: int) -> Workspace:
    """The workspace of a call: at least `size` uninitialised bytes, to be given back with `give_back`."""
    if size > LARGE:
        # A workspace may be larger than what is asked for, so that programs share few of them.
        classes = [known for known, memories in list(_pool.items()) if size <= known <= 2 * size and memories]
        return _taken(min(classes, default=size_class(size)))
    try:
        return _small.pop()
    except IndexError:
        return _Memory(_new_block(LARGE))


def give_back(workspace: Workspace) -> None:
    """Make a workspace available for other calls."""
    if workspace.block.size > LARGE:
        _return_to_pool(workspace)
    else:
        _small.append(workspace)


def _taken(size: int) -> _Memory:
    """A block of a size class, from the pool or new."""
    try:
        memory = _pool[size].pop()
    except (KeyError, IndexError):
        _watch()
        memory = _new_memory(size)
    _lent[id(memory)] = size
    _Lately.peak = max(_Lately.peak, lent())
    _Lately.asked += 1
    return memory


def release() -> None:
    """Free all memory of the pool."""
    _pool.clear()
    _Lately.peak = lent()


def pooled() -> int:
    """Bytes in the pool."""
    return sum(size * len(memories) for size, memories in list(_pool.items()))


def lent() -> int:
    """Bytes that are in use."""
    return sum(list(_lent.values()))


def size_class(size: int) -> int:
    """`size` in bytes, rounded up by at most an eighth, so that arrays of similar size reuse memory."""
    step = 1 << max(size.bit_length() - 4, 12)
    return max(-(-size // step), 1) * step


def _new_memory(size: int) -> _Memory:
    try:
        return _Memory(_new_block(size))
    except MemoryError:
        release()
        return _Memory(_new_block(size))


def _return_to_pool(memory: _Memory) -> None:
    size = _lent.pop(id(memory))
    memory.returned = next(_returns)
    if memory.returned % RETURNS_OF_A_PEAK == 0:
        _Lately.peak = max(lent() + size, _Lately.peak - _Lately.peak // 8)
    most = min(MAX_POOLED, max(LEAST_POOLED, _Lately.peak))
    # Where no thread would empty the pool, nobody has asked for memory for long.
    if size > most or _watching is None:
        return
    _pool.setdefault(size, deque()).append(memory)
    while pooled() > most:
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


# The thread that empties the pool, while there is anything that could be in it.
_watching: threading.Thread | None = None


def _watch() -> None:
    """Let a thread empty the pool when it is idle. Called where memory is asked for, never by a finaliser."""
    global _watching
    if _watching is None:
        _watching = threading.Thread(target=_empty_when_idle, name="onepass-memory", daemon=True)
        _watching.start()


def _empty_when_idle() -> None:
    global _watching
    asked = -1
    while True:
        while asked != _Lately.asked:
            asked = _Lately.asked
            time.sleep(IDLE)
        release()
        _watching = None
        if asked == _Lately.asked and not pooled():
            return
        _watching = threading.current_thread()  # somebody asked for memory meanwhile


def _after_fork_in_child() -> None:
    global _watching
    _watching = None  # the child has one thread


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
