"""All calls of the Python array API standard 2024.12 as test cases with small arrays.

`CASES` holds the calls whose shapes follow from the shapes of the arguments. `VALUE_DEPENDENT` holds calls
whose shape or control flow depends on values, and calls with complex numbers. All run with plain NumPy.
"""

import itertools
import math
import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

Body = Callable[..., Any]
Shape = tuple[int, ...]

SEED = 2024
FLOATS = ("float32", "float64")
INTEGERS = ("int32", "int64", "uint8")
SHAPES: dict[str, Shape] = {"1d": (5,), "2d": (4, 6), "3d": (3, 4, 5)}
SHAPES_WITH_ONES: dict[str, Shape] = {"0d": (), "1d one": (1,), "2d one": (4, 1), "3d ones": (1, 4, 1)}
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
SPECIAL_VALUES = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -1.5, 2.5, 1e-30, -7.25)


class Case(NamedTuple):
    """A function of arrays, arrays to call it with, and the error that is allowed in floats."""

    name: str
    function: Callable[..., Any]  # takes arrays only; returns an array or a tuple of arrays
    arrays: tuple[np.ndarray, ...]
    tolerance: float = TOLERANCES["float64"]  # relative to the largest finite element of each result


def case(name: str, body: Body, *arrays: np.ndarray, tolerance: float | None = None) -> Case:
    """Make the case that calls `body(xp, *arrays)`.

    The default tolerance is the one of float32 if an array has this dtype, and the one of float64 otherwise.
    """

    def function(*arrays: Any) -> Any:
        result = body(array_namespace(arrays[0]), *arrays)
        return tuple(result) if isinstance(result, list | tuple) else result

    function.__name__ = function.__qualname__ = "case_" + "".join(c if c.isalnum() else "_" for c in name)
    if tolerance is None:
        single = any(array.dtype == np.float32 for array in arrays)
        tolerance = TOLERANCES["float32" if single else "float64"]
    return Case(name, function, arrays, tolerance)


def call(name: str, *after: Any, **options: Any) -> Body:
    """Body that calls the function `name` of the namespace, with `after` and `options` behind the arrays.

    The name may have dots ("linalg.det"). The option `dtype` is the name of a dtype.
    """

    def body(xp: Any, *arrays: Any) -> Any:
        keywords = {key: getattr(xp, value) if key == "dtype" else value for key, value in options.items()}
        return operator.attrgetter(name)(xp)(*arrays, *after, **keywords)

    return body


def described(**options: Any) -> str:
    """Text of the options that are set, for the name of a case."""
    return "".join(f" {name}={value}" for name, value in options.items())


def generator(shape: Shape, seed: int) -> np.random.Generator:
    """Random numbers that depend only on the shape and the seed, not on the cases made before."""
    return np.random.default_rng((SEED, seed, *shape))


def floats(
    shape: Shape, dtype: str = "float64", low: float = -3.0, high: float = 3.0, seed: int = 0
) -> np.ndarray:
    """Uniform numbers of a float dtype."""
    return np.asarray(generator(shape, seed).uniform(low, high, shape)).astype(dtype)


def integers(shape: Shape, dtype: str = "int64", seed: int = 0) -> np.ndarray:
    """Uniform numbers of an integer dtype: small ones with ties, or the whole range of uint8."""
    low, high = (0, 256) if dtype == "uint8" else (-9, 10)
    return np.asarray(generator(shape, seed).integers(low, high, shape)).astype(dtype)


def nonzero_integers(shape: Shape, dtype: str = "int64", seed: int = 0) -> np.ndarray:
    """Small divisors, of both signs where the dtype has them."""
    choices = [1, 2, 3, 7] if dtype == "uint8" else [-5, -3, -1, 1, 2, 3]
    return np.asarray(generator(shape, seed).choice(choices, shape)).astype(dtype)


def counts(shape: Shape, dtype: str = "int64", seed: int = 0) -> np.ndarray:
    """Numbers from 0 to 4: exponents, shifts, positions."""
    return np.asarray(generator(shape, seed).integers(0, 5, shape)).astype(dtype)


def booleans(shape: Shape, seed: int = 0) -> np.ndarray:
    """Random truth values."""
    return np.asarray(generator(shape, seed).random(shape) < 0.5)


def values(shape: Shape, dtype: str, seed: int = 0) -> np.ndarray:
    """Random elements of any dtype."""
    if dtype == "bool":
        return booleans(shape, seed)
    return floats(shape, dtype, seed=seed) if dtype in FLOATS else integers(shape, dtype, seed)


def axes_of(ndim: int) -> list[int | tuple[int, ...] | None]:
    """All of None, the single axes, -1, and the tuples of two or more axes."""
    several = [axes for size in range(2, ndim + 1) for axes in itertools.combinations(range(ndim), size)]
    return [None, *range(ndim), -1, *several]


UNARY_OF_FLOATS: dict[str, tuple[float, float]] = {  # name: domain
    "abs": (-3, 3),
    "acos": (-0.9, 0.9),
    "acosh": (1.1, 4),
    "asin": (-0.9, 0.9),
    "asinh": (-3, 3),
    "atan": (-3, 3),
    "atanh": (-0.9, 0.9),
    "ceil": (-3, 3),
    "conj": (-3, 3),
    "cos": (-3, 3),
    "cosh": (-3, 3),
    "exp": (-3, 3),
    "expm1": (-1, 1),
    "floor": (-3, 3),
    "isfinite": (-3, 3),
    "isinf": (-3, 3),
    "isnan": (-3, 3),
    "log": (0.1, 5),
    "log1p": (-0.5, 2),
    "log2": (0.1, 5),
    "log10": (0.1, 5),
    "negative": (-3, 3),
    "positive": (-3, 3),
    "real": (-3, 3),
    "reciprocal": (0.5, 3),
    "round": (-3, 3),
    "sign": (-3, 3),
    "signbit": (-3, 3),
    "sin": (-3, 3),
    "sinh": (-3, 3),
    "sqrt": (0, 5),
    "square": (-3, 3),
    "tan": (-1.2, 1.2),
    "tanh": (-3, 3),
    "trunc": (-3, 3),
}
UNARY_OF_INTEGERS = (
    *("abs", "bitwise_invert", "ceil", "conj", "floor", "isfinite", "isinf", "isnan", "negative", "positive"),
    *("real", "round", "sign", "square", "trunc"),
)
UNARY_OF_BOOLEANS = ("bitwise_invert", "logical_not", "isfinite", "isnan")

BINARY_OF_FLOATS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {  # name: domains
    "add": ((-3, 3), (-3, 3)),
    "atan2": ((-3, 3), (-3, 3)),
    "copysign": ((-3, 3), (-3, 3)),
    "divide": ((-3, 3), (0.5, 3)),
    "equal": ((-3, 3), (-3, 3)),
    "floor_divide": ((-9, 9), (0.5, 3)),
    "greater": ((-3, 3), (-3, 3)),
    "greater_equal": ((-3, 3), (-3, 3)),
    "hypot": ((-3, 3), (-3, 3)),
    "less": ((-3, 3), (-3, 3)),
    "less_equal": ((-3, 3), (-3, 3)),
    "logaddexp": ((-3, 3), (-3, 3)),
    "maximum": ((-3, 3), (-3, 3)),
    "minimum": ((-3, 3), (-3, 3)),
    "multiply": ((-3, 3), (-3, 3)),
    "nextafter": ((-3, 3), (-3, 3)),
    "not_equal": ((-3, 3), (-3, 3)),
    "pow": ((0.2, 3), (-2, 2)),
    "remainder": ((-9, 9), (-3, -0.5)),
    "subtract": ((-3, 3), (-3, 3)),
}
BINARY_OF_INTEGERS: dict[str, Callable[[Shape, str, int], np.ndarray]] = {  # name: maker of the second array
    "add": integers,
    "bitwise_and": integers,
    "bitwise_left_shift": counts,
    "bitwise_or": integers,
    "bitwise_right_shift": counts,
    "bitwise_xor": integers,
    "divide": nonzero_integers,
    "equal": integers,
    "floor_divide": nonzero_integers,
    "greater": integers,
    "greater_equal": integers,
    "less": integers,
    "less_equal": integers,
    "maximum": integers,
    "minimum": integers,
    "multiply": integers,
    "not_equal": integers,
    "pow": counts,
    "remainder": nonzero_integers,
    "subtract": integers,
}
BINARY_OF_BOOLEANS = (
    *("bitwise_and", "bitwise_or", "bitwise_xor", "equal", "logical_and", "logical_or", "logical_xor"),
    *("less", "maximum", "not_equal"),
)
MIXED_DTYPES = (
    *(("float32", "float64"), ("int32", "float32"), ("int64", "float32"), ("int64", "float64")),
    *(("uint8", "float32"), ("bool", "float32"), ("bool", "float64"), ("float64", "bool")),
    *(("int32", "int64"), ("uint8", "int32"), ("uint8", "int64"), ("bool", "int64"), ("bool", "uint8")),
)
BROADCAST_SHAPES: tuple[tuple[Shape, Shape], ...] = (
    *(((6,), (4, 6)), ((4, 1), (4, 6)), ((4, 1), (1, 6)), ((1,), (4, 6)), ((), (4, 6))),
    *(((5,), (3, 4, 5)), ((4, 5), (3, 4, 5)), ((3, 1, 1), (3, 4, 5)), ((3, 1, 5), (4, 1)), ((), (3, 4, 5))),
    *(((1, 4, 1), (3, 1, 5)), ((3, 4, 1), (5,))),
)


