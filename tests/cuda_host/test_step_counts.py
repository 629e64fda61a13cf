"""Numbers in results: the step count of Adam, and what else depends on no array, stay Python numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from host_device import HostDevice
from onepass.backends.common.trees import leaves
from onepass.backends.cuda.program import CudaProgram
from selection import exhaustively

import onepass as op
from onepass import kernels

on_host = pytest.mark.needs(name="g++")
COMPILED_IN_EVERY_RUN = [("int64", "adam_step"), ("float32", "adamw_step")]
STEPS = pytest.mark.parametrize("name", ["adam_step", "adamw_step"])


def tree(seed: int) -> Any:
    random = np.random.default_rng(seed)
    return [(random.normal(size=(5, 7)), random.normal(size=7)), {"scale": random.normal(size=(3, 1))}]


def expected_after(name: str, steps: int) -> Any:
    params, state = tree(0), kernels.adam_init(tree(0))
    for turn in range(steps):
        params, state = getattr(kernels, name)(params, tree(1 + turn), state, 0.1)
    return params, state


def assert_same(got: Any, expected: Any, rtol: float = 1e-12) -> None:
    got, expected = leaves(got), leaves(expected)
    assert len(got) == len(expected)
    for mine, reference in zip(got, expected, strict=True):
        np.testing.assert_allclose(np.asarray(mine), reference, rtol=rtol)


@pytest.mark.parametrize(
    ("library", "dtype", "name"),
    [
        exhaustively(
            library, dtype, name, when=library == "numba" and (dtype, name) not in COMPILED_IN_EVERY_RUN
        )
        for library in ("numpy", "numba", "strict")
        for dtype in ("int64", "int32", "uint8", "float32", "float64")
        for name in ("adam_step", "adamw_step")
    ],
)
def test_a_file_may_hold_the_count_as_an_array(library: str, dtype: str, name: str) -> None:
    as_array: Any = np.asarray
    if library == "strict":
        as_array = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed").asarray

    def there(given: Any) -> Any:
        if isinstance(given, dict):
            return {key: there(item) for key, item in given.items()}
        return type(given)(map(there, given)) if isinstance(given, list | tuple) else as_array(given)

    with op.use_backend("auto" if library == "strict" else library):
        params, state = there(tree(0)), op.adam_init(there(tree(0)))
        state["step"] = as_array(np.zeros((), dtype))
        for turn in range(4):
            params, state = getattr(op, name)(params, there(tree(1 + turn)), state, 0.1)
            assert str(state["step"].dtype).endswith(dtype)
            # A compiled result that is a number is a NumPy scalar; an array was given, as a file has it.
            state["step"] = as_array(state["step"])
    # A count of float32 is raised to its power in float32, as PyTorch does.
    assert_same((params, state), expected_after(name, 4), 1e-3 if dtype == "float32" else 1e-12)


@on_host
@STEPS
def test_the_count_stays_a_python_number_on_a_gpu(name: str) -> None:
    kernel, state = getattr(kernels, name), kernels.adam_init(tree(0))
    params = tree(0)
    program = CudaProgram(kernel, name, (params, tree(1), state, 0.1), {}, device=HostDevice())
    for turn in range(4):
        # The state that comes back is of the form that the program was made for.
        params, state = program(leaves(((params, tree(1 + turn), state, 0.1), {})))
        assert type(state["step"]) is int
    assert_same((params, state), expected_after(name, 4))


def numbers(x: Any, rate: Any, count: Any, up: Any) -> Any:
    xp = array_namespace(x)
    return {
        "array": x * rate,
        "sum": xp.sum(x) * rate,
        "next": count + 1,
        "rows": x.shape[0] * count,
        "half": count / 2,
        "whole": count // 2,
        "power": rate**count,
        "less": rate < count,
        "chosen": xp.where(rate < up, count, count + 5),
        "largest": xp.maximum(count, 4),
        "constant": 3,
    }


@on_host
@pytest.mark.parametrize("given", [(0.5, 3, 2), (2.5, 7, 2), (1e-3, -4, 2)])
def test_what_depends_on_no_array_is_a_python_number(given: Any) -> None:
    x = np.arange(12.0).reshape(4, 3)
    program = CudaProgram(numbers, "numbers", (x, 0.25, 1, 2), {}, device=HostDevice())
    got = program(leaves(((x, *given), {})))
    with op.use_backend("numba"):
        expected = op.kernel(numbers)(x, *given)
    assert {key for key, value in got.items() if isinstance(value, np.ndarray)} == {"array", "sum"}
    for key, value in expected.items():
        np.testing.assert_allclose(got[key], value, rtol=1e-13, err_msg=key)
        if key not in ("array", "sum"):
            assert type(got[key]) is type(value), key
