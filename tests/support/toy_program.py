"""A compiled program of two sections, for tests: sums whose bits show in which order they were made."""

from __future__ import annotations

import functools
import platform

import numba
import numpy as np
from numba import types
from onepass.backends.cpu.runtime import threads
from onepass.backends.cpu.runtime.machine_code import compiled
from onepass.backends.cpu.runtime.pointers import float64_at

LINUX = platform.system() == "Linux"
ROWS, COLUMNS = 37, 11
# Numbers of very different sizes: their sum shows in its last bits in which order it was made.
VALUES = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)) * 10.0 ** np.arange(-5, COLUMNS - 5)
own_thread = types.ExternalFunction("pthread_self", types.int64()) if LINUX else None


def sums(section, share, shares, table, numbers):  # type: ignore[no-untyped-def]
    """Section 0: sums of this share's rows, and their sum. Section 1: the sum of the shares' sums, in order.

    table:   address of VALUES, its rows and columns, shares of section 0; then the thread of each of them
    numbers: a sum for each share, the sum of those, a sum for each row
    """
    values, rows, columns, parts = float64_at(table[0]), table[1], table[2], table[3]
    if section == 0:
        if own_thread is not None:
            table[4 + share] = own_thread()
        numbers[share] = 0
        for row in range(share * rows // shares, (share + 1) * rows // shares):
            total = 0.0
            for column in range(columns):
                total += values[row * columns + column]
            numbers[parts + 1 + row] = total
            numbers[share] += total
    else:
        numbers[parts] = 0
        for part in range(parts):
            numbers[parts] += numbers[part]


@functools.cache
def address() -> int:
    return int(compiled(sums, numba.cfunc, threads.PROGRAM).address)


def call(shares: int = 4, at_once: int = 1) -> tuple[bytes, int]:
    """The program's numbers, and how many threads ran the shares of its first section."""
    table = np.array([VALUES.ctypes.data, ROWS, COLUMNS, shares, *[0] * shares])
    numbers = np.full(shares + 1 + ROWS, np.nan)
    sections = np.array([[0, shares, at_once], [1, 1, 0]])
    threads.run(address(), sections, table, numbers)
    return numbers.tobytes(), len(set(table[4:].tolist()))


@functools.cache
def expected(shares: int = 4) -> bytes:
    """The same, operation by operation in Python."""
    rows = [functools.reduce(lambda total, value: total + value, row.tolist(), 0.0) for row in VALUES]
    parts = [0.0] * shares
    for share in range(shares):
        for row in range(share * ROWS // shares, (share + 1) * ROWS // shares):
            parts[share] += rows[row]
    whole = 0.0
    for part in parts:
        whole += part
    return np.array([*parts, whole, *rows]).tobytes()
