"""Compiled functions that Python calls with objects, and where the fields of objects are.

    function(text, "enter")         a function of Python's that runs `enter(self, given, count)` of a text

where `given` leads to the addresses of the arguments, `count` of them. The fields of NumPy's and Python's
objects are read from where their headers have them: an array's data, shape, strides and flags, the items of a
list. That is the interface that every extension module is compiled against.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy

from ...ir.dtypes import INT64
from ..llvm.cache import load
from ..llvm.values import Pointer

_HEAD = object.__basicsize__
# In C: PyListObject.ob_item, PyArrayObject.data, dimensions, strides and flags.
ITEMS, DATA, SHAPE, STRIDES, FLAGS = (_HEAD + offset for offset in (8, 0, 16, 24, 48))
CONTIGUOUS, ALIGNED, WRITEABLE = 1, 0x100, 0x400


class _Method(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_FASTCALL = 0x80
_methods: list[_Method] = []  # Python keeps pointers to them


def function(text: str, name: str, file: str = "") -> Any:
    """A function of a text, (self, given, count) -> object, as a function of Python's.

    file: what its file in the cache is called
    """
    _require_known_objects()
    address = load(text, name, (INT64, Pointer(INT64), INT64), file or name)
    method = _Method(name.encode(), address, _FASTCALL, None)
    _methods.append(method)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    return new(ctypes.addressof(method), None, None)


@functools.cache
def _require_known_objects() -> None:
    """Raise a SystemError if objects are not laid out as they are read here."""

    def word(address: int) -> int:
        return ctypes.c_size_t.from_address(address).value

    array = numpy.ones((2, 3), numpy.float32)[:, :2]
    items = [array]
    found = word(word(id(items) + ITEMS)), word(id(array) + DATA), word(word(id(array) + STRIDES))
    flags = ctypes.c_int.from_address(id(array) + FLAGS).value
    expected = id(array), array.__array_interface__["data"][0], array.strides[0]
    if found != expected or flags != ALIGNED | WRITEABLE or word(word(id(array) + SHAPE)) != 2:
        raise SystemError("arrays or lists are not laid out as in CPython and NumPy 2")
