"""The same code has the same dtypes and values with and without `@op.kernel`: NumPy 2's."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from selection import exhaustively

import onepass as op

DTYPES = (
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
)
IN_EVERY_RUN = ("float32", "int8", "bool")
FEW = ("float32", "float64", "int8", "int64", "uint64")
# A program of floats, so that it is compiled: integers alone are left to NumPy.
FLOAT = np.ones(2, np.float32)


class Whole(int):
    """A subclass of int, which is not weak."""


NUMBERS = (3, 2.5, True, Whole(3), *(np.dtype(name).type(1) for name in DTYPES), np.array(2.5), np.array(3))
OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "less": operator.lt,
    "maximum": lambda a, b: array_namespace(b).maximum(b, a),
}


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    """Dtypes and bytes, or the type of the error."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = function(*args)
    except Exception as error:
        return type(error)
    return [(result.dtype, result.tobytes()) for result in results]


@pytest.mark.parametrize(
    "dtype",
    [exhaustively(dtype, when=dtype not in IN_EVERY_RUN) for dtype in DTYPES],
)
def test_numbers_meet_arrays_as_in_numpy(dtype: str) -> None:
    array = np.ones(2, dtype)

    def all_of(v: Any, numbers: Any, more: Any) -> Any:
        results = [part for n in numbers for part in (v + n, n * v, v / n, v < n)]
        return [*results, v - 0.5, v * 2, more]

    numbers = [
        n for n in NUMBERS if dtype != "bool" or isinstance(n, float)
    ]  # of bools NumPy has no difference
    with op.use_backend("numba"):
        got = outcome(op.kernel(all_of), array, numbers, FLOAT)
    assert got == outcome(all_of, array, numbers, FLOAT)


@pytest.mark.parametrize(
    ("name", "dtypes"),
    [("divide", FEW), ("maximum", FEW), *(exhaustively(name, DTYPES[:-1]) for name in OPERATIONS)],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
def test_arrays_meet_arrays_as_in_numpy(name: str, dtypes: tuple[str, ...]) -> None:
    operation = OPERATIONS[name]

    def pairs(arrays: Any) -> Any:
        return [operation(a, b) for a in arrays for b in arrays]

    arrays = [np.ones(2, dtype) for dtype in dtypes]
    with op.use_backend("numba"):
        got = outcome(op.kernel(pairs), arrays)
    assert got == outcome(pairs, arrays)


def test_a_python_number_with_dimensions_is_an_array_as_in_numpy() -> None:
    def scaled(v: Any, number: Any) -> Any:
        return [v * array_namespace(v).reshape(number, (1,)), v * number]

    with op.use_backend("numba"):
        got = outcome(op.kernel(scaled), FLOAT, 0.1)
    assert got == outcome(scaled, FLOAT, 0.1)


def test_a_python_integer_that_does_not_fit_is_an_error() -> None:
    small, unsigned = np.zeros(1, np.int8), np.zeros(1, np.uint8)
    literal = op.kernel(lambda i, v: (i + 300, v))
    given = op.kernel(lambda i, n, v: (i + n, v))
    for backend in ("auto", "numba", "numpy"):
        with op.use_backend(backend):
            for call in (
                lambda: literal(small, FLOAT),
                lambda: given(small, 128, FLOAT),
                lambda: given(unsigned, -1, FLOAT),
            ):
                with pytest.raises(OverflowError, match="out of bounds for"):
                    call()
            assert given(small, 127, FLOAT)[0].tolist() == [127]
            with pytest.raises(OverflowError):
                given(small, 200, FLOAT)
            assert given(small, -128, FLOAT)[0].tolist() == [-128]
    compared = op.kernel(lambda i, n, v: (i < n, i == 300, v))
    assert [part.tolist() for part in compared(small, 300, FLOAT)[:2]] == [[True], [False]]
    assert [part.tolist() for part in compared(small, -300, FLOAT)[:2]] == [[False], [False]]


@pytest.mark.parametrize("dtype", ["int16", *map(exhaustively, ("int32", "int64", "uint32"))])
def test_functions_of_integers_are_floats_as_in_numpy(dtype: str) -> None:
    def functions(i: Any, v: Any) -> Any:
        xp = array_namespace(i)
        return [xp.sqrt(i), xp.mean(i), xp.sum(i), i / i, xp.exp(i), xp.where(i, v, 2), v]

    i = np.array([1, 4], dtype)
    got, expected = op.kernel(functions)(i, FLOAT), functions(i, FLOAT)
    for mine, reference in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-6)
        assert mine.dtype == reference.dtype