def elementwise() -> Iterator[Case]:
    """Element-wise functions of arrays of one dtype, of mixed dtypes, and of arrays and Python scalars."""
    for (name, (low, high)), dtype in itertools.product(UNARY_OF_FLOATS.items(), FLOATS):
        for dims, shape in SHAPES.items():
            yield case(f"{name} {dims} {dtype}", call(name), floats(shape, dtype, low, high))
        yield case(f"{name} special {dtype}", call(name), np.array(SPECIAL_VALUES, dtype))
    for name, (dims, shape) in itertools.product(("exp", "floor", "isnan"), SHAPES_WITH_ONES.items()):
        yield case(f"{name} {dims} float64", call(name), floats(shape))
    for name, dtype in itertools.product(UNARY_OF_INTEGERS, INTEGERS):
        yield case(f"{name} 2d {dtype}", call(name), integers((4, 6), dtype))
    for name, (dims, shape) in itertools.product(("bitwise_invert", "sign", "square"), SHAPES.items()):
        yield case(f"{name} {dims} int64 alone", call(name), integers(shape))
    for name, (dims, shape) in itertools.product(UNARY_OF_BOOLEANS, SHAPES.items()):
        yield case(f"{name} {dims} bool", call(name), booleans(shape))
    for name, dtype in itertools.product(("exp", "sqrt", "tanh"), ("int32", "int64")):
        yield case(f"{name} 2d {dtype} to float", call(name), counts((4, 6), dtype))

    for (name, domains), dtype in itertools.product(BINARY_OF_FLOATS.items(), FLOATS):
        for dims, shape in SHAPES.items():
            inputs = (floats(shape, dtype, *domain, seed=seed) for seed, domain in enumerate(domains))
            yield case(f"{name} {dims} {dtype}", call(name), *inputs)
        special = np.array(list(itertools.product(SPECIAL_VALUES, repeat=2)), dtype)
        yield case(f"{name} special {dtype}", call(name), special[:, 0], special[:, 1])
    for (name, maker), dtype in itertools.product(BINARY_OF_INTEGERS.items(), INTEGERS):
        if name == "divide" and dtype == "uint8":
            continue  # float16 in NumPy
        yield case(f"{name} 2d {dtype}", call(name), integers((4, 6), dtype), maker((4, 6), dtype, 1))
    for name, (dims, shape) in itertools.product(
        ("add", "bitwise_xor", "less", "floor_divide"), SHAPES.items()
    ):
        yield case(
            f"{name} {dims} int32 alone",
            call(name),
            integers(shape, "int32"),
            nonzero_integers(shape, "int32", 1),
        )
    for name, (dims, shape) in itertools.product(BINARY_OF_BOOLEANS, SHAPES.items()):
        yield case(f"{name} {dims} bool", call(name), booleans(shape), booleans(shape, 1))
    for name, (first, second) in itertools.product(("add", "multiply", "maximum", "less"), MIXED_DTYPES):
        pair = (values((4, 6), first), values((4, 6), second, 1))
        yield case(f"{name} {first} with {second}", call(name), *pair)
    for first, second in MIXED_DTYPES[:8]:
        pair = (values((3, 1, 5), first), values((4, 1), second, 1))
        yield case(f"multiply 3d broadcast {first} with {second}", call("multiply"), *pair)
    for name, (shape, other) in itertools.product(("subtract", "atan2", "less_equal"), BROADCAST_SHAPES):
        yield case(f"{name} broadcast {shape} {other}", call(name), floats(shape), floats(other, seed=1))
    for shape, other in BROADCAST_SHAPES[::3]:
        pair = (integers(shape, "int32"), integers(other, "int32", 1))
        yield case(f"add broadcast {shape} {other} int32", call("add"), *pair)

    for name, dtype in itertools.product(
        ("add", "subtract", "divide", "maximum", "pow", "atan2", "less"), FLOATS
    ):
        x = floats((4, 6), dtype, 0.2, 3)
        yield case(f"{name} array, scalar {dtype}", call(name, 2.5), x)
        yield case(f"{name} scalar, array {dtype}", lambda xp, x, name=name: getattr(xp, name)(2, x), x)
    for name in ("add", "multiply", "minimum", "bitwise_and", "floor_divide", "equal"):
        yield case(f"{name} array, scalar int32", call(name, 3), integers((4, 6), "int32"))
    for dims, shape in SHAPES.items():
        for dtype in FLOATS:
            x = floats(shape, dtype)
            yield case(f"clip min max {dims} {dtype}", call("clip", -1.0, 1.0), x)
            yield case(
                f"clip arrays {dims} {dtype}",
                lambda xp, x, low, high: xp.clip(x, low, high),
                x,
                floats(shape, dtype, -2, 0, seed=1),
                floats(shape[-1:], dtype, 0, 2, seed=2),
            )
        yield case(f"clip min {dims}", lambda xp, x: xp.clip(x, min=0.5), floats(shape))
        yield case(f"clip max {dims}", lambda xp, x: xp.clip(x, max=0.5), floats(shape))
        yield case(f"clip {dims} int32", call("clip", -2, 3), integers(shape, "int32"))


BINARY_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
BITWISE_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<<": operator.lshift,
    ">>": operator.rshift,
}
IN_PLACE_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+=": operator.iadd,
    "-=": operator.isub,
    "*=": operator.imul,
    "/=": operator.itruediv,
    "//=": operator.ifloordiv,
    "%=": operator.imod,
    "**=": operator.ipow,
}
IN_PLACE_BITWISE_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "&=": operator.iand,
    "|=": operator.ior,
    "^=": operator.ixor,
    "<<=": operator.ilshift,
    ">>=": operator.irshift,
}
UNARY_OPERATORS: dict[str, Callable[[Any], Any]] = {
    "-x": operator.neg,
    "+x": operator.pos,
    "abs(x)": operator.abs,
}


def applied(function: Callable[..., Any]) -> Body:
    """Body that applies a function to the arrays alone."""
    return lambda xp, *arrays: function(*arrays)


def on_new_array(function: Callable[[Any, Any], Any]) -> Body:
    """Body that applies an operator in place to a new array."""
    return lambda xp, x, y: function(x + 1, y)


def operators() -> Iterator[Case]:
    """Operators and attributes of arrays."""
    for (sign, function), (dims, shape) in itertools.product(BINARY_OPERATORS.items(), SHAPES.items()):
        for dtype in FLOATS:
            pair = (floats(shape, dtype, 0.5, 4), floats(shape, dtype, 0.5, 2, seed=1))
            yield case(f"x {sign} y {dims} {dtype}", applied(function), *pair)
        yield case(
            f"x {sign} 2.5 {dims}", lambda xp, x, f=function: f(x, 2.5), floats(shape, "float32", 0.5, 4)
        )
        yield case(f"2 {sign} x {dims}", lambda xp, x, f=function: f(2, x), floats(shape, "float32", 0.5, 4))
    for (sign, function), dtype in itertools.product(
        (BINARY_OPERATORS | BITWISE_OPERATORS).items(), INTEGERS
    ):
        if sign == "/" and dtype == "uint8":
            continue  # float16 in NumPy
        maker = counts if sign in ("**", "<<", ">>") else nonzero_integers
        pair = (integers((4, 6), dtype), maker((4, 6), dtype, 1))
        yield case(f"x {sign} y 2d {dtype}", applied(function), *pair)
        yield case(f"x {sign} 2 2d {dtype}", lambda xp, x, f=function: f(x, 2), pair[0])
        yield case(f"3 {sign} y 2d {dtype}", lambda xp, y, f=function: f(3, y), pair[1])
    for sign in ("&", "|", "^", "==", "!="):
        function = (BINARY_OPERATORS | BITWISE_OPERATORS)[sign]
        for dims, shape in SHAPES.items():
            yield case(f"x {sign} y {dims} bool", applied(function), booleans(shape), booleans(shape, 1))
        yield case(f"x {sign} True 2d bool", lambda xp, x, f=function: f(x, True), booleans((4, 6)))
    for (text, function), dtype in itertools.product(UNARY_OPERATORS.items(), (*FLOATS, *INTEGERS)):
        yield case(f"{text} 3d {dtype}", applied(function), values((3, 4, 5), dtype))
    for dtype in (*INTEGERS, "bool"):
        yield case(f"~x 2d {dtype}", applied(operator.invert), values((4, 6), dtype))
    for dtype in INTEGERS[:2]:
        yield case(f"x * 0.5 2d {dtype}", lambda xp, x: x * 0.5, integers((4, 6), dtype))

    for sign, function in IN_PLACE_OPERATORS.items():
        body = on_new_array(function)
        for dims, shape in SHAPES.items():
            yield case(
                f"x {sign} y {dims}", body, floats(shape, "float64", 0.5, 4), floats(shape, low=0.5, seed=1)
            )
        if sign != "/=":
            yield case(f"x {sign} y int64", body, integers((4, 6)), counts((6,), seed=1) + 1)
    for sign, function in IN_PLACE_BITWISE_OPERATORS.items():
        body = on_new_array(function)
        yield case(f"x {sign} y int32", body, integers((4, 6), "int32"), counts((6,), "int32", 1))

    for dtype in (*FLOATS, "int64", "bool"):
        yield case(f".T 2d {dtype}", lambda xp, x: x.T, values((4, 6), dtype))
        yield case(f".T 2d one {dtype}", lambda xp, x: x.T, values((4, 1), dtype))
        yield case(f".mT 2d {dtype}", lambda xp, x: x.mT, values((4, 6), dtype))
        yield case(f".mT 3d {dtype}", lambda xp, x: x.mT, values((3, 4, 5), dtype))
    for dims, shape in SHAPES.items():
        yield case(
            f".size .ndim .shape {dims}", lambda xp, x: x * x.size + x.ndim - x.shape[-1], floats(shape)
        )
        yield case(
            f".dtype .device {dims}",
            lambda xp, x: xp.ones(x.shape, dtype=x.dtype, device=x.device) + x,
            floats(shape, "float32"),
        )
        yield case(f"to_device {dims}", lambda xp, x: x.to_device(x.device) + 1, floats(shape))
        yield case(f"__array_namespace__ {dims}", lambda xp, x: x.__array_namespace__().exp(x), floats(shape))
    for dtype in FLOATS:
        for first, second in MATMUL_SHAPES:
            yield case(
                f"x @ y {first} {second} {dtype}",
                applied(operator.matmul),
                floats(first, dtype),
                floats(second, dtype, seed=1),
            )


