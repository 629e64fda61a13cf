"""The functions of the extension `fft` on real numbers; the compiler has no complex numbers."""

from __future__ import annotations

from typing import Any

from .creation import arange, running_trace
from .dtype_names import dtype_given
from .promotion import cast
from .shapes import concat, roll, shape_given
from .symbolic import of_array

__all__ = ["fftfreq", "fftshift", "ifftshift", "rfftfreq"]


def fftfreq(n: Any, /, *, d: Any = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of a discrete Fourier transform of n points, d apart."""
    count = n.__index__()
    positive = (count - 1) // 2 + 1
    whole = concat([arange(positive), arange(-(count // 2), 0)])
    return _scaled(whole, count, d, dtype)


def rfftfreq(n: Any, /, *, d: Any = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of a discrete Fourier transform of n real points, d apart."""
    count = n.__index__()
    return _scaled(arange(count // 2 + 1), count, d, dtype)


def _scaled(whole: Any, count: int, d: Any, dtype: Any) -> Any:
    made = whole * (1.0 / (count * d))
    trace = running_trace()
    return made if dtype is None else cast(trace, made, dtype_given(trace, "fftfreq", dtype))


@of_array
def fftshift(x: Any, /, *, axes: Any = None) -> Any:
    """x with the frequency 0 in the middle."""
    axes = tuple(range(x.ndim)) if axes is None else shape_given(axes)
    return roll(x, tuple(x.node.sizes()[axis] // 2 for axis in axes), axis=tuple(axes))


@of_array
def ifftshift(x: Any, /, *, axes: Any = None) -> Any:
    """The inverse of fftshift."""
    axes = tuple(range(x.ndim)) if axes is None else shape_given(axes)
    return roll(x, tuple(-(x.node.sizes()[axis] // 2) for axis in axes), axis=tuple(axes))


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise running_trace().error(
        AttributeError, f"xp.fft.{name} has complex numbers, which are not supported by the compiler"
    )
