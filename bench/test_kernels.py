"""Time every kernel on every backend, in two dtypes and three sizes.

`extra_info` has bytes, operations and the floor.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

import onepass as op
from onepass import kernels

from . import gpu
from .floors import copy_of, products_of
from .kernel_cases import CASES, FEATURES, SIZES, Case, Inputs
from .workloads import Workload, make_data

BACKENDS = [name for name, backend in op.backends().items() if backend.usable]


# A kernel without a case is a KeyError during collection.
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "case"), [(name, CASES[name]) for name in kernels.__all__], ids=kernels.__all__
)
@pytest.mark.benchmark(max_time=0.05, min_rounds=5, warmup=True, warmup_iterations=2)
def test_kernel(
    benchmark: Any, name: str, case: Case, backend: str, dtype: str, size: tuple[int, int]
) -> None:
    rows, columns = size
    benchmark.group = f"{name} {rows}x{columns}"
    benchmark.name = f"{dtype} {backend}"
    on_gpu = backend == "cupy"
    inputs = Inputs(rows, columns, dtype, gpu.to_device if on_gpu else _unchanged)
    kernel = getattr(op, name)
    args = case.args(inputs)

    def call() -> Any:
        return gpu.finished(kernel(*args)) if on_gpu else kernel(*args)

    with op.use_backend(backend):
        result = benchmark(call)
        if benchmark.stats is None:  # --benchmark-disable
            return
        seconds = benchmark.stats.stats.median
        if on_gpu:
            clock = gpu.CupyClock()
            seconds = gpu.time_calls(clock, lambda: kernel(*args), 20, cold=True) / 20
            benchmark.extra_info["seconds_by_events_cold_cache"] = seconds
    moved = _bytes(args) + _bytes(result)
    operations = case.operations * rows * columns + _product_operations(case, rows, columns)
    floor, what = _floor(case, rows, columns, dtype, moved)
    benchmark.extra_info |= {
        "bytes": moved,
        "operations": operations,
        "GB/s": moved / seconds / 1e9,
        "GFLOP/s": operations / seconds / 1e9,
        # Measured with NumPy on the CPU, also for kernels on a GPU.
        "floor": what,
        "floor_seconds": floor,
        "times_floor": seconds / floor,
    }


def _unchanged(array: Any) -> Any:
    return array


def _bytes(tree: Any) -> int:
    """The bytes of all arrays in `tree`."""
    if isinstance(tree, list | tuple):
        return sum(map(_bytes, tree))
    if isinstance(tree, dict):
        return sum(map(_bytes, tree.values()))
    return getattr(tree, "nbytes", 0)


def _network(case: Case, rows: int, columns: int, dtype: str) -> Workload:
    """A workload with the products of the case."""
    hidden = (FEATURES,) * case.layers
    kind: Any = "linear head" if case.layers == 1 else "training step"
    return Workload("products", kind, (rows, *hidden, columns), dtype)


def _products(case: Case, rows: int, columns: int, dtype: str) -> list[tuple[str, int, int]]:
    """The matrix products of a case: only those of the forward pass if it has no backward pass."""
    products = _network(case, rows, columns, dtype).products
    if not case.backward:
        return [product for product in products if product[0] == "forward"]
    return list(products)


def _product_operations(case: Case, rows: int, columns: int) -> int:
    if not case.layers:
        return 0
    return sum(2 * rows * d * k for _, d, k in _products(case, rows, columns, "float32"))


def _floor(case: Case, rows: int, columns: int, dtype: str, moved: int) -> tuple[float, str]:
    """The lower bound in seconds, and its kind: a copy of the bytes, or the products if they take longer."""
    found = [(_copy_seconds(moved), "copy")]
    if case.layers:
        found.append((_product_seconds(case, rows, columns, dtype), "products"))
    return max(found)


@cache
def _copy_seconds(moved: int) -> float:
    return _median_seconds(copy_of(moved))


@cache
def _product_seconds(case: Case, rows: int, columns: int, dtype: str) -> float:
    workload = _network(case, rows, columns, dtype)
    call = products_of(workload, make_data(workload), _products(case, rows, columns, dtype))
    assert call is not None
    return _median_seconds(call)


def _median_seconds(call: Callable[[], Any]) -> float:
    samples: list[float] = []
    for _ in range(3):
        call()
    deadline = time.perf_counter() + 0.03
    while len(samples) < 5 or time.perf_counter() < deadline:
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)