ALONE: dict[str, Body] = {  # results that do not depend on the array's elements
    "arange stop": lambda xp, x: xp.arange(5),
    "arange start stop step": lambda xp, x: xp.arange(2, 9, 2),
    "arange negative step": lambda xp, x: xp.arange(9, 2, -2),
    "arange floats": lambda xp, x: xp.arange(0.0, 1.0, 0.25),
    "arange dtype": lambda xp, x: xp.arange(5, dtype=xp.float32),
    "arange empty": lambda xp, x: xp.arange(5, 2),
    "arange of shape": lambda xp, x: xp.arange(x.shape[0]),
    "asarray list": lambda xp, x: xp.asarray([1.5, 2.5, 3.5]),
    "asarray nested list": lambda xp, x: xp.asarray([[1, 2, 3], [4, 5, 6]]),
    "asarray dtype": lambda xp, x: xp.asarray([[1, 2, 3], [4, 5, 6]], dtype=xp.float32),
    "asarray scalar": lambda xp, x: xp.asarray(3),
    "asarray bools": lambda xp, x: xp.asarray([True, False, True]),
    "empty": lambda xp, x: xp.isnan(xp.empty((2, 3))) | True,
    "empty dtype": lambda xp, x: xp.empty((2, 3), dtype=xp.int32) * 0,
    "eye": lambda xp, x: xp.eye(3),
    "eye rectangular": lambda xp, x: xp.eye(3, 5),
    "eye k": lambda xp, x: xp.eye(4, 5, k=1, dtype=xp.float32),
    "eye negative k": lambda xp, x: xp.eye(4, k=-2, dtype=xp.int64),
    "full float": lambda xp, x: xp.full((2, 3), 1.5),
    "full int": lambda xp, x: xp.full((2, 1, 3), 7),
    "full bool": lambda xp, x: xp.full(4, True),
    "full dtype": lambda xp, x: xp.full((2, 3), 7, dtype=xp.float32),
    "linspace": lambda xp, x: xp.linspace(0, 1, 7),
    "linspace without endpoint": lambda xp, x: xp.linspace(-1.0, 2.0, 6, endpoint=False),
    "linspace dtype": lambda xp, x: xp.linspace(0, 1, 7, dtype=xp.float32),
    "linspace downwards": lambda xp, x: xp.linspace(5, 1, 5),
    "linspace of one": lambda xp, x: xp.linspace(2, 3, 1),
    "ones": lambda xp, x: xp.ones((2, 3)),
    "ones int": lambda xp, x: xp.ones((2, 3, 1), dtype=xp.int32),
    "ones bool": lambda xp, x: xp.ones(3, dtype=xp.bool),
    "zeros": lambda xp, x: xp.zeros((2, 1, 3)),
    "zeros int": lambda xp, x: xp.zeros(3, dtype=xp.int64),
    "zeros 0d": lambda xp, x: xp.zeros(()),
    "zeros empty": lambda xp, x: xp.zeros((0, 3)),
    "tril of ones": lambda xp, x: xp.tril(xp.ones((4, 4))),
    "meshgrid alone": lambda xp, x: xp.meshgrid(xp.arange(3), xp.arange(2)),
    "fftfreq even": lambda xp, x: xp.fft.fftfreq(6),
    "fftfreq odd d": lambda xp, x: xp.fft.fftfreq(5, d=0.5),
    "fftfreq dtype": lambda xp, x: xp.fft.fftfreq(8, d=2.0, dtype=xp.float32),
    "rfftfreq even": lambda xp, x: xp.fft.rfftfreq(6),
    "rfftfreq odd d": lambda xp, x: xp.fft.rfftfreq(5, d=0.5),
    "rfftfreq dtype": lambda xp, x: xp.fft.rfftfreq(8, dtype=xp.float32),
    "constants": lambda xp, x: xp.asarray([xp.pi, xp.e, xp.inf]),
}
WITH_ARRAY: dict[str, Body] = {  # for any number of dimensions
    "arange + x": lambda xp, x: xp.arange(x.shape[-1], dtype=x.dtype) + x,
    "arange(2, n, 2) * x[..., :1]": lambda xp, x: xp.arange(2, 9, 2, dtype=x.dtype) * x[..., :1],
    "asarray x": lambda xp, x: xp.asarray(x) + 1,
    "asarray x copy": lambda xp, x: xp.asarray(x, copy=True),
    "asarray x dtype": lambda xp, x: xp.asarray(x, dtype=xp.float64) * 2,
    "asarray list * x": lambda xp, x: xp.asarray([[1.0], [2.0]], dtype=x.dtype) * x[..., :1, None],
    "from_dlpack": lambda xp, x: xp.from_dlpack(x) + 1,
    "empty_like": lambda xp, x: (xp.empty_like(x) == 0) | True,
    "full + x": lambda xp, x: xp.full(x.shape, 0.5, dtype=x.dtype) + x,
    "full of element": lambda xp, x: xp.full((3, 2), xp.sum(x)),
    "full_like": lambda xp, x: xp.full_like(x, 2.5) * x,
    "full_like dtype": lambda xp, x: xp.full_like(x, 7, dtype=xp.int32),
    "linspace * x": lambda xp, x: xp.linspace(0, 1, x.shape[-1], dtype=x.dtype) * x,
    "ones + x": lambda xp, x: xp.ones(x.shape, dtype=x.dtype) + x,
    "ones_like": lambda xp, x: xp.ones_like(x) - x,
    "ones_like dtype": lambda xp, x: xp.ones_like(x, dtype=xp.bool),
    "zeros - x": lambda xp, x: xp.zeros(x.shape, dtype=x.dtype) - x,
    "zeros_like": lambda xp, x: xp.zeros_like(x) + x,
    "zeros_like alone": lambda xp, x: xp.zeros_like(x),
    "zeros_like dtype": lambda xp, x: xp.zeros_like(x, dtype=xp.int64),
    "eye * x": lambda xp, x: xp.eye(x.shape[-1], dtype=x.dtype) * x[..., :1, None],
    "fftfreq * x": lambda xp, x: xp.fft.fftfreq(x.shape[-1], d=0.1, dtype=x.dtype) * x,
    "rfftfreq * x": lambda xp, x: xp.fft.rfftfreq(2 * x.shape[-1] - 2, dtype=x.dtype) * x,
    "finfo eps": lambda xp, x: x + xp.finfo(x.dtype).eps,
    "finfo max": lambda xp, x: xp.where(x > 0, x, xp.finfo(x.dtype).max),
    "iinfo max": lambda xp, x: xp.astype(x, xp.int32) % xp.iinfo(xp.int32).max,
    "isdtype": lambda xp, x: xp.exp(x) if xp.isdtype(x.dtype, "real floating") else x,
    "can_cast": lambda xp, x: xp.astype(x, xp.float64) if xp.can_cast(x.dtype, xp.float64) else x,
    "result_type": lambda xp, x: xp.astype(x > 0, xp.result_type(x, xp.float32)),
    "result_type scalar": lambda xp, x: xp.zeros(3, dtype=xp.result_type(x, 1.0)),
    "default dtypes": lambda xp, x: xp.astype(
        x, xp.__array_namespace_info__().default_dtypes()["real floating"]
    ),
    "constants * x": lambda xp, x: x * xp.pi + xp.e,
    "newaxis": lambda xp, x: x[xp.newaxis, ...] * 2,
}


def creation() -> Iterator[Case]:
    """Creation functions and inspection of dtypes, alone and together with an array."""
    for name, body in ALONE.items():
        yield case(f"{name} alone", body, floats((5,)), tolerance=1e-7)
    for (name, body), (dims, shape), dtype in itertools.product(WITH_ARRAY.items(), SHAPES.items(), FLOATS):
        yield case(f"{name} {dims} {dtype}", body, floats(shape, dtype))
    for name in ("asarray x", "full_like dtype", "ones_like", "zeros_like", "zeros_like dtype", "empty_like"):
        yield case(f"{name} 2d int64", WITH_ARRAY[name], integers((4, 6)))
    for name, k in itertools.product(("tril", "triu"), (0, 1, -1, 2, -3, 9)):
        for dims, shape in (("2d", (4, 6)), ("3d", (3, 4, 5)), ("2d one", (1, 6))):
            yield case(f"{name} k={k} {dims}", call(name, k=k), floats(shape, "float32"))
    for name, dtype in itertools.product(("tril", "triu"), ("float64", "int64", "bool")):
        yield case(f"{name} 2d {dtype}", call(name), values((4, 4), dtype))
    for ndim, dtype in itertools.product((2, 3), FLOATS):
        x = floats((3, 4, 4)[-ndim:], dtype)
        yield case(f"eye + x {ndim}d {dtype}", lambda xp, x: xp.eye(x.shape[-1], dtype=x.dtype) + x, x)
        yield case(f"eye k=1 @ x {ndim}d {dtype}", lambda xp, x: xp.eye(4, k=1, dtype=x.dtype) @ x, x)
    for dtype, indexing in itertools.product(("float32", "float64", "int64"), ("xy", "ij")):
        vectors = [values((size,), dtype, seed) for seed, size in enumerate((5, 4, 3))]
        for size in (1, 2, 3):
            name = f"meshgrid of {size} {indexing} {dtype}"
            yield case(name, call("meshgrid", indexing=indexing), *vectors[:size])
    yield case(
        "meshgrid combined",
        lambda xp, x, y: sum(xp.meshgrid(x, y, indexing="ij")),
        floats((5,)),
        floats((1,)),
    )


