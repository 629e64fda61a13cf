"""Runs a compiled program: its stages in order, the workers of a stage in a loop or on Numba's threads.

    run(program.address, [[0, 4, 1], [1, 1, 0]], table, scalars)

runs workers 0 to 3 of stage 0, on threads where possible, and then the single worker of stage 1.
"""

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

# In C: void program(int64 stage, int64 worker, int64 workers, int64* table, double* scalars).
PROGRAM = types.void(
    types.int64, types.int64, types.int64, types.CPointer(types.int64), types.CPointer(types.float64)
)


def run(address: int, stages: Any, table: Any, scalars: Any) -> None:
    """Run a compiled program; return when all of it is done.

    address: of the program, a C function of the type PROGRAM that does not hold Python's lock
    stages:  (S, 3) int64, C order: number of the stage, its workers, 1 if they may run in parallel, else 0
    table:   (T,) int64, C order: sizes and addresses for all workers
    scalars: (U,) float64, C order: the scalar buffer for all workers

    Stages run in order. A stage starts when all workers of the one before are done. A program must not depend
    on which thread runs a worker, nor on how many run at once: if Numba's threads are busy with another call,
    or cannot be used, as in a forked child, this thread runs all workers itself.
    """
    serial = _serial()
    done = serial(address, stages, table, scalars, 0)
    if done == len(stages):
        return
    # With Numba's `workqueue`, a call by a second thread would abort the process.
    threads = _threads
    if threads.allowed and threads.lock.acquire(blocking=False):
        try:
            _parallel()(address, stages, table, scalars, done)
        finally:
            threads.lock.release()
    else:
        serial(address, stages[done:], table, scalars, 1)


def require_compiler() -> None:
    """Raise Numba's error if it cannot compile here, by compiling what every program needs."""
    _serial()


def worker_count() -> int:
    """The number of workers for a parallel stage: Numba's threads, at most one for each processor.

    Numba's number is NUMBA_NUM_THREADS, or what this Python thread passed to `numba.set_num_threads`.
    """
    # Asking Numba starts its threads. Before they are started, nobody can have set another number. And
    # `numba.get_num_threads` takes a lock that forked processes share: a killed process never releases it.
    ask = numba_threads._get_num_threads if numba_threads._is_initialized else None
    return min(int(ask() if ask else config.NUMBA_NUM_THREADS), _processors())


@functools.cache
def _processors() -> int:
    """The processors that this process may use, at the time of the first call."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(affinity, _quota())


def _quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The processors that the CPU quota of a container allows; a large number if it has no quota."""
    many = 2**31
    try:
        time, period = file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return many
    return many if time == "max" else max(1, math.ceil(int(time) / int(period)))


class _Threads:
    """Whether this process may use Numba's threads, and the lock of the call that uses them."""

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self.lock = threading.Lock()


# Threads that exist before this module, in a child of multiprocessing, may be those of the parent.
_threads = _Threads(not (numba_threads._is_initialized and multiprocessing.parent_process()))


def _after_fork_in_child() -> None:
    global _threads
    # GNU's OpenMP aborts a forked child that uses threads after its parent did. The lock may be locked.
    _threads = _Threads(allowed=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _type_call(
    typing_context: Any, address: Any, stage: Any, worker: Any, workers: Any, table: Any, scalars: Any
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

    return types.void(*[types.int64] * 4, table, scalars), generate


_call: Any = intrinsic(_type_call)


# One signature for all programs, so that each of these two functions is compiled once.
_SIGNATURE = types.int64(types.int64, types.int64[:, ::1], types.int64[::1], types.float64[::1], types.int64)


@functools.cache
def _serial() -> Any:
    return compiled(_run_serial, numba.njit, _SIGNATURE, nogil=True)


@functools.cache
def _parallel() -> Any:
    # Not earlier: Numba starts its threads when this is compiled or loaded from disk.
    return compiled(_run_parallel, numba.njit, _SIGNATURE, nogil=True, parallel=True)


def _run_serial(address, stages, table, scalars, all_stages):  # type: ignore[no-untyped-def]
    """Run stages up to the first parallel one, or all stages; returns the number of stages that ran."""
    for row in range(stages.shape[0]):
        workers = stages[row, 1]
        if stages[row, 2] != 0 and workers > 1 and all_stages == 0:
            return row
        for worker in range(workers):
            _call(address, stages[row, 0], worker, workers, table, scalars)
    return stages.shape[0]


def _run_parallel(address, stages, table, scalars, first):  # type: ignore[no-untyped-def]
    """Run the stages from `first` on, the parallel ones on threads; returns the number of stages."""
    for row in range(first, stages.shape[0]):
        stage, workers = stages[row, 0], stages[row, 1]
        if stages[row, 2] != 0 and workers > 1:
            for worker in numba.prange(workers):
                _call(address, stage, worker, workers, table, scalars)
        else:
            for worker in range(workers):
                _call(address, stage, worker, workers, table, scalars)
    return stages.shape[0]
