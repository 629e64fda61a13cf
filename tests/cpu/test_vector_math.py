"""Each vector function against 30 digits and its own error bound, and that LLVM vectorises its loops."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

mpmath = pytest.importorskip("mpmath")

from compiled_text import compiled, memory_of, module_of, optimised  # noqa: E402
from onepass.backends.cpu.llvm import vector_math  # noqa: E402
from onepass.backends.cpu.llvm.values import Type  # noqa: E402
from onepass.backends.ir.dtypes import INT64, dtype_of  # noqa: E402

mp = mpmath.mp.clone()
mp.dps = 30
OPERATIONS = tuple(sorted({operation for operation, _ in vector_math.VECTOR_MATH}))
EVERY = tuple(vector_math.VECTOR_MATH)
EXACT: dict[str, Any] = {
    "exp": mp.exp,
    "exp_nonpositive": mp.exp,
    "exp2": lambda x: mp.power(2, x),
    "expm1": mp.expm1,
    "log": mp.log,
    "log10": lambda x: mp.log(x) / mp.log(10),
    "log1p": mp.log1p,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "tanh": mp.tanh,
}
# Where a formula changes, overflows, underflows or cancels.
BREAKPOINTS = (
    *(
        0.0,
        1e-45,
        2.0**-149,
        2.0**-126,
        2.0**-54,
        2.0**-26,
        2.0**-25,
        2.0**-24,
        2.0**-13,
        1e-4,
        0.17328679513998632,
    ),
    *(
        0.34657359027997264,
        0.5,
        0.5493061443340549,
        0.6931471805599453,
        0.7071067811865476,
        1.0,
        1.0397207708399179,
    ),
    *(1.4142135623730951, 2.0, 8.664339756999316, 9.0, 9.010913, 10.0, 17.0, 18.4, 19.1, 20.0, 36.7, 40.0),
    *(87.33654475055310, 88.02969193111305, 88.72283905206835, 89.5, 103.27892990343184, 103.97208, 105.0),
    *(
        126.0,
        127.0,
        128.0,
        129.0,
        149.0,
        150.0,
        151.0,
        708.3964185322641,
        709.0895657128241,
        709.782712893384,
    ),
    *(
        710.5,
        744.4400719213812,
        745.1332191019412,
        746.0,
        1021.5,
        1022.0,
        1023.0,
        1024.0,
        1025.0,
        1074.0,
        1075.0,
    ),
    *(1076.0, 2.0**24, 2.0**53, 2.0**64, 2.0**127, 3.4028235e38, 2.0**1023, 1.7976931348623157e308),
)


def by_numpy(operation: str) -> Any:
    return getattr(np, operation.removesuffix("_nonpositive"))


def taken(operation: str, x: np.ndarray) -> np.ndarray:
    """Those numbers of x that the operation takes."""
    return x[~(x > 0)] if operation == "exp_nonpositive" else x


def function_of(operation: str, dtype: str) -> Any:
    return getattr(vector_math, vector_math.VECTOR_MATH[operation, dtype])


# out[i] = f(x[i]) for n numbers, and behind them the sum of f(x[i] - shift).
LOOPS = """\
def loops(x, out, n, shift):
    for i in range(n):
        out[i] = FUNCTION(x[i])
    total = x[0] - x[0]
    for i in range(n):
        total = plus(total, FUNCTION(x[i] - shift))
    out[n] = total
