"""The time that a copy of the same bytes takes, a lower bound for what reads and writes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy

# Waking a thread takes tens of microseconds. In this time one thread copies so many bytes.
LEAST_CHUNK_BYTES = 1 << 20


def processors() -> int:
    """The number of processors that this process may use. Every peer uses as many threads."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def copy_of(total_bytes: int) -> Callable[[], None]:
    """A call that moves `total_bytes`: one half is read, the other half written."""
    size = max(total_bytes // 2, 1)
    source, target = numpy.ones(size, numpy.uint8), numpy.zeros(size, numpy.uint8)
    threads = max(1, min(processors(), size // LEAST_CHUNK_BYTES))
    if threads == 1:
        return lambda: numpy.copyto(target, source)
    edges = [size * i // threads for i in range(threads + 1)]
    chunks = [(target[a:b], source[a:b]) for a, b in pairwise(edges)]
    pool = ThreadPoolExecutor(threads - 1)

    def call() -> None:
        others = [pool.submit(numpy.copyto, *chunk) for chunk in chunks[1:]]
        numpy.copyto(*chunks[0])
        for other in others:
            other.result()

    return call