def data_types() -> Iterator[Case]:
    """Conversions between dtypes, and broadcasting."""
    dtypes = (*FLOATS, *INTEGERS, "bool")
    for first, second in itertools.product(dtypes, dtypes):
        x = counts((4, 6), first) if second == "uint8" or first == "uint8" else values((4, 6), first)
        yield case(f"astype {first} to {second} 2d", partial(as_type, dtype=second), x, tolerance=1e-7)
    for dims, shape in SHAPES.items():
        yield case(
            f"astype int32 to float32, / 4 {dims}",
            lambda xp, x: xp.astype(x, xp.float32) / 4,
            integers(shape, "int32"),
            tolerance=1e-6,
        )
        yield case(
            f"astype copy=False {dims}", lambda xp, x: xp.astype(x, x.dtype, copy=False) + 1, floats(shape)
        )
        yield case(
            f"astype result_type {dims}",
            lambda xp, x, y: xp.astype(x, xp.result_type(x, y)),
            integers(shape, "int32"),
            floats(shape),
        )
    targets = dict.fromkeys((first, np.broadcast_shapes(first, second)) for first, second in BROADCAST_SHAPES)
    for (shape, target), dtype in itertools.product(targets, ("float64", "int32")):
        name = f"broadcast_to {shape} {target} {dtype}"
        yield case(name, call("broadcast_to", target), values(shape, dtype))
    for shape, other in BROADCAST_SHAPES:
        pair = (floats(shape), floats(other, seed=1))
        yield case(f"broadcast_arrays {shape} {other}", call("broadcast_arrays"), *pair)
    yield case(
        "broadcast_arrays of three",
        call("broadcast_arrays"),
        floats((3, 1, 1)),
        integers((4, 1)),
        booleans((5,)),
    )


INDICES: dict[str, tuple[Any, ...]] = {
    "1d": (
        *(
            np.s_[1:4],
            np.s_[:3],
            np.s_[2:],
            np.s_[::2],
            np.s_[1::2],
            np.s_[-3:-1],
            np.s_[::-1],
            np.s_[4:1:-2],
        ),
        *(np.s_[-2::-1], np.s_[1:1], np.s_[0], np.s_[-1], np.s_[None], np.s_[:, None], np.s_[...]),
        *(np.s_[None, ::2, None], np.s_[..., 2], np.s_[:], np.s_[2:99], ()),
    ),
    "2d": (
        *(np.s_[1:3], np.s_[:, 1:4], np.s_[1:3, 2:5], np.s_[::2, ::3], np.s_[::-1], np.s_[:, ::-1]),
        *(np.s_[::-1, ::-2], np.s_[3:0:-1, 1], np.s_[1], np.s_[-1], np.s_[:, 2], np.s_[2, 3], np.s_[-1, ::2]),
        *(np.s_[None], np.s_[:, None], np.s_[..., None], np.s_[None, :, None, :, None], np.s_[..., 0]),
        *(np.s_[..., 1:2], np.s_[1, None, :], np.s_[:, :0], np.s_[1:2, :], np.s_[..., ::-1, 0]),
    ),
    "3d": (
        *(np.s_[1:], np.s_[:, 1:3], np.s_[:, :, 1:4], np.s_[1:, ::2, ::-1], np.s_[::-1, ::-1, ::-1]),
        *(np.s_[1], np.s_[:, 1], np.s_[:, :, 1], np.s_[..., -1], np.s_[0, 1], np.s_[0, :, 2], np.s_[:, 1, 2]),
        *(
            np.s_[2, 3, 4],
            np.s_[1, ..., 2],
            np.s_[..., 1:3, 0],
            np.s_[:, None],
            np.s_[..., None],
            np.s_[None, 1],
        ),
        *(
            np.s_[:, None, 2, ::2],
            np.s_[::2, :, 3:0:-2],
            np.s_[-1, ::-1, None, -2:],
            np.s_[1:1, ...],
            np.s_[...],
        ),
    ),
}
BY_ARRAYS: tuple[
    tuple[str, Shape, tuple[Shape, ...], Body], ...
] = (  # name, shape, shapes of index arrays, body
    ("x[i]", (5,), ((4,),), lambda xp, x, i: x[i]),
    ("x[i] of one", (5,), ((1,),), lambda xp, x, i: x[i]),
    ("x[i 0d]", (5, 3), ((),), lambda xp, x, i: x[i]),
    ("x[i 2d]", (5,), ((2, 3),), lambda xp, x, i: x[i]),
    ("x[i]", (5, 6), ((4,),), lambda xp, x, i: x[i]),
    ("x[i, ...]", (5, 6), ((4,),), lambda xp, x, i: x[i, ...]),
    ("x[:, i]", (4, 6), ((3,),), lambda xp, x, i: x[:, i]),
    ("x[..., i]", (4, 6), ((3,),), lambda xp, x, i: x[..., i]),
    ("x[1:3, i]", (4, 6), ((3,),), lambda xp, x, i: x[1:3, i]),
    ("x[i, ::-1]", (5, 6), ((3,),), lambda xp, x, i: x[i, ::-1]),
    ("x[i, 2]", (5, 6), ((3,),), lambda xp, x, i: x[i, 2]),
    ("x[i, None]", (5, 6), ((3,),), lambda xp, x, i: x[i, None]),
    ("x[i, j]", (5, 6), ((4,), (4,)), lambda xp, x, i, j: x[i, j]),
    ("x[i, j] broadcast", (5, 6), ((4, 1), (3,)), lambda xp, x, i, j: x[i, j]),
    ("x[arange, i]", (4, 6), ((4,),), lambda xp, x, i: x[xp.arange(x.shape[0]), i]),
    ("x[i]", (5, 4, 3), ((2,),), lambda xp, x, i: x[i]),
    ("x[i 2d]", (5, 4, 3), ((2, 2),), lambda xp, x, i: x[i]),
    ("x[:, i]", (3, 5, 4), ((2,),), lambda xp, x, i: x[:, i]),
    ("x[:, i 2d]", (3, 5, 4), ((2, 3),), lambda xp, x, i: x[:, i]),
    ("x[:, :, i]", (3, 4, 5), ((7,),), lambda xp, x, i: x[:, :, i]),
    ("x[i, j]", (5, 5, 3), ((4,), (4,)), lambda xp, x, i, j: x[i, j]),
    ("x[:, i, j]", (3, 5, 6), ((4,), (4,)), lambda xp, x, i, j: x[:, i, j]),
    ("x[i, :, j]", (5, 3, 6), ((4,), (4,)), lambda xp, x, i, j: x[i, :, j]),
    ("x[i, 1:, j]", (5, 3, 6), ((2, 1), (3,)), lambda xp, x, i, j: x[i, 1:, j]),
    ("x[i, j, k]", (5, 6, 5), ((4,), (4,), (4,)), lambda xp, x, i, j, k: x[i, j, k]),
    ("x[i, 1, j]", (5, 3, 6), ((4,), (4,)), lambda xp, x, i, j: x[i, 1, j]),
    ("x[1, :, i]", (3, 4, 5), ((2,),), lambda xp, x, i: x[1, :, i]),
    ("x[None, i]", (5, 4, 3), ((2,),), lambda xp, x, i: x[None, i]),
    ("x[-i - 1]", (5, 4), ((3,),), lambda xp, x, i: x[-i - 1]),
)
CONSTANT_INDICES: dict[str, Body] = {
    "x[asarray]": lambda xp, x: x[xp.asarray([2, 0, -1])],
    "x[..., asarray]": lambda xp, x: x[..., xp.asarray([2, 0, -1])],
    "x[argmax]": lambda xp, x: x[xp.argmax(x[:, 0])],
    "x[arange]": lambda xp, x: x[xp.arange(2, -1, -1)],
    "x[argsort]": lambda xp, x: x[xp.argsort(x[:, 0])],
}
MASKS: dict[str, Body] = {
    "where mask 0": lambda xp, x: xp.where(x > 0, x, 0.0),
    "where mask scalars": lambda xp, x: xp.where(x > 0, 1.0, xp.zeros_like(x)),
    "where isnan": lambda xp, x: xp.where(xp.isnan(xp.log(xp.abs(x))), x, -x),
    "where row mask": lambda xp, x: xp.where(xp.any(x > 2, axis=-1, keepdims=True), x, -1.0),
}
SET_ITEMS: dict[str, tuple[Any, Body]] = {  # name: key, value of x
    "[0] = scalar": (0, lambda xp, x: 2.5),
    "[..., -1] = x": (np.s_[..., -1], lambda xp, x: x[..., 0]),
    "[::2] = x": (np.s_[::2], lambda xp, x: x[::2] * 2),
    "[..., ::-1] = x": (np.s_[..., ::-1], lambda xp, x: x),
    "[...] = x": (..., lambda xp, x: -x),
    "[..., 1:3] = scalar": (np.s_[..., 1:3], lambda xp, x: 1),
}


