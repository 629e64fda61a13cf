"""A GPU in use: streams, threads, devices, arrays of others, and no waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from gpu_programs import head, network
from on_gpu import assert_close, bits, busy, to_gpu

import onepass as op
from onepass import kernels

pytestmark = pytest.mark.gpu


def test_a_call_does_not_wait_for_the_device(cupy: Any) -> None:
    params, x, labels = to_gpu(cupy, network(), "float32")
    logits, classes = cupy.ones((512, 1000), "float32"), cupy.zeros(512, int)
    weight = cupy.ones((2, 50_000), "float32")
    calls: dict[str, Callable[[], Any]] = {
        "sums": lambda: op.softmax_cross_entropy_with_grad(logits, classes),
        "numbers": lambda: op.sgd_step(params, params, 0.1),
        "network": lambda: op.mlp_loss_and_grads(params, x, labels),
        "head in blocks": lambda: head(x, weight, labels),
        "strided": lambda: op.softmax(logits[::2, ::3]),
    }
    for name, call in calls.items():
        # Loading, the recording of graphs and memory that is new to CuPy's pool may wait.
        for _ in range(5):
            call()
        cupy.cuda.get_current_stream().synchronize()
        event = cupy.cuda.Event(disable_timing=True)
        busy(cupy, 0.5)
        event.record()
        call()
        assert not event.done, f"{name}: the call came back after the device had finished"
        event.synchronize()


def test_a_call_is_on_the_current_stream(cupy: Any) -> None:
    stream = cupy.cuda.Stream(non_blocking=True)
    x = cupy.zeros((100, 1000), "float32")
    cupy.cuda.Device().synchronize()
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        with stream:
            busy(cupy, 0.05)
            x.fill(value)
            # On another stream this would read what was there before.
            result = op.linear(x, x.T)
            total = op.l1_penalty(x, 1.0)
            assert cupy.cuda.Stream.null.done, "something went to the default stream"
            stream.synchronize()
        np.testing.assert_array_equal(result.get(), 1000 * value**2)
        assert float(total) == 1e5 * value


def test_two_streams_at_once(cupy: Any) -> None:
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
    arguments, expected = [], []
    for seed, stream in enumerate(streams):
        with stream:
            arguments.append(to_gpu(cupy, network(5000, seed), "float32"))
        expected.append(kernels.mlp_loss_and_grads(*network(5000, seed), activation="sigmoid"))
    results: list[list[Any]] = [[], []]
    for _ in range(20):
        for which, stream in enumerate(streams):
            with stream:
                results[which].append(op.mlp_loss_and_grads(*arguments[which], activation="sigmoid"))
                # Dropped now and then, so that addresses come back and graphs are replayed.
                results[which] = results[which][-3:]
    for which, stream in enumerate(streams):
        stream.synchronize()
        for result in results[which]:
            assert_close(cupy, result, expected[which], "float32", 2e-4)


def test_threads_with_a_stream_each_give_the_bits_of_one(cupy: Any) -> None:
    params, x, labels = to_gpu(cupy, network(), "float32")
    logits = cupy.asarray(np.random.default_rng(1).standard_normal((200, 1000), dtype=np.float32))
    classes = cupy.arange(200)
    cupy.cuda.Device().synchronize()

    def work() -> list[Any]:
        results = [
            op.mlp_loss_and_grads(params, x, labels),
            op.softmax_cross_entropy_with_grad(logits, classes),
            op.adam_step(params, params, op.adam_init(params)),
        ]
        return bits(cupy, results)

    expected = work()
    start = threading.Barrier(4)

    def in_thread(_: int) -> bool:
        start.wait(timeout=60)
        with cupy.cuda.Stream(non_blocking=True) as stream, op.use_backend("cupy"):
            same = all(work() == expected for _ in range(25))
            stream.synchronize()
        return same

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(in_thread, range(4))) == [True] * 4


@pytest.mark.parametrize("name", ["adam_step", "adamw_step"])
@pytest.mark.parametrize("count", ["number", "array"])
def test_a_loop_of_adam(cupy: Any, name: str, count: str) -> None:
    params, _, _ = network()
    mine = to_gpu(cupy, params)
    state, expected_state = op.adam_init(mine), kernels.adam_init(params)
    if count == "array":  # as a file has it
        state["step"] = cupy.asarray(0)
    for turn in range(5):
        grads, _, _ = network(seed=1 + turn)
        mine, state = getattr(op, name)(mine, to_gpu(cupy, grads), state, 0.1)
        params, expected_state = getattr(kernels, name)(params, grads, expected_state, 0.1)
        assert int(state["step"]) == 1 + turn
        assert isinstance(state["step"], int if count == "number" else cupy.ndarray)
    assert_close(cupy, mine, params, "float64", 1e-12)
    assert_close(cupy, state, expected_state, "float64", 1e-12)


def test_a_second_device(cupy: Any) -> None:
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs two GPUs")
    expected = kernels.mlp_loss_and_grads(*network())
    here = to_gpu(cupy, network())
    for _ in range(4):
        with cupy.cuda.Device(1):
            there = op.mlp_loss_and_grads(*to_gpu(cupy, network()))
            assert there[0].device.id == there[1][0][0].device.id == 1
            assert_close(cupy, there, expected, "float64", 1e-12)
        assert_close(cupy, op.mlp_loss_and_grads(*here), expected, "float64", 1e-12)
    with cupy.cuda.Device(1):
        elsewhere, other = to_gpu(cupy, network()), cupy.ones((3, 4))
        classes = cupy.arange(3)
    for _ in range(4):
        # The current device is another one than that of the arrays.
        there = op.mlp_loss_and_grads(*elsewhere)
        assert there[0].device.id == there[1][0][0].device.id == 1
        assert_close(cupy, there, expected, "float64", 1e-12)
        assert op.softmax_cross_entropy(other, classes).device.id == 1
        assert cupy.cuda.runtime.getDevice() == 0
    with pytest.raises(ValueError, match=r"relu: out is on .*0.*; expected .*1.*, the device of the result"):
        op.relu(other, out=cupy.ones((3, 4)))
    with pytest.raises(ValueError, match="one device"):
        op.mean_squared_error(cupy.ones((3, 4)), other)


def test_arrays_come_in_without_a_copy(cupy: Any) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    tensor = torch.arange(12.0, device="cuda").reshape(3, 4) - 5
    for brought in (cupy.from_dlpack(tensor), cupy.asarray(tensor)):
        assert brought.data.ptr == tensor.data_ptr()
        np.testing.assert_array_equal(op.relu(brought).get(), torch.relu(tensor).cpu().numpy())
        np.testing.assert_array_equal(op.relu(brought.T).get(), torch.relu(tensor.T).cpu().numpy())
