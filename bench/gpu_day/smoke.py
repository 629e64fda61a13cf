"""A smoke test: cross-entropies compared with NumPy, products, Adam, graphs, clusters, copies."""

from __future__ import annotations

import contextlib
import functools
import importlib
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np

import onepass as op
from onepass import kernels

SHAPES = ((300, 3), (1024, 10), (65, 257), (512, 8192), (16, 131072), (3, 1_000_003))
HALF_SHAPES = ((512, 8192), (16, 131072))
COPIED_BYTES = 1 << 30
# One direct run, one recording, two replays.
CALLS = 4


class Checks:
    """Counts passed and failed checks. A failure is printed and does not end the others."""

    def __init__(self) -> None:
        self.good = self.bad = 0

    def __call__(self, name: str, run: Callable[[], str]) -> None:
        start = time.perf_counter()
        try:
            said = run()
        except Exception:
            self.bad += 1
            print(f"  FAILED {name}", flush=True)
            traceback.print_exc(limit=-4)
        else:
            self.good += 1
            print(f"  ok {name}: {said} ({time.perf_counter() - start:.2f} s)", flush=True)


def on_host(array: Any) -> Any:
    return array.get() if hasattr(array, "get") else np.asarray(array)


def cross_entropy(xp: Any, n: int, k: int, dtype: Any) -> str:
    """xp: CuPy; in a test NumPy"""
    random = np.random.default_rng(0)
    logits = random.standard_normal((n, k), dtype=np.float32).astype(dtype)
    labels = random.integers(0, k, n)
    loss, grad = kernels.softmax_cross_entropy_with_grad(logits.astype(np.float64), labels)
    there, classes = xp.asarray(logits), xp.asarray(labels)
    worst = 0.0
    for _ in range(CALLS):
        got_loss, got_grad = op.softmax_cross_entropy_with_grad(there, classes)
        off = np.abs(on_host(got_grad).astype(np.float64) - grad).max() / np.abs(grad).max()
        worst = max(worst, float(off), abs(float(got_loss) - float(loss)) / abs(float(loss)))
        del got_loss, got_grad
    most = 2e-5 if dtype == np.float32 else 2e-2
    assert worst < most, f"error {worst:.1e}; expected less than {most}"
    return f"error {worst:.1e}"


def product(xp: Any) -> str:
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((64, 64), dtype=np.float32) for _ in "ab")
    for _ in range(CALLS):
        np.testing.assert_allclose(on_host(op.linear(xp.asarray(a), xp.asarray(b))), a @ b, rtol=0, atol=1e-4)
    return "as NumPy's"


def adam(xp: Any) -> str:
    """Several steps, each with the state of the previous one."""
    mine, state = [xp.ones((5, 7))], None
    expected, expected_state = [np.ones((5, 7))], kernels.adam_init([np.ones((5, 7))])
    state = op.adam_init(mine)
    for turn in range(CALLS):
        grads = [np.random.default_rng(turn).standard_normal((5, 7))]
        mine, state = op.adam_step(mine, [xp.asarray(grads[0])], state, 0.1)
        expected, expected_state = kernels.adam_step(expected, grads, expected_state, 0.1)
    np.testing.assert_allclose(on_host(mine[0]), expected[0], rtol=1e-12)
    return f"{int(state['step'])} steps"


@contextlib.contextmanager
def watched(device: type, method: str, seen: list[tuple[Any, Any]]) -> Iterator[None]:
    """Context manager that appends arguments and result of every call of a method of `device` to `seen`."""
    real = getattr(device, method)

    def watching(self: Any, *arguments: Any) -> Any:
        result = real(self, *arguments)
        seen.append((arguments, result))
        return result

    setattr(device, method, watching)
    try:
        yield
    finally:
        setattr(device, method, real)


def graphs(xp: Any, device: type) -> str:
    """Calls with repeated addresses are recorded as graphs, with and without cuBLAS."""
    seen: list[tuple[Any, Any]] = []
    calls: list[tuple[tuple[int, int], Callable[[Any], Any]]] = [
        ((64, 100), op.softmax),
        ((64, 64), lambda a: op.linear(a, a)),
    ]
    with watched(device, "graph", seen):
        for shape, call in calls:
            array = xp.ones(shape, "float32")
            for _ in range(CALLS):
                call(array)
    outcomes = [graph is not None for _, graph in seen]
    assert outcomes, "no graph was requested"
    assert all(outcomes), f"recorded: {outcomes}"
    return f"recorded {outcomes}"


def clusters(xp: Any, device: type) -> str:
    """The number of clusters of a launch that are resident on the device at the same time."""
    driver = importlib.import_module("cuda.bindings.driver")
    seen: list[tuple[Any, Any]] = []
    logits, labels = xp.ones((256, 131072), "float32"), xp.zeros(256, "int64")
    with watched(device, "launch", seen):
        op.softmax_cross_entropy_with_grad(logits, labels)
    found = [
        f"{launch.grid // launch.cluster} clusters of {launch.cluster} blocks of {launch.threads} threads, "
        f"resident (error, number): {resident_clusters(driver, kernel, launch)}"
        for (kernel, launch, _), _ in seen
        if launch.cluster > 1
    ]
    return "; ".join(found) or "no launch has clusters"


def resident_clusters(driver: Any, kernel: Any, launch: Any) -> Any:
    attribute = driver.CUlaunchAttribute()
    attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
    size = attribute.value.clusterDim
    size.x, size.y, size.z = launch.cluster, 1, 1
    config = driver.CUlaunchConfig()
    config.gridDimX, config.gridDimY, config.gridDimZ = launch.grid, 1, 1
    config.blockDimX, config.blockDimY, config.blockDimZ = launch.threads, 1, 1
    config.sharedMemBytes = launch.shared
    config.attrs, config.numAttrs = [attribute], 1
    return driver.cuOccupancyMaxActiveClusters(driver.CUfunction(kernel.function.ptr), config)


def copy_rate(cupy: Any) -> str:
    source = cupy.empty(COPIED_BYTES, "uint8")
    target = cupy.empty_like(source)
    best = float("inf")
    for _ in range(10):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        cupy.copyto(target, source)
        end.record()
        end.synchronize()
        best = min(best, cupy.cuda.get_elapsed_time(start, end))
    return f"{2 * source.nbytes / best / 1e9:.2f} TB/s"


def main() -> None:
    warnings.simplefilter("default")
    start = time.perf_counter()
    cupy = importlib.import_module("cupy")
    print(f"CuPy imported in {time.perf_counter() - start:.1f} s; onepass is {op.__file__}")
    print(*op.backends().values(), sep="\n")
    check = Checks()
    with op.use_backend("cupy"):
        for dtype, shapes in ((np.dtype("float32"), SHAPES), (np.dtype(ml_dtypes.bfloat16), HALF_SHAPES)):
            for n, k in shapes:
                name = f"cross-entropy {n}x{k} {dtype.name}"
                check(name, functools.partial(cross_entropy, cupy, n, k, dtype))
        check("product", lambda: product(cupy))
        check("Adam", lambda: adam(cupy))
        from onepass.backends.cuda.cupy_device import CupyDevice

        check("graphs, one of them with cuBLAS", lambda: graphs(cupy, CupyDevice))
        check("clusters", lambda: clusters(cupy, CupyDevice))
        check("copy of 1 GiB, read and written", lambda: copy_rate(cupy))
    print(f"SMOKE: {check.good} ok, {check.bad} failed")
    raise SystemExit(check.bad > 0)


if __name__ == "__main__":
    main()
