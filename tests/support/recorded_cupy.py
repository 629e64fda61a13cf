"""A stand-in for CuPy that records what is asked of it, with NumPy's memory for a device's.

It offers what `backends/cupy_*.py` use and nothing else. `test_cupy_device.py` compares it with the real one.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import struct
import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pytest
from onepass.backends.cuda import cublas as cupy_products
from onepass.backends.cuda import cupy_device

HALVES = {2: numpy.dtype("float16")}
with contextlib.suppress(ImportError):
    HALVES[14] = numpy.dtype(importlib.import_module("ml_dtypes").bfloat16)
REAL: dict[int, Any] = {0: ctypes.c_float, 1: ctypes.c_double, **HALVES}
SHARED_SIZE, MOST_SHARED = 1, 8


class Call(NamedTuple):
    name: str
    device: int
    stream: int
    grid: tuple[int, ...]
    threads: tuple[int, ...]
    arguments: bytes
    shared: int


class Pointer:
    def __init__(self, ptr: int) -> None:
        self.ptr = ptr

    def memset_async(self, value: int, size: int) -> None:
        ctypes.memset(self.ptr, value, size)


class Array(numpy.ndarray):
    @property
    def data(self) -> Any:
        return Pointer(self.ctypes.data)


class Stream:
    """Of a recorder; `cupy.cuda.Stream` without the recorder."""

    def __init__(self, recorder: Recorder, *, non_blocking: bool = False) -> None:
        self.recorder, self.non_blocking = recorder, non_blocking
        self.ptr = 0x1000 * len(recorder.all_streams)
        self.recorded: list[Any] | None = None
        recorder.all_streams[self.ptr] = self

    def __enter__(self) -> Stream:
        self.recorder.streams.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.recorder.streams.pop() is self

    def is_capturing(self) -> bool:
        return self.recorded is not None

    def begin_capture(self) -> None:
        assert self.ptr, "the default stream cannot be recorded"
        assert self.non_blocking
        self.recorded = []

    def end_capture(self) -> Graph:
        assert self.recorded is not None
        recorded, self.recorded = self.recorded, None
        if self.recorder.graphs_fail:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        return Graph(self.recorder, recorded)


class Graph:
    def __init__(self, recorder: Recorder, recorded: list[Any]) -> None:
        self.recorder, self.recorded = recorder, recorded

    def upload(self) -> None:
        assert not self.recorder.streams[-1].is_capturing()

    def launch(self, stream: None = None) -> None:
        self.recorder.launched_graphs.append((self.recorder.streams[-1].ptr, self.recorded))


class Function:
    def __init__(self, recorder: Recorder, name: str, code: bytes) -> None:
        self.recorder, self.name, self.code = recorder, name, code
        self.ptr = len(recorder.attributes)
        recorder.attributes[self.ptr] = {SHARED_SIZE: recorder.fixed_shared}

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
        recorder, stream = self.recorder, self.recorder.streams[-1]
        allowed = recorder.attributes[self.ptr].get(MOST_SHARED, 48 * 1024 - recorder.fixed_shared)
        assert shared_mem <= allowed, "CUDA_ERROR_INVALID_VALUE"
        packed = b"".join(_packed(argument) for argument in args)
        call = Call(self.name, recorder.device, stream.ptr, grid, block, packed, shared_mem)
        (recorder.calls if stream.recorded is None else stream.recorded).append(call)


def _packed(argument: Any) -> bytes:
    """As CuPy passes it: by the type that NumPy has for it, integers beyond int64 as uint64."""
    if type(argument) is float:
        return struct.pack("d", argument)
    assert type(argument) is int, "passed in another size"
    return struct.pack("Q" if argument >= 1 << 63 else "q", argument)


class Module:
    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def load(self, code: bytes) -> None:
        self.code = code
        self.recorder.loaded.append(code)

    def get_function(self, name: str) -> Function:
        return Function(self.recorder, name, self.code)


class NVRTCError(Exception):
    pass


class Compiler:
    """`cupy.cuda.nvrtc`"""

    NVRTCError = NVRTCError
    supported = (75, 80, 90, 100)

    def __init__(self) -> None:
        self.compiled: list[tuple[str, tuple[str, ...]]] = []
        self.open: set[int] = set()
        self.sources: list[str] = []

    def getVersion(self) -> tuple[int, int]:  # noqa: N802
        return (13, 0)

    def getSupportedArchs(self) -> tuple[int, ...]:  # noqa: N802
        return self.supported

    def createProgram(self, src: str, name: str, headers: Any, include_names: Any) -> int:  # noqa: N802
        self.sources.append(src)
        self.open.add(len(self.sources) - 1)
        return len(self.sources) - 1

    def compileProgram(self, program: int, options: tuple[str, ...]) -> None:  # noqa: N802
        self.compiled.append((self.sources[program], options))
        if "#error" in self.sources[program]:
            raise NVRTCError("NVRTC_ERROR_COMPILATION (6)")

    def getCUBIN(self, program: int) -> bytes:  # noqa: N802
        return b"cubin of " + self.sources[program].encode()

    def getPTX(self, program: int) -> bytes:  # noqa: N802
        return b"ptx of " + self.sources[program].encode()

    def getProgramLog(self, program: int) -> str:  # noqa: N802
        assert program in self.open
        return "kernels.cu(1): error: what is wrong"

    def destroyProgram(self, program: int) -> None:  # noqa: N802
        self.open.remove(program)


class Cublas:
    """The library of C; works on addresses, column by column, and refuses what it would refuse."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.status = 0
        self.precisions: list[int] = []
        self.streams: list[int] = []
        self.workspace: tuple[int, int] | None = None
        # Functions, since the arguments' types are set on them.
        self.cublasSetWorkspace_v2 = lambda handle, address, size: self._set_workspace(handle, address, size)
        self.cublasSetStream_v2 = lambda handle, stream: self._set_stream(handle, stream)
        self.cublasGemmEx_64 = lambda *arguments: self._multiply(*arguments)

    def _set_stream(self, handle: int, stream: int) -> int:
        assert handle == self.recorder.handle
        self.streams.append(stream)
        self.workspace = None
        return 0

    def _set_workspace(self, handle: int, address: int, size: int) -> int:
        assert handle == self.recorder.handle
        if address % 256:
            return 7
        self.workspace = address, size
        return 0

    def _multiply(self, handle: int, of_a: int, of_b: int, m: int, n: int, k: int, *rest: int) -> int:
        alpha, a, type_a, lda, b, type_b, ldb, beta, c, type_c, ldc, precision, algorithm = rest
        assert handle == self.recorder.handle
        assert min(m, n, k) > 0
        assert type_a == type_b
        # Halves are added up in float32, and may be left as such.
        assert type_c == type_a or (type_a in HALVES and type_c == 0)
        assert algorithm == -1
        real = REAL[type_a]
        if lda < (k if of_a else m) or ldb < (n if of_b else k) or ldc < m:
            return 7
        left = _by_columns(a, lda, *((k, m) if of_a else (m, k)), real)
        right = _by_columns(b, ldb, *((n, k) if of_b else (k, n)), real)
        out = _by_columns(c, ldc, m, n, REAL[type_c])
        if type_a in HALVES:
            left, right, real = left.astype("float32"), right.astype("float32"), ctypes.c_float
        result = real.from_address(alpha).value * ((left.T if of_a else left) @ (right.T if of_b else right))
        scale = real.from_address(beta).value
        out[...] = result + scale * out if scale else result
        self.precisions.append(precision)
        stream = self.recorder.all_streams[self.streams[-1]]
        if stream.recorded is not None:
            # What cuBLAS is not given, it asks for.
            stream.recorded += ["product"] if self.workspace else ["memory", "product", "memory"]
        return self.status


