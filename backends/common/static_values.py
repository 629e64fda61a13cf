"""Which arguments are part of a call's signature by their value, by their identity, or not at all."""

from __future__ import annotations

import enum
import types
import weakref
from typing import Any

import numpy

# What is compared by its value. Everything else that is no array and no tree is compared by identity.
OPTIONS = (str, bytes, int, float, complex, enum.Enum, numpy.generic, numpy.dtype, range, slice, type(...))


def is_run_time_number(leaf: Any) -> bool:
    """Whether a number may change from call to call without another program.

    A float of 0 may not: it is how a term is left out, and the kernel is told so. Nor may an integer that no
    int64 holds.
    """
    kind = type(leaf)
    return (kind is float and leaf != 0) or (kind is int and -_TOO_LARGE < leaf < _TOO_LARGE)


_TOO_LARGE = 1 << 63


def is_number(value: Any) -> bool:
    """Whether a NumPy scalar is a number that arithmetic takes: an array of shape ()."""
    return isinstance(value, numpy.number)


class SameObject:
    """An object by identity, in a key that does not keep it alive if that can be."""

    __slots__ = ("_hash", "_of", "_strong")

    def __init__(self, value: Any) -> None:
        self._hash = id(value)
        self._strong: Any = None
        try:
            self._of: Any = weakref.ref(value)
        except TypeError:
            self._of, self._strong = None, value

    def get(self) -> Any:
        """The object, or None once it is gone."""
        return self._strong if self._of is None else self._of()

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, SameObject):
            return NotImplemented
        mine = self.get()
        return mine is not None and mine is other.get()


_CALLED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def is_static(value: Any) -> bool:
    """Whether an argument that is neither array, number nor option may stand for itself, by its identity.

    Not what holds numbers without being an array (a masked array, a set, an iterator): that is an error.
    """
    if isinstance(value, (*_CALLED, enum.Enum, numpy.generic, numpy.dtype)):
        return True
    kind = type(value)
    holds = ("__array__", "__array_interface__", "__cuda_array_interface__", "__dlpack__")
    return kind.__module__ != "builtins" and not any(hasattr(kind, name) for name in holds)
