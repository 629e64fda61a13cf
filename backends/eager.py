"""The eager backend: a kernel runs as it is written, in the library of its arrays."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import array_api_compat
import numpy

from .common.libraries import is_half, is_real_array
from .common.trees import leaves, map_leaves

# glibc returns freed memory to the system above a bound that it learns from the largest block freed so far,
# if that is below 32 MiB. Without this one, which is never touched and so costs two system calls, a kernel
# with a few arrays of 200 KB gives its memory back at the end of every call and takes the page faults again
# at the next: twice the time of the arithmetic. Other allocators take no notice.
numpy.empty(31 << 20, dtype=numpy.uint8)


def run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """function(*args, **kwargs), silent about the infinities and NaNs that are its answer to hard input."""
    if _silent.get():
        return function(*args, **kwargs)
    token = _silent.set(True)
    try:
        with numpy.errstate(all="ignore"):
            return function(*args, **kwargs)
    finally:
        _silent.reset(token)


# Whether a kernel is running, so that the kernels it calls need not silence NumPy again.
_silent: ContextVar[bool] = ContextVar("onepass_silent", default=False)


def is_running() -> bool:
    """Whether a kernel is running here, operation by operation."""
    return _silent.get()


def run_halves_wide(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`run`, with float16 and bfloat16 widened to float32 on the way in and results rounded on the way out.

    Rounding after every operation would lose the small terms of every sum. Where float32 or float64
    arrays take part as well, promotion has widened the result anyway.
    """
    arrays = [leaf for leaf in leaves((args, kwargs)) if is_real_array(leaf)]
    halves = {array.dtype for array in arrays if is_half(array)}
    wide_args, wide_kwargs = map_leaves(widened, (args, kwargs))
    result = run(function, wide_args, wide_kwargs)
    if len(halves) > 1 or not all(is_half(array) for array in arrays):
        return result
    (half,) = halves
    return map_leaves(lambda leaf: astype(leaf, half) if is_real_array(leaf) else leaf, result)


def widened(leaf: Any) -> Any:
    """An array of half precision in float32; anything else as it is."""
    if not is_real_array(leaf) or not is_half(leaf):
        return leaf
    return astype(leaf, array_api_compat.array_namespace(leaf).float32)


def astype(array: Any, dtype: Any) -> Any:
    """An array of any library in a dtype of that library."""
    return array_api_compat.array_namespace(array).astype(array, dtype)
