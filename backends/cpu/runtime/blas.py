"""Matrix products for compiled code: a private copy of OpenBLAS, or Numba's product if it is missing."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from ...common.forks import compile_lock

WHEEL = "scipy_openblas32"
CORE_TYPE = "OPENBLAS_CORETYPE"


@dataclass(frozen=True)
class Blas:
    """The matrix products for float32 and float64: addresses of C functions like cblas_sgemm."""

    name: str
    version: str
    core: str  # the processor that its kernels are made for
    why: str  # why these kernels were chosen, or what was missing
    sgemm: int
    dgemm: int

    def address(self, dtype: Any) -> int:
        """The address of the matrix product for a dtype.

        dtype:  float32 or float64, as a NumPy dtype or a name
        raises: TypeError for any other dtype
        """
        found = {"float32": self.sgemm, "float64": self.dgemm}.get(np.dtype(dtype).name)
        if found is not None:
            return found
        raise TypeError(f"Blas.address: got dtype {dtype}; expected float32 or float64.")

    def __str__(self) -> str:
        return f"{self.name} {self.version}, {self.core} kernels, 1 thread per worker"


_loaded: Blas | None = None


def load() -> Blas:
    """The matrix products of this process; opened in the first call, then the same object."""
    global _loaded
    if _loaded is None:
        with compile_lock:
            if _loaded is None:
                _loaded = _open()
    return _loaded


def _open() -> Blas:
    try:
        return open_library(library_path())
    except (OSError, AttributeError) as error:
        return fallback(str(error))


def library_path() -> Path:
    """The shared library in the wheel.

    raises: OSError if the wheel is not installed
    """
    # Not imported: the module would open the library for the whole process.
    found = importlib.util.find_spec(WHEEL)
    folders = found.submodule_search_locations if found else None
    for folder in folders or ():
        for path in sorted((Path(folder) / "lib").glob("*openblas*")):
            if path.suffix in {".so", ".dylib", ".dll"}:
                return path
    raise OSError(f"{WHEEL} is not installed; pip install {WHEEL.replace('_', '-')}")


def open_library(path: Path) -> Blas:
    """OpenBLAS from `path`, with the best kernels for this processor and without threads.

    raises: OSError if it cannot be opened, AttributeError if it is another library
    """
    library = _opened(path, {"OPENBLAS_NUM_THREADS": "1"})
    core, why = _text(library, "get_corename"), "its own choice"
    if os.environ.get(CORE_TYPE):
        why = f"{CORE_TYPE}={os.environ[CORE_TYPE]}"
    elif better := better_core(core):
        _close(library)
        library = _opened(path, {"OPENBLAS_NUM_THREADS": "1", CORE_TYPE: better})
        first, core = core, _text(library, "get_corename")
        why = f"asked for; its own choice was {first}" if core != first else f"it has no {better} here"
    # OpenBLAS still has threads if the process had opened this file before.
    library.scipy_openblas_set_num_threads(1)
    version = next(word for word in _text(library, "get_config").split() if word[0].isdigit())
    sgemm, dgemm = (
        ctypes.cast(getattr(library, f"scipy_cblas_{letter}gemm"), ctypes.c_void_p).value or 0
        for letter in "sd"
    )
    return Blas("OpenBLAS", version, core, why, sgemm, dgemm)


def better_core(core: str) -> str | None:
    """Better kernels for this processor than those that OpenBLAS chose, or None.

    OpenBLAS chooses by the model number. For a processor with AVX-512 that is newer than the library it takes
    kernels for AVX2, at half the speed.
    """
    features = dict(binding.get_host_cpu_features())
    # The instructions that the SkylakeX kernels use.
    wide = all(features.get(f"avx512{part}") for part in ("f", "cd", "bw", "dq", "vl"))
    return "SkylakeX" if wide and core in {"Haswell", "Zen", "Sandybridge", "Prescott"} else None


def _opened(path: Path, variables: dict[str, str]) -> ctypes.CDLL:
    with _environment(variables):
        if sys.platform == "win32":
            return ctypes.CDLL(str(path))
        return ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_LOCAL)


def _close(library: ctypes.CDLL) -> None:
    import _ctypes

    if sys.platform == "win32":
        _ctypes.FreeLibrary(library._handle)
    else:
        _ctypes.dlclose(library._handle)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set `variables` in C's environment only: other threads read `os.environ`."""
    try:
        for name, value in variables.items():
            os.putenv(name, value)
        yield
    finally:
        for name in variables:
            if name in os.environ:
                os.putenv(name, os.environ[name])
            else:
                os.unsetenv(name)