def index_text(index: Any) -> str:
    """Text of an index as it is written between brackets."""
    if isinstance(index, tuple):
        return ", ".join(map(index_text, index)) if index else "()"
    if isinstance(index, slice):
        parts = ["" if part is None else str(part) for part in (index.start, index.stop, index.step)]
        return ":".join(parts if parts[2] else parts[:2])
    return "..." if index is Ellipsis else str(index)


def set_item(key: Any, value: Body) -> Body:
    """Body that writes `value` at `key` of a new array."""

    def body(xp: Any, x: Any) -> Any:
        result = x + 1
        result[key] = value(xp, x)
        return result

    return body


def set_where(xp: Any, x: Any) -> Any:
    """Write a scalar where a mask is true."""
    result = x + 1
    result[x < 0] = 0
    return result


def indexing() -> Iterator[Case]:
    """Indexing by slices, integers, None, ellipsis and arrays; take; assignment to items."""
    for dims, indices in INDICES.items():
        for index, dtype in itertools.product(indices, FLOATS):
            yield case(
                f"x[{index_text(index)}] {dims} {dtype}",
                lambda xp, x, i=index: x[i],
                values(SHAPES[dims], dtype),
            )
        for index, dtype in itertools.product(indices[::5], ("int64", "bool")):
            yield case(
                f"x[{index_text(index)}] {dims} {dtype}",
                lambda xp, x, i=index: x[i],
                values(SHAPES[dims], dtype),
            )
    for (name, shape, shapes, body), dtype in itertools.product(BY_ARRAYS, FLOATS):
        positions = [counts(index, "int64", seed) % min(shape) for seed, index in enumerate(shapes)]
        yield case(f"{name} {shape} {dtype}", body, floats(shape, dtype), *positions)
    for dtype, kind in (("int64", "int32"), ("bool", "int64"), ("float32", "int32"), ("int32", "uint8")):
        x, i = values((5, 6), dtype), counts((4,), kind)
        yield case(f"x[i] {dtype} by {kind}", lambda xp, x, i: x[i], x, i)
        yield case(f"x[i, j] {dtype} by {kind}", lambda xp, x, i, j: x[i, j], x, i, counts((4,), kind, 1))
        yield case(f"x[:, i] {dtype} by {kind}", lambda xp, x, i: x[:, i], x, i)
    for (name, body), shape in itertools.product(CONSTANT_INDICES.items(), ((4, 6), (3, 4))):
        yield case(f"{name} {shape}", body, floats(shape))
    for dims, shape in SHAPES.items():
        for name, body in MASKS.items():
            yield case(f"{name} {dims}", body, floats(shape))
        for name, (key, value) in SET_ITEMS.items():
            yield case(f"y{name} {dims}", set_item(key, value), floats(shape))
        yield case(f"y[mask] = 0 {dims}", set_where, floats(shape))
        yield case(f"y[mask] = 0 {dims} int64", set_where, integers(shape))
        for axis, dtype in itertools.product(range(-1, len(shape)), (*FLOATS, "int32", "bool")):
            x = values(shape, dtype)
            few, many = counts((6,)) % min(shape), counts(shape) % min(shape)
            yield case(f"take {dims} axis={axis} {dtype}", call("take", axis=axis), x, few)
            body = call("take_along_axis", axis=axis)
            yield case(f"take_along_axis {dims} axis={axis} {dtype}", body, x, many)
        yield case(
            f"take without axis {dims}",
            lambda xp, x, i: xp.take(xp.reshape(x, (-1,)), i),
            floats(shape),
            counts((3,)),
        )
        yield case(
            f"take_along_axis of argmax {dims}",
            lambda xp, x: xp.take_along_axis(x, xp.argmax(x, axis=-1, keepdims=True), axis=-1),
            floats(shape),
        )


MATMUL_SHAPES: tuple[tuple[Shape, Shape], ...] = (
    *(((5,), (5,)), ((5,), (5, 3)), ((4, 5), (5,)), ((4, 5), (5, 3)), ((1, 5), (5, 1)), ((4, 1), (1, 3))),
    *(((3, 4, 5), (3, 5, 2)), ((3, 4, 5), (5, 2)), ((4, 5), (3, 5, 2)), ((1, 4, 5), (3, 5, 2))),
    *(((3, 4, 5), (5,)), ((4,), (3, 4, 5)), ((2, 1, 4, 5), (3, 5, 2))),
)
STACKS: dict[str, Shape] = {"2d": (), "3d": (3,), "3d one": (1,), "4d": (2, 2)}  # of matrices
RECTANGLES: dict[str, Shape] = {"wide": (3, 5), "tall": (5, 3)}


def well_conditioned(shape: Shape, dtype: str, seed: int = 0) -> np.ndarray:
    """Square matrices with a dominant diagonal of different entries."""
    diagonal = np.diag(np.arange(shape[-1]) * 1.5 + 2)
    return np.asarray(floats(shape, "float64", -0.5, 0.5, seed) + diagonal, dtype)


def positive_definite(shape: Shape, dtype: str) -> np.ndarray:
    """Symmetric matrices with well separated positive eigenvalues."""
    x = well_conditioned(shape, "float64")
    return np.asarray((x + np.swapaxes(x, -1, -2)) / 2, dtype)


def low_rank(shape: Shape, dtype: str) -> np.ndarray:
    """Matrices of rank 2."""
    left, right = floats((*shape[:-1], 2), "float64"), floats((*shape[:-2], 2, shape[-1]), seed=1)
    return np.asarray(left @ right, dtype)


def of_svd(xp: Any, x: Any) -> Any:
    """Put the reduced singular value decomposition together again."""
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    return xp.matmul(u * s[..., None, :], vh)


def of_qr(xp: Any, x: Any) -> Any:
    """Put the QR decomposition together again."""
    q, r = xp.linalg.qr(x)
    return q @ r


def of_complete_qr(xp: Any, x: Any) -> Any:
    """Put the QR decomposition with a square Q together again, and check that Q is orthogonal."""
    q, r = xp.linalg.qr(x, mode="complete")
    return q @ r, q.mT @ q


def of_eigh(xp: Any, x: Any) -> Any:
    """Put the eigendecomposition together again."""
    eigenvalues, vectors = xp.linalg.eigh(x)
    return eigenvalues, (vectors * eigenvalues[..., None, :]) @ vectors.mT


OF_SQUARES: dict[str, Body] = {
    "linalg.det": call("linalg.det"),
    "linalg.inv": call("linalg.inv"),
    "linalg.slogdet": call("linalg.slogdet"),
    "linalg.trace": call("linalg.trace"),
    "linalg.trace offset=1": call("linalg.trace", offset=1),
    "linalg.trace offset=-2": call("linalg.trace", offset=-2),
    "linalg.trace dtype": call("linalg.trace", dtype="float64"),
    "linalg.pinv": call("linalg.pinv"),
    "linalg.svdvals": call("linalg.svdvals"),
    "linalg.matrix_rank": call("linalg.matrix_rank"),
    **{f"linalg.matrix_power {n}": call("linalg.matrix_power", n) for n in (-2, -1, 0, 1, 2, 3, 5)},
}
OF_POSITIVE_DEFINITE: dict[str, Body] = {
    "linalg.cholesky": call("linalg.cholesky"),
    "linalg.cholesky upper": call("linalg.cholesky", upper=True),
    "linalg.eigvalsh": call("linalg.eigvalsh"),
    "linalg.eigh": of_eigh,
    "abs of linalg.eigh": lambda xp, x: xp.abs(xp.linalg.eigh(x).eigenvectors),
}
OF_RECTANGLES: dict[str, Body] = {
    "linalg.qr": of_qr,
    "linalg.qr complete": of_complete_qr,
    "abs of linalg.qr": lambda xp, x: xp.abs(xp.linalg.qr(x).R),
    "linalg.svd": of_svd,
    "linalg.svd full": lambda xp, x: xp.linalg.svd(x)[1],
    "abs of linalg.svd": lambda xp, x: xp.abs(xp.linalg.svd(x, full_matrices=False).Vh),
    "linalg.svdvals": call("linalg.svdvals"),
    "linalg.pinv": call("linalg.pinv"),
    "linalg.pinv rtol": call("linalg.pinv", rtol=0.2),
    "linalg.matrix_rank": call("linalg.matrix_rank"),
    "linalg.matrix_rank rtol": call("linalg.matrix_rank", rtol=0.2),
    "linalg.matrix_transpose": call("linalg.matrix_transpose"),
    "matrix_transpose": call("matrix_transpose"),
    "linalg.diagonal": call("linalg.diagonal"),
    "linalg.diagonal offset=1": call("linalg.diagonal", offset=1),
    "linalg.diagonal offset=-1": call("linalg.diagonal", offset=-1),
    **{
        f"linalg.matrix_norm {o}": call("linalg.matrix_norm", ord=o)
        for o in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)
    },
    "linalg.matrix_norm keepdims": call("linalg.matrix_norm", keepdims=True),
}
TENSORDOTS: tuple[tuple[Shape, Shape, Any], ...] = (
    *(
        ((5,), (5,), 1),
        ((5,), (3,), 0),
        ((4, 5), (5, 3), 1),
        ((4, 5), (4, 5), 2),
        ((4, 5), (3, 5), ((1,), (1,))),
    ),
    *(((4, 5), (5, 4), ((0, 1), (1, 0))), ((3, 4, 5), (4, 5, 2), 2), ((3, 4, 5), (5, 2), 1)),
    *(((3, 4, 5), (3, 4, 5), 3), ((3, 4, 5), (5, 3, 2), ((0, 2), (1, 0))), ((3, 1, 5), (1, 2), ((1,), (0,)))),
    ((4, 5), (3,), 0),
)


