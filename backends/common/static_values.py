"""How an argument enters a call signature: by value, by identity, or only by type.

A string is compared by value, an object of a user's class by identity, and of the float 0.1 only type and
sign are compared: it is a runtime scalar, which may change from call to call without a retrace.
"""

from __future__ import annotations

import enum
import types
import weakref
from typing import Any

import numpy

# Types that are compared by value. Other objects, except arrays and pytrees, are compared by identity.
OPTIONS = (str, bytes, int, float, complex, enum.Enum, numpy.generic, numpy.dtype, range, slice, type(...))


def is_runtime_scalar(leaf: Any) -> bool:
    """Whether a number may change from call to call without a retrace.

    The float 0 may not: kernels leave out a term whose factor is 0. Nor may an integer that does not fit
    into int64.
    """
    kind = type(leaf)
    return (kind is float and leaf != 0) or (kind is int and -_TOO_LARGE < leaf < _TOO_LARGE)


_TOO_LARGE = 1 << 63


def is_numpy_number(value: Any) -> bool:
    """Whether a value is a NumPy scalar with arithmetic, which is an array of shape ()."""
    return isinstance(value, numpy.number)


class ByIdentity:
    """An object in a cache key, compared by identity; kept alive only if it has no weak references."""

    __slots__ = ("_hash", "_of", "_strong")

    def __init__(self, value: Any) -> None:
        self._hash = id(value)
        self._strong: Any = None
        try:
            self._of: Any = weakref.ref(value)
        except TypeError:
            self._of, self._strong = None, value

    def get(self) -> Any:
        """The object, or None after it was deleted."""
        return self._strong if self._of is None else self._of()

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, ByIdentity):
            return NotImplemented
        mine = self.get()
        return mine is not None and mine is other.get()


_CALLED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def is_static(value: Any) -> bool:
    """Whether an argument that is not an array, number or option may be compared by identity.

    Not a container of numbers that is not an array (a masked array, a set, an iterator): that is an error.
    """
    if isinstance(value, (*_CALLED, enum.Enum, numpy.generic, numpy.dtype)):
        return True
    kind = type(value)
    holds = ("__array__", "__array_interface__", "__cuda_array_interface__", "__dlpack__")
    return kind.__module__ != "builtins" and not any(hasattr(kind, name) for name in holds)
