"""Real CuPy arrays over host memory: their memory is the host's, their arithmetic is NumPy's on that memory.

Shapes, strides, views, dtypes, pointers and allocation stay CuPy's own code. What would need a driver and is
not replaced here raises CuPy's CUDARuntimeError.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

import array_api_compat.cupy as standard
import cupy
import numpy as np
from onepass.backends.common.trees import leaves, map_leaves

# What NumPy's function or method of the same name does.
OPERATORS = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
COMPARISONS = "lt le eq ne gt ge neg pos abs invert"
NUMBERS = "__float__ __int__ __bool__ __index__ __complex__ item tolist"
METHODS = """
    all any argmax argmin argsort clip conj copy cumsum dot fill flatten max mean min nonzero prod repeat
    round sort std sum take var
"""
FUNCTIONS = """
    all allclose any arange argmax argmin argsort array_equal clip concatenate copyto count_nonzero cumsum
    diff dot einsum eye linspace matmul max mean median min nonzero prod repeat roll searchsorted sort stack
    std sum take take_along_axis tensordot tril triu unique var where
"""
# CuPy's own work where it is a view, NumPy's where it is a copy.
VIEWS_OR_COPIES = "__getitem__ astype ravel reshape"


def on_host(array: Any) -> np.ndarray:
    """The memory of a CuPy array as a NumPy array, which keeps it alive."""
    if not array.size:
        return np.empty(array.shape, array.dtype)
    return np.asarray(_Seen(array)).view(array.dtype)


def is_cupys(value: Any) -> bool:
    """Whether it is an array of CuPy's by its real type, as CuPy's C code asks; a traced array says it is."""
    return issubclass(type(value), cupy.ndarray)


class _Seen:
    """What NumPy needs to know; by bytes, since it has no letter for bfloat16."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.__array_interface__ = {
            "data": (array.data.ptr, False),
            "shape": array.shape,
            "strides": array.strides,
            "typestr": f"|V{array.itemsize}",
            "version": 3,
        }


def on_device(array: Any) -> Any:
    """A NumPy array's values in a fresh CuPy array of the same order."""
    array = np.asarray(array)
    in_fortran_order = array.flags.f_contiguous and not array.flags.c_contiguous
    made = cupy.empty(array.shape, array.dtype, order="F" if in_fortran_order else "C")
    on_host(made)[...] = array
    return made


def _view(array: np.ndarray, device: int) -> Any:
    """A CuPy array at the memory of a NumPy array."""
    reach = [step * (count - 1) for step, count in zip(array.strides, array.shape, strict=True)]
    before = -sum(step for step in reach if step < 0)
    size = before + sum(step for step in reach if step > 0) + array.itemsize
    memory = cupy.cuda.UnownedMemory(array.ctypes.data - before, size, array, device)
    return cupy.ndarray(array.shape, array.dtype, cupy.cuda.MemoryPointer(memory, before), array.strides)


# What CuPy's functions take beside its arrays.
PLAIN = bool | int | float | complex | str | slice | type | None | np.generic | np.dtype | types.EllipsisType


