"""Every kernel on a GPU: the table of cases in every dtype and layout, sizes, gradients, the same bits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case
from on_gpu import LAYOUTS, assert_close, bits, cupy_or_skip, dtype_of, in_float64, to_gpu
from test_gradients import NETWORKS, WITH_BACKWARD

import onepass as op
from onepass import kernels

pytestmark = pytest.mark.gpu


@pytest.fixture
def cupy() -> Any:
    return cupy_or_skip()


def agrees(cupy: Any, name: str, args: Any, kwargs: Any, dtype: str, tolerance: float | None = None) -> None:
    """The compiled kernel, twice, against the formula itself on the same numbers in NumPy's float64."""
    wide_args, wide_kwargs = in_float64(cupy, (args, kwargs))
    with np.errstate(all="ignore"):
        expected = getattr(kernels, name)(*wide_args, **wide_kwargs)
    before = bits(cupy, (args, kwargs))
    with op.use_backend("cupy"):
        got = getattr(op, name)(*args, **kwargs)
        assert_close(cupy, got, expected, dtype, tolerance)
        first = bits(cupy, got)
        assert bits(cupy, getattr(op, name)(*args, **kwargs)) == first
    assert bits(cupy, (args, kwargs)) == before, "an argument was changed"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_kernel_computes_what_its_formula_says(case: Case, dtype: str, cupy: Any) -> None:
    for layout in LAYOUTS:
        print(layout)  # pytest shows the last one of a failure
        args, kwargs = to_gpu(cupy, (case.args, case.kwargs), dtype, layout)
        agrees(cupy, case.kernel, args, kwargs, dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_half_is_computed_in_float32_and_rounded(case: Case, dtype: str, cupy: Any) -> None:
    for layout in ("aligned", "misaligned", "off by a byte", "fortran"):
        print(layout)
        args, kwargs = to_gpu(cupy, (case.args, case.kwargs), dtype, layout)
        agrees(cupy, case.kernel, args, kwargs, dtype)


# Many short rows to a warp, a warp or a block to a row, several blocks to a row; tails of every kind.
SHAPES = [
    (1, 1),
    (1, 2),
    (7, 3),
    (300, 3),
    (33, 31),
    (65, 32),
    (65, 33),
    (1000, 257),
    (64, 1000),
    (100_003, 10),
    (129, 4096),
    (16, 8191),
    (256, 16384),
    (3, 131_072),
    (2, 1_000_003),
    (1, 3_000_001),
]
OF_SCORES = [
    "softmax",
    "log_softmax",
    "relu",
    "softmax_cross_entropy_with_grad",
    "nll_loss_with_grad",
    "multiclass_hinge_with_grad",
    "mean_squared_error_with_grad",
    "binary_cross_entropy_with_logits_with_grad",
    "sgd_step",
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_size_gives_the_right_numbers(shape: tuple[int, int], dtype: str, cupy: Any) -> None:
    for name in OF_SCORES:
        print(name)
        args = arguments_of(cupy, name, shape, dtype)
        # A mean of millions of terms, against one that is itself in another order.
        agrees(cupy, name, args, {}, dtype, 1e-12 if dtype == "float64" else None)


def arguments_of(cupy: Any, name: str, shape: tuple[int, int], dtype: str) -> tuple[Any, ...]:
    random = np.random.default_rng(1)
    scores = random.standard_normal(shape).astype(dtype_of(dtype))
    # All far below 0, which a maximum that starts at 0 would not survive.
    scores -= dtype_of(dtype).type(50)
    args: list[Any] = [cupy.asarray(scores)]
    if name.startswith(("softmax_cross", "nll", "multiclass")):
        args.append(cupy.asarray(random.integers(0, shape[1], shape[0])))
    elif name.endswith("_with_grad"):
        args.append(cupy.asarray(random.uniform(0, 1, shape).astype(dtype_of(dtype))))
    elif name == "sgd_step":
        args += [cupy.asarray(random.standard_normal(shape).astype(dtype_of(dtype))), 0.1]
    return tuple(args)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("widths", [(2, 100, 3), (784, 100, 10), (65, 33, 17, 9), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("rows", [1, 31, 300, 5000])
def test_networks_of_every_size(rows: int, widths: tuple[int, ...], dtype: str, cupy: Any) -> None:
    random = np.random.default_rng(2)
    params = [
        (random.standard_normal((d, k)) / np.sqrt(d), random.standard_normal(k)) for d, k in pairwise(widths)
    ]
    x, labels = random.standard_normal((rows, widths[0])), random.integers(0, widths[-1], rows)
    args = to_gpu(cupy, (params, x, labels), dtype)
    # Sigmoid, since the derivative of a ReLU near its kink would be a matter of rounding.
    tolerance = 2e-4 if dtype == "float32" else 1e-12
    agrees(cupy, "mlp_loss_and_grads", args, {"activation": "sigmoid", "l2": 0.1}, dtype, tolerance)


@pytest.mark.parametrize("case", WITH_BACKWARD, ids=str)
def test_backward_agrees_with_differences(case: Case, cupy: Any) -> None:
    function, backward = getattr(op, case.kernel), getattr(op, f"{case.kernel}_backward")
    args, kwargs = to_gpu(cupy, (case.args, case.kwargs))
    result = op.check_gradients(function, backward, args, kwargs=kwargs)
    assert result.passed
    assert all(argument.tested > 0 and argument.kinks == 0 for argument in result.arguments)


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_network_gradients_agree_with_differences(case: Case, cupy: Any) -> None:
    loss_and_grads = getattr(op, case.kernel)
    params, *data = to_gpu(cupy, case.args)

    def loss(params: Any) -> Any:
        return loss_and_grads(params, *data, **case.kwargs)[0]

    def grads(_: float, params: Any) -> Any:
        return loss_and_grads(params, *data, **case.kwargs)[1]

    assert op.check_gradients(loss, grads, (params,)).passed


@pytest.mark.parametrize("shape", [(4096, 1000), (37, 70_001), (100_003, 3), (8, 131_072)], ids=str)
def test_sums_repeat_bit_for_bit(shape: tuple[int, int], cupy: Any) -> None:
    random = np.random.default_rng(3)
    scores = cupy.asarray(random.standard_normal(shape, dtype=np.float32))
    labels = cupy.asarray(random.integers(0, shape[1], shape[0]))
    expected = bits(cupy, op.softmax_cross_entropy_with_grad(scores, labels))
    for turn in range(20):
        # Other addresses, and other work beside it, change the order in which blocks run.
        elsewhere = cupy.empty(1 << (turn % 12 + 8), np.uint8)
        again = op.softmax_cross_entropy_with_grad(scores.copy(), labels.copy())
        assert bits(cupy, again) == expected
        del elsewhere


def test_a_number_is_an_array_of_no_dimensions_on_the_gpu(cupy: Any) -> None:
    for backend in ("auto", "cupy"):
        with op.use_backend(backend):
            total = op.l1_penalty(cupy.asarray([1.0, -2.0]), 0.5)
            assert isinstance(total, cupy.ndarray)
            assert (total.shape, float(total)) == ((), 1.5)
