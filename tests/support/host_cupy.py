"""Real CuPy without a GPU: arrays in host memory, launches executed on the host, products by NumPy.

`backends/cupy_*.py`, the registry and the whole public API run as they are; what they ask of a driver is
answered by the stand-ins of `recorded_cupy.py`, which here also do what was asked.
"""

from __future__ import annotations

import functools
import re
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cupy
import numpy as np
import pytest
from guarded_memory import guarded
from host_cuda import HostModule
from host_cupy_arrays import on_host, patches
from onepass.backends import choice
from onepass.backends.cuda import cublas as cupy_products
from onepass.backends.cuda import cupy_device
from recorded_cupy import Cublas, Function, Graph, Recorder, Stream

DEVICES = 2
PROCESSORS = 3  # few, so that every one of them gets rows
# CuPy's pool gives addresses that 512 divides; what is promised is 256. `guarded` gives 16 beyond that.
TO_ALIGNMENT = 256 - 16
KERNEL = re.compile(
    r'extern "C" __global__ void __launch_bounds__\((\d+)\)(?: __cluster_dims__\((\d+), 1, 1\))? (\w+)\('
)


class HostPointer(cupy.cuda.MemoryPointer):
    """Memory of the host, which its own methods can write."""

    recorder: Any = None

    def __add__(self, offset: int) -> HostPointer:
        moved = HostPointer(self.mem, self.ptr - self.mem.ptr + offset)
        moved.recorder = self.recorder
        return moved

    def memset_async(self, value: int, size: int, stream: Any = None) -> None:
        memory = cupy.ndarray((size,), "uint8", self)
        self.recorder.do(lambda: on_host(memory).fill(value))


class HostGraph(Graph):
    """What was recorded is done when the graph is launched, not before."""

    memory: Sequence[Any] = ()  # that was allocated meanwhile, which the graph works in

    def upload(self) -> None:
        super().upload()
        assert not self.memory, "an allocation while a graph was recorded"

    def launch(self, stream: None = None) -> None:
        super().launch(stream)
        for work in self.recorded:
            work()


class HostStream(Stream):
    """A stream, whose work is done when it is asked for."""

    done = True

    def begin_capture(self) -> None:
        super().begin_capture()
        self.memory: list[Any] = []

    def end_capture(self) -> HostGraph:
        graph = HostGraph(self.recorder, super().end_capture().recorded)
        graph.memory = self.memory
        return graph

    def synchronize(self) -> None:
        assert not self.is_capturing()


class HostFunction(Function):
    """A kernel that the host executes."""

    def __init__(self, recorder: HostRecorder, name: str, module: HostModule, source: str) -> None:
        super().__init__(recorder, name, source.encode())
        found = next(match for match in KERNEL.finditer(source) if match[3] == name)
        self.module, self.threads, self.cluster = module, int(found[1]), int(found[2] or 1)

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
        super().__call__(grid, block, args, shared_mem)
        assert block[0] <= self.threads, "more threads than the source says: CUDA_ERROR_INVALID_VALUE"
        assert grid[0] % self.cluster == 0, "not a multiple of the cluster: CUDA_ERROR_INVALID_CLUSTER_SIZE"
        launch = functools.partial(
            self.module.launch, self.name, grid[0], block[0], list(args), shared=shared_mem
        )
        self.recorder.do_recorded(functools.partial(launch, cluster=self.cluster))


class HostLoaded:
    """`cupy.cuda.Module`, for the code that the stand-in of NVRTC gives: the source."""

    def __init__(self, recorder: HostRecorder) -> None:
        self.recorder = recorder

    def load(self, code: bytes) -> None:
        self.recorder.loaded.append(code)
        self.source = code.removeprefix(b"cubin of ").decode()
        self.module = HostModule(self.source, [match[3] for match in KERNEL.finditer(self.source)])

    def get_function(self, name: str) -> HostFunction:
        return HostFunction(self.recorder, name, self.module, self.source)


class HostCublas(threading.local, Cublas):
    """Products that a graph repeats; every thread has a handle of its own."""

    def _set_stream(self, handle: int, stream: int) -> int:
        assert stream == self.recorder.streams[-1].ptr, "not the current stream"
        return super()._set_stream(handle, stream)

    def _multiply(self, handle: int, *rest: int) -> int:
        self.recorder.do(lambda: self._multiply_now(handle, *rest))
        return self.status

    def _multiply_now(self, handle: int, *rest: int) -> None:
        self.streams.append(0)  # which nobody records
        assert super()._multiply(handle, *rest) == 0


