"""The closed table of operations: what each takes, what it gives, and what it costs.

Takes: nothing; everything here is a constant. Gives: the names of all operations, and a row for each
elementwise one.

    Op("sqrt")                   gives    Op.SQRT
    ELEMENTWISE[Op.SQRT]         gives    Elementwise(arity=1, takes=Takes.FLOAT, gives=None, cost=4)
    accepts(Takes.FLOAT, INT8)   gives    False

A new operation is a row here, a row in each dialect, and a test case.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from .dtypes import BOOL, DTYPES, FLOATS, INTEGERS, DType


class Op(enum.Enum):
    """An operation. The value is the standard's name, where the standard has the operation."""

    # Elementwise
    ABS = "abs"
    NEGATIVE = "negative"
    SIGN = "sign"
    CEIL = "ceil"
    FLOOR = "floor"
    ROUND = "round"
    TRUNC = "trunc"
    ISFINITE = "isfinite"
    ISINF = "isinf"
    ISNAN = "isnan"
    SIGNBIT = "signbit"
    SQRT = "sqrt"
    EXP = "exp"
    EXPM1 = "expm1"
    LOG = "log"
    LOG1P = "log1p"
    LOG2 = "log2"
    LOG10 = "log10"
    TANH = "tanh"
    SIN = "sin"
    COS = "cos"
    TAN = "tan"
    ASIN = "asin"
    ACOS = "acos"
    ATAN = "atan"
    SINH = "sinh"
    COSH = "cosh"
    ASINH = "asinh"
    ACOSH = "acosh"
    ATANH = "atanh"
    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    DIVIDE = "divide"
    FLOOR_DIVIDE = "floor_divide"
    REMAINDER = "remainder"
    ATAN2 = "atan2"
    HYPOT = "hypot"
    POW = "pow"
    COPYSIGN = "copysign"
    LESS = "less"
    LESS_EQUAL = "less_equal"
    GREATER = "greater"
    GREATER_EQUAL = "greater_equal"
    EQUAL = "equal"
    NOT_EQUAL = "not_equal"
    LOGICAL_AND = "logical_and"
    LOGICAL_OR = "logical_or"
    LOGICAL_XOR = "logical_xor"
    LOGICAL_NOT = "logical_not"
    BITWISE_AND = "bitwise_and"
    BITWISE_OR = "bitwise_or"
    BITWISE_XOR = "bitwise_xor"
    BITWISE_INVERT = "bitwise_invert"
    BITWISE_LEFT_SHIFT = "bitwise_left_shift"
    BITWISE_RIGHT_SHIFT = "bitwise_right_shift"
    WHERE = "where"
    ASTYPE = "astype"

    # Reductions
    SUM = "sum"
    PROD = "prod"
    MAX = "max"
    MIN = "min"
    ANY = "any"
    ALL = "all"

    # Structure: where values come from, and what moves them. The attributes stand in `attributes`.
    INPUT = "input"  # an array of the call
    SCALAR = "scalar"  # a Python number of the call
    CONSTANT = "constant"
    SIZE = "size"  # the length of an axis
    IOTA = "iota"  # 0, 1, 2, ... along an axis
    VIEW = "view"  # dimensions in another order, of 1 put in or left out
    BROADCAST_TO = "broadcast_to"
    COPY = "copy"  # the same values along axes of its own
    MATMUL = "matmul"
    TAKE_ALONG_AXIS = "take_along_axis"  # scores (N, K) at columns (N, 1)
    TAKE = "take"  # vector (K,) at indices of any shape
    SLICE = "slice"  # elements at a start and every so many from there, in some dimensions
    RESHAPE = "reshape"  # the same elements in C order, in another shape
    CONCAT = "concat"  # one after another along one dimension
    UPDATE = "update"  # the elements of a slice replaced by others
    GATHER = "gather"  # elements at looked-up indices in some dimensions
    LIBRARY = "library"  # a function of the arrays' library, on whole arrays
    MARK = "mark"  # the same value, in a trace: where a derivative begins, ends, or has a rule of its own

    def __str__(self) -> str:
        return self.value

    # Members are looked up in tables all the time, and Enum's own hash is a function in Python.
    __hash__ = object.__hash__


class Takes(enum.Enum):
    """The kinds of dtypes that an operation may be for; the value is a word for error messages."""

    FLOAT = "float"
    NUMERIC = "numeric"
    BOOL = "bool"
    INTEGER = "integer"
    INTEGER_OR_BOOL = "integer or bool"
    ANY = "any"

    def __str__(self) -> str:
        return self.value


