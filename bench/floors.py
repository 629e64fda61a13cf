"""Lower bounds of the time: a copy of the same bytes with all threads, and the same products in NumPy's BLAS.

A floor is measured like a peer, in its own process and in the same sweeps, under the same conditions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy

from .workloads import Data, Workload

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


def products_of(
    workload: Workload, data: Data, products: Sequence[tuple[str, int, int]] | None = None
) -> Callable[[], None] | None:
    """A call that computes the matrix products of the workload into existing arrays; None if it has none.

    products: a subset of the products of the workload; all by default
    """
    products = workload.products if products is None else products
    if not products:
        return None
    batches = [x for x, _ in data.batches(workload.rows)]
    # One array for each shape, so that a floor uses no more memory than a peer.
    arrays: dict[tuple[int, int], Any] = {}

    def array(rows: int, columns: int) -> Any:
        if (rows, columns) not in arrays:
            arrays[rows, columns] = numpy.full((rows, columns), 0.5, workload.dtype)
        return arrays[rows, columns]

    rows = workload.rows
    # The factors do not depend on results, so no value grows from call to call.
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