def _by_columns(address: int, leading: int, rows: int, columns: int, real: Any) -> numpy.ndarray:
    size = leading * (columns - 1) + rows
    if isinstance(real, numpy.dtype):  # ctypes has no halves
        memory = numpy.ctypeslib.as_array((ctypes.c_ushort * size).from_address(address)).view(real)
    else:
        memory = numpy.ctypeslib.as_array((real * size).from_address(address))
    strides = (memory.itemsize, leading * memory.itemsize)
    return numpy.lib.stride_tricks.as_strided(memory, (rows, columns), strides)


class Recorder:
    """What was asked of the stand-in, and what it is to answer."""

    def __init__(self) -> None:
        self.device, self.capability, self.fixed_shared = 0, "90", 0
        self.graphs_fail = False
        self.compute_type = 1
        self.attributes: dict[int, dict[int, int]] = {}
        self.calls: list[Call] = []
        self.loaded: list[bytes] = []
        self.launched_graphs: list[tuple[int, list[Any]]] = []
        self.all_streams: dict[int, Stream] = {}
        self.streams = [Stream(self)]  # the current one last
        self.handle = 0xB1A5
        self.nvrtc = Compiler()
        self.cublas = Cublas(self)

    def stream(self) -> Stream:
        return Stream(self, non_blocking=True)

    def module(self) -> Any:
        driver = types.SimpleNamespace(
            CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES=SHARED_SIZE,
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=MOST_SHARED,
            funcGetAttribute=lambda attribute, f: self.attributes[f][attribute],
            funcSetAttribute=lambda f, attribute, value: self.attributes[f].update({attribute: value}),
        )
        cuda = types.SimpleNamespace(
            Device=lambda number: types.SimpleNamespace(
                compute_capability=self.capability,
                attributes={"MultiProcessorCount": 132},
                mem_info=(0, 1 << 30),
            ),
            Module=lambda: Module(self),
            Stream=lambda non_blocking: Stream(self, non_blocking=non_blocking),
            cublas=self._cublas_of_cupy(),
            driver=driver,
            get_cublas_handle=lambda: self.handle,
            get_current_stream=lambda: self.streams[-1],
            nvrtc=self.nvrtc,
            runtime=types.SimpleNamespace(getDevice=lambda: self.device),
        )
        linear_algebra = types.SimpleNamespace(COMPUTE_TYPE_PEDANTIC=2, COMPUTE_TYPE_TF32=7)
        cupy: Any = types.ModuleType("cupy")
        cupy.__version__ = "14.0.0"
        cupy.cuda = cuda
        cupy._core = types.SimpleNamespace(
            get_compute_type=lambda dtype: self.compute_type, _routines_linalg=linear_algebra
        )
        cupy.ndarray = _array
        return cupy

    def _cublas_of_cupy(self) -> Any:
        def gemm(handle: int, *rest: int) -> None:
            if self.streams[-1].is_capturing():
                raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
            self.cublas._set_stream(handle, self.streams[-1].ptr)
            assert self.cublas._multiply(handle, *rest) == 0

        cublas: Any = types.ModuleType("cupy.cuda.cublas")
        cublas.__file__ = "cublas.so"
        cublas.CUBLAS_COMPUTE_32F, cublas.CUBLAS_COMPUTE_32F_PEDANTIC = 68, 69
        cublas.CUBLAS_COMPUTE_64F, cublas.CUBLAS_COMPUTE_64F_PEDANTIC = 70, 71
        cublas.CUBLAS_COMPUTE_32F_FAST_16BF, cublas.CUBLAS_COMPUTE_32F_FAST_TF32 = 75, 77
        cublas.CUBLASError = type("CUBLASError", (RuntimeError,), {})
        cublas.gemmEx = gemm
        return cublas


def installed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Recorder:
    """Have the backend find the stand-in in CuPy's place, and keep machine code in a folder of the test's."""
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, "cupy", recorder.module())
    monkeypatch.setenv("ONEPASS_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setattr(cupy_device, "_devices", {})
    monkeypatch.setattr(cupy_products, "_library", lambda path: recorder.cublas)
    return recorder


def _array(
    shape: tuple[int, ...], dtype: Any, pointer: Pointer | None = None, strides: tuple[int, ...] = ()
) -> Any:
    """`cupy.ndarray`"""
    if pointer is None:
        return numpy.full(shape, 7, dtype).view(Array)
    view = types.SimpleNamespace(
        __array_interface__={
            "data": (pointer.ptr, False),
            "shape": shape,
            "strides": strides,
            "typestr": numpy.dtype(dtype).str,
            "version": 3,
        }
    )
    return numpy.asarray(view).view(Array)
