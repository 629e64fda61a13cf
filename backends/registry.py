"""Which backends work here, and why the others do not."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy

from .common import notebook
from .common.forks import when_cannot_compile

OLDEST_NUMPY = (2, 0)


class NotUsableError(RuntimeError):
    """A backend does not work here."""


@dataclass(frozen=True)
class Backend:
    """One way to run kernels.

    name:    as `use_backend` takes it
    usable:  whether it works here
    runs:    the arrays it takes, and how it runs a kernel on them
    version: of NumPy, llvmlite or CuPy; None if it is not installed
    why_not: what is missing and how to install it; empty if usable
    """

    name: str
    usable: bool
    runs: str
    version: str | None = None
    why_not: str = ""

    def __str__(self) -> str:
        library = f" ({self._library})" if self.version else ""
        return f"{self.name}{library}: {self.runs if self.usable else 'not usable: ' + self.why_not}"

    @property
    def _library(self) -> str:
        """What it is made of, and the version; empty if that is not installed."""
        return f"{_LIBRARIES[self.name]} {self.version}" if self.version else ""

    def _repr_html_(self) -> str:
        return _as_table([self])


class _Backends(dict[str, Backend]):
    """The backends by name. A notebook shows a table."""

    def _repr_html_(self) -> str:
        return _as_table(self.values())


def _as_table(backends: Iterable[Backend]) -> str:
    rows = [
        [
            notebook.code(backend.name),
            backend._library or "none",
            "yes" if backend.usable else notebook.strong("no"),
            backend.runs if backend.usable else backend.why_not,
        ]
        for backend in backends
    ]
    return notebook.page(
        notebook.table(["backend", "library", "usable", "what it runs, or why it cannot"], rows)
    )


# What the backends are made of. "numba" is the name of the compiler that its backend began with.
_LIBRARIES = {"numpy": "NumPy", "numba": "llvmlite", "cupy": "CuPy"}


def backends() -> dict[str, Backend]:
    """Which backends work here, and why the others do not.

    returns: {"numpy": Backend, "numba": Backend, "cupy": Backend}. Each has `usable`, `version`, `runs` (the
             arrays it takes), and `why_not` (the reason if it is not usable); `print` shows one, a
             notebook shows all as a table. The call imports CuPy if it is installed.
    """
    return _Backends({backend.name: backend for backend in (_numpy(), _cpu(), _cupy())})


def _numpy() -> Backend:
    runs = "NumPy arrays, operation by operation"
    version = tuple(int(part) for part in numpy.__version__.split(".")[:2])
    why_not = ""
    if version < OLDEST_NUMPY:
        oldest = ".".join(map(str, OLDEST_NUMPY))
        why_not = f"NumPy {numpy.__version__} is older than {oldest}; pip install 'numpy>={oldest}'"
    return Backend("numpy", not why_not, runs, numpy.__version__, why_not)


def cpu_why_not() -> str:
    """Why the backend "numba" does not work here; empty if it works, as far as is known."""
    # llvmlite is not imported here: its first use shows whether it works.
    try:
        found = importlib.util.find_spec("llvmlite") is not None
    except (ImportError, ValueError):
        found = False
    return _broken.get("numba", "") if found else "llvmlite is not installed; pip install llvmlite"


def _cpu() -> Backend:
    runs = "NumPy arrays, compiled for the CPU"
    why_not = cpu_why_not()
    try:
        version = _version("llvmlite")
    except ImportError:  # PackageNotFoundError
        version = None
    return Backend("numba", not why_not, runs, version, why_not)


def is_broken(name: str) -> bool:
    """Whether a backend failed when it was used."""
    return name in _broken


def _version(distribution: str) -> str:
    from importlib import metadata  # not at the top: it takes as long as the rest of onepass

    return metadata.version(distribution)


# Backends that failed when they were first used, and why.
_broken: dict[str, str] = {}


def set_broken(name: str, why: str) -> None:
    """Record that a backend does not work here, and warn once."""
    if name in _broken:
        return
    _broken[name] = why
    warnings.warn(f"onepass: the backend {name!r} is not used: {why}.", RuntimeWarning, stacklevel=3)


when_cannot_compile.append(lambda why: set_broken("numba", why))


def report_broken(name: str, error: Exception) -> NotUsableError:
    """Record that a backend does not work here; returns the error to raise."""
    set_broken(name, f"its compiler does not work: {type(error).__name__}: {error}")
    return not_usable(name, _broken[name])


def not_usable(name: str, why_not: str) -> NotUsableError:
    """The error for a backend that was requested by name and does not work here."""
    return NotUsableError(f"the backend {name!r} is not usable here: {why_not}.")


def _cupy() -> Backend:
    runs = "CuPy arrays, compiled for the GPU"
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # a broken CUDA installation raises errors of many classes
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return Backend("cupy", False, runs, None, f"CuPy is not installed; {_INSTALL_CUPY}")
        # CuPy raises a page of advice; its cause names what is missing.
        return Backend("cupy", False, runs, None, f"CuPy does not import: {error.__cause__ or error}")
    why_not = _missing_for(cupy)
    return Backend("cupy", not why_not, runs, cupy.__version__, why_not)


_INSTALL_CUPY = "pip install 'onepass[cuda12]' or 'onepass[cuda13]'"


def _missing_for(cupy: Any) -> str:
    """Which part of CUDA is missing for an installed CuPy, and how to install it; empty if none is."""
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return f"CuPy finds no CUDA driver: {error}"
    if not devices:
        return "CuPy finds no GPU"
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        return f"CuPy finds no NVRTC to compile with; {_INSTALL_CUPY} ({str(error).splitlines()[0]})"
    return ""
