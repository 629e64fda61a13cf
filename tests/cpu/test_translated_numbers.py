"""Operators, casts and functions of the language of emitted programs against NumPy, for every dtype."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiled_text import elementwise

SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
FLOATS = ("float32", "float64")
EVERY = (*INTEGERS, *FLOATS, "bool")


def edges(dtype: str) -> Any:
    """Numbers of a dtype: its limits, those around zero, and others."""
    kind = np.dtype(dtype)
    if dtype == "bool":
        return np.array([False, True])
    if kind.kind == "f":
        tiny, most = np.finfo(kind).smallest_subnormal, np.finfo(kind).max
        sizes = [0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 7.25, 1e10, 1e30, float(tiny), float(most), np.inf]
        return np.array([*sizes, *(-size for size in sizes), np.nan], kind)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    numbers = [low, low + 1, low // 3, -100, -7, -2, -1, 0, 1, 2, 3, 7, 100, high // 3, high - 1, high]
    return np.array([number for number in numbers if low <= number <= high], kind)


def all_pairs(dtype: str) -> tuple[Any, Any]:
    x, y = np.meshgrid(edges(dtype), edges(dtype))
    return x.ravel(), y.ravel()


def same(got: Any, expected: Any, *operands: Any) -> None:
    """The same values, NaN for NaN, and the same signs of zeros."""
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected, err_msg=str(operands))
    if got.dtype.kind == "f":
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(expected)[numbers])


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "x + y": np.add,
    "x - y": np.subtract,
    "x * y": np.multiply,
    "x // y": np.floor_divide,
    "x % y": np.remainder,
}


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
@pytest.mark.parametrize("expression", ARITHMETIC)
def test_arithmetic(expression: str, dtype: str) -> None:
    x, y = all_pairs(dtype)
    with np.errstate(all="ignore"):
        expected = ARITHMETIC[expression](x, y)
    same(elementwise(expression, dtype, x=dtype, y=dtype)(x=x, y=y), expected, x, y)


@pytest.mark.parametrize("dtype", FLOATS)
def test_quotients_of_many_floats(dtype: str) -> None:
    random = np.random.default_rng(0)
    x, y = (random.standard_normal(20_000) * 10.0 ** random.integers(-5, 6, 20_000) for _ in range(2))
    x, y = x.astype(dtype), y.astype(dtype)
    x[::7] = y[::7] * random.integers(-9, 9, x[::7].size).astype(dtype)
    same(elementwise("x // y", dtype, x=dtype, y=dtype)(x=x, y=y), x // y)
    same(elementwise("x % y", dtype, x=dtype, y=dtype)(x=x, y=y), x % y)
    same(elementwise("x / y", dtype, x=dtype, y=dtype)(x=x, y=y), x / y)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "bool"])
def test_true_division(dtype: str) -> None:
    x, y = all_pairs(dtype)
    result = dtype if dtype in FLOATS else "float64"
    with np.errstate(all="ignore"):
        expected = x.astype(result) / y.astype(result)
    same(elementwise("x / y", result, x=dtype, y=dtype)(x=x, y=y), expected)


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "==", "!="])
def test_comparisons(operator: str, dtype: str) -> None:
    x, y = all_pairs(dtype)
    expected = eval(f"x {operator} y", {"x": x, "y": y})
    same(elementwise(f"x {operator} y", "bool", x=dtype, y=dtype)(x=x, y=y), expected)


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
@pytest.mark.parametrize("operator", ["&", "|", "^"])
def test_bits(operator: str, dtype: str) -> None:
    x, y = all_pairs(dtype)
    expected = eval(f"x {operator} y", {"x": x, "y": y})
    same(elementwise(f"x {operator} y", dtype, x=dtype, y=dtype)(x=x, y=y), expected)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("operator", ["<<", ">>"])
def test_shifts_by_any_count(operator: str, dtype: str) -> None:
    width = 8 * np.dtype(dtype).itemsize
    counts = np.array([0, 1, 3, width - 1, width, width + 1, 100], dtype)
    x, y = (array.ravel() for array in np.meshgrid(edges(dtype), counts))
    expected = eval(f"x {operator} y", {"x": x, "y": y})
    same(elementwise(f"x {operator} y", dtype, x=dtype, y=dtype)(x=x, y=y), expected)
    for constant in (0, 1, width - 1, width, 100):
        expected = eval(f"x {operator} y", {"x": x, "y": np.array(constant, dtype)})
        same(elementwise(f"x {operator} {constant}", dtype, x=dtype)(x=x), expected)


def test_a_shift_of_a_number_in_the_text() -> None:
    x = np.arange(63)
    same(elementwise("1 << x", "int64", x="int64")(x=x), 1 << x)
    same(elementwise("-1000 >> x", "int64", x="int64")(x=x), -1000 >> x)
    same(elementwise("6 & x | 1 ^ x", "int64", x="int64")(x=x), 6 & x | 1 ^ x)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_signs(dtype: str) -> None:
    x = edges(dtype)
    with np.errstate(all="ignore"):
        same(elementwise("-x", dtype, x=dtype)(x=x), -x)
        same(elementwise("abs(x)", dtype, x=dtype)(x=x), np.abs(x))
    if dtype in INTEGERS:
        same(elementwise("~x", dtype, x=dtype)(x=x), ~x)


@pytest.mark.parametrize("dtype", EVERY)
def test_not(dtype: str) -> None:
    x = edges(dtype)
    same(elementwise("not x", "bool", x=dtype)(x=x), np.logical_not(x))


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize("name", ["min", "max"])
def test_min_and_max_are_python_s(name: str, dtype: str) -> None:
    x, y = all_pairs(dtype)
    choose = {"min": min, "max": max}[name]
    expected = np.array([choose(a, b) for a, b in zip(x, y, strict=True)], dtype)
    same(elementwise(f"{name}(x, y)", dtype, x=dtype, y=dtype)(x=x, y=y), expected)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_powers(dtype: str) -> None:
    x, y = (array.ravel() for array in np.meshgrid(edges(dtype), np.array([0, 1, 2, 3, 5, 62, 63], dtype)))
    same(elementwise("x ** y", dtype, x=dtype, y=dtype)(x=x, y=y), x**y)
    same(elementwise("x ** 3", dtype, x=dtype)(x=x), x**3)


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_powers(dtype: str) -> None:
    x, y = all_pairs(dtype)
    with np.errstate(all="ignore"):
        got, expected = elementwise("x ** y", dtype, x=dtype, y=dtype)(x=x, y=y), x**y
        np.testing.assert_allclose(got, expected, rtol=float(2 * np.finfo(dtype).eps))
        same(elementwise("x ** 2", dtype, x=dtype)(x=x), x * x)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(EVERY, EVERY)))
def test_casts(old: str, new: str) -> None:
    x = edges(old)
    if old in FLOATS and new in INTEGERS:
        # Of other numbers neither LLVM nor NumPy says what becomes of them.
        inside = (np.trunc(x.astype("float64")) >= np.iinfo(new).min) & (
            x.astype("float64") < np.iinfo(new).max
        )
        x = np.concatenate([x[inside], np.array([0.99, 1.99, 126.7], old)])
    with np.errstate(all="ignore"):
        expected = x.astype(new)
    name = "bool_" if new == "bool" else new
    same(elementwise(f"{name}(x)", new, x=old)(x=x), expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_an_index_of_a_float_stays_inside_after_it_was_clamped(dtype: str) -> None:
    x = edges(dtype)
    got = elementwise("min(max(int64(x), 0), 9)", "int64", x=dtype)(x=x)
    assert got.min() >= 0
    assert got.max() <= 9
    np.testing.assert_array_equal(got[(x >= 0) & (x < 9)], x[(x >= 0) & (x < 9)].astype("int64"))


def test_arithmetic_with_bools() -> None:
    x, y = all_pairs("bool")
    wide_x, wide_y = x.astype("int64"), y.astype("int64")
    for operator in ("+", "-", "*"):
        expected = eval(f"x {operator} y", {"x": wide_x, "y": wide_y})
        same(elementwise(f"x {operator} y", "int64", x="bool", y="bool")(x=x, y=y), expected)
    same(
        elementwise("x // y", "int64", x="bool", y="bool")(x=x, y=y), wide_x // np.maximum(wide_y, 1) * wide_y
    )
    same(elementwise("x << y", "int64", x="bool", y="bool")(x=x, y=y), wide_x << wide_y)
    same(elementwise("x ** y", "int64", x="bool", y="bool")(x=x, y=y), wide_x**wide_y)
    same(elementwise("x + 2", "int64", x="bool")(x=x), wide_x + 2)
    same(elementwise("x * 0.5", "float64", x="bool")(x=x), wide_x * 0.5)
    same(elementwise("-x", "int64", x="bool")(x=x), -wide_x)
    same(elementwise("x + (y > 100)", "uint8", x="uint8", y="int8")(x=[7, 8], y=[101, 3]), np.uint8([8, 8]))


@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_in_the_text_take_the_dtype_of_the_other_operand(dtype: str) -> None:
    x = edges(dtype)
    with np.errstate(all="ignore"):
        same(elementwise("0.1 * x + 1", dtype, x=dtype)(x=x), np.dtype(dtype).type(0.1) * x + 1)
        same(elementwise("1 / x - inf", dtype, x=dtype)(x=x), 1 / x - np.inf)
    same(
        elementwise("float32(0.1) * float32(x)", "float32", x=dtype)(x=[3.0]),
        np.float32([0.1]) * np.float32(3),
    )


def test_limits_in_the_text() -> None:
    x = np.zeros(1, "int64")
    for dtype in INTEGERS:
        for number in (np.iinfo(dtype).min, np.iinfo(dtype).max):
            same(elementwise(f"{dtype}({number})", dtype, x="int64")(x=x), np.array([number], dtype))
    for number in (np.inf, -np.inf, np.nan, -0.0, 1e-310):
        text = f"float64({number})"
        same(elementwise(text, "float64", x="int64")(x=x), np.array([number]))


@pytest.mark.parametrize("dtype", EVERY)
def test_conditional_expressions(dtype: str) -> None:
    x, y = all_pairs(dtype)
    same(elementwise("x if x < y else y", dtype, x=dtype, y=dtype)(x=x, y=y), np.where(x < y, x, y))
    condition = x < y
    got = elementwise("select(c, x, y)", dtype, c="bool", x=dtype, y=dtype)(c=condition, x=x, y=y)
    same(got, np.where(condition, x, y))
    same(elementwise("2 if x < y else -3", "int64", x=dtype, y=dtype)(x=x, y=y), np.where(x < y, 2, -3))


def test_and_or_and_longer_chains() -> None:
    a, b, c = (array.ravel() for array in np.meshgrid([False, True], [False, True], [False, True]))
    dtypes = {"a": "bool", "b": "bool", "c": "bool"}
    same(elementwise("a and b and c", "bool", **dtypes)(a=a, b=b, c=c), a & b & c)
    same(elementwise("a or b or c", "bool", **dtypes)(a=a, b=b, c=c), a | b | c)
    same(elementwise("a or b and not c", "bool", **dtypes)(a=a, b=b, c=c), a | b & ~c)
    same(elementwise("True and a or b", "bool", **dtypes)(a=a, b=b, c=c), a | b)


ONE_FLOAT: dict[str, Callable[..., Any]] = {
    "nearest": np.rint,
    "ceil": np.ceil,
    "floor": np.floor,
    "trunc": np.trunc,
    "fabs": np.fabs,
    "sqrt": np.sqrt,
}
TWO_FLOATS: dict[str, Callable[..., Any]] = {
    "maximum": np.maximum,
    "minimum": np.minimum,
    "copysign": np.copysign,
    "plus": np.add,
    "times": np.multiply,
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ONE_FLOAT)
def test_functions_of_a_float(name: str, dtype: str) -> None:
    x = edges(dtype)
    with np.errstate(all="ignore"):
        same(elementwise(f"{name}(x)", dtype, x=dtype)(x=x), ONE_FLOAT[name](x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", TWO_FLOATS)
def test_functions_of_two_floats(name: str, dtype: str) -> None:
    x, y = all_pairs(dtype)
    with np.errstate(all="ignore"):
        expected = TWO_FLOATS[name](x, y)
    if name in ("maximum", "minimum"):
        # Zeros are in order here: which of two NumPy takes depends on their places.
        zeros = (x == 0) & (y == 0)
        either = np.signbit(x) & np.signbit(y) if name == "maximum" else np.signbit(x) | np.signbit(y)
        expected[zeros] = np.where(either, -0.0, 0.0)[zeros]
    same(elementwise(f"{name}(x, y)", dtype, x=dtype, y=dtype)(x=x, y=y), expected)


OF_MATH = {
    **{name: getattr(np, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "atan", "asinh")},
    **{name: getattr(np, name) for name in ("asin", "acos", "acosh", "atanh")},
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", OF_MATH)
def test_functions_of_the_c_library(name: str, dtype: str) -> None:
    x = np.concatenate([np.linspace(-0.99, 0.99, 33), np.linspace(1, 3, 9), [np.inf, np.nan]]).astype(dtype)
    with np.errstate(all="ignore"):
        expected = OF_MATH[name](x)
    got = elementwise(f"math.{name}(x)", dtype, x=dtype)(x=x)
    np.testing.assert_allclose(got, expected, rtol=float(8 * np.finfo(dtype).eps), atol=1e-30)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "function"), [("atan2", np.arctan2), ("hypot", np.hypot)])
def test_functions_of_the_c_library_of_two_numbers(name: str, function: Any, dtype: str) -> None:
    x, y = all_pairs(dtype)
    with np.errstate(all="ignore"):
        expected = function(x, y)
    got = elementwise(f"math.{name}(x, y)", dtype, x=dtype, y=dtype)(x=x, y=y)
    np.testing.assert_allclose(got, expected, rtol=float(4 * np.finfo(dtype).eps), atol=0)