"""


def loops_of(operation: str, dtype: str) -> tuple[str, str, tuple[Type, ...]]:
    """The text of the loops, its function, and the types of its arguments."""
    real = dtype_of(dtype)
    assert real is not None
    text = LOOPS.replace("FUNCTION", vector_math.VECTOR_MATH[operation, dtype])
    return text, "loops", (memory_of(dtype), memory_of(dtype), INT64, real)


@pytest.fixture(scope="module")
def loops() -> dict[tuple[str, str], Any]:
    made = {key: loops_of(*key) for key in EVERY}
    return {key: compiled(text, entry, *types) for key, (text, entry, types) in made.items()}


def evaluated(loop: Any, x: np.ndarray, shift: float = 0.0) -> tuple[np.ndarray, Any]:
    out = np.empty(x.size + 1, x.dtype)
    loop(x, out, x.size, shift)
    return out[:-1], out[-1]


def bound(operation: str, dtype: str) -> float:
    """The error that the docstring promises, in ulp."""
    return float(re.findall(rf"<= ([\d.]+) ulp in {dtype}", function_of(operation, dtype).__doc__)[0])


def around(numbers: np.ndarray, steps: int) -> np.ndarray:
    """The floats up to so many steps from each number, of both signs."""
    bits = numbers.view(f"i{numbers.itemsize}")[:, None] + np.arange(
        -steps, steps + 1, dtype=f"i{numbers.itemsize}"
    )
    near: np.ndarray = np.concatenate([bits.ravel().view(numbers.dtype), numbers])
    return np.concatenate([near, -near])


def breakpoints(dtype: str, steps: int) -> np.ndarray:
    numbers = np.array(BREAKPOINTS)
    return around(numbers[numbers <= np.finfo(dtype).max].astype(dtype), steps)


def errors_in_ulp(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Of float32 results, in units of the last place that float32 has where the exact result is."""
    last_place = np.ldexp(1.0, np.maximum(np.frexp(exact)[1] - 24, -149))
    return np.asarray(np.abs(got - exact) / last_place)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_float32_over_all_bit_patterns(operation: str, loops: dict[tuple[str, str], Any]) -> None:
    patterns = np.arange(0, 2**32, 997, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = taken(operation, np.concatenate([patterns, breakpoints("float32", 200)]))
    got, _ = evaluated(loops[operation, "float32"], x)
    with np.errstate(all="ignore"):
        exact = by_numpy(operation)(x.astype(np.float64))  # a rounding of float64 is nothing here
        rounded = exact.astype(np.float32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])
    np.testing.assert_array_equal(
        np.signbit(got), np.signbit(rounded) & ~np.isnan(rounded) | np.isnan(got) & np.signbit(got)
    )
    errors = errors_in_ulp(got[finite].astype(np.float64), exact[finite])
    assert errors.max() <= bound(operation, "float32"), x[finite][errors.argmax()]


def samples(operation: str) -> np.ndarray:
    """Numbers of every exponent, dense where results are not at a limit, and around each breakpoint."""
    random = np.random.default_rng(0)
    exponents = np.arange(-1074, 1024)
    wide = np.ldexp(1 + random.random((2, exponents.size)), exponents).ravel()
    narrow = (
        random.uniform(0.3, 2.2, 800),
        np.exp2(random.uniform(-60, 10.1, 800)),
        random.uniform(0, 20, 400),
    )
    x = np.concatenate([wide, -wide, breakpoints("float64", 2), *narrow, *(-part for part in narrow)])
    match operation:
        case "log" | "log2" | "log10":
            return np.asarray(x[x > 0])
        case "log1p":
            return np.concatenate([x[x > -1], np.nextafter(-1, 0) + np.arange(0, 3) * 2.0**-53])
        case _:
            return taken(operation, x[np.abs(x) < 1100])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_float64_against_high_precision(operation: str, loops: dict[tuple[str, str], Any]) -> None:
    x = samples(operation)
    results, _ = evaluated(loops[operation, "float64"], x)
    worst = (0.0, 0.0)
    for number, got in zip(x.tolist(), results.tolist(), strict=True):
        exact = EXACT[operation](mp.mpf(number))
        rounded = float(exact)
        assert np.signbit(got) == np.signbit(rounded if rounded or exact else number), number
        if np.isinf(rounded) or np.isinf(got):
            assert got == rounded, number
        else:
            last_place = mp.ldexp(1, max(mp.frexp(exact)[1] - 53, -1074))
            worst = max(worst, (float(abs(mp.mpf(got) - exact) / last_place), number))
    assert worst[0] <= bound(operation, "float64"), worst


