"""The stages of a compiled program in order, and the workers of a stage in a loop or on threads.

`run` of the text below runs the stages [[0, 4, 1], [1, 1, 0]] like this: workers 0 to 3 of stage 0, on
threads where possible, and then the single worker of stage 1. A stage starts when all workers of the one
before are done. A program must not depend on which thread runs a worker, nor on how many run at once: if the
threads are busy with another call, the calling thread runs all workers itself.

The threads are Python's, and spend their time in compiled code, without Python's lock: they wait there for a
stage, and take one worker after the other until none is left. A thread that finds no work for a millisecond
stops looking all the time. While a call runs it sleeps for short times and looks again, because a call wakes
nobody for its next stage. Between calls it sleeps in Python until a call wakes it. The calling thread takes
workers as well, so a call never depends on another thread.

Where another library has an OpenMP pool (see `use_openmp`), its threads take the workers instead. Threads of
two pools would keep each other from the processors: those of libgomp look for work for milliseconds after
each parallel region, and a worker that shares a processor with one of them holds up its whole stage.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
import sys
import threading
from pathlib import Path

import numpy

from ...common.settings import SettingError
from ...ir.dtypes import FLOAT64, INT64
from ..llvm.cache import load
from ..llvm.values import Pointer

# In C: void program(int64 stage, int64 worker, int64 workers, int64* table, double* scalars).
PROGRAM = (INT64, INT64, INT64, Pointer(INT64), Pointer(FLOAT64))

# How often a thread looks for work before it goes to sleep: about a millisecond. It lets other processes have
# its processor only after the first part of that time. Most work comes earlier, and a process of low priority
# may keep a processor that it was given for milliseconds.
LOOKS, LOOKS_ALONE = 16_000, 4_096

# How long a thread sleeps between two looks after that, while a call runs: the first times, and at most. In
# microseconds, to which Linux adds about 60, and on Windows in milliseconds. Every 16 times it grows by the
# first value, so that a thread which has waited for long is late for its stage by a small part of that time.
_NAP, _LONGEST_NAP = (1, 1) if sys.platform == "win32" else (50, 1000)

# Of the numbers of a team, see below: the address of GOMP_parallel, and whether a call runs.
_OPENMP, _RUNNING = 21, 23

# `team` is the address of int64 numbers on three cache lines: the workers that are left to take; the workers
# that are done; the program, stage, workers, table and scalars of the stage that runs, the address of
# GOMP_parallel or 0, that of `take` for it, and 1 while a call runs. A thread that has lowered the first
# number has a worker, and only then reads what the third line says of the stage, which is written while no
# worker is left or running. A thread that looks for work reads the first line alone, so that it does not slow
# down the one that writes the third. A thread that has looked for long lets others run now and then: the one
# that brings work may wait for its processor.
# `team` is an address and no pointer, because LLVM may believe that what a pointer of a routine leads to is
# written by nobody else.
TEXT = f"""\
def run(address, stages, count, table, scalars, team):
    if team != 0:
        atomic_store(int64_at(team + {8 * _RUNNING}), 1)
    for row in range(count):
        workers = stages[3 * row + 1]
        if (stages[3 * row + 2] != 0) & (workers > 1) & (team != 0):
            share(address, stages[3 * row], workers, address_of(table), address_of(scalars), team)
        else:
            for worker in range(workers):
                call(address, stages[3 * row], worker, workers, table, scalars)
    if team != 0:
        atomic_store(int64_at(team + {8 * _RUNNING}), 0)


def share(address, stage, workers, table, scalars, team):
    left = int64_at(team)
    done = int64_at(team + 64)
    job = int64_at(team + 128)
    job[0] = address
    job[1] = stage
    job[2] = workers
    job[3] = table
    job[4] = scalars
    atomic_store(done, 0)
    atomic_store(left, workers)
    if job[5] != 0:
        call(job[5], job[6], team, int32(0), int32(0))
    else:
        take(team)
    looks = 0
    while atomic_load(done) < workers:
        pause()
        looks += 1
        if looks & 4095 == 0:
            sched_yield()


def take(team):
    left = int64_at(team)
    job = int64_at(team + 128)
    now = atomic_load(left)
    while now > 0:
        if exchanged(left, now, now - 1):
            workers = job[2]
            call(job[0], job[1], workers - now, workers, int64_at(job[3]), float64_at(job[4]))
            atomic_add(int64_at(team + 64), 1)
        now = atomic_load(left)


