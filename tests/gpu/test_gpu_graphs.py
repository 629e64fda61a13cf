"""Graphs of a GPU: what is recorded, what is in it, and when it is replayed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from gpu_programs import network, plain_step, step
from on_gpu import assert_close, bits, to_gpu
from onepass.backends.cuda import cupy_device

import onepass as op

pytestmark = pytest.mark.gpu

KERNEL, MEMORY_NODES = 0, (10, 11)  # CUgraphNodeType: of a kernel; to allocate and to free


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether a graph came of it, for every time that one was wanted."""
    outcomes: list[bool] = []
    graph = cupy_device.CupyDevice.graph

    def watched(self: Any, run: Any) -> Any:
        launch = graph(self, run)
        outcomes.append(launch is not None)
        return launch

    monkeypatch.setattr(cupy_device.CupyDevice, "graph", watched)
    return outcomes


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """CuPy's graphs, as they are recorded."""
    found: list[Any] = []
    record = cupy_device._recorded

    def watched(stream: Any, run: Callable[[], None]) -> Any:
        found.append(record(stream, run))
        return found[-1]

    monkeypatch.setattr(cupy_device, "_recorded", watched)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_that_repeats_is_a_graph_and_its_numbers_are_honoured(
    dtype: str, cupy: Any, recorded: list[bool]
) -> None:
    params, x, labels = network()
    on_gpu, data = to_gpu(cupy, params, dtype), to_gpu(cupy, (x, labels), dtype)
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        for turn in range(12):
            # Neither new numbers in the same arrays nor another learning rate may be what was recorded.
            x = x + 0.01 * turn
            data[0][...] = cupy.asarray(x)
            lr = 0.5 / (1 + turn)
            loss, on_gpu = step(on_gpu, *data, lr)
            expected, params = plain_step(params, x, labels, lr)
            assert_close(cupy, loss, expected, dtype, 1e-3 if dtype == "float32" else 1e-10)
            assert_close(cupy, on_gpu, params, dtype, 1e-3 if dtype == "float32" else 1e-10)
    assert recorded, "nothing was recorded"
    assert all(recorded)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_recorded_leaves_other_memory_alone(dtype: str, cupy: Any) -> None:
    x, weight = (cupy.ones((256, 256), dtype) for _ in range(2))
    op.linear(x, weight)
    for _ in range(8):
        # Memory that a call has freed is given to others, which a later call may not write to.
        others = [cupy.full((256, 256), 7, kind) for kind in (dtype, "float32") for _ in range(4)]
        result = op.linear(x, weight)
        np.testing.assert_array_equal(result.get(), 256)
        assert all(bool((other == 7).all()) for other in others)
        del result, others


def node_types(graph: Any) -> list[int]:
    """The kind of every node of a graph, as the driver names it."""
    driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_size_t()
    handle = ctypes.c_void_p(graph.graph)
    assert driver.cuGraphGetNodes(handle, None, ctypes.byref(count)) == 0
    nodes = (ctypes.c_void_p * count.value)()
    assert driver.cuGraphGetNodes(handle, nodes, ctypes.byref(count)) == 0
    kind, kinds = ctypes.c_int(), []
    for node in nodes:
        assert driver.cuGraphNodeGetType(ctypes.c_void_p(node), ctypes.byref(kind)) == 0
        kinds.append(kind.value)
    return kinds


# The last one is split along its inner dimension, for which cuBLAS needs memory.
@pytest.mark.parametrize("shape", [(128, 784, 100), (1024, 1024, 1024), (64, 100_000, 64)])
def test_a_graph_with_products_allocates_nothing(
    shape: tuple[int, int, int], cupy: Any, graphs: list[Any]
) -> None:
    rows, inner, columns = shape
    x, weight = cupy.ones((rows, inner), "float32"), cupy.ones((inner, columns), "float32")
    out = cupy.empty((rows, columns), "float32")
    for _ in range(4):
        out.fill(0)
        op.linear(x, weight, out=out)
        np.testing.assert_array_equal(out.get(), inner)
    assert graphs, "nothing was recorded"
    for graph in graphs:
        kinds = node_types(graph)
        assert KERNEL in kinds
        assert not [kind for kind in kinds if kind in MEMORY_NODES]


