"""The least possible time: a copy of the same bytes by all threads, and the same products by NumPy's BLAS.

A floor is run like a peer, in its own process and in the same sweeps, so that both see the same machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy

from .workloads import Data, Workload

# Waking a thread costs tens of microseconds, in which one thread copies this much.
LEAST_SHARE_BYTES = 1 << 20


def processors() -> int:
    """How many processors this process may use: the number of threads of everybody."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def copy_of(total_bytes: int) -> Callable[[], None]:
    """A call that moves `total_bytes` in all: half of them read, half of them written."""
    size = max(total_bytes // 2, 1)
    source, target = numpy.ones(size, numpy.uint8), numpy.zeros(size, numpy.uint8)
    shares = max(1, min(processors(), size // LEAST_SHARE_BYTES))
    if shares == 1:
        return lambda: numpy.copyto(target, source)
    edges = [size * i // shares for i in range(shares + 1)]
    parts = [(target[a:b], source[a:b]) for a, b in pairwise(edges)]
    pool = ThreadPoolExecutor(shares - 1)

    def call() -> None:
        others = [pool.submit(numpy.copyto, *part) for part in parts[1:]]
        numpy.copyto(*parts[0])
        for other in others:
            other.result()

    return call


def products_of(
    workload: Workload, data: Data, products: Sequence[tuple[str, int, int]] | None = None
) -> Callable[[], None] | None:
    """A call of the workload's matrix products, written into arrays that are there; None if it has none.

    products: of those of the workload, the ones to do; all of them by default
    """
    products = workload.products if products is None else products
    if not products:
        return None
    batches = [x for x, _ in data.batches(workload.rows)]
    # Of one size each, shared by products of the same shape: a floor should not hold more than a peer.
    arrays: dict[tuple[int, int], Any] = {}

    def array(rows: int, columns: int) -> Any:
        if (rows, columns) not in arrays:
            arrays[rows, columns] = numpy.full((rows, columns), 0.5, workload.dtype)
        return arrays[rows, columns]

    rows = workload.rows
    # The factors do not depend on results, so no number grows from call to call.
    steps: list[tuple[Any, Any, Any]] = []
    for x in batches:
        for product, d, k in products:
            weight = next(w for w, _ in data.params if w.shape == (d, k))
            inputs = x if d == workload.shape[1] else array(rows, d)
            if product == "forward":
                steps.append((inputs, weight, array(rows, k)))
            elif product == "weight":
                steps.append((inputs.T, array(rows, k), numpy.empty((d, k), workload.dtype)))
            else:
                steps.append((array(rows, k), weight.T, numpy.empty((rows, d), workload.dtype)))

    def call() -> None:
        for left, right, out in steps:
            numpy.matmul(left, right, out=out)

    return call