class HostRecorder(Recorder):
    """The stand-in's state: a current device and a current stream for every thread, as CUDA has them."""

    def __init__(self) -> None:
        self._of_thread = threading.local()
        self.null: Any = None
        super().__init__()
        self.null = HostStream.__new__(HostStream)
        self.null.__dict__.update(self._of_thread.streams[0].__dict__)
        self.all_streams[0] = self.null
        self.streams = [self.null]
        self.cublas = HostCublas(self)

    @property
    def streams(self) -> list[Any]:
        """The current one of this thread last."""
        if not hasattr(self._of_thread, "streams"):
            self._of_thread.streams = [self.null]
        return self._of_thread.streams

    @streams.setter
    def streams(self, streams: list[Any]) -> None:
        self._of_thread.streams = streams

    @property
    def device(self) -> int:
        return getattr(self._of_thread, "device", 0)

    @device.setter
    def device(self, number: int) -> None:
        self._of_thread.device = number

    @property
    def devices_before(self) -> list[int]:
        """Those that this thread comes back to."""
        return self._of_thread.__dict__.setdefault("devices_before", [])

    def do(self, work: Callable[[], Any]) -> None:
        """Do it, or have the graph that is recorded do it."""
        recorded = self.streams[-1].recorded
        if recorded is None:
            work()
        else:
            recorded.append(work)

    def do_recorded(self, work: Callable[[], Any]) -> None:
        """The same for what has noted itself already."""
        if self.streams[-1].recorded is not None:
            self.streams[-1].recorded.pop()
        self.do(work)

    def allocate(self, size: int) -> HostPointer:
        """Memory between guards, all bytes 0xFF."""
        memory = guarded((size,), np.uint8, TO_ALIGNMENT, guard=np.float32)
        if self.streams[-1].is_capturing():
            self.streams[-1].memory.append(memory)
        unowned = cupy.cuda.UnownedMemory(memory.ctypes.data, size, memory, self.device)
        pointer = HostPointer(unowned, 0)
        pointer.recorder = self
        return pointer

    def set_item(self, array: Any, key: Any, value: Any) -> None:
        """array[key] = value"""
        if isinstance(value, np.ndarray):
            raise TypeError(f"Unsupported type {type(value)}")
        key = tuple(map(_plain, key)) if isinstance(key, tuple) else _plain(key)
        self.do(lambda: on_host(array).__setitem__(key, _plain(value)))


def _plain(value: Any) -> Any:
    return on_host(value) if isinstance(value, cupy.ndarray) else value


def _device_of(recorder: HostRecorder) -> type:
    class HostDevice(cupy.cuda.Device):
        """One of `DEVICES`, all of them the host."""

        __module__, __qualname__ = "cupy.cuda.device", "Device"

        def __init__(self, device: Any = None) -> None:
            super().__init__(recorder.device if device is None else int(device))

        compute_capability = property(lambda self: recorder.capability)
        attributes = property(lambda self: {"MultiProcessorCount": PROCESSORS})
        mem_info = property(lambda self: (0, 1 << 30))

        def use(self) -> None:
            recorder.device = self.id

        def __enter__(self) -> Any:
            recorder.devices_before.append(recorder.device)
            self.use()
            return self

        def __exit__(self, *_: object) -> None:
            recorder.device = recorder.devices_before.pop()

        def synchronize(self) -> None:
            pass

    return HostDevice


class _Streams:
    """`cupy.cuda.Stream`"""

    def __init__(self, recorder: HostRecorder) -> None:
        self.recorder, self.null = recorder, recorder.null

    def __call__(self, *, non_blocking: bool = False) -> HostStream:
        return HostStream(self.recorder, non_blocking=non_blocking)


# One for the process, since compiled kernels, which onepass keeps, belong to them.
_the_recorder = functools.cache(HostRecorder)
_the_devices: dict[int, cupy_device.CupyDevice] = {}


@contextmanager
def host_cupy(folder: Path) -> Iterator[HostRecorder]:
    """CuPy computes on the host inside, and is as before afterwards; machine code is kept in a folder."""
    recorder = _the_recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONEPASS_CACHE_DIR", str(folder))
        _replace_the_driver(patch, recorder)
        for owner, name, value in list(patches(recorder.set_item)):
            patch.setattr(owner, name, value, raising=False)
        kind = cupy.cuda.Device
        patch.setattr(cupy.ndarray, "device", property(lambda self: kind(self.data.device_id)))
        patch.setattr(cupy_device, "_devices", _the_devices)
        patch.setattr(cupy_products, "_library", lambda path: recorder.cublas)
        patch.setattr(choice, "_usable", {"auto"})
        # Nothing uses it here, and every call with a product would fill it.
        patch.setattr(cupy_products, "_LARGE_WORKSPACE", 1 << 10, raising=False)
        cupy_products._gemm.cache_clear()
        before = cupy.cuda.get_allocator()
        cupy.cuda.set_allocator(recorder.allocate)
        try:
            yield recorder
        finally:
            cupy.cuda.set_allocator(before)
            cupy_products._gemm.cache_clear()


def _replace_the_driver(patch: pytest.MonkeyPatch, recorder: HostRecorder) -> None:
    stand_in = vars(recorder.module().cuda)
    runtime = vars(stand_in.pop("runtime")) | {"getDeviceCount": lambda: DEVICES}
    for name, value in runtime.items():
        patch.setitem(vars(cupy.cuda.runtime), name, value)
    stand_in |= {
        "Device": _device_of(recorder),
        "MemoryPool": lambda: types.SimpleNamespace(malloc=recorder.allocate),
        "Module": lambda: HostLoaded(recorder),
        "Stream": _Streams(recorder),
    }
    for name, value in stand_in.items():
        patch.setitem(vars(cupy.cuda), name, value)