def test_many_addresses_in_rotation_are_replayed(cupy: Any, graphs: list[Any]) -> None:
    params, x, labels = to_gpu(cupy, network(17 * 5), "float32")
    batches = [(x[i : i + 5], labels[i : i + 5]) for i in range(0, 17 * 5, 5)]
    taken = op.mlp_loss_and_grads(params, *batches[0])
    expected = [bits(cupy, op.mlp_loss_and_grads(params, *batch)) for batch in batches]
    for turn in range(4):
        before = len(graphs)
        for batch, right in zip(batches, expected, strict=True):
            assert bits(cupy, op.mlp_loss_and_grads(params, *batch, out=taken)) == right
        assert turn < 3 or len(graphs) == before, "the same addresses were recorded again and again"
    assert len(graphs) >= 17


@pytest.fixture
def precision(cupy: Any) -> Iterator[Callable[[int], None]]:
    """Sets how CuPy computes products of float32."""
    before = cupy._core.get_compute_type("float32")
    yield lambda kind: cupy._core.set_compute_type("float32", kind)
    cupy._core.set_compute_type("float32", before)


def test_a_graph_has_the_precision_that_it_was_recorded_with(
    cupy: Any, precision: Callable[[int], None], graphs: list[Any]
) -> None:
    if int(cupy.cuda.Device().compute_capability) < 80:
        pytest.skip("needs TF32: a compute capability of 8.0 or later")
    kinds = cupy._core._routines_linalg
    x, weight = (cupy.random.default_rng(seed).standard_normal((512, 512), "float32") for seed in (1, 2))
    out = cupy.empty((512, 512), "float32")
    exact = x.get().astype(float) @ weight.get().astype(float)
    scale = abs(exact).max()
    errors: dict[int, list[float]] = {kinds.COMPUTE_TYPE_FP32: [], kinds.COMPUTE_TYPE_TF32: []}
    for _ in range(2):
        for kind, found in errors.items():
            precision(kind)
            for _ in range(4):
                op.linear(x, weight, out=out)
                found.append(float(abs(out.get() - exact).max() / scale))
    assert max(errors[kinds.COMPUTE_TYPE_FP32]) < 1e-5
    # TF32 keeps 11 bits of the factors.
    assert min(errors[kinds.COMPUTE_TYPE_TF32]) > 2e-5
    assert len(graphs) >= 2


def test_what_the_caller_records_is_part_of_that(cupy: Any, graphs: list[Any]) -> None:
    logits = cupy.asarray(np.random.default_rng(1).standard_normal((200, 1000), dtype=np.float32))
    labels, taken = cupy.arange(200), cupy.empty((200, 1000), "float32")
    loss = cupy.empty((), "float32")
    pool = cupy.cuda.MemoryPool()  # whose memory nobody else is given while the graph lives
    with cupy.cuda.using_allocator(pool.malloc), cupy.cuda.Stream(non_blocking=True) as stream:
        expected = bits(cupy, op.softmax_cross_entropy_with_grad(logits, labels))
        op.softmax_cross_entropy_with_grad(logits, labels, out=(loss, taken))
        stream.begin_capture()
        for _ in range(3):
            op.softmax_cross_entropy_with_grad(logits, labels, out=(loss, taken))
        graph = stream.end_capture()
        assert not graphs
        for _ in range(2):
            taken.fill(5)
            loss.fill(5)
            graph.launch()
            assert bits(cupy, (loss, taken)) == expected
        for _ in range(3):
            op.softmax_cross_entropy_with_grad(logits, labels, out=(loss, taken))
        assert graphs, "nothing is recorded after what the caller recorded"
        assert bits(cupy, (loss, taken)) == expected
        stream.synchronize()