LIMITS = {
    "exp": {np.inf: np.inf, -np.inf: 0.0, 0.0: 1.0, 1e30: np.inf, -1e30: 0.0},
    "exp_nonpositive": {-np.inf: 0.0, 0.0: 1.0, -1e30: 0.0},
    "exp2": {np.inf: np.inf, -np.inf: 0.0, 0.0: 1.0, 10.0: 1024.0, -3.0: 0.125, 1e30: np.inf, -1e30: 0.0},
    "expm1": {np.inf: np.inf, -np.inf: -1.0, 1e30: np.inf, -1e30: -1.0},
    "log": {np.inf: np.inf, -np.inf: np.nan, 0.0: -np.inf, 1.0: 0.0, -1e-45: np.nan, -2.0: np.nan},
    "log10": {np.inf: np.inf, -np.inf: np.nan, 0.0: -np.inf, 1.0: 0.0, -1e-45: np.nan, 100.0: 2.0},
    "log1p": {np.inf: np.inf, -np.inf: np.nan, -1.0: -np.inf, -1.0000001: np.nan, -1e30: np.nan},
    "log2": {
        np.inf: np.inf,
        -np.inf: np.nan,
        0.0: -np.inf,
        1.0: 0.0,
        -1e-45: np.nan,
        1024.0: 10.0,
        2.0**-140: -140.0,
    },
    "tanh": {np.inf: 1.0, -np.inf: -1.0, 1e30: 1.0, -1e30: -1.0},
}


@pytest.mark.parametrize(("operation", "dtype"), EVERY)
def test_limits_zeros_and_nan(operation: str, dtype: str, loops: dict[tuple[str, str], Any]) -> None:
    cases = LIMITS[operation]
    zero_of_zero = (-0.0, 0.0) if operation in ("expm1", "log1p", "tanh") else ()
    # The quiet one, its negative, a signalling one and the one of all bits.
    width, mantissa = (63, 52) if dtype == "float64" else (31, 23)
    quiet = (1 << width) - (1 << (mantissa - 1))
    not_numbers = np.array(
        [quiet, quiet - (1 << width), 2 * quiet - (1 << width) + 1, (1 << width) - 1], f"i{(width + 1) // 8}"
    )
    x = np.concatenate([np.array([*cases, *zero_of_zero], dtype), not_numbers.view(dtype)])
    expected = np.concatenate([np.array([*cases.values(), *zero_of_zero], dtype), np.full(4, np.nan, dtype)])
    got, _ = evaluated(loops[operation, dtype], x)
    np.testing.assert_array_equal(got, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize(("operation", "dtype"), EVERY)
def test_inside_a_sum(operation: str, dtype: str, loops: dict[tuple[str, str], Any]) -> None:
    shift = 4.0 if operation == "exp_nonpositive" else -0.5
    x = np.linspace(0.1, 3, 1001).astype(dtype)
    _, total = evaluated(loops[operation, dtype], x, shift)
    expected = by_numpy(operation)(x.astype(np.float64) - shift).sum()
    np.testing.assert_allclose(total, expected, rtol=float(200 * np.finfo(dtype).eps))


@pytest.mark.parametrize(("operation", "dtype"), EVERY)
def test_llvm_vectorises(operation: str, dtype: str) -> None:
    text, entry, types = loops_of(operation, dtype)
    done = optimised(module_of(text, entry, *types))
    kind = {"float32": "float", "float64": "double"}[dtype]
    bodies = re.findall(r"^vector\.body[^\n]*:.*?\n\n", done, re.MULTILINE | re.DOTALL)
    assert len(bodies) == 2, done
    for body in bodies:
        assert re.search(rf"fmul [a-z ]*<\d+ x {kind}>", body), body
    called = re.findall(r"\bcall [^@\n]*@([\w.]+)", done)
    assert all(name.startswith("llvm.") for name in called), called
    if dtype == "float32":
        assert "double" not in done


@pytest.mark.parametrize(("operation", "dtype"), EVERY)
def test_the_flags_of_a_function_stay_inside(operation: str, dtype: str) -> None:
    """Contraction is for the terms of a function, and not for the loop that calls it."""
    _, entry, types = loops_of(operation, dtype)
    text = LOOPS.replace("FUNCTION(x[i])", "FUNCTION(x[i]) * x[i] + x[i]").replace(
        "FUNCTION", vector_math.VECTOR_MATH[operation, dtype]
    )
    module = module_of(text, entry, *types)
    assert "fmul contract" in module
    kind = {"float32": "float", "float64": "double"}[dtype]
    (product,) = re.findall(rf"(%v\.\d+) = fmul {kind}", module)
    assert re.search(rf"= fadd {kind} {product}, ", module)
