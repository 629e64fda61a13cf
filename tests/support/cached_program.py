"""A small program as the compiler might emit it, for the tests of the folder of machine code."""

from __future__ import annotations

import ctypes

import numpy as np
from onepass.backends.cpu.llvm import cache
from onepass.backends.cpu.llvm.values import Pointer
from onepass.backends.ir.dtypes import FLOAT64

SOURCE = '''\
def square(x):
    """What a compiler might emit."""
    return x * x


def entry(x, out):
    out[0] = square(x) + 1.0
'''
TYPES = (FLOAT64, Pointer(FLOAT64))


def load(source: str = SOURCE, name: str = "a program") -> int:
    """The address of the program; its values are checked."""
    address = cache.load(source, "entry", TYPES, name)
    out = np.zeros(1)
    ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_int64)(address)(3.0, out.ctypes.data)
    assert out[0] == 10.0
    return address