_ACCEPTED: dict[Takes, tuple[DType, ...]] = {
    Takes.FLOAT: FLOATS,
    Takes.NUMERIC: (*FLOATS, *INTEGERS),
    Takes.BOOL: (BOOL,),
    Takes.INTEGER: INTEGERS,
    Takes.INTEGER_OR_BOOL: (*INTEGERS, BOOL),
    Takes.ANY: DTYPES,
}


class Elementwise(NamedTuple):
    """An operation of elements at one place.

    takes: the kind of its inputs, which are promoted to one dtype
    gives: the dtype of the result; None for that of the inputs
    cost:  in additions; what costs many is stored rather than computed again
    """

    arity: int
    takes: Takes
    gives: DType | None = None
    cost: int = 1


# What a polynomial or a call to the C library costs beside an addition.
DIVISION, POLYNOMIAL, CALL = 4, 15, 60

ELEMENTWISE: dict[Op, Elementwise] = {
    **dict.fromkeys((Op.ABS, Op.NEGATIVE, Op.SIGN), Elementwise(1, Takes.NUMERIC)),
    **dict.fromkeys((Op.CEIL, Op.FLOOR, Op.ROUND, Op.TRUNC), Elementwise(1, Takes.NUMERIC)),
    **dict.fromkeys((Op.ISFINITE, Op.ISINF, Op.ISNAN), Elementwise(1, Takes.NUMERIC, BOOL)),
    Op.SIGNBIT: Elementwise(1, Takes.FLOAT, BOOL),
    Op.SQRT: Elementwise(1, Takes.FLOAT, cost=DIVISION),
    **dict.fromkeys(
        (Op.EXP, Op.EXPM1, Op.LOG, Op.LOG1P, Op.LOG2, Op.LOG10, Op.TANH),
        Elementwise(1, Takes.FLOAT, cost=POLYNOMIAL),
    ),
    **dict.fromkeys(
        (Op.SIN, Op.COS, Op.TAN, Op.ASIN, Op.ACOS, Op.ATAN, Op.SINH, Op.COSH, Op.ASINH, Op.ACOSH, Op.ATANH),
        Elementwise(1, Takes.FLOAT, cost=CALL),
    ),
    **dict.fromkeys(
        (Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.MAXIMUM, Op.MINIMUM), Elementwise(2, Takes.NUMERIC)
    ),
    Op.DIVIDE: Elementwise(2, Takes.FLOAT, cost=DIVISION),
    Op.FLOOR_DIVIDE: Elementwise(2, Takes.NUMERIC, cost=CALL),
    Op.REMAINDER: Elementwise(2, Takes.NUMERIC, cost=CALL),
    **dict.fromkeys((Op.ATAN2, Op.HYPOT), Elementwise(2, Takes.FLOAT, cost=CALL)),
    Op.POW: Elementwise(2, Takes.NUMERIC, cost=CALL),
    Op.COPYSIGN: Elementwise(2, Takes.FLOAT),
    **dict.fromkeys(
        (Op.LESS, Op.LESS_EQUAL, Op.GREATER, Op.GREATER_EQUAL), Elementwise(2, Takes.NUMERIC, BOOL)
    ),
    **dict.fromkeys((Op.EQUAL, Op.NOT_EQUAL), Elementwise(2, Takes.ANY, BOOL)),
    **dict.fromkeys((Op.LOGICAL_AND, Op.LOGICAL_OR, Op.LOGICAL_XOR), Elementwise(2, Takes.BOOL)),
    Op.LOGICAL_NOT: Elementwise(1, Takes.BOOL),
    **dict.fromkeys((Op.BITWISE_AND, Op.BITWISE_OR, Op.BITWISE_XOR), Elementwise(2, Takes.INTEGER_OR_BOOL)),
    Op.BITWISE_INVERT: Elementwise(1, Takes.INTEGER_OR_BOOL),
    **dict.fromkeys((Op.BITWISE_LEFT_SHIFT, Op.BITWISE_RIGHT_SHIFT), Elementwise(2, Takes.INTEGER)),
    # Its first input is the condition; the others are promoted.
    Op.WHERE: Elementwise(3, Takes.ANY),
    # The dtype is the node's.
    Op.ASTYPE: Elementwise(1, Takes.ANY),
}

# Combine all elements along some dimensions; the order of the additions is the backend's.
REDUCTIONS = (Op.SUM, Op.PROD, Op.MAX, Op.MIN, Op.ANY, Op.ALL)

# What is neither.
STRUCTURE = tuple(op for op in Op if op not in ELEMENTWISE and op not in REDUCTIONS)

_BY_NAME = {op.value: op for op in ELEMENTWISE}


def elementwise_of(name: str) -> Op | None:
    """The elementwise operation of this name; None where there is none."""
    return _BY_NAME.get(name)


def accepts(takes: Takes, dtype: DType) -> bool:
    """Whether an operation that takes this kind takes this dtype."""
    return dtype in _ACCEPTED[takes]
