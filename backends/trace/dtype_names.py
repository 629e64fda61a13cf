"""The dtypes of symbolic arrays, by name, and the dtypes that users give, as names."""

from __future__ import annotations

from typing import Any

import numpy


class DtypeName(str):
    """The name of a dtype, which equals NumPy's dtype and has its attributes: `x.dtype == numpy.float32`."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str.__eq__(self, other)
        try:
            return other is not None and numpy.dtype(other) == numpy.dtype(self)  # type: ignore[call-overload]
        except TypeError:
            return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __getattr__(self, name: str) -> Any:
        return getattr(numpy.dtype(self), name)


def dtype_name(dtype: Any) -> Any:
    """The name of a dtype that was given as a name, as NumPy's dtype, or as a type; None for None."""
    return dtype if dtype is None or isinstance(dtype, str) else numpy.dtype(dtype).name
