"""The choice of backend: the innermost `use_backend`, else ONEPASS_BACKEND, else "auto", by the arrays.

ONEPASS_BACKEND is read when onepass is imported.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from contextvars import ContextVar

from .common.settings import set_inside
from .registry import backends, is_broken

VARIABLE = "ONEPASS_BACKEND"
# Read only once: reading the environment takes longer than adding two small arrays.
_from_environment = os.environ.get(VARIABLE) or "auto"
NAMES = ("auto", "numpy", "numba", "cupy")

# A context variable, so that other threads and async tasks do not see the choice.
_chosen: ContextVar[str | None] = ContextVar("onepass_backend", default=None)


def use_backend(name: str) -> AbstractContextManager[None]:
    """Context manager: kernels called in the block run on the backend `name`.

    name:   "numpy" and "numba" take NumPy arrays, "cupy" takes CuPy arrays. "auto", the default, uses the
            best backend for NumPy and CuPy arrays; arrays of other libraries run in their library.
            "numpy" compiles nothing: a function of the library is traced in the second call of a signature,
            and then runs as calls of NumPy with planned memory. A `kernel` of yours runs as it is written,
            unless it does nothing but call such functions
    raises: ValueError for an unknown name, RuntimeError for a backend that does not work here

    The choice holds for this thread and async task until the block ends. A new thread starts with
    ONEPASS_BACKEND, or with "auto".
    """
    _require_usable(name, "use_backend")
    return set_inside(_chosen, name)


def chosen_backend() -> str:
    """The name of the backend chosen here.

    raises: as `use_backend`, for the value of ONEPASS_BACKEND
    """
    name = _chosen.get()
    if name is not None:
        return name
    if _from_environment != "auto":
        _require_usable(_from_environment, VARIABLE)
    return _from_environment


def _require_usable(name: str, caller: str) -> None:
    if name in _usable and not is_broken(name):
        return
    if name not in NAMES:
        raise ValueError(f"{caller}: got {name!r}; expected one of {', '.join(map(repr, NAMES))}.")
    known = backends()
    if not known[name].usable:
        usable = ", ".join(repr(other) for other in NAMES if other == "auto" or known[other].usable)
        raise RuntimeError(
            f"{caller}: the backend {name!r} is not usable here: {known[name].why_not}. Usable: {usable}."
        )
    _usable.add(name)


# Backends that were found usable. Looking again would take longer than a small kernel.
_usable = {"auto"}


def require_arrays_of(backend: str, library: str, kernel: str) -> None:
    """Raise a TypeError unless `backend` takes the arrays of `library`."""
    if backend in ("auto", library) or (backend == "numba" and library == "numpy"):
        return
    raise TypeError(
        f"{kernel}: got {library} arrays; expected {'CuPy' if backend == 'cupy' else 'NumPy'} arrays for the "
        f"backend {backend!r}. Convert them, for example with "
        f"{'cupy' if backend == 'cupy' else 'numpy'}.from_dlpack, or use the backend 'auto'."
    )
