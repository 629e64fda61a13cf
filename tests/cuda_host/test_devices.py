"""Calls with arrays of a device that is not the current one, on devices that only say that they are."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest
from onepass.backends.common import libraries
from onepass.backends.cuda import program as cuda_backend
from recorded_cupy import installed

import onepass as op
from onepass import dispatch


class Device:
    """Is entered as `cupy.cuda.Device` is."""

    current = 0

    def __init__(self, number: int) -> None:
        self.id = number
        self.before: list[int] = []

    def __enter__(self) -> None:
        self.before.append(Device.current)
        Device.current = self.id

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Device.current = self.before.pop()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The device that was current in every run of a kernel; all arrays are on device 1."""
    monkeypatch.setattr(Device, "current", 0)
    monkeypatch.setattr(dispatch, "device_to_enter", lambda array: 1)
    monkeypatch.setattr(dispatch, "is_current_device", lambda device: device == Device.current)
    monkeypatch.setattr(dispatch, "device_context", Device)
    return []


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_call_runs_on_the_device_of_its_arrays(
    backend: str, seen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    @op.kernel
    def doubled(x: Any, factor: float = 2.0) -> Any:
        return x * factor

    # Not in the kernel itself, which may write nowhere.
    chosen = dispatch.chosen_backend

    def watched() -> str:
        seen.append(Device.current)
        return chosen()

    monkeypatch.setattr(dispatch, "chosen_backend", watched)

    x = np.arange(6.0).reshape(2, 3)
    out = np.zeros_like(x)
    with op.use_backend(backend):
        np.testing.assert_array_equal(doubled(x), 2 * x)
        assert doubled(x, factor=3.0, out=out) is out
        np.testing.assert_array_equal(out, 3 * x)
        with pytest.raises(ValueError, match="shape"):
            doubled(x, out=np.zeros(2))
        assert Device.current == 0
        with Device(1):
            doubled(x)
            assert Device.current == 1
    assert seen
    assert set(seen) == {1}


def test_values_are_checked_on_the_device_of_the_arrays(seen: list[int]) -> None:
    def kernel(x: Any) -> Any:
        return x + 1

    def check(name: str, x: Any) -> None:
        seen.append(Device.current)

    watched = dispatch.dispatched(kernel, lambda name, x: None, check)
    x, out = np.ones(3), np.zeros(3)
    np.testing.assert_array_equal(watched(x), 2 * x)
    assert watched(x, out=out) is out
    np.testing.assert_array_equal(out, 2 * x)
    assert seen == [1, 1]
    assert Device.current == 0


def test_an_array_from_elsewhere_on_another_device_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = np.ones(3), np.ones(3)
    places = {id(here): "device 0", id(there): "device 1"}
    monkeypatch.setattr(cuda_backend, "device_of", lambda array: places[id(array)])
    monkeypatch.setattr(cuda_backend, "device_key", lambda array: places[id(array)])
    message = "kernel: an array from outside its arguments is on device 1 and the arguments are on device 0"
    with pytest.raises(ValueError, match=message):
        cuda_backend.require_one_place("kernel", [0.5, here, there], 1)
    assert cuda_backend.require_one_place("kernel", [0.5, here, here], 1) is here


def test_the_current_device_is_cupys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recorder = installed(monkeypatch, tmp_path)
    for number in (0, 1):
        recorder.device = number
        assert [libraries.is_current_device(0), libraries.is_current_device(1)] == [number == 0, number == 1]


def test_what_is_in_no_need_of_a_device_says_so() -> None:
    assert libraries.device_to_enter(np.ones(2)) is None
    assert libraries.device_to_enter(None) is None
