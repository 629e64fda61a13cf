"""Every row of the compiler's table of operations against eager NumPy; many operations share one kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from onepass.backends.ir.operations import ELEMENTWISE, REDUCTIONS, STRUCTURE
from operation_check import COLUMNS, FLOAT_DTYPES, SPECIAL, Results, check, numbers
from selection import exhaustively

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

# By their domains.
ANYWHERE = [
    "abs",
    "negative",
    "sign",
    "ceil",
    "floor",
    "round",
    "trunc",
    "isfinite",
    "isinf",
    "isnan",
    "signbit",
    "exp",
    "expm1",
    "tanh",
    "atan",
    "asinh",
]
SMALL = ["sin", "cos", "tan", "sinh", "cosh"]
WITHIN_ONE = ["asin", "acos", "atanh"]
POSITIVE = ["sqrt", "log", "log2", "log10", "log1p"]
ABOVE_ONE = ["acosh"]
ARITHMETIC = ["add", "subtract", "multiply", "maximum", "minimum", "divide", "atan2", "hypot", "copysign"]
DIVISIONS = ["floor_divide", "remainder"]
COMPARISONS = ["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"]
SHIFTS = ["bitwise_left_shift", "bitwise_right_shift"]
LOGIC = ["logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor"]
OTHERS = ["pow", "logical_not", "bitwise_invert", "where", "astype"]


def test_every_row_has_a_case() -> None:
    cases = [*ANYWHERE, *SMALL, *WITHIN_ONE, *POSITIVE, *ABOVE_ONE, *ARITHMETIC, *DIVISIONS, *COMPARISONS]
    assert sorted([*cases, *LOGIC, *SHIFTS, *OTHERS]) == sorted(map(str, ELEMENTWISE))
    assert set(map(str, REDUCTIONS)) == {"sum", "prod", "max", "min", "any", "all"}
    structure = "input scalar constant size iota view broadcast_to copy matmul take_along_axis take slice"
    structure += " reshape concat update gather library mark"
    assert set(map(str, STRUCTURE)) == set(structure.split())


def unary(anything: Any, small: Any, inside: Any, positive: Any, above: Any) -> Results:
    xp = array_namespace(anything)
    results = {name: getattr(xp, name)(anything) for name in ANYWHERE}
    results |= {name: getattr(xp, name)(small) for name in SMALL}
    results |= {name: getattr(xp, name)(inside) for name in WITHIN_ONE}
    results |= {name: getattr(xp, name)(positive) for name in POSITIVE}
    results |= {name: getattr(xp, name)(above) for name in ABOVE_ONE}
    results |= {
        "square": xp.square(small),
        "reciprocal": xp.reciprocal(small),
        "positive": xp.positive(small),
    }
    results |= {f"power {n}": small**n for n in (-1, 0, 1, 2, 3, 4)} | {"root": positive**0.5}
    return results


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((5, 40), "float32"),
        exhaustively((5, 40), "float64"),
        exhaustively((0, 3), "float32"),
        exhaustively((), "float64"),
    ],
    ids=str,
)
def test_functions_of_one_number(shape: tuple[int, ...], dtype: str) -> None:
    x = numbers(shape, dtype, special=True)
    small = numbers(shape, dtype)
    inside = np.asarray(np.tanh(small)).astype(dtype)
    positive = np.asarray(np.abs(numbers(shape, dtype, 1)) * 5).astype(dtype)
    check(unary, x, small, inside, positive, np.asarray(positive + 1.25))


def binary(x: Any, y: Any, number: Any) -> Results:
    xp = array_namespace(x)
    results = {name: getattr(xp, name)(x, y) for name in [*ARITHMETIC, *COMPARISONS]}
    # Numbers that are multiples of a quarter, so that no quotient is near a whole number by rounding.
    a, b = xp.round(4 * x) / 4, xp.abs(xp.round(2 * y)) / 2 + 0.5
    results |= {name: getattr(xp, name)(a, b) for name in DIVISIONS}
    results |= {f"{name} of a negative": getattr(xp, name)(a, -b) for name in DIVISIONS}
    results["pow"] = xp.pow(xp.abs(x) + 0.5, y)
    results |= {
        "number -": number - x, "number /": number / x, "number *": number * y, "+ number": x + number,
        "number > ": number > x, "x ** number": (xp.abs(x) + 0.5) ** number, "number ** x": 2.0**y,
        "maximum of number": xp.maximum(x, number), "where": xp.where(x < y, x, y),
        "where of number": xp.where(x < y, number, y), "where of numbers": xp.where(x < y, 1.0, 0.0),
        "clip": xp.clip(x, -1.0, number), "clip below": xp.clip(x, min=y), "clip above": xp.clip(x, max=0.5),
        "logaddexp": xp.logaddexp(x, y), "only numbers": number * 2 + 1,
    }  # fmt: skip
    return results


@pytest.mark.parametrize(
    ("first", "second", "dtype"),
    [
        ((5, 40), (5, 40), "float32"),
        exhaustively((5, 1), (3,), "float32"),
        exhaustively((5, 1), (40,), "float64"),
        exhaustively((), (), "float64"),
    ],
    ids=str,
)
def test_functions_of_two_numbers(first: tuple[int, ...], second: tuple[int, ...], dtype: str) -> None:
    x, y = numbers(first, dtype), numbers(second, dtype, 1)
    check(binary, x, y, 0.75, ulps=8, scale=1)


@pytest.mark.parametrize("dtype", ["float32", exhaustively("float64")])
def test_special_numbers_in_pairs(dtype: str) -> None:
    def kernel(x: Any, y: Any) -> Results:
        xp = array_namespace(x)
        results = {name: getattr(xp, name)(x, y) for name in [*ARITHMETIC, *COMPARISONS]}
        high_low = {"clip": xp.clip(x, -1.0, 1.0), "where": xp.where(x > y, x, y), "!=": x != x}
        return results | high_low | {"logaddexp": xp.logaddexp(x, y)}

    numbers = np.array(SPECIAL, dtype)
    check(kernel, numbers[:, None], numbers)
    check(kernel, numbers, numbers[::-1])


WHOLE = ["abs", "negative", "sign", "ceil", "floor", "round", "trunc", "isfinite", "isinf", "isnan"]
WHOLE_PAIRS = [*["add", "subtract", "multiply", "maximum", "minimum"], *COMPARISONS]


def whole(x: Any, a: Any, b: Any, number: Any) -> Results:
    xp = array_namespace(x)
    signed = xp.isdtype(a.dtype, "signed integer")
    results = {name: getattr(xp, name)(a) for name in WHOLE if signed or name != "negative"}
    results |= {name: getattr(xp, name)(a, b) for name in [*WHOLE_PAIRS, *DIVISIONS, *LOGIC[3:]]}
    results |= {name: getattr(xp, name)(a, b) for name in SHIFTS}
    results |= {f"{name} by all": getattr(xp, name)(a, b * 16) for name in SHIFTS}
    results |= {"invert": ~a, "pow": b**2, "pow of arrays": (b % 3) ** (a % 3)}
    results |= {
        "+ 1": a + 1,
        "number": a * number,
        "where": xp.where(a < b, a, 3),
        "x": x + xp.astype(a, x.dtype),
    }
    results |= {
        f"astype {name}": xp.astype(a, getattr(xp, name)) for name in (*INTEGERS, *FLOAT_DTYPES, "bool")
    }
    results |= {f"{name}": getattr(xp, name)(a) for name in ("sum", "prod", "max", "min", "any", "all")}
    results |= {
        f"{name} -1": getattr(xp, name)(a, axis=-1) for name in ("sum", "max", "min", "argmax", "all")
    }
    results |= {f"{name} 0": getattr(xp, name)(a, axis=0) for name in ("sum", "max", "min", "argmin", "any")}
    results |= {"nonzero": xp.count_nonzero(a, axis=0), "to whole": xp.astype(x, a.dtype)}
    return results


@pytest.mark.parametrize("dtype", ["int8", *map(exhaustively, ("int64", "uint8", "uint32", "uint64"))])
@pytest.mark.parametrize("columns", [40, exhaustively(4)])
def test_integers(columns: int, dtype: str) -> None:
    random = np.random.default_rng(0)
    low = 0 if dtype.startswith("u") else -3
    shape = (5, columns)
    a, b = random.integers(low, 4, shape).astype(dtype), random.integers(1, 5, shape).astype(dtype)
    x = np.abs(numbers((5, 1), "float32"))
    check(whole, x, a, b, 2)


@pytest.mark.parametrize("sources", [("int8", "uint64"), exhaustively(INTEGERS)], ids=len)
def test_casts(sources: tuple[str, ...]) -> None:
    def kernel(x: Any, *arrays: Any) -> Results:
        xp = array_namespace(x)
        names = (*INTEGERS, *FLOAT_DTYPES, "bool")
        return {
            f"{i} to {name}": xp.astype(a, getattr(xp, name))
            for name in names
            for i, a in enumerate((x, *arrays))
        }

    wholes = [np.array([0, 1, 100], dtype) for dtype in sources]
    check(kernel, np.array([0.0, 1.75, 100.5], "float32"), np.array([0, -0.0, 3], "float64"), *wholes)


def test_sums_of_large_integers_are_exact() -> None:
    def kernel(x: Any, *arrays: Any) -> Results:
        xp = array_namespace(x)
        names = ("sum", "max", "min")
        return {f"{name} {i}": getattr(xp, name)(a) for i, a in enumerate(arrays) for name in names}

    large = [np.full(3, 2**60 + 1), np.full(3, 2**62 + 1, "uint64"), np.full(1, 2**63 + 1, "uint64")]
    check(kernel, np.zeros(3), *large)


@COLUMNS
def test_bools(columns: int) -> None:
    def kernel(x: Any, a: Any, b: Any) -> Results:
        xp = array_namespace(x)
        results = {name: getattr(xp, name)(a, b) for name in LOGIC}
        results |= {"not": xp.logical_not(a), "invert": ~a, "==": a == b, "!=": a != b, "&": a & (x > 0)}
        results |= {
            "float": xp.astype(a, x.dtype) * x,
            "int": xp.astype(a, xp.int64),
            "where": xp.where(a, x, -x),
        }
        results |= {"where of bools": xp.where(a, b, x > 0), "nonzero": xp.count_nonzero(a), "sum": xp.sum(a)}
        results |= {"number": a | True, "of numbers": xp.where(a, 1, 0), "sum 0": xp.sum(a, axis=0)}
        for axis in (0, 1, None):
            results |= {f"{n} {axis}": getattr(xp, n)(a, axis=axis) for n in ("any", "all", "count_nonzero")}
        return results

    random = np.random.default_rng(0)
    a, b = random.random((5, columns)) < 0.5, random.random((5, 1)) < 0.5
    check(kernel, numbers((5, columns), "float32"), a, b)
