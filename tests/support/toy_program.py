"""A compiled program of two stages, for tests: sums whose bits show in which order they were made."""

from __future__ import annotations

import ctypes
import functools
import platform
from typing import Any

import numpy as np
from onepass.backends.cpu.llvm import cache
from onepass.backends.cpu.llvm.values import Pointer
from onepass.backends.cpu.runtime import threads
from onepass.backends.ir.dtypes import FLOAT64, INT64

LINUX = platform.system() == "Linux"
ROWS, COLUMNS = 37, 11
# Numbers of very different sizes: their sum shows in its last bits in which order it was made.
VALUES = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)) * 10.0 ** np.arange(-5, COLUMNS - 5)

# Stage 0: sums of this worker's rows, and their sum. Stage 1: the sum of the workers' sums, in order.
#
# table:   address of VALUES, its rows and columns, workers of stage 0; how many workers have begun, and for
#          how many each waits, about a second at most; then an address on the stack of each worker's thread
# scalars: a sum for each worker, the sum of those, a sum for each row
TEXT = """\
def sums(stage, worker, workers, table, scalars):
    values = float64_at(table[0])
    parts = table[3]
    if stage == 0:
        table[6 + worker] = address_of(stack_of_int64(1))
        atomic_add(offset(table, 4), 1)
        waited = 0
        while (atomic_load(offset(table, 4)) < table[5]) & (waited < 2000000):
            sched_yield()
            waited += 1
        scalars[worker] = 0.0
        for row in range(worker * table[1] // workers, (worker + 1) * table[1] // workers):
            total = 0.0
            for column in range(table[2]):
                total += values[row * table[2] + column]
            scalars[parts + 1 + row] = total
            scalars[worker] += total
    else:
        scalars[parts] = 0.0
        for part in range(parts):
            scalars[parts] += scalars[part]
"""


@functools.cache
def address() -> int:
    return cache.load(TEXT, "sums", threads.PROGRAM, "sums")


def run(program: int, stages: Any, table: Any, scalars: Any) -> None:
    """Run the stages (number, workers, whether at once) of a program, as compiled calls do."""
    types = (INT64, Pointer(INT64), INT64, Pointer(INT64), Pointer(FLOAT64), INT64)
    entry = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6)(cache.load(threads.TEXT, "run", types, "run"))
    team = threads.join() if ((stages[:, 1] > 1) & (stages[:, 2] > 0)).any() else None
    given = program, stages.ctypes.data, len(stages), table.ctypes.data, scalars.ctypes.data
    try:
        entry(*given, 0 if team is None else team.address)
    finally:
        if team is not None:
            team.lock.release()


def call(workers: int = 4, at_once: int = 1, wait_for: int = 1) -> tuple[bytes, int]:
    """The program's numbers, and how many threads ran the workers of its first stage.

    wait_for: how many workers have to begin before one goes on
    """
    table = np.array([VALUES.ctypes.data, ROWS, COLUMNS, workers, 0, wait_for, *[0] * workers])
    scalars = np.full(workers + 1 + ROWS, np.nan)
    stages = np.array([[0, workers, at_once], [1, 1, 0]])
    run(address(), stages, table, scalars)
    return scalars.tobytes(), len(set(table[6:].tolist()))


@functools.cache
def expected(workers: int = 4) -> bytes:
    """The same, operation by operation in Python."""
    rows = [functools.reduce(lambda total, value: total + value, row.tolist(), 0.0) for row in VALUES]
    parts = [0.0] * workers
    for worker in range(workers):
        for row in range(worker * ROWS // workers, (worker + 1) * ROWS // workers):
            parts[worker] += rows[row]
    whole = 0.0
    for part in parts:
        whole += part
    return np.array([*parts, whole, *rows]).tobytes()
