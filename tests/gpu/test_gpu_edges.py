"""The tests of hard numbers and labels once more, with their arrays on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import test_edge_arrays
import test_edge_labels
import test_edge_numbers
from on_gpu import cupy_or_skip, dtype_of, to_numpy
from onepass.backends.common.trees import map_leaves

import onepass as op

pytestmark = pytest.mark.gpu

# What is about other libraries, or about an array's memory, which does not survive the way to the GPU.
NOT_HERE = {
    "test_halves_are_summed_in_float32",
    "test_integer_dtypes_of_other_libraries",
    "test_onepass_check_reads_labels_at_any_price",
}
OF_ARRAYS = [
    "test_float32_with_float64_is_float64",
    "test_a_long_scalar_promotes_nothing",
    "test_a_wrong_option_is_found_after_a_right_one_too",
]
BORROWED = {
    **{
        name: test
        for module in (test_edge_numbers, test_edge_labels)
        for name, test in vars(module).items()
        if name.startswith("test_") and name not in NOT_HERE and callable(test)
    },
    **{name: getattr(test_edge_arrays, name) for name in OF_ARRAYS},
}
# Collected here like this file's own; the parameters come with them.
globals().update(BORROWED)


class OnTheGpu:
    """A module's functions for NumPy arrays: they travel to the GPU, and the results come back."""

    def __init__(self, module: ModuleType, cupy: Any) -> None:
        self._module, self._cupy = module, cupy

    def use_backend(self, name: str) -> AbstractContextManager[None]:
        """Those tests go through the backends of the processor; here there is one."""
        return op.use_backend("cupy")

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if not callable(value) or isinstance(value, ModuleType):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                result = value(*map_leaves(self._there, args), **map_leaves(self._there, kwargs))
            except (TypeError, ValueError) as error:
                # What these tests expect of a message names the library that they call with.
                raise type(error)(str(error).replace("a cupy ", "a numpy ")) from error
            return to_numpy(self._cupy, result)

        return call

    def _there(self, leaf: Any) -> Any:
        known = getattr(leaf, "dtype", None)
        if type(leaf) is not np.ndarray or not (known.kind in "fiubc" or known.name == "bfloat16"):
            return leaf
        return self._cupy.asarray(
            np.ascontiguousarray(leaf, leaf.dtype.newbyteorder("=")).reshape(leaf.shape)
        )


@pytest.fixture(autouse=True)
def on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    cupy = cupy_or_skip()
    there = OnTheGpu(op, cupy)
    for module in (test_edge_numbers, test_edge_labels, test_edge_arrays):
        monkeypatch.setattr(module, "op", there)
    monkeypatch.setattr(test_edge_labels, "kernels", OnTheGpu(op.kernels, cupy))
    # Labels on a GPU are read where this asks for it, and nowhere else.
    monkeypatch.setenv("ONEPASS_CHECK", "1")
    with op.use_backend("cupy"):
        yield there


@pytest.fixture(params=["numpy"])
def xp(request: pytest.FixtureRequest) -> Any:
    return np


@pytest.fixture(params=["numpy"])
def backend(request: pytest.FixtureRequest) -> str:
    """What those tests ask for; the arrays are on the GPU whatever it is."""
    return str(request.param)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_halves_are_summed_in_float32(half: str, on_the_gpu: Any) -> None:
    dtype = dtype_of(half)
    many, row, column = (np.ones(shape, dtype) for shape in (20_000, (1, 20_000), (20_000, 1)))
    zeros, labels = np.zeros((80_000, 1), dtype), np.zeros(1, np.int32)
    face = on_the_gpu
    cases: dict[str, tuple[Callable[[], Any], float]] = {
        "l1": (lambda: face.l1_penalty(many, 0.5), 10_000),
        "l2": (lambda: face.l2_penalty(many, 1.0), 10_000),
        "product": (lambda: face.linear(row, column), 20_000),
        "bias": (lambda: face.linear_backward(column, column, row[:, :1])[2], 20_000),
        # 80,000 is more than float16 holds, but the mean is not.
        "mean": (lambda: face.half_squared_error(zeros, (zeros + 2).astype(dtype)), 2),
        "loss": (lambda: face.softmax_cross_entropy(row, labels), np.log(20_000)),
        "network": (lambda: face.mlp_loss_and_grads([(column, None)], row * dtype.type(0), labels)[0], 0),
        "log_softmax": (lambda: face.log_softmax(row)[0, 0], -np.log(20_000)),
    }
    for name, (call, expected) in cases.items():
        got = np.asarray(call())
        assert got.dtype == dtype, name
        assert float(got.reshape(-1)[0]) == float(dtype.type(expected)), name


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 1, 500, 1029])
def test_one_hard_number_in_a_long_row(place: int, value: float, dtype: str, on_the_gpu: Any) -> None:
    """Wherever in a row, and so in whichever thread, it lies; the neighbours do not notice."""
    logits = np.random.default_rng(6).standard_normal((5, 1030)).astype(dtype_of(dtype))
    logits[2, place] = value
    loss, grad = on_the_gpu.softmax_cross_entropy_with_grad(logits, np.full(5, 7), reduction="none")
    numbers = np.isfinite(loss.astype(float)), np.isfinite(grad.astype(float)).all(axis=1)
    well = np.array([True, True, value == -np.inf, True, True])
    for finite in numbers:
        np.testing.assert_array_equal(finite, well)
    if value == -np.inf:
        assert grad[2, place] == 0


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_labels_outside_are_not_read_by_themselves(
    dtype: str, monkeypatch: pytest.MonkeyPatch, on_the_gpu: Any
) -> None:
    monkeypatch.delenv("ONEPASS_CHECK")
    logits = np.zeros((3, 4), dtype)
    loss = on_the_gpu.softmax_cross_entropy(logits, np.array([0, 4, -1]), reduction="none")
    np.testing.assert_allclose(loss.astype(float), [np.log(4), np.nan, np.nan], rtol=1e-3)
