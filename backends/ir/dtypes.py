"""The dtypes of the compiler: each a record with its name, its bits and its kind.

Takes: names, as NumPy and the array API standard spell them. Gives: records that can be asked.

    dtype_of("uint8")             gives    UINT8
    UINT8.itemsize                gives    1
    UINT8.highest                 gives    255
    str(UINT8)                    gives    "uint8"
    promote(INT32, UINT8)         gives    INT32

Names are converted where a user's code or a library is met (the trace, NumPy, CuPy); inside the compiler a
dtype is never a string.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, final

import numpy


class Kind(enum.Enum):
    """What the numbers of a dtype are."""

    FLOAT = enum.auto()
    SIGNED = enum.auto()
    UNSIGNED = enum.auto()
    BOOL = enum.auto()


@final
@dataclass(frozen=True, eq=False)
class DType:
    """A dtype: one of the constants below, each made once, so that they are compared by identity.

    name: the standard's name
    bits: of an element in memory, where a bool is a byte
    """

    name: str
    bits: int
    kind: Kind

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return dtype_of, (self.name,)  # a copy is the same one

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.bits // 8

    @property
    def is_float(self) -> bool:
        return self.kind is Kind.FLOAT

    @property
    def is_integer(self) -> bool:
        return self.kind in (Kind.SIGNED, Kind.UNSIGNED)

    @property
    def is_half(self) -> bool:
        """Whether it is of half precision."""
        return self.is_float and self.bits == 16

    @property
    def lowest(self) -> int:
        """The smallest integer."""
        assert self.is_integer, f"{self} is no dtype of integers"
        return -(1 << self.bits - 1) if self.kind is Kind.SIGNED else 0

    @property
    def highest(self) -> int:
        """The largest integer."""
        assert self.is_integer, f"{self} is no dtype of integers"
        return (1 << (self.bits - 1 if self.kind is Kind.SIGNED else self.bits)) - 1


FLOAT16, BFLOAT16 = DType("float16", 16, Kind.FLOAT), DType("bfloat16", 16, Kind.FLOAT)
FLOAT32, FLOAT64 = DType("float32", 32, Kind.FLOAT), DType("float64", 64, Kind.FLOAT)
INT8, INT16 = DType("int8", 8, Kind.SIGNED), DType("int16", 16, Kind.SIGNED)
INT32, INT64 = DType("int32", 32, Kind.SIGNED), DType("int64", 64, Kind.SIGNED)
UINT8, UINT16 = DType("uint8", 8, Kind.UNSIGNED), DType("uint16", 16, Kind.UNSIGNED)
UINT32, UINT64 = DType("uint32", 32, Kind.UNSIGNED), DType("uint64", 64, Kind.UNSIGNED)
BOOL = DType("bool", 8, Kind.BOOL)

# From narrow to wide. Values are computed in these.
FLOATS = (FLOAT32, FLOAT64)
SIGNED = (INT8, INT16, INT32, INT64)
UNSIGNED = (UINT8, UINT16, UINT32, UINT64)
INTEGERS = SIGNED + UNSIGNED
DTYPES = (*FLOATS, *INTEGERS, BOOL)
# Memory may hold these, on a GPU; they are computed with as float32.
HALVES = (FLOAT16, BFLOAT16)

# The types of Python numbers, by the dtypes that stand for them.
PYTHON_TYPES: dict[DType, type] = {FLOAT64: float, INT64: int, BOOL: bool}

_BY_NAME = {dtype.name: dtype for dtype in (*DTYPES, *HALVES)}


def dtype_of(name: str) -> DType | None:
    """The dtype of this name; None where the compiler knows none."""
    return _BY_NAME.get(name)


def python_dtype(dtype: DType) -> DType:
    """The dtype of the Python numbers that are nearest to those of a dtype."""
    return FLOAT64 if dtype.is_float else INT64 if dtype.is_integer else BOOL


def numpy_dtype(dtype: DType) -> numpy.dtype[Any]:
    """NumPy's own; of bfloat16 only where a library has told NumPy of it."""
    return numpy.dtype(dtype.name)


def promote(a: DType, b: DType) -> DType | None:
    """The dtype that holds both, by the rules of the standard; None where it has none for them."""
    if a == b:
        return a
    if a.kind is b.kind:
        return max(a, b, key=lambda dtype: dtype.bits) if a.bits != b.bits else None
    if a.is_integer and b.is_integer:
        signed, unsigned = (a, b) if a.kind is Kind.SIGNED else (b, a)
        return next((wide for wide in SIGNED if wide.bits >= signed.bits and wide.bits > unsigned.bits), None)
    return None
