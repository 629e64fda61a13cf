"""A GPU as CuPy drives it: the side of the seam that touches CuPy."""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy

from ..common.forks import compile_lock
from .clusters import clusters_at_once
from .cublas import precisions, product, workspace_bytes
from .device import Gemm, Launch
from .nvrtc import machine_code

# What every kernel may have of shared memory, in bytes; it has to ask for more.
_SHARED_UNASKED = 48 * 1024
# Of workspaces, in bytes: larger ones are given back after every call.
_LEAST_WORKSPACE, _LARGEST_KEPT_WORKSPACE = 64 << 10, 1 << 20
_MOST_KEPT_WORKSPACES = 16  # by a thread
_BYTE = numpy.dtype("uint8")


class Kernel:
    """A kernel that is loaded on a device."""

    __slots__ = ("function", "shared")

    def __init__(self, function: Any, shared: int) -> None:
        self.function = function
        self.shared = shared  # bytes that it may be launched with


class CupyDevice:
    """The device of one number; made by `current_device`.

    Every method works on CuPy's current stream of the thread that calls it, and the device has to be the
    current one. None waits for the device, except that loading, the first product of a thread and memory
    that is new to CuPy's pool may.
    """

    def __init__(self, number: int) -> None:
        self._cupy = importlib.import_module("cupy")
        self._device = device = self._cupy.cuda.Device(number)
        self.capability = int(device.compute_capability)
        self.processors = int(device.attributes["MultiProcessorCount"])
        self.product_bytes = workspace_bytes(self.capability)
        self.memory = int(device.mem_info[1])
        self._kernels: dict[str, dict[str, Kernel]] = {}
        self._workspaces = threading.local()  # of every thread, by the address of the stream
        self._multiplies = False

    @functools.cached_property
    def clusters(self) -> int:
        """Clusters of 8 blocks that it holds at once, where each block takes all registers of a processor."""
        return clusters_at_once(self._cupy, self._device, self.capability)

    def load(self, source: str, names: Sequence[str]) -> Mapping[str, Kernel]:
        """The kernels of a source by name; it is compiled once, and found on the disk by later processes."""
        with compile_lock:
            if source not in self._kernels:
                module = self._cupy.cuda.Module()
                module.load(machine_code(self._cupy, source, self.capability))
                self._kernels[source] = {name: self._kernel(module.get_function(name)) for name in names}
            return self._kernels[source]

    def _kernel(self, function: Any) -> Kernel:
        driver = self._cupy.cuda.driver
        fixed = driver.funcGetAttribute(driver.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function.ptr)
        return Kernel(function, _SHARED_UNASKED - fixed)

    def launch(self, kernel: Kernel, launch: Launch, arguments: Sequence[int | float]) -> None:
        """Start a kernel; CuPy passes an `int` as 8 bytes and a `float` as a double, and a bool as 1 byte."""
        if launch.shared > kernel.shared:
            driver = self._cupy.cuda.driver
            most = driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            driver.funcSetAttribute(kernel.function.ptr, most, launch.shared)
            kernel.shared = launch.shared
        kernel.function((launch.grid,), (launch.threads,), arguments, launch.shared)

    def empty(self, shape: tuple[int, ...], dtype: numpy.dtype[Any]) -> Any:
        return self._cupy.ndarray(shape, dtype)  # `cupy.empty` takes twice as long

    def workspace(self, size: int) -> Any:
        """A small one is kept, by thread and stream: calls of one thread on one stream follow each other.

        What the caller records may be launched on another stream, beside other calls: it has one of its own.
        """
        if size > _LARGEST_KEPT_WORKSPACE:
            return self.empty((size,), _BYTE)
        stream = self._cupy.cuda.get_current_stream()
        if stream.is_capturing():
            return self.empty((size,), _BYTE)
        kept = self._workspaces.__dict__
        found = kept.get(stream.ptr)
        if found is None or found.size < size:
            if len(kept) >= _MOST_KEPT_WORKSPACES:
                kept.clear()
            # A whole step of the pool's, so that most programs find it large enough.
            found = kept[stream.ptr] = self.empty((max(size, _LEAST_WORKSPACE),), _BYTE)
        return found

    def plain(self, array: Any, dtype: numpy.dtype[Any], strides: tuple[int, ...] | None = None) -> Any:
        """The array in C order, aligned, of this dtype; itself where it is so already."""
        if array.data.ptr % array.itemsize:
            array = self._aligned(array)
        # CuPy makes a new object for `flags`, which takes as long as all the rest.
        if array.dtype == dtype and (array.strides == strides or array.flags.c_contiguous):
            return array
        return array.astype(dtype, order="C")

    def _aligned(self, array: Any) -> Any:
        """A copy in C order; by bytes, since a kernel that reads a number off its alignment stops all."""
        shape, strides = (*array.shape, array.itemsize), (*array.strides, 1)
        content = self._cupy.ndarray(shape, "uint8", array.data, strides)
        # Copied in full, although only a view, if it happens to be in C order.
        content = content.copy(order="C").reshape(math.prod(shape))
        return content.view(array.dtype).reshape(array.shape)

    def address(self, array: Any) -> int:
        """Where its first element is."""
        address: int = array.data.ptr
        return address

    def product(self, gemm: Gemm, workspace: int) -> None:
        """Start a matrix product, as precise as CuPy's products are."""
        self._multiplies = True
        product(self._cupy, gemm, (workspace, self.product_bytes))

    def precision(self) -> Hashable:
        """CuPy's compute types, as CUPY_TF32 and `set_compute_type` have set them."""
        return precisions(self._cupy)

    def is_capturing(self) -> bool:
        """Whether the caller records the current stream."""
        capturing: bool = self._cupy.cuda.get_current_stream().is_capturing()
        return capturing

    def graph(self, run: Callable[[], None]) -> Callable[[], None] | None:
        """A CUDA graph of what `run` launches, to be launched on whatever stream is current then."""
        cuda = self._cupy.cuda
        try:
            if self._multiplies:
                cuda.get_cublas_handle()  # every thread has its own, and none can be made while recording
            graph = _recorded(cuda.Stream(non_blocking=True), run)
            graph.upload()
        except Exception:  # what cannot be recorded is said in many ways, CuPy's own products among them
            return None
        launch: Callable[[], None] = graph.launch
        return launch


def _recorded(stream: Any, run: Callable[[], None]) -> Any:
    """The graph of what `run` launches on the current stream, which is `stream` meanwhile."""
    with stream:
        stream.begin_capture()
        try:
            run()
        except BaseException:
            with contextlib.suppress(Exception):
                stream.end_capture()
            raise
        return stream.end_capture()


_devices: dict[int, CupyDevice] = {}


def current_device() -> CupyDevice:
    """The device that is CuPy's current one in this thread; always the same object for the same device."""
    number = importlib.import_module("cupy").cuda.runtime.getDevice()
    device = _devices.get(number)
    # Two threads that make it at once agree on one.
    return device if device is not None else _devices.setdefault(number, CupyDevice(number))