def linear_algebra() -> Iterator[Case]:
    """Linear algebra functions and the extension linalg."""
    for dtype in FLOATS:
        loose = TOLERANCES[dtype] * 20
        for dims, stack in STACKS.items():
            for name, body in OF_SQUARES.items():
                x = well_conditioned((*stack, 4, 4), dtype)
                yield case(f"{name} {dims} {dtype}", body, x, tolerance=loose)
            for name, body in OF_POSITIVE_DEFINITE.items():
                x = positive_definite((*stack, 4, 4), dtype)
                yield case(f"{name} {dims} {dtype}", body, x, tolerance=loose)
            yield case(
                f"linalg.matrix_rank of low rank {dims} {dtype}",
                call("linalg.matrix_rank"),
                low_rank((*stack, 5, 4), dtype),
            )
            for right in ((4, 3), (4, 1)):
                yield case(
                    f"linalg.solve {dims} {right} {dtype}",
                    call("linalg.solve"),
                    well_conditioned((*stack, 4, 4), dtype),
                    floats((*stack, *right), dtype, seed=1),
                    tolerance=loose,
                )
            yield case(
                f"linalg.solve {dims} vector {dtype}",
                call("linalg.solve"),
                well_conditioned((*stack, 4, 4), dtype),
                floats((4,), dtype, seed=1),
                tolerance=loose,
            )
        for (name, body), (kind, shape) in itertools.product(OF_RECTANGLES.items(), RECTANGLES.items()):
            for dims in ("2d", "3d"):
                x = floats((*STACKS[dims], *shape), dtype) + np.eye(shape[0], shape[1]).astype(dtype) * 4
                yield case(f"{name} {kind} {dims} {dtype}", body, x, tolerance=loose)
        for name in ("linalg.det", "linalg.inv", "linalg.slogdet"):
            yield case(f"{name} 1x1 {dtype}", call(name), well_conditioned((2, 1, 1), dtype))
        for first, second in MATMUL_SHAPES:
            pair = (floats(first, dtype), floats(second, dtype, seed=1))
            yield case(f"matmul {first} {second} {dtype}", call("matmul"), *pair)
            yield case(f"linalg.matmul {first} {second} {dtype}", call("linalg.matmul"), *pair)
        for first, second, axes in TENSORDOTS:
            pair = (floats(first, dtype), floats(second, dtype, seed=1))
            yield case(f"tensordot {first} {second} axes={axes} {dtype}", call("tensordot", axes=axes), *pair)
        for shape, axis in (((3,), -1), ((4, 3), -1), ((3, 4), 0), ((2, 3, 4), 1), ((2, 1, 3), -1)):
            pair = (floats(shape, dtype), floats(shape, dtype, seed=1))
            yield case(f"linalg.cross {shape} axis={axis} {dtype}", call("linalg.cross", axis=axis), *pair)
        yield case(
            f"linalg.outer {dtype}", call("linalg.outer"), floats((5,), dtype), floats((3,), dtype, seed=1)
        )
        yield case(
            f"linalg.outer one {dtype}",
            call("linalg.outer"),
            floats((5,), dtype),
            floats((1,), dtype, seed=1),
        )
        for dims, shape in SHAPES.items():
            pair = (floats(shape, dtype), floats(shape, dtype, seed=1))
            for last in range(-len(shape), 0):
                yield case(f"vecdot {dims} axis={last} {dtype}", call("vecdot", axis=last), *pair)
            yield case(f"linalg.vecdot {dims} {dtype}", call("linalg.vecdot"), *pair)
            for order in (0, 1, 2, 3, 0.5, math.inf, -math.inf):
                yield case(
                    f"linalg.vector_norm {dims} ord={order} {dtype}",
                    call("linalg.vector_norm", ord=order, axis=-1),
                    pair[0],
                )
            for axes in axes_of(len(shape)):
                keepdims = dtype == "float64"
                yield case(
                    f"linalg.vector_norm {dims}{described(axis=axes, keepdims=keepdims)} {dtype}",
                    call("linalg.vector_norm", axis=axes, keepdims=keepdims),
                    pair[0],
                )
    yield case(
        "linalg.tensordot 2d", call("linalg.tensordot", axes=1), floats((4, 5)), floats((5, 3), seed=1)
    )
    yield case("vecdot broadcast", call("vecdot"), floats((3, 1, 5)), floats((4, 5), seed=1))
    yield case("linalg.cross broadcast", call("linalg.cross"), floats((4, 3)), floats((3,), seed=1))
    yield case(
        "linalg.solve broadcast", call("linalg.solve"), well_conditioned((4, 4), "float64"), floats((3, 4, 2))
    )
    for dtype in INTEGERS:
        x, y = integers((4, 5), dtype), integers((5, 3), dtype, 1)
        yield case(f"matmul 2d {dtype}", call("matmul"), x, y)
        yield case(f"matmul 3d {dtype}", call("matmul"), integers((3, 4, 5), dtype), y)
        yield case(f"matmul 1d {dtype}", call("matmul"), integers((5,), dtype), y)
        yield case(f"vecdot 2d {dtype}", call("vecdot"), x, integers((4, 5), dtype, 1))
        yield case(f"tensordot 2d {dtype}", call("tensordot", axes=1), x, y)
        yield case(f"linalg.outer {dtype}", call("linalg.outer"), x[0], y[0])
        yield case(f"linalg.trace 2d {dtype}", call("linalg.trace"), x)
        yield case(f"linalg.diagonal 2d {dtype}", call("linalg.diagonal"), x)
        yield case(f"linalg.cross {dtype}", call("linalg.cross"), x[:, :3], integers((4, 3), dtype, 1))
        yield case(f"matrix_transpose 2d {dtype}", call("matrix_transpose"), x)
    for dtype, other in (("float32", "float64"), ("int64", "float64"), ("int32", "float32")):
        pair = (values((4, 5), dtype), values((5, 3), other, 1))
        yield case(f"matmul {dtype} with {other}", call("matmul"), *pair)


MANIPULATIONS: dict[str, dict[str, Body]] = {
    "1d": {
        "reshape column": call("reshape", (5, 1)),
        "reshape row": call("reshape", (1, -1)),
        "permute_dims": call("permute_dims", (0,)),
        "tile 3": call("tile", (3,)),
        "tile 2, 3": call("tile", (2, 3)),
        "moveaxis": call("moveaxis", 0, -1),
        "expand_dims then squeeze": lambda xp, x: xp.squeeze(xp.expand_dims(x, axis=0), axis=0),
    },
    "2d": {
        "reshape flat": call("reshape", (-1,)),
        "reshape other": call("reshape", (3, 8)),
        "reshape three": call("reshape", (2, -1, 3)),
        "reshape with ones": call("reshape", (1, 4, 1, 6)),
        "reshape of transposed": lambda xp, x: xp.reshape(x.T, (4, 6)),
        "permute_dims": call("permute_dims", (1, 0)),
        "permute_dims same": call("permute_dims", (0, 1)),
        "tile 2": call("tile", (2,)),
        "tile 2, 3": call("tile", (2, 3)),
        "tile 2, 1, 3": call("tile", (2, 1, 3)),
        "moveaxis": call("moveaxis", 0, 1),
        "moveaxis tuples": call("moveaxis", (0, 1), (1, 0)),
        "squeeze": lambda xp, x: xp.squeeze(x[:, :1], axis=1),
        "squeeze both": lambda xp, x: xp.squeeze(x[:1, :1], axis=(0, 1)),
        "expand_dims both": lambda xp, x: xp.expand_dims(xp.expand_dims(x, axis=0), axis=-1),
        "roll both": call("roll", (1, -2), axis=(0, 1)),
        "flip both": call("flip", axis=(0, 1)),
    },
    "3d": {
        "reshape flat": call("reshape", (-1,)),
        "reshape rows": call("reshape", (12, 5)),
        "reshape columns": call("reshape", (3, -1)),
        "reshape other": call("reshape", (5, 4, 3)),
        "reshape four": call("reshape", (3, 2, 2, 5)),
        "reshape of permuted": lambda xp, x: xp.reshape(xp.permute_dims(x, (1, 2, 0)), (4, 15)),
        **{f"permute_dims {axes}": call("permute_dims", axes) for axes in itertools.permutations(range(3))},
        "tile 2": call("tile", (2,)),
        "tile 2, 1": call("tile", (2, 1)),
        "tile 2, 1, 3": call("tile", (2, 1, 3)),
        "moveaxis 0 to -1": call("moveaxis", 0, -1),
        "moveaxis 2 to 0": call("moveaxis", 2, 0),
        "moveaxis tuples": call("moveaxis", (0, 1), (-1, -2)),
        "squeeze": lambda xp, x: xp.squeeze(x[:, :1, :], axis=1),
        "squeeze two": lambda xp, x: xp.squeeze(x[:1, :, :1], axis=(0, -1)),
        "roll two": call("roll", (1, -2), axis=(0, 2)),
        "flip two": call("flip", axis=(0, 2)),
    },
}
BY_AXIS: dict[str, Body] = {  # functions of (xp, x, axis)
    "flip": lambda xp, x, axis: xp.flip(x, axis=axis),
    "roll 1": lambda xp, x, axis: xp.roll(x, 1, axis=axis),
    "roll -2": lambda xp, x, axis: xp.roll(x, -2, axis=axis),
    "roll 17": lambda xp, x, axis: xp.roll(x, 17, axis=axis),
    "repeat 2": lambda xp, x, axis: xp.repeat(x, 2, axis=axis),
    "concat": lambda xp, x, axis: xp.concat([x, x * x, x], axis=axis),
    "concat of parts": lambda xp, x, axis: xp.concat((xp.flip(x, axis=axis), xp.abs(x[...])), axis=axis),
    "stack": lambda xp, x, axis: xp.stack([x, x * x], axis=0 if axis is None else axis),
    "unstack": lambda xp, x, axis: xp.unstack(x, axis=axis or 0),
    "expand_dims": lambda xp, x, axis: xp.expand_dims(x, axis=axis or 0),
    "fft.fftshift": lambda xp, x, axis: xp.fft.fftshift(x, axes=axis),
    "fft.ifftshift": lambda xp, x, axis: xp.fft.ifftshift(x, axes=axis),
}
REQUIRE_AXIS = ("stack", "unstack", "expand_dims")