def by_numpy(own: Callable[..., Any], numpy_does: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function for CuPy's arrays: views stay views, and anything new has memory of its own.

    own: CuPy's, which is called with objects of other kinds; it refuses NumPy's arrays, or gives way
    """

    @functools.wraps(own)
    def call(*args: Any, **kwargs: Any) -> Any:
        found = leaves((args, kwargs))
        foreign = [type(leaf) for leaf in found if not is_cupys(leaf) and not isinstance(leaf, PLAIN)]
        if foreign:
            return _own_refusal(own, foreign[0], args, kwargs)
        seen = [(leaf, on_host(leaf)) for leaf in found if is_cupys(leaf)]
        memory = iter([memory for _, memory in seen])

        def to_host(leaf: Any) -> Any:
            return next(memory) if is_cupys(leaf) else leaf

        host_args, host_kwargs = map_leaves(to_host, (args, kwargs))
        with np.errstate(all="ignore"):
            return map_leaves(functools.partial(_to_device, seen), numpy_does(*host_args, **host_kwargs))

    return call


def _own_refusal(own: Callable[..., Any], foreign: type, args: Any, kwargs: Any) -> Any:
    """What CuPy says to an operand of another type: it gives way, or raises once it has found its device."""
    try:
        return own(*args, **kwargs)
    except cupy.cuda.runtime.CUDARuntimeError:
        raise TypeError(f"Unsupported type {foreign}") from None


def _to_device(seen: list[tuple[Any, np.ndarray]], leaf: Any) -> Any:
    """What NumPy returned, as CuPy's; `seen` are the arrays that it was given, and their memory."""
    if not isinstance(leaf, np.ndarray | np.generic):
        return leaf
    for array, memory in seen:
        if leaf is memory:
            return array
        if leaf.size and np.may_share_memory(leaf, memory):
            return _view(leaf, array.data.device_id)
    return on_device(leaf)


def _to_python(function: Callable[..., Any]) -> Callable[..., Any]:
    """For what gives a number of Python's."""
    return lambda self, *args: function(on_host(self), *args)


def _own_or_numpy(own: Callable[..., Any], numpy_does: Callable[..., Any]) -> Callable[..., Any]:
    """CuPy's own method, and NumPy's where that needs the driver."""

    def call(*args: Any, **kwargs: Any) -> Any:
        # An index that is an array has to be read, which is a copy in any case.
        if not any(is_cupys(leaf) for leaf in leaves((args[1:], kwargs))):
            with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError):
                return own(*args, **kwargs)
        return numpy_does(*args, **kwargs)

    return call


def _get(self: Any, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
    if out is None:
        return np.array(on_host(self), order="K" if order == "A" else order)
    out[...] = on_host(self)
    return out


def _astype(
    self: Any, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
) -> Any:
    return on_device(on_host(self).astype(dtype, order=order))


def _array(obj: Any, dtype: Any = None, copy: bool = True, order: Any = "K", **_: Any) -> Any:
    order = order or "K"
    if is_cupys(obj) and not copy and obj.dtype == np.dtype(dtype or obj.dtype):
        kept = {"C": obj.flags.c_contiguous, "F": obj.flags.f_contiguous}
        if kept.get(order, True):
            return obj
    made = np.array(map_leaves(lambda leaf: on_host(leaf) if is_cupys(leaf) else leaf, obj))
    return on_device(np.array(made, dtype, order=order))


def _asarray(a: Any, dtype: Any = None, order: Any = None, **_: Any) -> Any:
    return _array(a, dtype, copy=False, order=order)


def patches(set_item: Callable[[Any, Any, Any], None]) -> Iterator[tuple[Any, str, Any]]:
    """What has to be replaced in CuPy: object, attribute, and what takes its place."""
    array = cupy.ndarray
    methods = [f"__{prefix}{name}__" for name in OPERATORS.split() for prefix in ("", "r", "i")]
    methods += [f"__{name}__" for name in COMPARISONS.split()]
    for name in (*methods, *METHODS.split()):
        if hasattr(array, name):
            yield array, name, by_numpy(getattr(array, name), getattr(np.ndarray, name))
    for name in NUMBERS.split():
        yield array, name, _to_python(getattr(np.ndarray, name))
    for name in VIEWS_OR_COPIES.split():
        own = getattr(array, name)
        numpy_does = _astype if name == "astype" else by_numpy(own, getattr(np.ndarray, name))
        yield array, name, _own_or_numpy(own, numpy_does)
    yield array, "get", _get
    yield array, "set", lambda self, values, stream=None: set_item(self, ..., on_device(values))
    yield array, "__setitem__", lambda self, key, value: set_item(self, key, value)
    elementwise = [name for name, value in vars(cupy).items() if isinstance(value, cupy.ufunc)]
    functions = {
        name: by_numpy(getattr(cupy, name), getattr(np, name))
        for name in (*elementwise, *FUNCTIONS.split())
        if hasattr(np, name)
    }
    functions |= {"array": _array, "asarray": _asarray}
    functions["ascontiguousarray"] = lambda a, dtype=None: _array(a, dtype, copy=False, order="C")
    functions["asfortranarray"] = lambda a, dtype=None: _array(a, dtype, copy=False, order="F")
    for name, function in functions.items():
        own = getattr(cupy, name)
        # array_api_compat has taken the names over.
        for module in (cupy, standard):
            if getattr(module, name, None) is own:
                yield module, name, function
