"""Time the same kernels with other launch shapes: threads and blocks per row, and concurrent rows."""

from __future__ import annotations

import importlib
import statistics
import sys
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from onepass.backends.common.trees import leaves
from onepass.backends.cuda import launch_shapes as geometry

import onepass as op

from .. import gpu
from .places import ROOT
from .times import DTYPES, dtype_of

# Programs with chosen launch shapes are made with the helpers of the tests.
sys.path.insert(0, str(ROOT / "tests" / "support"))
cuda_programs = importlib.import_module("cuda_programs")

WARM_UPS, CALLS = 4, 11


class Shapes(NamedTuple):
    """A cross-entropy (n, k): threads and blocks per row, and numbers of groups, with 0 for the default."""

    n: int
    k: int
    forms: tuple[tuple[int, int], ...]
    groups: tuple[int, ...]


SWEEP = (
    Shapes(4096, 8192, ((256, 1), (512, 1), (1024, 1)), (0, 132, 264, 528, 4096)),
    Shapes(256, 131072, ((1024, 8), (512, 8), (256, 8)), (0, 15, 16, 30, 32, 256)),
)


def blocks_of(groups: int) -> Callable[..., int]:
    """A replacement of `geometry.blocks`: the grid with so many groups of threads that share a row."""
    usual = geometry.blocks

    def blocks(rows: int, shape: Any, processors: int, clusters: int, *, sums: bool) -> int:
        if not groups or shape.flat:
            return usual(rows, shape, processors, clusters, sums=sums)
        return int(shape.cluster * min(rows, groups))

    return blocks


def time_of(program: Callable[[Any], Any], values: Any, clock: gpu.Clock) -> float:
    """Seconds of a call with cold caches."""
    for _ in range(WARM_UPS):
        program(values)
    return statistics.median(
        gpu.time_calls(clock, lambda: program(values), 1, cold=True) for _ in range(CALLS)
    )


def sweep(xp: Any, device: Any, clock: gpu.Clock, shapes: Sequence[Shapes]) -> None:
    """xp: CuPy; in a test NumPy, with the host as the device"""
    for (n, k, forms, groups), dtype in product(shapes, DTYPES):
        logits = xp.random.default_rng(1).standard_normal((n, k), dtype="float32").astype(dtype_of(dtype))
        labels = xp.asarray(np.random.default_rng(0).integers(0, k, n))
        call = cuda_programs.Call(op.softmax_cross_entropy_with_grad, (logits, labels))
        for (threads, cluster), count in product(forms, groups):
            what = f"{n}x{k} {dtype:9s} {threads:5d} threads, cluster {cluster}, {count or 'usual':>5} groups"
            try:
                with mock.patch.object(geometry, "blocks", blocks_of(count)):
                    form = cuda_programs.Form(threads, threads, cluster)
                    program = cuda_programs.program_of(call, device, form)
                    took = time_of(program, leaves(call.args), clock)
            except Exception as error:
                print(f"{what}: FAILED {str(error)[:120]}", flush=True)
                continue
            rate = 2 * logits.nbytes / took / 1e12
            print(f"{what}: {took * 1e6:8.1f} us {rate:.2f} TB/s", flush=True)


def main() -> None:
    from onepass.backends.cuda.cupy_device import current_device

    cupy = importlib.import_module("cupy")
    with op.use_backend("cupy"):
        sweep(cupy, current_device(), gpu.CupyClock(), SWEEP)


if __name__ == "__main__":
    main()
