"""Matrix products for compiled code: a private copy of OpenBLAS, or a product of our own if it is missing."""

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

import numpy as np
from llvmlite import __version__, binding

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
    """Matrix products of our own, if OpenBLAS is missing."""
    from .portable_blas import dgemm, sgemm

    return Blas("our own product", __version__, "portable", why, sgemm(), dgemm())


# A function of emitted texts: C = op(A) op(B) + beta C, row-major, by the routine at an address (see `Blas`).
#
# transpose_a, transpose_b: 0; or 1 if A is stored as (inner, rows), or B as (columns, inner)
# a, b, c: pointers to float32 or float64: op(A) is (rows, inner), op(B) (inner, columns), C (rows, columns)
# lda:     elements from one stored row to the next: at least the length of a row, unless there is one row
# beta:    of the dtype; if it is 0, C is not read
#
# Sizes must be below 2**31. Without rows or columns nothing is called; with inner = 0 the result is beta C.
# OpenBLAS rejects a leading dimension that is shorter than a row, even if there is only one row.
GEMM = """\
def gemm(routine, transpose_a, transpose_b, rows, columns, inner, a, lda, b, ldb, beta, c, ldc):
    if (rows > 0) & (columns > 0):
        row_of_a = max(max(lda, inner if transpose_a == 0 else rows), 1)
        row_of_b = max(max(ldb, columns if transpose_b == 0 else inner), 1)
        call(routine, int32(101), int32(111 + transpose_a), int32(111 + transpose_b), int32(rows),
             int32(columns), int32(inner), beta * 0.0 + 1.0, a, int32(row_of_a), b, int32(row_of_b), beta, c,
             int32(max(ldc, columns)))
"""