def concat_three(xp: Any, x: Any, y: Any, axis: int) -> Any:
    """Concatenate arrays of different sizes."""
    return xp.concat([x, y, x], axis=axis)


def stack_two(xp: Any, x: Any, y: Any, axis: int) -> Any:
    """Stack two arrays."""
    return xp.stack([x, y], axis=axis)


def as_type(xp: Any, x: Any, dtype: str) -> Any:
    """Convert to the dtype of this name."""
    return xp.astype(x, getattr(xp, dtype))


def manipulation() -> Iterator[Case]:
    """Functions that move elements, with the shifts of the extension fft."""
    for dims, bodies in MANIPULATIONS.items():
        for position, (name, body) in enumerate(bodies.items()):
            for dtype in (*FLOATS, ("int64", "bool", "uint8", "int32")[position % 4]):
                yield case(f"{name} {dims} {dtype}", body, values(SHAPES[dims], dtype))
    for position, ((name, body), (dims, shape)) in enumerate(
        itertools.product(BY_AXIS.items(), SHAPES.items())
    ):
        for dtype in (*FLOATS, ("int64", "bool", "uint8", "int32")[position % 4]):
            for axis in (None, *range(len(shape)), -1):
                if axis is None and name in REQUIRE_AXIS:
                    continue
                bound = partial(body, axis=axis)
                yield case(f"{name} {dims} axis={axis} {dtype}", bound, values(shape, dtype))
    for name, shape in itertools.product(
        ("flip", "repeat 2", "roll 1", "concat", "unstack"), ((1,), (4, 1), (3, 1, 5))
    ):
        yield case(f"{name} of {shape}", partial(BY_AXIS[name], axis=0), floats(shape))
    for dims, shape in SHAPES.items():
        for axis in range(len(shape)):
            other = (*shape[:axis], 1, *shape[axis + 1 :])
            body = partial(concat_three, axis=axis)
            yield case(f"concat two {dims} axis={axis}", body, floats(shape), floats(other, seed=1))
            yield case(
                f"concat mixed {dims} axis={axis}", body, integers(shape), floats(other, "float32", seed=1)
            )
        for axis in (0, len(shape), -1):
            body = partial(stack_two, axis=axis)
            yield case(f"stack two {dims} axis={axis}", body, floats(shape), floats(shape, seed=1))
        yield case(f"expand_dims last {dims}", call("expand_dims", axis=len(shape)), floats(shape))
        yield case(f"reshape copy {dims}", lambda xp, x: xp.reshape(x, (-1,), copy=True), floats(shape))
        yield case(f"unstack then stack {dims}", lambda xp, x: xp.stack(xp.unstack(x)[::-1]), floats(shape))
    yield case("reshape of 0d", call("reshape", (1, 1)), floats(()))
    yield case("reshape to 0d", call("reshape", ()), floats((1, 1)))
    yield case("expand_dims of 0d", call("expand_dims", axis=0), floats(()))
    yield case("stack of 0d", lambda xp, x, y: xp.stack([x, y]), floats(()), floats((), seed=1))
    yield case("concat of empty", lambda xp, x: xp.concat([x[:0], x]), floats((4, 6)))
    yield case(
        "broadcast then reshape", lambda xp, x: xp.reshape(xp.broadcast_to(x, (4, 6)), (8, 3)), floats((6,))
    )


def searching() -> Iterator[Case]:
    """Searching and sorting."""
    dtypes = (*FLOATS, *INTEGERS)
    for name, (dims, shape), dtype in itertools.product(("argmax", "argmin"), SHAPES.items(), dtypes):
        for axis in (None, *range(len(shape)), -1):
            keepdims = axis is not None and axis >= 0 and dtype == "float64"
            yield case(
                f"{name} {dims} {described(axis=axis, keepdims=keepdims)} {dtype}",
                call(name, axis=axis, keepdims=keepdims),
                values(shape, dtype),
            )
    for name, dtype in itertools.product(("argmax", "argmin"), FLOATS):
        yield case(f"{name} with nan {dtype}", call(name), np.array(SPECIAL_VALUES[::-1], dtype))
        yield case(f"{name} keepdims None {dtype}", call(name, keepdims=True), floats((3, 4, 5), dtype))
    for (dims, shape), dtype in itertools.product(SHAPES.items(), (*FLOATS, "int64", "uint8", "bool")):
        x = values(shape, dtype) if dtype not in FLOATS else np.round(floats(shape, dtype))
        for axis in axes_of(len(shape)):
            keepdims = dtype == "float64"
            yield case(
                f"count_nonzero {dims}{described(axis=axis, keepdims=keepdims)} {dtype}",
                call("count_nonzero", axis=axis, keepdims=keepdims),
                x,
            )
    for (dims, shape), dtype in itertools.product(SHAPES.items(), (*FLOATS, "int64", "bool")):
        arrays = (booleans(shape), values(shape, dtype, 1), values(shape, dtype, 2))
        yield case(f"where {dims} {dtype}", call("where"), *arrays)
        yield case(f"where broadcast {dims} {dtype}", call("where"), booleans(shape[-1:]), *arrays[1:])
    for first, second in MIXED_DTYPES:
        pair = (values((4, 6), first), values((4, 6), second, 1))
        yield case(f"where {first} with {second}", call("where"), booleans((4, 1)), *pair)
    for side, dtype in itertools.product(("left", "right"), (*FLOATS, "int64", "int32")):
        table = np.sort(values((7,), dtype, 5))
        for dims, shape in (*SHAPES.items(), ("0d", ()), ("2d one", (4, 1))):
            x = values(shape, dtype) if dtype in FLOATS else counts(shape, dtype)
            yield case(f"searchsorted {side} {dims} {dtype}", call("searchsorted", side=side), table, x)
        yield case(f"searchsorted {side} own elements {dtype}", call("searchsorted", side=side), table, table)
    yield case(
        "searchsorted sorter",
        lambda xp, x, y: xp.searchsorted(x, y, sorter=xp.argsort(x)),
        floats((7,)),
        floats((5,), seed=1),
    )
    for name, descending in itertools.product(("sort", "argsort"), (False, True)):
        for (dims, shape), dtype in itertools.product(SHAPES.items(), dtypes):
            for axis in range(-1, len(shape)):
                yield case(
                    f"{name} {dims}{described(axis=axis, descending=descending)} {dtype}",
                    call(name, axis=axis, descending=descending),
                    values(shape, dtype),
                )
        yield case(
            f"{name} stable=False descending={descending}",
            call(name, descending=descending, stable=False),
            floats((4, 6)),
        )
        yield case(
            f"{name} stable ties descending={descending}",
            call(name, descending=descending, stable=True),
            counts((3, 40)),
        )
        yield case(
            f"{name} bool descending={descending}", call(name, descending=descending), booleans((4, 6))
        )
        yield case(
            f"{name} of one descending={descending}", call(name, descending=descending), floats((4, 1))
        )
    yield case("sort by key", lambda xp, x, y: xp.take(y, xp.argsort(x)), floats((5,)), integers((5,)))


REDUCTIONS: dict[str, tuple[float, float]] = {  # name: domain
    "max": (-3, 3),
    "mean": (-3, 3),
    "min": (-3, 3),
    "prod": (0.7, 1.4),
    "std": (-3, 3),
    "sum": (-3, 3),
    "var": (-3, 3),
}


