"""NumPy's creation functions while a function is traced that writes into arrays which it makes.

`out = np.zeros((n, k))` makes a real array, which cannot hold what `out[0] = x.sum(axis=0)` writes into it. A
function that fails because of that is traced once more, and during that trace

    np.zeros(shape)      gives a symbolic array
    np.array([1, 2])     gives one, and so does np.asarray([a, b]) where a or b is symbolic

Only calls of `np.zeros` as an attribute of the module are replaced, and only in the thread of the trace.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from . import creation
from .captures import is_library
from .numpy_functions import FUNCTIONS
from .strides import is_contiguous, strides_of
from .symbolic import SymbolicArray, copy_of, current_trace

_lock = threading.RLock()
_users = 0
_originals: dict[str, Any] = {}


def _is_symbolic(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_symbolic, value))
    return type(value) is SymbolicArray


def _filled(function: Callable[..., Any]) -> Callable[..., Any]:
    def filled(shape: Any, dtype: Any = None, order: str = "C", **_: Any) -> Any:
        return function(shape, dtype=dtype)

    return filled


def _full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", **_: Any) -> Any:
    if not _is_symbolic(fill_value) and dtype is None:
        dtype = numpy.asarray(fill_value).dtype.name
    made = creation.zeros(shape, dtype=dtype or fill_value.dtype)
    made[...] = fill_value
    return made


def _eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = None, order: str = "C", **_: Any) -> Any:  # noqa: N803
    return creation.eye(N, M, k=k, dtype=dtype)


def _array(value: Any, dtype: Any = None, *, copy: Any = True, ndmin: int = 0, **_: Any) -> Any:
    made = creation.asarray(value, dtype=dtype, copy=copy)
    return made if made.ndim >= ndmin else made[(None,) * (ndmin - made.ndim)]


def _asarray(value: Any, dtype: Any = None, order: Any = None, **_: Any) -> Any:
    return creation.asarray(value, dtype=dtype)


def _ascontiguousarray(value: Any, dtype: Any = None, **_: Any) -> Any:
    made = _asarray(value, dtype)
    made = made if is_contiguous(made.node.sizes(), strides_of(made)) else copy_of(made)
    return made if made.ndim else made[None]


class _Joined:
    """np.r_ and np.c_ of symbolic arrays."""

    def __init__(self, original: Any, function: str) -> None:
        self._original, self._function = original, function

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if current_trace.get() is None or not _is_symbolic(parts):
            return self._original[key]
        arrays = [FUNCTIONS["atleast_1d"](part) for part in parts]
        return FUNCTIONS[self._function](arrays)


# In traces, makers are always replaced, since a function may write into a new array. Converters are replaced
# where an argument is symbolic.
_MAKERS: dict[str, Callable[..., Any]] = {
    "zeros": _filled(creation.zeros),
    "empty": _filled(creation.zeros),
    "ones": _filled(creation.ones),
    "full": _full,
    "eye": _eye,
    "identity": _eye,
    "array": _array,
}
_CONVERTERS: dict[str, Callable[..., Any]] = {
    "asarray": _asarray,
    "asanyarray": _asarray,
    "ascontiguousarray": _ascontiguousarray,
    "arange": creation.arange,
}


def _is_called_by_library() -> bool:
    """Whether NumPy itself or this library makes an array for its own use."""
    return is_library(sys._getframe(2).f_globals.get("__name__"))


def _in_trace(original: Callable[..., Any], function: Callable[..., Any], *, always: bool) -> Any:
    @functools.wraps(original)
    def called(*args: Any, **options: Any) -> Any:
        if current_trace.get() is None or not (always or _is_symbolic(args)) or _is_called_by_library():
            return original(*args, **options)
        return function(*args, **options)

    return called


@contextlib.contextmanager
def symbolic_creation() -> Iterator[None]:
    """A context in which NumPy's creation functions make symbolic arrays in traces."""
    global _users
    with _lock:
        if not _users:
            for name in (*_MAKERS, *_CONVERTERS, "r_", "c_"):
                _originals[name] = getattr(numpy, name)
            for name, function in _MAKERS.items():
                setattr(numpy, name, _in_trace(_originals[name], function, always=True))
            for name, function in _CONVERTERS.items():
                setattr(numpy, name, _in_trace(_originals[name], function, always=False))
            for name, function_name in (("c_", "column_stack"), ("r_", "concatenate")):
                setattr(numpy, name, _Joined(_originals[name], function_name))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                for name, original in _originals.items():
                    setattr(numpy, name, original)