def _text(library: ctypes.CDLL, what: str) -> str:
    function = getattr(library, f"scipy_openblas_{what}")
    function.restype = ctypes.c_char_p
    return str(function().decode())


def fallback(why: str) -> Blas:
    """Matrix products compiled by Numba, if OpenBLAS is missing."""
    from .portable_blas import dgemm, sgemm

    return Blas("Numba's own product", numba.__version__, "portable", why, sgemm().address, dgemm().address)


def _type_gemm(
    typing_context: Any,
    address: Any,
    transpose_a: Any,
    transpose_b: Any,
    rows: Any,
    columns: Any,
    inner: Any,
    a: Any,
    lda: Any,
    b: Any,
    ldb: Any,
    beta: Any,
    c: Any,
    ldc: Any,
) -> Any:
    """C = op(A) op(B) + beta C, row-major, by the function at `address` (see `Blas.address`).

    transpose_a, transpose_b: 0; or 1 if A is stored as (inner, rows), or B as (columns, inner)
    a:    pointer to float32 or float64. op(A) is (rows, inner), op(B) is (inner, columns), C (rows, columns)
    lda:  elements from one stored row to the next; at least the length of a row, unless there is only one row
    beta: of the dtype; if it is 0, C is not read

    Sizes must be below 2**31. Without rows or columns nothing is called; with inner = 0 the result is beta C.
    """
    if not isinstance(c, types.CPointer) or c.dtype not in (types.float32, types.float64) or {a, b} != {c}:
        return None
    whole = types.int64
    signature = types.void(*[whole] * 6, a, whole, b, whole, c.dtype, c, whole)
    return signature, _generate_gemm


gemm: Any = intrinsic(_type_gemm)


def _generate_gemm(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    address, transpose_a, transpose_b, rows, columns, inner, a, lda, b, ldb, beta, c, ldc = arguments
    zero, one = ir.Constant(rows.type, 0), ir.Constant(rows.type, 1)
    int32 = ir.IntType(32)

    def larger(left: Any, right: Any) -> Any:
        return builder.select(builder.icmp_signed(">", left, right), left, right)

    def leading(given: Any, transposed: Any, plain_row: Any, transposed_row: Any) -> Any:
        # OpenBLAS rejects a leading dimension that is shorter than a row, even if there is only one row.
        row = builder.select(builder.icmp_signed("==", transposed, zero), plain_row, transposed_row)
        return larger(given, larger(row, one))

    def transposition(flag: Any) -> Any:
        return builder.add(builder.trunc(flag, int32), ir.Constant(int32, 111))

    some = builder.and_(builder.icmp_signed(">", rows, zero), builder.icmp_signed(">", columns, zero))
    with builder.if_then(some):
        small = [builder.trunc(value, int32) for value in (rows, columns, inner)]
        lda = builder.trunc(leading(lda, transpose_a, inner, rows), int32)
        ldb = builder.trunc(leading(ldb, transpose_b, columns, inner), int32)
        ldc = builder.trunc(larger(ldc, columns), int32)
        values = [
            ir.Constant(int32, 101),
            transposition(transpose_a),
            transposition(transpose_b),
            *small,
            ir.Constant(beta.type, 1.0),
            a,
            lda,
            b,
            ldb,
            beta,
            c,
            ldc,
        ]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(address, kind.as_pointer()), values)
    return context.get_dummy_value()