def statistics() -> Iterator[Case]:
    """Reductions and cumulative functions."""
    for (name, domain), (dims, shape) in itertools.product(REDUCTIONS.items(), SHAPES.items()):
        for axis, dtype, keepdims in itertools.product(axes_of(len(shape)), FLOATS, (False, True)):
            if keepdims and dtype == "float32" and axis != 0:
                continue
            yield case(
                f"{name} {dims}{described(axis=axis, keepdims=keepdims)} {dtype}",
                call(name, axis=axis, keepdims=keepdims),
                floats(shape, dtype, *domain),
            )
    for name, (dims, shape) in itertools.product(REDUCTIONS, SHAPES_WITH_ONES.items()):
        yield case(f"{name} {dims}", call(name), floats(shape))
        if shape:
            yield case(f"{name} {dims} axis=-1", call(name, axis=-1), floats(shape))
    for name, dtype in itertools.product(("max", "min", "sum", "mean"), FLOATS):
        yield case(f"{name} with nan {dtype}", call(name), np.array(SPECIAL_VALUES, dtype))
    for name, axis in itertools.product(("sum", "prod"), (None, 0, 1)):
        yield case(f"{name} of empty axis={axis}", call(name, axis=axis), floats((0, 3)))
    yield case("mean axis=() 2d", call("mean", axis=()), floats((4, 6)))
    yield case("sum axis=() 2d", call("sum", axis=()), floats((4, 6)))
    yield case("sum negative axes 3d", call("sum", axis=(-1, -3)), floats((3, 4, 5)))
    for name, (dims, shape), dtype in itertools.product(("std", "var"), SHAPES.items(), FLOATS):
        for axis, correction in itertools.product((None, 0, -1), (1, 0.5)):
            yield case(
                f"{name} {dims}{described(axis=axis, correction=correction)} {dtype}",
                call(name, axis=axis, correction=correction),
                floats(shape, dtype),
            )
    for name, dtype in itertools.product(REDUCTIONS, (*INTEGERS, "bool")):
        maker = nonzero_integers if name == "prod" and dtype != "bool" else values
        for dims, axis in (("1d", None), ("2d", None), ("2d", 0), ("2d", 1), ("3d", 1), ("3d", (0, 2))):
            yield case(
                f"{name} {dims} axis={axis} {dtype}", call(name, axis=axis), maker(SHAPES[dims], dtype)
            )
    for name, (dtype, target) in itertools.product(
        ("sum", "prod", "cumulative_sum", "cumulative_prod"),
        (
            ("float32", "float64"),
            ("int32", "float64"),
            ("uint8", "int32"),
            ("int64", "int32"),
            ("bool", "int64"),
        ),
    ):
        yield case(f"{name} 1d {dtype} dtype={target}", call(name, dtype=target), counts((5,), dtype))
        yield case(
            f"{name} 2d {dtype} dtype={target}", call(name, axis=1, dtype=target), counts((4, 6), dtype)
        )
    for name, dtype in itertools.product(("cumulative_sum", "cumulative_prod"), (*FLOATS, *INTEGERS)):
        for dims, shape in SHAPES.items():
            products = name == "cumulative_prod" and dtype in FLOATS
            x = floats(shape, dtype, 0.7, 1.4) if products else values(shape, dtype)
            axes = (*([None] if dims == "1d" else []), *range(len(shape)), -1)
            for axis, initial in itertools.product(axes, (False, True)):
                yield case(
                    f"{name} {dims}{described(axis=axis, include_initial=initial)} {dtype}",
                    call(name, axis=axis, include_initial=initial),
                    x,
                )
        yield case(f"{name} 2d one {dtype}", call(name, axis=1), values((4, 1), dtype))


def utility() -> Iterator[Case]:
    """The functions all, any and diff."""
    for name, (dims, shape), dtype in itertools.product(
        ("all", "any"), SHAPES.items(), ("bool", "int64", "float32")
    ):
        x = values(shape, dtype) if dtype != "float32" else np.round(floats(shape, dtype))
        for axis in axes_of(len(shape)):
            keepdims = dtype == "int64"
            yield case(
                f"{name} {dims}{described(axis=axis, keepdims=keepdims)} {dtype}",
                call(name, axis=axis, keepdims=keepdims),
                x,
            )
        yield case(
            f"{name} of comparison {dims} {dtype}", lambda xp, x, name=name: getattr(xp, name)(x >= 0), x
        )
    for (dims, shape), dtype in itertools.product(SHAPES.items(), (*FLOATS, *INTEGERS)):
        for axis, n in itertools.product(range(-1, len(shape)), (1, 2)):
            x = values(shape, dtype)
            yield case(f"diff {dims}{described(axis=axis, n=n)} {dtype}", call("diff", axis=axis, n=n), x)
    for dims, shape in SHAPES.items():
        end = (*shape[:-1], 1)
        yield case(
            f"diff prepend {dims}", lambda xp, x, y: xp.diff(x, prepend=y), floats(shape), floats(end, seed=1)
        )
        yield case(
            f"diff append {dims}", lambda xp, x, y: xp.diff(x, append=y), floats(shape), floats(end, seed=1)
        )
        yield case(
            f"diff both {dims}",
            lambda xp, x, y: xp.diff(x, prepend=y, append=y, n=2),
            floats(shape),
            floats(end, seed=1),
        )
    yield case("diff of comparison", lambda xp, x: xp.diff(x > 0), floats((4, 6)))
    yield case("diff n=0", call("diff", n=0), floats((4, 6)))


def softmax(xp: Any, x: Any) -> Any:
    """Softmax along the last axis."""
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def attention(xp: Any, q: Any, k: Any, v: Any) -> Any:
    """Attention of a stack of sequences."""
    return xp.matmul(softmax(xp, q @ k.mT / math.sqrt(q.shape[-1])), v)


COMBINATIONS: dict[str, Body] = {
    "softmax": softmax,
    "standardise": lambda xp, x: (x - xp.mean(x, axis=0)) / (xp.std(x, axis=0) + 1),
    "one hot": lambda xp, x: xp.astype(xp.argmax(x, axis=-1)[..., None] == xp.arange(x.shape[-1]), x.dtype),
    "rank of elements": lambda xp, x: xp.argsort(xp.argsort(x)),
    "moving sum": lambda xp, x: (
        xp.cumulative_sum(x, axis=-1)[..., 2:] - xp.cumulative_sum(x, axis=-1)[..., :-2]
    ),
    "median": lambda xp, x: xp.sort(x, axis=-1)[..., x.shape[-1] // 2],
    "several results": lambda xp, x: (xp.sum(x), xp.max(x, axis=0), xp.argmin(x), x > 0, xp.flip(x)),
    "outer difference": lambda xp, x: xp.abs(x[..., :, None] - x[..., None, :]),
    "fraction of positives": lambda xp, x: xp.mean(xp.astype(x > 0, x.dtype)),
    "gram": lambda xp, x: xp.reshape(x, (-1, x.shape[-1])).T @ xp.reshape(x, (-1, x.shape[-1])),
}


def combinations() -> Iterator[Case]:
    """Small functions of several calls."""
    for (name, body), (dims, shape), dtype in itertools.product(COMBINATIONS.items(), SHAPES.items(), FLOATS):
        yield case(f"{name} {dims} {dtype}", body, floats(shape, dtype))
    for dtype in FLOATS:
        arrays = (floats((3, 4, 5), dtype, seed=seed) for seed in range(3))
        yield case(f"attention {dtype}", attention, *arrays)
    x = floats((6, 4, 10))
    yield case("exp of permuted view", call("exp"), np.transpose(x, (2, 0, 1)))
    yield case("exp of stepped view", call("exp"), x[::2, :, ::-3])
    yield case("sum of permuted view", call("sum", axis=1), np.transpose(x, (2, 0, 1)))
    yield case("add of broadcast view", call("add"), np.broadcast_to(x[:1], x.shape), x)
    yield case("sort of stepped view", call("sort", axis=0), x[:, 1, ::2])


CASES: tuple[Case, ...] = (
    *elementwise(),
    *operators(),
    *creation(),
    *data_types(),
    *indexing(),
    *linear_algebra(),
    *manipulation(),
    *searching(),
    *statistics(),
    *utility(),
    *combinations(),
)


def doubled_until_large(xp: Any, x: Any) -> Any:
    """Loop whose length depends on the sum."""
    while float(xp.sum(xp.abs(x))) < 1000:
        x = x * 2
    return x


VALUE_DEPENDENT: tuple[Case, ...] = (
    case("nonzero", call("nonzero"), integers((4, 6)) % 3),
    case("unique_values", call("unique_values"), integers((4, 6))),
    case("unique_counts", call("unique_counts"), integers((4, 6))),
    case("unique_inverse", call("unique_inverse"), integers((4, 6))),
    case("unique_all", call("unique_all"), integers((4, 6))),
    case("x[mask]", lambda xp, x: x[x > 0], floats((4, 6))),
    case("x[row mask]", lambda xp, x: x[xp.any(x > 2, axis=1)], floats((4, 6))),
    case("sum of x[mask]", lambda xp, x: xp.sum(x[x > 0]), floats((4, 6))),
    case("repeat counts", lambda xp, x, n: xp.repeat(x, n), floats((5,)), counts((5,))),
    case("repeat counts axis=0", lambda xp, x, n: xp.repeat(x, n, axis=0), floats((4, 6)), counts((4,))),
    case("arange of element", lambda xp, n: xp.arange(int(xp.max(n))), counts((5,)) + 1),
    case("branch on sum", lambda xp, x: x if bool(xp.sum(x) > 0) else -x, floats((4, 6))),
    case("slice by element", lambda xp, x, n: x[: int(n[0])], floats((5,)), np.array([2, 3])),
    case("loop on sum", doubled_until_large, floats((4, 6))),
    case("fft.fft", call("fft.fft"), floats((4, 6))),
    case("fft.rfft", call("fft.rfft"), floats((4, 6))),
    case("fft.irfft of rfft", lambda xp, x: xp.fft.irfft(xp.fft.rfft(x)), floats((4, 6))),
    case("complex product", lambda xp, x: xp.exp(1j * x), floats((4, 6))),
)
