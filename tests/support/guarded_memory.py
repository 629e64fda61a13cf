"""Arrays with guards around them, which a kernel may neither write nor read without a trace."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import weakref
from typing import Any

import numpy as np

GUARD = 16 * 1024
PAGE = mmap.PAGESIZE


class _Memory(mmap.mmap):
    """A mapping of whole pages: guard, array, guard, and maybe pages that cannot be touched."""

    label: str
    unit: bytes
    begin: int
    end: int
    limit: int
    address: int


_serials = itertools.count(1)
_alive: weakref.WeakSet[_Memory] = weakref.WeakSet()


def guarded(
    shape: int | tuple[int, ...],
    dtype: Any,
    alignment_offset: int = 0,
    *,
    fence: bool = False,
    guard: Any = None,
) -> np.ndarray[Any, Any]:
    """A new array, all bytes 0xFF, between guards that read as NaN and that `broken_guards` watches.

    Its address is a multiple of 16 but not of 32, plus `alignment_offset`. With `fence` it is a multiple of
    16 plus `alignment_offset`, and the array ends less than 16 bytes before memory that cannot be read.
    The guards repeat a NaN of the dtype `guard`; of the array's own without it.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if fence:
        limit = -(-(GUARD + alignment_offset + size + 32) // PAGE) * PAGE
        begin = (limit - size - alignment_offset) // 16 * 16 + alignment_offset
    else:
        begin = GUARD + 16 + alignment_offset
        limit = -(-(begin + size + GUARD) // PAGE) * PAGE
    memory = _Memory(-1, limit + (GUARD if fence else 0))
    memory.label = f"a {np.dtype(dtype)} array of shape {shape}"
    memory.begin, memory.end, memory.limit = begin, begin + size, limit
    # Unlike a slice, this keeps its address where it has no elements.
    array: np.ndarray[Any, Any] = np.ndarray(shape, dtype, memory, begin)
    memory.address = array.ctypes.data - begin
    memory.unit = _unit(np.dtype(guard or dtype).itemsize, next(_serials))
    memory[:begin] = _guard(memory, 0, begin)
    memory[begin : begin + size] = b"\xff" * size
    memory[begin + size : limit] = _guard(memory, begin + size, limit)
    if fence:
        library = ctypes.CDLL(None, use_errno=True)
        if library.mprotect(ctypes.c_void_p(memory.address + limit), ctypes.c_size_t(GUARD), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    _alive.add(memory)
    return array


def guarded_copy(
    array: np.ndarray[Any, Any], alignment_offset: int = 0, *, fence: bool = False
) -> np.ndarray[Any, Any]:
    """The values of an array in memory of `guarded`, in C order."""
    copy = guarded(array.shape, array.dtype, alignment_offset, fence=fence)
    copy[...] = array
    return copy


def is_guarded(array: np.ndarray[Any, Any]) -> bool:
    """Whether an array lies in memory of `guarded`, in C order."""
    address = array.ctypes.data
    inside = any(memory.address <= address < memory.address + memory.limit for memory in list(_alive))
    return inside and array.flags.c_contiguous


def broken_guards() -> list[str]:
    """What was written around the arrays that are alive; their guards are whole again after that."""
    found = []
    for memory in list(_alive):
        for begin, end in ((0, memory.begin), (memory.end, memory.limit)):
            now, should = memory[begin:end], _guard(memory, begin, end)
            if now == should:
                continue
            wrong = [at for at in range(begin, end) if now[at - begin] != should[at - begin]]
            first, last = wrong[0] - memory.begin, wrong[-1] - memory.begin
            found.append(
                f"wrote bytes {first} to {last} of the {memory.end - memory.begin} of {memory.label}"
            )
            memory[begin:end] = should
    return found


def _unit(size: int, serial: int) -> bytes:
    """What a guard repeats: a NaN of that size, not the 0xFF of fresh arrays.

    It signals, so that arithmetic changes it, and every array has its own, so that a copy shows: else the NaN
    that was read past one end could be written past another without a trace.
    """
    number = {8: 0xFFF1 << 48 | serial, 4: 0xFF81 << 16 | serial % 0x8000, 2: 0xFF81 + serial % 62}.get(size)
    return bytes([0x81 + serial % 62]) if number is None else number.to_bytes(size, "little")


def _guard(memory: _Memory, begin: int, end: int) -> bytes:
    """The bytes that belong there, in step with the array's elements."""
    unit, phase = memory.unit, (begin - memory.begin) % len(memory.unit)
    return (unit * ((end - begin) // len(unit) + 2))[phase : phase + end - begin]
