"""Which backend a call runs on: the innermost `use_backend`, else ONEPASS_BACKEND, else the arrays decide.

ONEPASS_BACKEND is read when onepass is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from .registry import backends, is_broken

VARIABLE = "ONEPASS_BACKEND"
# Read once, because reading the environment takes longer than adding two small arrays.
_from_environment = os.environ.get(VARIABLE) or "auto"
NAMES = ("auto", "numpy", "numba", "cupy")

# A context variable, so that a choice is seen by neither other threads nor other tasks.
_chosen: ContextVar[str | None] = ContextVar("onepass_backend", default=None)


def use_backend(name: str) -> AbstractContextManager[None]:
    """Context manager: the kernels called inside run on the backend `name`.

    name:   "numpy", "numba" or "cupy", which take nothing but their own arrays; or "auto", the default:
            NumPy and CuPy arrays go to the best backend for them, arrays of another library run there
    raises: ValueError for an unknown name, RuntimeError for a backend that is not usable here

    The choice holds for this thread and this async task until the block is left. A new thread starts with
    ONEPASS_BACKEND, or "auto".
    """
    _require_usable(name, "use_backend")
    return _using(name)


@contextmanager
def _using(name: str) -> Iterator[None]:
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen_backend() -> str:
    """The name in force here.

    raises: as `use_backend`, for the value of ONEPASS_BACKEND
    """
    name = _chosen.get()
    if name is not None:
        return name
    if _from_environment != "auto":
        _require_usable(_from_environment, VARIABLE)
    return _from_environment


def _require_usable(name: str, asked_by: str) -> None:
    if name in _usable and not is_broken(name):
        return
    if name not in NAMES:
        raise ValueError(f"{asked_by}: got {name!r}; expected one of {', '.join(map(repr, NAMES))}.")
    known = backends()
    if not known[name].usable:
        usable = ", ".join(repr(other) for other in NAMES if other == "auto" or known[other].usable)
        raise RuntimeError(
            f"{asked_by}: the backend {name!r} is not usable here: {known[name].why_not}. Usable: {usable}."
        )
    _usable.add(name)


# What was found usable stays so until it breaks; asking again would cost more than a small kernel.
_usable = {"auto"}


def require_arrays_of(backend: str, library: str, kernel: str) -> None:
    """Raise a TypeError unless `backend` takes the arrays of `library`."""
    if backend in ("auto", library) or (backend == "numba" and library == "numpy"):
        return
    raise TypeError(
        f"{kernel}: the backend {backend!r} was asked for and got {library} arrays; it takes "
        f"{'CuPy' if backend == 'cupy' else 'NumPy'} arrays. Convert them, for example with "
        f"{'cupy' if backend == 'cupy' else 'numpy'}.from_dlpack, or use the backend 'auto'."
    )
