"""The library, device and kind of dtype of an array; answers are cached by type.

library_of(numpy.ones(3)) == "numpy", kind_of(numpy.ones(3)) == "real floating"
library_of([1, 2, 3]) is None
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from contextlib import AbstractContextManager
from typing import Any, Literal

import array_api_compat

# Imported here and not on first use: a fork during the import leaves a half imported module in the child.
import array_api_compat.numpy
import numpy
import numpy.ma

from .forks import compile_lock

Kind = Literal["real floating", "integral", "bool", "complex floating", "other"]

_library_of_type: dict[type, str | None] = {}
# By array type and dtype, because dtypes of different libraries cannot be compared.
_kind_of_dtype: dict[tuple[type, Any], Kind] = {}
_halves: dict[tuple[type, Any], bool] = {}
# A program may define ever new classes, and a cache keeps them alive.
MAX_TYPES = 1024


def library_of(value: Any) -> str | None:
    """The library of an array: "numpy", "torch", "traced", ...; None if `value` is not an array."""
    try:
        return _library_of_type[type(value)]
    except KeyError:
        if len(_library_of_type) >= MAX_TYPES:
            _library_of_type.clear()
        return _library_of_type.setdefault(type(value), _find_library(value))


def known_library(kind: type) -> str | None:
    """The library of arrays of this type, if one was seen before."""
    return _library_of_type.get(kind)


def _find_library(value: Any) -> str | None:
    # For a matrix `*` is a matrix product, and operations of the standard drop a mask.
    if isinstance(value, numpy.matrix | numpy.ma.MaskedArray):
        return None
    if not array_api_compat.is_array_api_obj(value):
        return None
    if getattr(type(value), "is_traced", False):
        return "traced"
    if isinstance(value, numpy.ndarray | numpy.generic):
        return "numpy"
    with compile_lock:  # array_namespace imports a module, and a fork waits for that
        namespace: str = array_api_compat.array_namespace(value).__name__
    return namespace.removeprefix("array_api_compat.").split(".")[0]


def kind_of(array: Any) -> Kind:
    """The kind of the array's dtype, as `isdtype` of the array API standard names it."""
    key = type(array), array.dtype
    try:
        return _kind_of_dtype[key]
    except KeyError:
        return _kind_of_dtype.setdefault(key, _find_kind(array))


def _find_kind(array: Any) -> Kind:
    # `isdtype` of NumPy and CuPy does not know the bfloat16 of ml_dtypes.
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
    """Whether the dtype is float16 or bfloat16, in which sums would lose small terms."""
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
    """The device that holds the array; None if the library does not say, as inside a trace."""
    try:
        return array_api_compat.device(array)
    except AttributeError:
        return None


def device_key(array: Any) -> Hashable:
    """A hashable value for the array's device: the device itself, or the number of a CuPy device.

    A `cupy.cuda.Device` has no hash.
    """
    key: Hashable = array.data.device_id if library_of(array) == "cupy" else device_of(array)
    return key


def device_to_enter(array: Any) -> int | None:
    """The number of the CuPy device to make current for a call with this array; None for other libraries.

    CuPy allocates and launches on the current device, wherever the arrays are.
    """
    return int(array.device.id) if library_of(array) == "cupy" else None


def is_current_device(device: int) -> bool:
    """Whether the CuPy device of this number is current in this thread."""
    return bool(sys.modules["cupy"].cuda.runtime.getDevice() == device)


def device_context(device: int) -> AbstractContextManager[Any]:
    """A context in which the CuPy device of this number is current in this thread."""
    context: AbstractContextManager[Any] = sys.modules["cupy"].cuda.Device(device)
    return context


def on_different_devices(array: Any, other: Any) -> bool:
    """Whether two arrays of one library are on different devices; False if a device is unknown."""
    if isinstance(array, numpy.ndarray):
        return False
    devices = device_of(array), device_of(other)
    return None not in devices and devices[0] != devices[1]


def can_be_read(array: Any, *, may_wait: bool) -> bool:
    """Whether Python can read the values of `array`.

    may_wait: whether reading them may wait for a device
    """
    library = library_of(array)
    if library == "numpy":
        return True
    if (library == "jax" and _is_traced(array)) or (library == "torch" and is_transformed_tensor(array)):
        return False
    if may_wait:
        return True
    if library == "cupy" or array_api_compat.is_lazy_array(array):
        return False
    return library != "torch" or array.device.type == "cpu"


def _is_traced(array: Any) -> bool:
    """Whether a JAX array has no values yet, as inside `jax.jit`."""
    import jax

    return isinstance(array, jax.core.Tracer)


def is_transformed_tensor(tensor: Any) -> bool:
    """Whether a PyTorch tensor wraps others, as inside `torch.func.vmap` or `torch.func.grad`."""
    import torch

    functorch = getattr(torch._C, "_functorch", None)
    return functorch is not None and bool(functorch.is_functorch_wrapped_tensor(tensor))
