"""Runs a compiled program's shares, one after the other or on Numba's threads."""

from __future__ import annotations

import functools
import math
import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic
from numba.np.ufunc import parallel as numba_threads

from .machine_code import compiled

# In C: void program(int64 section, int64 share, int64 shares, int64* table, double* numbers).
PROGRAM = types.void(
    types.int64, types.int64, types.int64, types.CPointer(types.int64), types.CPointer(types.float64)
)


def run(address: int, sections: Any, table: Any, numbers: Any) -> None:
    """Run a compiled program; return when all of it is done.

    address:  of the program, a C function as PROGRAM says; it holds no lock of Python's
    sections: (S, 3) int64, C order: number of the section, its shares, 1 where they may run at once, else 0
    table:    (T,) int64, C order, for every share
    numbers:  (U,) float64, C order, for every share

    Sections run in order, each after every share of the one before. Which thread runs a share, and how many
    run at once, must not matter to the program: where Numba's threads are busy with another call, or would
    end the process, as in a forked child, this thread runs all shares itself.
    """
    serial = _serial()
    done = serial(address, sections, table, numbers, 0)
    if done == len(sections):
        return
    # With Numba's `workqueue`, a second thread that came in now would abort the process.
    threads = _threads
    if threads.allowed and threads.lock.acquire(blocking=False):
        try:
            _parallel()(address, sections, table, numbers, done)
        finally:
            threads.lock.release()
    else:
        serial(address, sections[done:], table, numbers, 1)


def require_compiler() -> None:
    """Raise what Numba raises where it cannot compile here; it compiles what every program needs."""
    _serial()


def share_count() -> int:
    """How many shares are worth making: threads that Numba may use here, no more than there are processors.

    Numba's number is NUMBA_NUM_THREADS, or what `numba.set_num_threads` was told in this Python thread.
    """
    # Asking Numba starts its threads; as long as they are not started, nobody has told it another number.
    # `numba.get_num_threads` takes a lock that forked processes share, and a process that is killed keeps it.
    ask = numba_threads._get_num_threads if numba_threads._is_initialized else None
    return min(int(ask() if ask else config.NUMBA_NUM_THREADS), _processors())


@functools.cache
def _processors() -> int:
    """Processors that this process may use, when first asked."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(affinity, _quota())


def _quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Processors that a container's quota of time amounts to; many where it has none."""
    many = 2**31
    try:
        time, period = file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return many
    return many if time == "max" else max(1, math.ceil(int(time) / int(period)))


class _Threads:
    """Whether this process may use Numba's threads, and whether a call does."""

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self.lock = threading.Lock()


# Threads that are there before this module is, in a child that multiprocessing made, may be the parent's.
_threads = _Threads(not (numba_threads._is_initialized and multiprocessing.parent_process()))


def _after_fork_in_child() -> None:
    global _threads
    # GNU's OpenMP ends a forked child that uses threads after its parent did. The lock may have been held.
    _threads = _Threads(allowed=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _type_call(
    typing_context: Any, address: Any, section: Any, share: Any, shares: Any, table: Any, numbers: Any
) -> Any:
    """Call the program at `address`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointers = [
            context.make_array(array)(context, builder, value).data
            for array, value in zip(signature.args[4:], arguments[4:], strict=True)
        ]
        values = [*arguments[1:4], *pointers]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4, table, numbers), generate


_call: Any = intrinsic(_type_call)


# One signature for all programs, so that each of these two is compiled once.
_SIGNATURE = types.int64(types.int64, types.int64[:, ::1], types.int64[::1], types.float64[::1], types.int64)


@functools.cache
def _serial() -> Any:
    return compiled(_run_serial, numba.njit, _SIGNATURE, nogil=True)


@functools.cache
def _parallel() -> Any:
    # Numba starts its threads when this is compiled or read from the disk, so not before it is wanted.
    return compiled(_run_parallel, numba.njit, _SIGNATURE, nogil=True, parallel=True)


def _run_serial(address, sections, table, numbers, everything):  # type: ignore[no-untyped-def]
    """Run sections up to the first that wants several threads, or `everything`; how many were run."""
    for row in range(sections.shape[0]):
        shares = sections[row, 1]
        if sections[row, 2] != 0 and shares > 1 and everything == 0:
            return row
        for share in range(shares):
            _call(address, sections[row, 0], share, shares, table, numbers)
    return sections.shape[0]


def _run_parallel(address, sections, table, numbers, first):  # type: ignore[no-untyped-def]
    """Run the sections from `first` on, with threads where they want them; how many there are."""
    for row in range(first, sections.shape[0]):
        section, shares = sections[row, 0], sections[row, 1]
        if sections[row, 2] != 0 and shares > 1:
            for share in numba.prange(shares):
                _call(address, section, share, shares, table, numbers)
        else:
            for share in range(shares):
                _call(address, section, share, shares, table, numbers)
    return sections.shape[0]
