"""Common code of the PyTorch peers on a GPU: events, memory, and recording of one CUDA graph."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Callable
from typing import Any, Literal

import torch

from . import gpu
from .workloads import Workload

DEVICE = "cuda"
_cuda: Any = torch.cuda  # partly without annotations
# PyTorch's documentation asks for warm-up calls on a separate stream before a graph is recorded.
WARM_UPS = 3


class TorchClock:
    """Events on PyTorch's current stream."""

    def __init__(self) -> None:
        self._memory = torch.empty(gpu.FLUSH_BYTES, dtype=torch.uint8, device=DEVICE)

    def flush(self) -> None:
        self._memory.zero_()

    def event(self) -> Any:
        event = _cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3


class AllocatorMemory:
    """The interface of `bench.memory` for PyTorch: the device memory of its tensors."""

    def resident(self) -> int:
        gc.collect()
        return int(torch.cuda.memory_allocated())

    def start_peak(self) -> None:
        torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        return int(torch.cuda.max_memory_allocated())


def time_calls(call: Callable[[], Any], count: int, workload: Workload) -> float:
    return gpu.time_calls(TorchClock(), call, count, cold=gpu.is_cold(workload))


def missing() -> str:
    return "" if torch.cuda.is_available() else "PyTorch finds no GPU"


def has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def missing_for_compile() -> str:
    """As `missing`, for code that Triton compiles."""
    if not missing() and not has_triton():
        return "Triton is not installed, which torch.compile needs on a GPU; pip install triton"
    return missing()


def wait() -> None:
    torch.cuda.synchronize()


def device() -> str:
    return f"{torch.cuda.get_device_name()}, PyTorch's CUDA {torch.version.cuda}"


# As in `torch.set_float32_matmul_precision`: "highest" is float32, PyTorch's default; "high" is TF32.
Precision = Literal["highest", "high"]


def multiply_in(precision: Precision) -> None:
    """Set the precision of float32 products. This overrides the environment."""
    torch.set_float32_matmul_precision(precision)


def recorded(work: Callable[[], Any], restart: Callable[[], None] = lambda: None) -> Callable[[], Any]:
    """`work` as a CUDA graph, recorded by the first call.

    restart: undoes the changes made by calls of `work`, in the same memory
    """
    replay: Callable[[], None] | None = None
    result: Any = None

    def call() -> Any:
        nonlocal replay, result
        if replay is None:
            _warm_up(work)
            restart()
            replay, result = _record(work)
        replay()
        return result

    return call


def _warm_up(work: Callable[[], Any]) -> None:
    stream = _cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(stream)


def _record(work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
    """A function that replays the work, and the tensors that hold its results."""
    graph = _cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()
    return graph.replay, result


def products_of(workload: Workload, precision: Precision = "highest") -> Callable[[], None] | None:
    """A call that computes the matrix products of the workload into existing tensors; None if it has none."""
    if not workload.products:
        return None
    multiply_in(precision)
    dtype = getattr(torch, workload.dtype)
    tensors: dict[tuple[int, int], Any] = {}

    def tensor(rows: int, columns: int) -> Any:
        # One tensor for each shape, so that a floor uses no more memory than a peer.
        if (rows, columns) not in tensors:
            tensors[rows, columns] = torch.randn(rows, columns, dtype=dtype, device=DEVICE)
        return tensors[rows, columns]

    steps: list[tuple[Any, Any, Any]] = []
    rows = workload.rows
    for product, d, k in workload.products:
        x, weight, grad = tensor(rows, d), tensor(d, k), tensor(rows, k)
        if product == "forward":
            steps.append((x, weight, torch.empty_like(grad)))
        elif product == "weight":
            steps.append((x.T, grad, torch.empty_like(weight)))
        else:
            steps.append((grad, weight.T, torch.empty_like(x)))

    def call() -> None:
        for _ in range(workload.batches):
            for left, right, out in steps:
                torch.mm(left, right, out=out)

    return call
