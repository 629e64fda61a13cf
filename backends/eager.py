"""The eager backend: runs a kernel operation by operation, in the library of its arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import array_api_compat
import numpy

from .common.libraries import is_half, is_real_array
from .common.trees import leaves, map_leaves

# glibc returns freed memory to the system above a threshold, which grows with the largest block that was
# freed, up to 32 MiB. Freeing this block raises it. Without that, a kernel with a few arrays of 200 KB gives
# its memory back after every call and takes the page faults again in the next, which doubles its time. The
# block is never touched, so it costs two system calls. Other allocators ignore it.
numpy.empty(31 << 20, dtype=numpy.uint8)


def run_eagerly(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """function(*args, **kwargs) without NumPy's floating-point warnings: inf and NaN are valid results."""
    if _running.get():
        return function(*args, **kwargs)
    token = _running.set(True)
    try:
        with numpy.errstate(all="ignore"):
            return function(*args, **kwargs)
    finally:
        _running.reset(token)


# Whether a kernel is running, so that the kernels it calls need not change `numpy.errstate` again.
_running: ContextVar[bool] = ContextVar("onepass_running", default=False)


def is_running_eagerly() -> bool:
    """Whether a kernel is running operation by operation in this thread or async task."""
    return _running.get()


def run_in_float32(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`run_eagerly` in float32 for float16 and bfloat16 arguments; results are rounded to their dtype.

    Rounding after every operation would lose small terms of sums. Where float32 or float64 arrays take part
    as well, the result keeps the dtype of promotion.
    """
    arrays = [leaf for leaf in leaves((args, kwargs)) if is_real_array(leaf)]
    wide_args, wide_kwargs = map_leaves(widen_half, (args, kwargs))
    result = run_eagerly(function, wide_args, wide_kwargs)
    half = common_half(arrays)
    if half is None:
        return result
    return map_leaves(lambda leaf: astype(leaf, half) if is_real_array(leaf) else leaf, result)


def common_half(arrays: Sequence[Any]) -> Any:
    """The half-precision dtype of all the real arrays; None if they have several dtypes, or a wider one."""
    dtypes = {array.dtype for array in arrays}
    return dtypes.pop() if len(dtypes) == 1 and all(map(is_half, arrays)) else None


def widen_half(leaf: Any) -> Any:
    """An array of float16 or bfloat16 as float32; anything else as it is."""
    if not is_real_array(leaf) or not is_half(leaf):
        return leaf
    return astype(leaf, array_api_compat.array_namespace(leaf).float32)


def astype(array: Any, dtype: Any) -> Any:
    """An array of any library in a dtype of that library."""
    return array_api_compat.array_namespace(array).astype(array, dtype)
