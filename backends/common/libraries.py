"""Which library an object is an array of, and what kind of numbers it holds; answers are kept by type."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from contextlib import AbstractContextManager
from typing import Any, Literal

import array_api_compat

# Imported now, because a fork would leave its child a module that another thread has half imported.
import array_api_compat.numpy
import numpy
import numpy.ma

from .forks import compiling

Kind = Literal["real floating", "integral", "bool", "complex floating", "other"]

_library_of_type: dict[type, str | None] = {}
# By type of array and dtype: dtypes of two libraries are not for comparing.
_kind_of_dtype: dict[tuple[type, Any], Kind] = {}
_halves: dict[tuple[type, Any], bool] = {}


def library_of(value: Any) -> str | None:
    """The library that `value` is an array of: "numpy", "torch", "traced", ...; None for no array."""
    try:
        return _library_of_type[type(value)]
    except KeyError:
        return _library_of_type.setdefault(type(value), _find_library(value))


def _find_library(value: Any) -> str | None:
    # `*` is another operation for a matrix, and a mask would be lost on the way.
    if isinstance(value, numpy.matrix | numpy.ma.MaskedArray):
        return None
    if not array_api_compat.is_array_api_obj(value):
        return None
    if getattr(type(value), "is_traced", False):
        return "traced"
    if isinstance(value, numpy.ndarray | numpy.generic):
        return "numpy"
    with compiling:  # what knows the library is imported, and a fork waits for that
        namespace: str = array_api_compat.array_namespace(value).__name__
    return namespace.removeprefix("array_api_compat.").split(".")[0]


def kind_of(array: Any) -> Kind:
    """The kind of the array's dtype, in the words of the array API standard."""
    key = type(array), array.dtype
    try:
        return _kind_of_dtype[key]
    except KeyError:
        return _kind_of_dtype.setdefault(key, _find_kind(array))


def _find_kind(array: Any) -> Kind:
    # NumPy's and CuPy's namespaces do not know the dtype that ml_dtypes gives them.
    if str(array.dtype) == "bfloat16":
        return "real floating"
    namespace = array_api_compat.array_namespace(array)
    kinds: tuple[Kind, ...] = ("real floating", "integral", "bool", "complex floating")
    for kind in kinds:
        if namespace.isdtype(array.dtype, kind):
            return kind
    return "other"


def is_real_array(value: Any) -> bool:
    """Whether `value` is an array of real floating-point numbers."""
    return library_of(value) is not None and kind_of(value) == "real floating"


def is_half(array: Any) -> bool:
    """Whether the array holds float16 or bfloat16, in which sums would lose their small terms."""
    key = type(array), array.dtype
    try:
        return _halves[key]
    except KeyError:
        half = kind_of(array) == "real floating" and (
            str(array.dtype) == "bfloat16"
            or array_api_compat.array_namespace(array).finfo(array.dtype).bits < 32
        )
        return _halves.setdefault(key, half)


def device_of(array: Any) -> Any:
    """The device that holds the array, or None where a library does not say (inside a trace)."""
    try:
        return array_api_compat.device(array)
    except AttributeError:
        return None


def device_key(array: Any) -> Hashable:
    """What stands for the device of the array in a key: the device itself, or the number of CuPy's.

    A `cupy.cuda.Device` compares by its number and has no hash.
    """
    key: Hashable = array.device.id if library_of(array) == "cupy" else device_of(array)
    return key


def device_to_enter(array: Any) -> int | None:
    """The number of the device that has to be current for a call with the array; None where none has to be.

    CuPy allocates and launches on the current device, wherever the arrays are.
    """
    return int(array.device.id) if library_of(array) == "cupy" else None


def is_current(device: int) -> bool:
    """Whether CuPy's device of this number is the current one of this thread."""
    return bool(sys.modules["cupy"].cuda.runtime.getDevice() == device)


def entered(device: int) -> AbstractContextManager[Any]:
    """In its context CuPy's device of this number is the current one of this thread."""
    context: AbstractContextManager[Any] = sys.modules["cupy"].cuda.Device(device)
    return context


def on_two_devices(array: Any, other: Any) -> bool:
    """Whether two arrays of one library are known to be on different devices; inside a trace no device is."""
    if isinstance(array, numpy.ndarray):
        return False
    devices = device_of(array), device_of(other)
    return None not in devices and devices[0] != devices[1]


def can_be_read(array: Any, *, at_any_price: bool) -> bool:
    """Whether the values of `array` can be looked at; `at_any_price`, also by waiting for a device."""
    library = library_of(array)
    if library == "numpy":
        return True
    if (library == "jax" and _is_traced(array)) or (library == "torch" and _is_transformed(array)):
        return False
    if at_any_price:
        return True
    if library == "cupy" or array_api_compat.is_lazy_array(array):
        return False
    return library != "torch" or array.device.type == "cpu"


def _is_traced(array: Any) -> bool:
    """Whether a JAX array stands for values that are not there yet, as inside `jax.jit`."""
    import jax

    return isinstance(array, jax.core.Tracer)


def _is_transformed(tensor: Any) -> bool:
    """Whether a PyTorch tensor stands for others, as inside `torch.func.vmap` or `torch.func.grad`."""
    import torch

    functorch = getattr(torch._C, "_functorch", None)
    return functorch is not None and bool(functorch.is_functorch_wrapped_tensor(tensor))