def serve(team, looks):
    waited = 0
    naps = 0
    while waited < looks:
        if atomic_load(int64_at(team)) > 0:
            take(team)
            waited = 0
            naps = 0
        pause()
        waited += 1
        if (waited > {LOOKS_ALONE}) & (waited & 255 == 0):
            sched_yield()
        if waited == looks:
            if atomic_load(int64_at(team + {8 * _RUNNING})) > 0:
                sleep(int32(min({_NAP} + {_NAP} * (naps // 16), {_LONGEST_NAP})))
                naps += 1
                waited = looks - 1
"""

_WORDS = 24
_serve_type = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 2)


def join() -> Team | None:
    """The threads, awake and for this call alone until it releases their lock; None where they are busy."""
    if min(worker_count(), _usual_count()) == 1:
        return None
    team = _found or _team()
    if not team.lock.acquire(blocking=False):
        return None
    try:
        team.wake()
    except BaseException:  # of a signal
        team.lock.release()
        raise
    return team


_limit: int | None = None


def limit_workers(count: int | None) -> None:
    """Give parallel stages so many workers, in all threads of this process; None: as many as usual.

    There are no more threads than usual: some take several workers.
    raises: ValueError for a count below 1
    """
    global _limit
    if count is not None and count < 1:
        raise ValueError(f"limit_workers: got {count!r}; expected a number of workers, at least 1, or None.")
    _limit = count


def worker_count() -> int:
    """The number of workers for a parallel stage: at most one for each processor.

    ONEPASS_THREADS sets it, or NUMBA_NUM_THREADS where that is not set. They are read in the first call.
    raises: SettingError if that is no number of threads
    """
    return _limit or _usual_count()


@functools.cache
def _usual_count() -> int:
    for variable in ("ONEPASS_THREADS", "NUMBA_NUM_THREADS"):
        if text := os.environ.get(variable, "").strip():
            if not text.isdecimal() or int(text) < 1:
                raise SettingError(f"{variable}: got {text!r}; expected a number of threads, at least 1.")
            return min(int(text), _processors())
    return _processors()


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


class Team:
    """The threads of this process, beside the calling one.

    lock: of the call that uses them
    """

    def __init__(self, threads: int, openmp: int = 0) -> None:
        """openmp: the address of GOMP_parallel, whose threads work instead of this many of our own; or 0"""
        self.lock = threading.Lock()
        self._words = numpy.zeros(_WORDS + 8, numpy.int64)
        self._words = self._words[-(self._words.ctypes.data // 8) % 8 :]  # at the start of a cache line
        self.address: int = self._words.ctypes.data
        self._condition = threading.Condition()
        self._sleeping = self._calls = 0
        if openmp:
            self._words[_OPENMP : _OPENMP + 2] = openmp, load(TEXT, "take", (INT64,), "take")
            return
        self._serve = _serve_type(load(TEXT, "serve", (INT64, INT64), "serve"))
        for number in range(threads):
            try:
                threading.Thread(target=self._work, name=f"onepass-worker-{number + 1}", daemon=True).start()
            except RuntimeError:  # the system allows no more threads, or the interpreter exits
                break

    def wake(self) -> None:
        """Let the threads look for work again."""
        self._calls += 1
        if self._sleeping:
            with self._condition:
                self._condition.notify_all()

    def _work(self) -> None:
        while True:
            seen = self._calls
            self._serve(self.address, LOOKS)
            with self._condition:
                # First this, then the calls; `wake` has them the other way round. So neither misses any.
                self._sleeping += 1
                while self._calls == seen:
                    self._condition.wait()
                self._sleeping -= 1


_lock = threading.Lock()
_found: Team | None = None


def _team() -> Team:
    """The threads of this process, started by the first call that needs them."""
    global _found
    if _found is None:
        with _lock:
            if _found is None:
                _found = Team(_usual_count() - 1, _openmp)
    return _found


_openmp = 0


def use_openmp(library: Path) -> None:
    """From now on, let the OpenMP threads that a library uses take the workers of parallel stages.

    At most as many take part as that OpenMP runtime would use. A runtime without GNU's entry points is not
    used, nor is any in forked children, in which GNU's does not work: these have threads of their own.

    library: a shared library that depends on the OpenMP runtime
    """
    global _found, _openmp
    parallel = getattr(ctypes.CDLL(os.fspath(library)), "GOMP_parallel", None)
    with _lock:
        # A team that is in use belongs to its call until that ends; its threads sleep from then on.
        _openmp = 0 if parallel is None else ctypes.cast(parallel, ctypes.c_void_p).value or 0
        _found = None


def _after_fork_in_child() -> None:
    global _found, _lock, _openmp
    # A forked child has one thread, and the lock may be locked.
    _found, _lock, _openmp = None, threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
