"""Matrix products of CuPy's arrays, written into or added to an array that is there."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy

from ..common.precision import chosen_precision
from .device import Gemm

_FLOAT32, _FLOAT64 = numpy.dtype("float32"), numpy.dtype("float64")
_NOT_TRANSPOSED, _TRANSPOSED = 0, 1
_DEFAULT_ALGORITHM = -1

# cuBLAS's number of a dtype, by NumPy's letter for it: its name takes longer to find than a product to start.
# "E" is the bfloat16 of ml_dtypes.
_NUMBERS = {"f": 0, "d": 1, "e": 2, "E": 14}
# 0 and 1 of the type that cuBLAS scales its results by.
_SINGLE, _DOUBLE = (ctypes.c_float(0), ctypes.c_float(1)), (ctypes.c_double(0), ctypes.c_double(1))


# What NVIDIA recommends for cublasSetWorkspace, and PyTorch uses: for Hopper and later, and for others.
_HOPPER, _LARGE_WORKSPACE, _WORKSPACE = 90, 32 << 20, 4 << 20


def workspace_bytes(capability: int) -> int:
    """The workspace that cuBLAS needs to choose the fastest algorithms on a device."""
    return _LARGE_WORKSPACE if capability >= _HOPPER else _WORKSPACE


def precisions(cupy: Any) -> tuple[str | None, int, int]:
    """What says at present how products are computed: `use_precision`, and CuPy's compute types."""
    of_cupy = cupy._core.get_compute_type
    return chosen_precision(), of_cupy(_FLOAT32), of_cupy(_FLOAT64)


def product(cupy: Any, gemm: Gemm, workspace: tuple[int, int]) -> None:
    """Start a matrix product.

    workspace: address and bytes of memory that nothing else uses meanwhile
    """
    a, b, out = gemm.a, gemm.b, gemm.out
    rows, columns = out.shape
    inner = a.shape[0 if gemm.transpose_a else 1]
    if not rows or not columns:
        return
    if not inner:
        if not gemm.accumulate:
            out.data.memset_async(0, out.nbytes)
        return
    factor, made = _NUMBERS[a.dtype.char], out.dtype.char
    zero, one = _DOUBLE if made == "d" else _SINGLE
    # Read by columns, as cuBLAS reads, memory in C order is the transposed matrix: the transposed result is
    # the product of the transposed factors in opposite order.
    _gemm(cupy)(
        cupy.cuda.get_cublas_handle(),
        cupy.cuda.get_current_stream().ptr,
        workspace,
        _TRANSPOSED if gemm.transpose_b else _NOT_TRANSPOSED,
        _TRANSPOSED if gemm.transpose_a else _NOT_TRANSPOSED,
        *(columns, rows, inner),
        ctypes.addressof(one),
        *(b.data.ptr, factor, b.shape[1]),
        *(a.data.ptr, factor, a.shape[1]),
        ctypes.addressof(one if gemm.accumulate else zero),
        *(out.data.ptr, _NUMBERS[made], columns),
        _precision(cupy, gemm),
        _DEFAULT_ALGORITHM,
    )


def _precision(cupy: Any, gemm: Gemm) -> int:
    """How cuBLAS computes: as `use_precision` says, else as CuPy's own products, by CUPY_TF32 for example."""
    cublas = cupy.cuda.cublas
    kind = gemm.a.dtype.char
    of_cupy = cupy._core.get_compute_type(_FLOAT64 if kind == "d" else _FLOAT32)
    choices = cupy._core._routines_linalg
    pedantic = of_cupy == choices.COMPUTE_TYPE_PEDANTIC
    precision: int
    if kind == "d":
        precision = cublas.CUBLAS_COMPUTE_64F_PEDANTIC if pedantic else cublas.CUBLAS_COMPUTE_64F
        return precision
    precision = cublas.CUBLAS_COMPUTE_32F_PEDANTIC if pedantic else cublas.CUBLAS_COMPUTE_32F
    if kind == "f":
        chosen = chosen_precision()
        if chosen == "medium" and not gemm.of_eleven_bits:
            precision = cublas.CUBLAS_COMPUTE_32F_FAST_16BF
        elif chosen in ("high", "medium") or (
            chosen is None and not pedantic and (gemm.of_eleven_bits or of_cupy == choices.COMPUTE_TYPE_TF32)
        ):
            precision = cublas.CUBLAS_COMPUTE_32F_FAST_TF32
    return precision


@functools.cache
def _gemm(cupy: Any) -> Callable[..., None]:
    """cublasGemmEx in a workspace: `gemm(handle, stream, workspace, transpose_a, transpose_b, m, n, k, ...)`.

    CuPy's own wrapper refuses to be recorded in a graph, which cuBLAS itself allows, and counts in 32 bits.
    So this calls the library that CuPy has loaded, found through CuPy's module that is linked with it.

    The workspace is set for every product, because cublasSetStream takes it away, here and in CuPy's own
    products. Without one, cuBLAS allocates memory while it is recorded, which becomes a node of the graph.
    """
    cublas = cupy.cuda.cublas
    try:
        library = _library(cublas.__file__)
        multiply, set_stream = library.cublasGemmEx_64, library.cublasSetStream_v2
        set_workspace = library.cublasSetWorkspace_v2
    except (AttributeError, OSError):  # a platform that does not look for symbols where a module is linked
        return lambda handle, stream, workspace, *rest: cublas.gemmEx(handle, *rest)
    pointer, whole, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
    set_stream.argtypes = [pointer, pointer]
    set_workspace.argtypes = [pointer, pointer, ctypes.c_size_t]
    multiply.argtypes = [
        *[pointer, whole, whole, long, long, long, pointer],
        *[pointer, whole, long, pointer, whole, long, pointer],
        *[pointer, whole, long, whole, whole],
    ]

    def gemm(handle: int, stream: int, workspace: tuple[int, int], *rest: int) -> None:
        status = set_stream(handle, stream) or set_workspace(handle, *workspace) or multiply(handle, *rest)
        if status:
            raise cublas.CUBLASError(status)

    return gemm


def _library(path: str) -> Any:
    return ctypes.CDLL(path)
