"""The run side of the GPU backend: memory, alignment, graphs, and what is launched with what."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import host_cuda
import numpy as np
import pytest
from array_api_compat import array_namespace
from host_device import HostDevice
from onepass.backends.common.trees import leaves
from onepass.backends.cuda import arrays
from onepass.backends.cuda.launches import ROWS_OF_BLOCK, Launches
from onepass.backends.cuda.program import CudaProgram
from pooled_device import PooledDevice
from training import train_step

import onepass as op
from onepass import kernels

pytestmark = pytest.mark.needs(name="g++")


def network(random: np.random.Generator) -> tuple[Any, Any, Any]:
    params = [(random.normal(size=(3, 8)), np.zeros(8)), (random.normal(size=(8, 4)), np.zeros(4))]
    return params, random.normal(size=(6, 3)), random.integers(0, 4, 6)


def test_a_training_loop_is_recorded_once_and_replayed_with_every_rate() -> None:
    random = np.random.default_rng(0)
    params, x, labels = network(random)
    device = PooledDevice()
    donated = tuple(range(4))
    program = CudaProgram(train_step, "train_step", (params, x, labels, 0.5), {}, donated, device=device)
    mine, expected = [(w.copy(), b.copy()) for w, b in params], params
    for turn in range(5):
        rate = 0.5 / (turn + 1)
        loss, mine = program(leaves(((mine, x, labels, rate), {})))
        with op.use_backend("numpy"):
            expected_loss, expected = op.kernel(train_step)(expected, x, labels, rate)
        np.testing.assert_allclose(float(loss), expected_loss, rtol=1e-12)
        for got, right in zip(leaves(mine), leaves(expected), strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-11, atol=1e-13)
        del loss
    assert device.replays >= 2
    # The scalar is set outside of the graph, or the rate would have stayed what it was.
    assert [name for name, _ in device.launches].count("begin") == 5


def test_alignment_is_looked_at_in_every_call() -> None:
    x = np.random.default_rng(3).normal(size=(4, 8)).astype(np.float32)
    device = PooledDevice()
    program = CudaProgram(kernels.relu, "relu", (x,), {}, device=device)
    aligned, misaligned = host_cuda.guarded_copy(x), host_cuda.guarded_copy(x, 4)
    for array in (aligned, misaligned, aligned):
        np.testing.assert_array_equal(program([array]), np.maximum(x, 0))
    assert len(device.sources) == 2
    assert "constexpr int VECTOR = 4;" in device.sources[0]
    assert "constexpr int VECTOR = 1;" in device.sources[1]


def test_a_donated_argument_that_is_another_one_too_is_not_written_over() -> None:
    x = np.random.default_rng(4).normal(size=(4, 8))
    device = PooledDevice()

    def program(a: Any, b: Any) -> Any:
        return 2 * a, a + b

    compiled = CudaProgram(program, "program", (x, x.copy()), {}, (0,), device=device)
    assert compiled.plan.donated
    before = x.copy()
    for _ in range(3):
        doubled, added = compiled([x, x])
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(doubled, 2 * before)
        np.testing.assert_array_equal(added, 2 * before)
    # The same first argument beside another array is written over.
    doubled, added = compiled([x, before])
    np.testing.assert_array_equal(x, 2 * before)
    np.testing.assert_array_equal(doubled, 2 * before)
    np.testing.assert_array_equal(added, 2 * before)


def test_python_numbers_of_a_result_need_no_new_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy.astype is of NumPy 2.1."""

    def numbers(x: Any, n: Any) -> Any:
        return 2 * x, n * 0.5, n + 1

    x = np.ones((2, 3))
    monkeypatch.delattr(np, "astype", raising=False)
    assert CudaProgram(numbers, "numbers", (x, 3), {}, device=PooledDevice())([x, 3])[1:] == (1.5, 4)


def test_what_overlaps_is_found_out_again_where_it_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MOST_OVERLAPS", 2)
    given = [np.full((4, 8), float(i)) for i in range(5)]
    program = CudaProgram(lambda a, b: a + b, "add", (given[0], given[1]), {}, (0,), device=PooledDevice())
    for _ in range(2):
        for i, x in enumerate(given):
            np.testing.assert_array_equal(program([x, x]), np.full((4, 8), 2.0 * i))
            np.testing.assert_array_equal(x, np.full((4, 8), float(i)))


def test_nothing_is_launched_for_no_rows() -> None:
    device = PooledDevice()
    logits, labels = np.empty((0, 5)), np.empty(0, np.int64)
    program = CudaProgram(
        kernels.softmax_cross_entropy_with_grad, "loss", (logits, labels), {}, device=device
    )
    loss, grad = program([logits, labels])
    assert np.isnan(loss)
    assert grad.shape == (0, 5)
    assert all(launch.grid > 0 for _, launch in device.launches)
    assert [name for name, _ in device.launches] == ["finish0"]


def test_row_blocks_hold_to_their_budget_and_give_the_same() -> None:
    random = np.random.default_rng(5)
    x, weight = random.normal(size=(200, 3)), random.normal(size=(3, 40))
    labels = random.integers(0, 40, 200)

    def head(x: Any, weight: Any, labels: Any) -> Any:
        loss, grad = op.softmax_cross_entropy_with_grad(op.linear(x, weight), labels)
        return loss, grad @ weight.T, x.T @ grad

    small = functools.partial(Launches, budget=2 * ROWS_OF_BLOCK * 40 * 8)
    device = PooledDevice()
    program = CudaProgram(head, "head", (x, weight, labels), {}, device=device, launches=small)
    got = program([x, weight, labels])
    assert [name for name, _ in device.launches].count("rows0_1") == 4
    assert program.variant(aligned=True).bytes < 2.2 * ROWS_OF_BLOCK * 40 * 8
    with op.use_backend("numpy"):
        expected = op.kernel(head)(x, weight, labels)
    for mine, right in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-12, atol=1e-14)


def test_arrays_of_two_libraries_are_an_error() -> None:
    strict = importlib.import_module("array_api_strict")
    x, other = np.ones(3), strict.ones(3)

    def program(a: Any, b: Any) -> Any:
        return array_namespace(a).exp(a), b

    with pytest.raises(TypeError, match="program: got arrays of array_api_strict and numpy"):
        CudaProgram(program, "program", (x, other), {}, device=HostDevice())


def test_a_result_is_as_narrow_as_what_it_depends_on() -> None:
    params = [np.ones(8, np.float16), np.ones(8, np.float32), np.ones(8)]
    args = (params, params, op.adam_init(params), 0.1)
    program = CudaProgram(kernels.adam_step, "adam_step", args, {}, device=HostDevice())
    stepped, state = program(leaves(args))
    for tree in (stepped, state["exp_avg"], state["exp_avg_sq"]):
        assert [part.dtype for part in tree] == ["float16", "float32", "float64"]
    expected, _ = op.adam_step(*args)
    for mine, right in zip(stepped, expected, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-3)