def test_a_dtype_is_compared_and_given_as_numpy_s() -> None:
    def chooses(v: Any) -> Any:
        xp = array_namespace(v)
        if v.dtype == np.float32 and np.float32 == v.dtype and v.dtype != np.float64:
            return xp.zeros(2, dtype=np.float64) + xp.astype(v, np.dtype("float64")), v.dtype.itemsize
        return xp.asarray(v, dtype=np.float32) * xp.ones(2, dtype=v.dtype), v.dtype.kind

    with op.use_backend("numba"):
        for dtype in ("float32", "float64"):
            given = np.ones(2, dtype)
            (got, said), (expected, reference) = op.kernel(chooses)(given), chooses(given)
            assert got.dtype == expected.dtype
            assert said == reference


OTHER_ONES = [1.0, np.float64(1), np.float32(1), np.int64(1), np.array(1), Whole(1)]


@pytest.mark.parametrize("one", [1, np.array(1.0), *map(exhaustively, OTHER_ONES)], ids=repr)
def test_scalars_of_the_library_are_weak(one: Any) -> None:
    single = np.ones(2, np.float32)
    assert op.sgd_step(single, single, one).dtype == np.float32
    assert op.sgd_step(single, single, lr=one).tolist() == [0, 0]
    assert op.momentum_step(single, single, op.momentum_init(single), 0.5, one)[0].dtype == np.float32
    stepped, state = op.adam_step(single, single, op.adam_init(single), betas=(0.5 * one, 0.25 * one), lr=one)
    assert (stepped.dtype, state["exp_avg"].dtype) == (np.float32, np.float32)
    assert op.kernel(lambda v, lr: op.sgd_step(v, v, lr))(single, one).dtype == np.float32


def test_a_number_of_steps_may_be_numpy_s() -> None:
    single = np.ones(2, np.float32)
    expected, state = op.adam_step(single, single, {**op.adam_init(single), "step": 3})
    for step in (np.int64(3), np.array(3)):
        got, after = op.adam_step(single, single, {**op.adam_init(single), "step": step})
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        assert after["step"] == state["step"]
        assert op.adam_step(single, single, {**op.adam_init(single), "step": step + 5})[1]["step"] == 9


@pytest.mark.parametrize(
    "step", [op.momentum_step, op.adam_step, op.adamw_step, op.rmsprop_step, op.adagrad_step]
)
def test_optimisers_keep_the_dtype_of_each_parameter(step: Any) -> None:
    init = getattr(op, {"adamw_step": "adam_init"}.get(step.__name__, step.__name__.replace("step", "init")))
    params = [np.ones(2, np.float16), {"w": np.ones(2, np.float32), "none": None}, np.ones(2)]
    state = init(params)
    for _ in range(2):
        params, state = step(params, params, state, 0.1)
        for tree in (params, *(part for part in state.values() if isinstance(part, list))):
            assert [tree[0].dtype, tree[1]["w"].dtype, tree[2].dtype] == ["float16", "float32", "float64"]
    mixed = [np.ones(2, np.float16), np.ones(2, np.float32)]
    assert [part.dtype for part in op.sgd_step(mixed, mixed, 0.1)] == ["float16", "float32"]
    # A wider gradient promotes its parameter, as NumPy does.
    assert op.sgd_step(mixed, [mixed[1], mixed[1]], 0.1)[0].dtype == np.float32
