"""The addresses of arrays in a program's table: storing them there, and finding arrays that overlap."""

from __future__ import annotations

import functools
from typing import Any

from . import program_cache
from .machine_code import compiled


def overlap(table: Any, first: int, sizes: Any, positions: Any) -> bool:
    """Whether one of the arrays at `positions` shares memory with another array of the table.

    table:     addresses of arrays, from index `first` on
    sizes:     (A,) int64, bytes of each array
    positions: int64, numbers of some of the arrays
    """
    return bool(_overlap_function()(table, first, sizes, positions))


def _find_overlap(table, first, sizes, positions):  # type: ignore[no-untyped-def]
    for index in range(positions.shape[0]):
        position = positions[index]
        start = table[first + position]
        end = start + sizes[position]
        for other in range(sizes.shape[0]):
            address = table[first + other]
            if other != position and address < end and start < address + sizes[other]:
                return True
    return False


@functools.cache
def _overlap_function() -> Any:
    import numba

    whole = numba.types.int64
    signature = numba.types.boolean(whole[::1], whole, whole[::1], whole[::1])
    return compiled(_find_overlap, numba.njit, signature)


@functools.cache
def fill_function(signature: tuple[tuple[str, int], ...]) -> Any:
    """A compiled function that stores the addresses of arrays in a table.

    signature: for each array Numba's name of its dtype, and its number of dimensions
    """
    names = [f"a{i}" for i in range(len(signature))]
    types = [f"{name}[{', '.join([':'] * (n - 1) + ['::1'])}]" for name, n in signature]
    lines = [
        "from numba import bool_, float32, float64, int8, int16, int32, int64, njit, uint8, uint16, uint32",
        "from numba import uint64, void",
        "from onepass.backends.cpu.runtime.pointers import address_of, data_of",
        "",
        "",
        f"@njit(void(int64[::1], int64, {', '.join(types)}), cache=CACHE)",
        f"def fill(table, first, {', '.join(names)}):",
        *[f"    table[first + {i}] = address_of(data_of({name}))" for i, name in enumerate(names)],
        "    return",
    ]
    return program_cache.load("\n".join(lines) + "\n", "addresses").fill
