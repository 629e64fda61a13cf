"""A device that is the host, with a pool of memory and graphs as CuPy has them."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from host_device import HostDevice
from onepass.backends.cuda.device import Gemm


class PooledDevice(HostDevice):
    """Gives freed memory out again, as CuPy's pool does, and records launches for a graph.

    made:      shapes and dtypes of the arrays that were asked for
    capturing: whether the caller records
    mode:      how products are computed; "rounded", with factors in half precision
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pool: dict[tuple[Any, ...], list[Any]] = {}
        self.replays = self.recordings = 0
        self.made: list[tuple[tuple[int, ...], str]] = []
        self.capturing, self.mode = False, "exact"
        self.recording: list[Callable[[], None]] | None = None
        self.can_record = True

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        assert self.recording is None, "memory was asked for while a graph is recorded"
        self.made.append((shape, str(dtype)))
        made = self.pool.setdefault((shape, str(dtype)), [])
        for array in made:
            # Nobody but the pool and this loop has it.
            if _references(array) <= 0:
                array.reshape(-1).view(np.uint8)[...] = 0xFF
                return array
        made.append(super().empty(shape, dtype))
        return made[-1]

    def plain(self, array: Any, dtype: np.dtype[Any], strides: tuple[int, ...] | None = None) -> Any:
        return array if array.flags.carray and array.dtype == dtype else super().plain(array, dtype)

    def launch(self, kernel: Any, launch: Any, arguments: Any) -> None:
        if self.recording is not None:
            self.recording.append(lambda: HostDevice.launch(self, kernel, launch, list(arguments)))
        else:
            super().launch(kernel, launch, arguments)

    def precision(self) -> str:
        return self.mode

    def is_capturing(self) -> bool:
        return self.capturing

    def product(self, gemm: Gemm, workspace: int) -> None:
        multiply = _rounded_product if self.mode == "rounded" else HostDevice.product
        if self.recording is not None:
            # A graph has addresses, and keeps no memory from being given out again.
            there = replace(gemm, a=_at(gemm.a), b=_at(gemm.b), out=_at(gemm.out))
            self.recording.append(lambda: multiply(self, there, workspace))
        else:
            multiply(self, gemm, workspace)

    def graph(self, run: Callable[[], None]) -> Callable[[], None] | None:
        assert not self.capturing
        if not self.can_record:
            return None
        self.recordings += 1
        self.recording = launches = []
        run()
        self.recording = None

        def replay() -> None:
            self.replays += 1
            for launch in launches:
                launch()

        return replay


def _rounded_product(device: Any, gemm: Gemm, workspace: int) -> None:
    a, b = (factor.astype(np.float16).astype(factor.dtype) for factor in (gemm.a, gemm.b))
    HostDevice.product(device, replace(gemm, a=a, b=b), workspace)


def _at(array: Any) -> Any:
    """An array at the same place that keeps nothing alive."""
    # The interface has no name for bfloat16.
    interface = array.view(np.uint16 if array.itemsize == 2 else array.dtype).__array_interface__
    return np.asarray(types.SimpleNamespace(__array_interface__=interface)).view(array.dtype)


def _references(array: Any) -> int:
    """How many hold the array or a view of it, beside the pool, the loop, and this function and its call."""
    return sys.getrefcount(array) - 4
