"""Graphs of GPU programs: what is recorded, kept, replayed, and what holds on to memory; on the host."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from half_dtypes import HALVES, half_of
from onepass.backends.cuda import graphs as cuda_graphs
from onepass.backends.cuda.program import CudaProgram
from pooled_device import PooledDevice

from onepass import kernels

pytestmark = pytest.mark.needs(name="g++")

random = np.random.default_rng(20261126)


def softmax_on(device: PooledDevice) -> CudaProgram:
    return CudaProgram(kernels.softmax, "softmax", (random.normal(size=(4, 8)),), {}, device=device)


def assert_softmax(program: CudaProgram, x: Any) -> None:
    np.testing.assert_allclose(program([x]), kernels.softmax(x), rtol=1e-13)


def test_new_addresses_are_not_those_of_a_graph() -> None:
    program = softmax_on(PooledDevice())
    for _ in range(2 * cuda_graphs.MOST_GRAPHS):
        x = random.normal(size=(4, 8))
        for _ in range(3):
            assert_softmax(program, x)


def test_what_cannot_be_recorded_is_run_tried_once_and_not_held() -> None:
    device = PooledDevice()
    device.can_record = False
    program = softmax_on(device)
    x = random.normal(size=(4, 8))
    for _ in range(3):
        assert_softmax(program, x)
    device.can_record = True
    assert_softmax(program, x)
    assert (device.replays, device.recordings) == (0, 0)
    held = weakref.ref(x)
    del x
    gc.collect()
    assert held() is None


def test_a_graph_holds_no_arrays() -> None:
    device = PooledDevice()
    weight = random.normal(size=(8, 3))
    x = random.normal(size=(4, 8))
    program = CudaProgram(kernels.linear, "linear", (x, weight), {}, device=device)
    for _ in range(4):
        np.testing.assert_allclose(program([x, weight]), x @ weight, rtol=1e-12)
    assert device.replays == 3
    held = weakref.ref(x)
    del x
    gc.collect()
    assert held() is None


def test_what_the_caller_records_is_launched_and_says_nothing_of_the_next_call() -> None:
    device = PooledDevice()
    program = softmax_on(device)
    x = random.normal(size=(4, 8))
    device.capturing = True
    for _ in range(3):
        assert_softmax(program, x)
    assert (device.replays, device.recordings) == (0, 0)
    device.capturing = False
    for _ in range(3):
        assert_softmax(program, x)
    assert (device.replays, device.recordings) == (3, 1)


def rotate(program: CudaProgram, device: PooledDevice, sets: list[Any], turns: int) -> tuple[int, int]:
    """How many calls are replayed and how many graphs are made, while sets of addresses come one by one."""
    before = device.replays, device.recordings
    for _ in range(turns):
        for x in sets:
            assert_softmax(program, x)
    return device.replays - before[0], device.recordings - before[1]


def test_many_addresses_in_rotation_are_replayed() -> None:
    device = PooledDevice()
    program = softmax_on(device)
    sets = [random.normal(size=(4, 8)) for _ in range(17)]
    assert rotate(program, device, sets, 2) == (17, 17)
    assert rotate(program, device, sets, 2) == (34, 0)


def test_of_more_addresses_than_graphs_the_first_are_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "MOST_GRAPHS", 4)
    device = PooledDevice()
    program = softmax_on(device)
    sets = [random.normal(size=(4, 8)) for _ in range(10)]
    rotate(program, device, sets, 2)
    assert rotate(program, device, sets, 5) == (20, 0)


def test_graphs_that_are_not_used_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "MOST_GRAPHS", 4)
    monkeypatch.setattr(cuda_graphs, "FORGOTTEN_AFTER", 20)
    device = PooledDevice()
    program = softmax_on(device)
    old, new = ([random.normal(size=(4, 8)) for _ in range(4)] for _ in range(2))
    rotate(program, device, old, 3)
    rotate(program, device, new, 7)
    assert rotate(program, device, new, 3) == (12, 0)
    assert len(program._graphs._graphs) == 4


def test_the_graph_that_gives_way_is_the_one_least_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "MOST_GRAPHS", 2)
    monkeypatch.setattr(cuda_graphs, "FORGOTTEN_AFTER", 20)
    device = PooledDevice()
    program = softmax_on(device)
    used, unused, new = (random.normal(size=(4, 8)) for _ in range(3))
    rotate(program, device, [used, unused], 2)
    rotate(program, device, [used], 25)
    assert rotate(program, device, [new, used], 3) == (5, 1)


def test_addresses_beyond_all_memory_of_them_are_never_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "MOST_GRAPHS", 4)
    monkeypatch.setattr(cuda_graphs, "FORGOTTEN_AFTER", 20)
    device = PooledDevice()
    program = softmax_on(device)
    sets = [random.normal(size=(4, 8)) for _ in range(30)]
    assert rotate(program, device, sets, 3) == (0, 0)
    assert len(program._graphs._seen) == 20


def test_a_graph_has_the_precision_that_it_was_recorded_with() -> None:
    device = PooledDevice()
    x, weight = random.normal(size=(4, 8)), random.normal(size=(8, 3))
    program = CudaProgram(kernels.linear, "linear", (x, weight), {}, device=device)
    exact = x @ weight
    rounded = x.astype(np.float16).astype(float) @ weight.astype(np.float16).astype(float)
    assert abs(exact - rounded).max() > 1e-5
    for mode, expected in (("exact", exact), ("rounded", rounded), ("exact", exact), ("rounded", rounded)):
        device.mode = mode
        for _ in range(3):
            np.testing.assert_allclose(program([x, weight]), expected, rtol=1e-12)
    assert (device.replays, device.recordings) == (10, 2)


@pytest.mark.parametrize("half", HALVES)
def test_products_of_halves_are_recorded(half: str) -> None:
    device, dtype = PooledDevice(), half_of(half)
    x, weight = np.ones((4, 3), dtype), np.ones((3, 2), dtype)
    program = CudaProgram(
        lambda x, weight: kernels.relu(x @ weight) @ weight.T, "twice", (x, weight), {}, device=device
    )
    for _ in range(4):
        out = program([x, weight])
        assert out.dtype == dtype
        np.testing.assert_array_equal(out, np.full((4, 3), 6))
        del out
    assert device.replays == 3
