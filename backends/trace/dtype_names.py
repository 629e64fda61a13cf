"""Conversions between dtypes in a user's code and dtypes of the compiler.

Takes dtypes as users write them, gives the compiler's; and the dtypes that symbolic arrays show to users.

    dtype_given(trace, "astype", numpy.float32)    gives    FLOAT32
    DtypeName("float32") == numpy.float32          gives    True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy

from ..ir.dtypes import DTYPES, DType, dtype_of

if TYPE_CHECKING:
    from .tracer import Trace


class DtypeName(str):
    """The name of a dtype, which equals NumPy's dtype and has its attributes: `x.dtype == numpy.float32`."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str.__eq__(self, other)
        return other is not None and dtype_name(other) == str(self)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __getattr__(self, name: str) -> Any:
        return getattr(numpy.dtype(self), name)


def dtype_name(dtype: Any) -> str:
    """The standard's name of a dtype of any library, or of a Python type."""
    if type(dtype) is DtypeName:
        return str(dtype)
    try:
        return str(numpy.dtype(dtype).name)
    except TypeError:
        return str(dtype).rpartition(".")[2]  # torch.float32


def dtype_given(trace: Trace, operation: str, dtype: Any) -> DType:
    """The compiler's dtype for a name, a NumPy dtype, or a type.

    operation: the function that got it, for the message
    raises:    TypeError for a dtype that the compiler does not support
    """
    name = dtype_name(dtype)
    found = dtype_of(name)
    if found not in DTYPES:
        known = ", ".join(map(str, DTYPES))
        raise trace.error(TypeError, f"{operation} got the dtype {name!r}; expected one of {known}")
    return found
