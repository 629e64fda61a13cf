"""Compiled kernels give the same bits at every call, wherever arrays lie and however many threads call."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from array_trees import bits, map_arrays
from cases import COMPILED_CASES, Case

import onepass as op


def run(case: Case) -> Any:
    return getattr(op, case.kernel)(*case.args, **case.kwargs)


def test_many_threads_at_once_give_the_bits_of_one() -> None:
    expected = [bits(run(case)) for case in COMPILED_CASES]
    start = threading.Barrier(8)

    def work(seed: int) -> bool:
        start.wait()
        order = np.random.default_rng(seed).permutation(len(COMPILED_CASES))
        return all(bits(run(COMPILED_CASES[index])) == expected[index] for index in order for _ in range(3))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_the_same_call_gives_the_same_bits() -> None:
    for case in COMPILED_CASES:
        first = bits(run(case))
        # Copies lie elsewhere in memory, on another alignment.
        moved = Case(case.kernel, *map_arrays(shifted_in_memory, case[1:]))
        assert all(bits(run(case)) == first for _ in range(3)), case
        assert bits(run(moved)) == first, case


def shifted_in_memory(array: np.ndarray) -> np.ndarray:
    """A copy that starts 8 bytes further from a round address than NumPy's own do."""
    memory = np.empty(array.size + 1, array.dtype)[1:].reshape(array.shape)
    memory[...] = array
    return memory
