"""Lower bounds of the time: a copy of the same bytes with all threads, and the same products in NumPy's BLAS.

A floor is measured like a peer, in its own process and in the same sweeps, under the same conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from onepass.floors import copy_of as copy_of
from onepass.floors import processors as processors

from .workloads import Data, Workload


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
