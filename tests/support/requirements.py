"""What some tests need and not every machine has, and the reason where it is missing."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import host_cuda
import nvrtc_compiler


def _not_installed(module: str, name: str) -> Callable[[], str]:
    return lambda: "" if importlib.util.find_spec(module) else f"{name} is not installed"


def _no_cupy() -> str:
    return _cupy_or_reason()[1]


@functools.cache
def _cupy_or_reason() -> tuple[Any, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy warns of libraries that are missing
        try:
            return importlib.import_module("cupy"), ""
        except Exception as error:  # a broken installation can raise anything
            return None, f"CuPy cannot be imported: {str(error).strip().splitlines()[0]}"


def _no_gpu() -> str:
    import onepass as op

    return op.backends()["cupy"].why_not or ""


def _no_cupy_on_host() -> str:
    """CuPy's arrays can lie in host memory only where no driver is found."""
    cupy, reason = _cupy_or_reason()
    if reason := reason or host_cuda.why_not() or "":
        return reason
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        return ""
    return "there is a CUDA driver; pytest -m gpu runs these tests on the GPU"


REQUIREMENTS: dict[str, Callable[[], str]] = {
    "sklearn": _not_installed("sklearn", "scikit-learn"),
    "torch": _not_installed("torch", "PyTorch"),
    "jax": _not_installed("jax", "JAX"),
    "ml_dtypes": _not_installed("ml_dtypes", "ml_dtypes"),
    "Jupyter": lambda: _not_installed("nbclient", "nbclient")() or _not_installed("ipykernel", "ipykernel")(),
    "g++": lambda: host_cuda.why_not() or "",
    "NVRTC": lambda: nvrtc_compiler.why_not() or "",
    "CuPy": _no_cupy,
    "CuPy on the host": _no_cupy_on_host,
    "GPU": _no_gpu,
}


@functools.cache
def missing(requirement: str) -> str:
    """Why the requirement is not met here; empty where it is met."""
    return REQUIREMENTS[requirement]()
