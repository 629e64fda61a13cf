"""The closed table of operations: what each takes, what it gives, and what it costs.

A new operation is a row here, a row in each dialect, and a test case.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

FLOATS = ("float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
DTYPES = (*FLOATS, *INTEGERS, "bool")
# Memory may hold these, on a GPU; they are computed with as float32.
HALVES = ("float16", "bfloat16")

Takes = Literal["float", "numeric", "integer", "bool", "integer or bool", "any"]


class Elementwise(NamedTuple):
    """An operation of elements at one place.

    takes: the kind of its inputs, which are promoted to one dtype
    gives: "same", or "bool"
    cost:  in additions; what costs many is stored rather than computed again
    """

    arity: int
    takes: Takes
    gives: Literal["same", "bool"] = "same"
    cost: int = 1


# What a polynomial or a call to the C library costs beside an addition.
DIVISION, POLYNOMIAL, CALL = 4, 15, 60

ELEMENTWISE: dict[str, Elementwise] = {
    **{name: Elementwise(1, "numeric") for name in ("abs", "negative", "sign")},
    **{name: Elementwise(1, "numeric") for name in ("ceil", "floor", "round", "trunc")},
    **{name: Elementwise(1, "numeric", "bool") for name in ("isfinite", "isinf", "isnan")},
    "signbit": Elementwise(1, "float", "bool"),
    "sqrt": Elementwise(1, "float", cost=DIVISION),
    **{
        name: Elementwise(1, "float", cost=POLYNOMIAL)
        for name in ("exp", "expm1", "log", "log1p", "log2", "log10", "tanh")
    },
    **{
        name: Elementwise(1, "float", cost=CALL)
        for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")
    },
    **{name: Elementwise(2, "numeric") for name in ("add", "subtract", "multiply", "maximum", "minimum")},
    "divide": Elementwise(2, "float", cost=DIVISION),
    "floor_divide": Elementwise(2, "numeric", cost=CALL),
    "remainder": Elementwise(2, "numeric", cost=CALL),
    **{name: Elementwise(2, "float", cost=CALL) for name in ("atan2", "hypot")},
    "pow": Elementwise(2, "numeric", cost=CALL),
    "copysign": Elementwise(2, "float"),
    **{
        name: Elementwise(2, "numeric", "bool") for name in ("less", "less_equal", "greater", "greater_equal")
    },
    **{name: Elementwise(2, "any", "bool") for name in ("equal", "not_equal")},
    **{name: Elementwise(2, "bool") for name in ("logical_and", "logical_or", "logical_xor")},
    "logical_not": Elementwise(1, "bool"),
    **{name: Elementwise(2, "integer or bool") for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    "bitwise_invert": Elementwise(1, "integer or bool"),
    # Its first input is the condition; the others are promoted.
    "where": Elementwise(3, "any"),
    # The dtype is the node's.
    "astype": Elementwise(1, "any"),
}

# Combine all elements along some axes; the order of the additions is the backend's.
REDUCTIONS = ("sum", "prod", "max", "min", "any", "all")

# What is neither: where values come from, and what moves them.
STRUCTURE = (
    "input",  # attribute: the leaf of the call
    "scalar",  # a Python number of the call; attribute: the leaf
    "constant",  # attribute: the number
    "size",  # the length of an axis; attribute: the axis
    "iota",  # 0, 1, 2, ... along an axis
    "view",  # attribute: for each dimension the input's dimension that it is, or None for a new one of 1
    "broadcast",  # along new axes; attribute: the shape
    "copy",  # the same values along axes of its own
    "matmul",  # attribute: whether each factor is transposed
    "pick",  # scores (N, K) at columns (N, 1), as take_along_axis does
    "gather",  # vector (K,) at indices of any shape, as take does
)


def accepts(takes: Takes, dtype: str) -> bool:
    """Whether an operation that takes this kind takes this dtype."""
    return {
        "float": dtype in FLOATS,
        "numeric": dtype != "bool",
        "integer": dtype in INTEGERS,
        "bool": dtype == "bool",
        "integer or bool": dtype not in FLOATS,
        "any": True,
    }[takes]


def promote(a: str, b: str) -> str | None:
    """The dtype that holds both, by the rules of the standard; None where it has none for them."""
    if a == b:
        return a
    for family in (FLOATS, SIGNED, UNSIGNED):
        if a in family and b in family:
            return family[max(family.index(a), family.index(b))]
    if a in INTEGERS and b in INTEGERS:
        signed, unsigned = (a, b) if a in SIGNED else (b, a)
        wide = max(SIGNED.index(signed), UNSIGNED.index(unsigned) + 1)
        return SIGNED[wide] if wide < len(SIGNED) else None
    return None
