"""Hard numbers: infinities, NaN, far-off logits, subnormals, half precision, no rows, one class, kinks."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from selection import MOSTLY_NUMPY, exhaustively, needing

import onepass as op

LIBRARIES = {"strict": "array_api_strict", "torch": "torch", "jax": "jax.numpy"}
INF, NAN = np.inf, np.nan
LARGEST = float(np.finfo(np.float32).max)
# The options that each choose another way through the losses of labels.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "class_weight": {"class_weight": np.array([0.5, 2.0, 1.5])},
    "ignore_index": {"ignore_index": -100},
    "label_smoothing": {"label_smoothing": 0.25},
    "all": {"class_weight": np.array([0.5, 2.0, 1.5]), "ignore_index": -100, "label_smoothing": 0.25},
}


def label_cases(*names: str) -> list[Any]:
    """Losses, each with each set of options, as written and compiled."""
    return [
        exhaustively(
            name,
            options,
            backend,
            # Each compiles programs of its own, of which "all" of the first loss has every part.
            when=backend == "numba" and (name, option) != ("softmax_cross_entropy", "all"),
            id=f"{backend}-{name}-{option}",
        )
        for backend in ("numpy", "numba")
        for name in names
        for option, options in OPTIONS.items()
        if not (name == "multiclass_hinge" and "label_smoothing" in options)
    ]


LABEL_LOSSES = ("softmax_cross_entropy", "nll_loss", "multiclass_hinge")


def of_labels(*names: str) -> pytest.MarkDecorator:
    """The losses of labels with each set of options, on each backend."""
    return pytest.mark.parametrize(("name", "options", "backend"), label_cases(*names), indirect=["backend"])


ELEMENTWISE = {
    "binary_cross_entropy_with_logits": {"weight", "pos_weight"},
    "binary_cross_entropy": {"weight"},
    "mean_squared_error": set(),
    "half_squared_error": set(),
}


@pytest.fixture(params=["numpy", exhaustively("numba"), "strict", needing("torch"), needing("jax")])
def xp(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A library; NumPy as written and compiled."""
    if request.param in LIBRARIES:
        yield importlib.import_module(LIBRARIES[request.param])
        return
    with op.use_backend(request.param):
        yield np


def numbers(array: Any) -> np.ndarray:
    return np.asarray(array)


def with_grad(name: str) -> Callable[..., Any]:
    return getattr(op, f"{name}_with_grad")


def loss_and_grads(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """The loss and gradient from `_with_grad`, which plain loss and `_backward` must repeat."""
    loss, grad = with_grad(name)(*args, **options)
    np.testing.assert_array_equal(numbers(getattr(op, name)(*args, **options)), numbers(loss))
    ones = array_namespace(grad).ones_like(loss)
    again = getattr(op, f"{name}_backward")(ones, *args, **options)
    np.testing.assert_array_equal(numbers(again), numbers(grad))
    return numbers(loss), numbers(grad)


# Logits of one row, its label, its loss and its gradient.
EXTREME: list[tuple[list[float], int, float, list[float]]] = [
    ([1e4, -1e4, 0.0], 0, 0.0, [0, 0, 0]),
    ([1e4, -1e4, 0.0], 1, 2e4, [1, -1, 0]),
    ([1e4, -1e4, 0.0], 2, 1e4, [1, 0, -1]),
    ([LARGEST, LARGEST, -LARGEST], 0, np.log(2), [-0.5, 0.5, 0]),
    ([LARGEST, 0.0, 0.0], 1, LARGEST, [1, -1, 0]),
    ([-LARGEST, 0.0, 0.0], 0, LARGEST, [-1, 0.5, 0.5]),
    ([-INF, 0.0, 0.0], 1, np.log(2), [0, -0.5, 0.5]),
    ([-INF, 0.0, -INF], 1, 0.0, [0, 0, 0]),
    ([-INF, 0.0, 0.0], 0, INF, [-1, 0.5, 0.5]),
]


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy_of_extreme_logits(xp: Any, reduction: str) -> None:
    # JAX has no float64 unless it is switched on for the whole process.
    dtypes = [xp.float32] if "jax" in xp.__name__ else [xp.float32, xp.float64]
    for dtype, (logits, label, loss, grad) in itertools.product(dtypes, EXTREME):
        args = xp.asarray([logits], dtype=dtype), xp.asarray([label])
        got_loss, got_grad = loss_and_grads("softmax_cross_entropy", *args, reduction=reduction)
        np.testing.assert_allclose(got_loss, [loss] if reduction == "none" else loss, rtol=1e-6)
        np.testing.assert_allclose(got_grad, [grad], rtol=1e-6)
        # What is exact stays exact: no gradient leaks to a class of no probability.
        np.testing.assert_array_equal(got_grad[0][np.equal(grad, 0)], 0)


@of_labels("softmax_cross_entropy")
def test_minus_infinity_at_a_class_of_no_target_has_no_gradient(
    name: str, options: dict[str, Any], backend: str
) -> None:
    smooth = "label_smoothing" in options  # a smoothed target asks for every class, and the loss is inf
    logits = np.array([[-INF, 0.3, -0.4], [0.1, 0.2, 0.3]])
    loss, grad = loss_and_grads(name, logits, np.array([1, 2]), reduction="none", **options)
    weight = options.get("class_weight", np.ones(3))
    assert np.isfinite(grad).all()
    assert np.isfinite(loss[1])
    if smooth:
        assert loss[0] == INF
    else:
        np.testing.assert_allclose(loss[0], weight[1] * np.log1p(np.exp(-0.7)))
        assert grad[0, 0] == 0


@MOSTLY_NUMPY
def test_minus_infinity_in_other_losses(backend: str) -> None:
    scores, labels = np.array([[-INF, 0.0, 0.5], [-INF, 0.0, 0.5]]), np.array([1, 0])
    loss, grad = loss_and_grads("multiclass_hinge", scores, labels, reduction="none")
    np.testing.assert_array_equal(loss, [1.5, INF])
    np.testing.assert_array_equal(grad, [[0, -1, 1], [-2, 1, 1]])
    loss, grad = loss_and_grads("nll_loss", scores - 1, labels, reduction="none")
    np.testing.assert_array_equal(loss, [1, INF])
    np.testing.assert_array_equal(grad, [[0, -1, 0], [-1, 0, 0]])
    wide = np.array([[LARGEST, 0.0]], np.float32)
    loss, grad = loss_and_grads("multiclass_hinge", wide, np.array([1]), reduction="none")
    np.testing.assert_array_equal(loss, [LARGEST])
    np.testing.assert_array_equal(grad, [[1, -1]])
    soft = np.array([[0.0, 0.25, 0.75]])
    loss, grad = loss_and_grads("softmax_cross_entropy", scores[:1], soft, reduction="none")
    p = 1 / (1 + np.exp(0.5))
    np.testing.assert_allclose(loss, [-0.25 * np.log(p) - 0.75 * np.log(1 - p)])
    np.testing.assert_allclose(grad, [[0, p - 0.25, 0.25 - p]], atol=1e-15)
    x = np.array([INF, -INF, INF, -INF, 1e4, -1e4])
    loss, grad = loss_and_grads(
        "binary_cross_entropy_with_logits", x, np.array([1.0, 0, 0, 1, 0, 1]), reduction="none"
    )
    np.testing.assert_array_equal(loss, [0, 0, INF, INF, 1e4, 1e4])
    np.testing.assert_array_equal(grad, [0, 0, 1, -1, 1, -1])
    loss, grad = loss_and_grads(
        "binary_cross_entropy", np.array([0.0, 1, 0, 1]), np.array([0.0, 1, 1, 0]), reduction="none"
    )
    np.testing.assert_array_equal(loss, [0, 0, 100, 100])
    np.testing.assert_allclose(grad, [0, 0, -1e12, 1e12])


@pytest.mark.parametrize(
    ("dtype", "backend"),
    [
        ("float32", "numpy"),
        ("float64", "numpy"),
        ("float32", "numba"),
        exhaustively("float64", "numba"),
    ],
    indirect=["backend"],
)
def test_a_shift_of_all_logits_changes_nothing(dtype: str, backend: str) -> None:
    # Multiples of 1/64, which the shifted row holds exactly.
    logits = np.random.default_rng(1).integers(-300, 300, (20, 40)).astype(dtype) / np.dtype(dtype).type(64)
    labels = np.arange(20) % 40
    kernels: list[Callable[[Any], Any]] = [
        op.softmax,
        op.log_softmax,
        lambda z: op.softmax_cross_entropy_with_grad(z, labels, reduction="none")[0],
        lambda z: op.softmax_cross_entropy_with_grad(z, labels, label_smoothing=0.1)[1],
        lambda z: op.softmax_cross_entropy_with_grad(z, labels)[1],
        lambda z: op.multiclass_hinge_with_grad(z, labels, reduction="none")[0],
    ]
    for shift, (index, kernel) in itertools.product((-500.0, 1e4, -1e4), enumerate(kernels)):
        moved = logits + np.dtype(dtype).type(shift)
        np.testing.assert_array_max_ulp(kernel(moved), kernel(logits), 2)
        assert np.isfinite(kernel(moved)).all(), index


# nll_loss reads one class only, and the hinge of one infinite score is infinite or 0, but defined.
POISON: dict[str, list[list[float]]] = {
    "softmax_cross_entropy": [[-INF] * 3, [0, INF, 1], [INF, INF, 0], [0, 1, NAN], [NAN, 1, 0]],
    "multiclass_hinge": [[-INF] * 3, [INF, INF, 0], [0, 1, NAN], [NAN, 1, 0]],
}


@of_labels(*POISON)
def test_a_poisoned_row_is_nan_alone(name: str, options: dict[str, Any], backend: str) -> None:
    for row in POISON[name]:
        require_nan_alone(name, options, row)


def require_nan_alone(name: str, options: dict[str, Any], row: list[float]) -> None:
    good = np.random.default_rng(2).standard_normal((4, 3))
    labels = np.array([0, 2, 1, 1])
    logits, with_row = np.insert(good, 2, row, axis=0), np.insert(labels, 2, 0)
    loss, grad = loss_and_grads(name, logits, with_row, reduction="none", **options)
    assert np.isnan(loss[2])
    assert np.isnan(grad[2]).all()
    expected = loss_and_grads(name, good, labels, reduction="none", **options)
    np.testing.assert_array_equal(np.delete(loss, 2), expected[0])
    np.testing.assert_array_equal(np.delete(grad, 2, axis=0), expected[1])
    mean, mean_grad = with_grad(name)(logits, with_row, **options)
    assert np.isnan(mean)
    assert np.isfinite(np.delete(mean_grad, 2, axis=0)).all()
    # The same row, when it is ignored, is as if it were not there.
    ignored = {**options, "ignore_index": -100}
    with_row[2] = -100
    loss, grad = loss_and_grads(name, logits, with_row, **ignored)
    expected = loss_and_grads(name, good, labels, **ignored)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-14)
    np.testing.assert_array_equal(grad[2], 0)
    np.testing.assert_array_equal(np.delete(grad, 2, axis=0), expected[1])


@MOSTLY_NUMPY
@pytest.mark.parametrize("name", [name for name, options in ELEMENTWISE.items() if options])
@pytest.mark.parametrize("hard", [NAN, INF, -INF])
def test_an_element_without_weight_does_not_count(name: str, hard: float, backend: str) -> None:
    x, y, weight = np.array([0.5, hard, 0.25]), np.array([0.0, 1.0, 0.75]), np.array([1.0, 0.0, 2.0])
    loss, grad = loss_and_grads(name, x, y, weight=weight, reduction="sum")
    keep = np.array([0, 2])
    expected = loss_and_grads(name, x[keep], y[keep], weight=weight[keep], reduction="sum")
    np.testing.assert_allclose(loss, expected[0], rtol=1e-15)
    np.testing.assert_array_equal(grad, np.insert(expected[1], 1, 0.0))


def test_subnormals_are_kept() -> None:
    small = np.array([1e-45, -1e-45, 3e-39], np.float32)
    np.testing.assert_array_equal(op.relu(small), [small[0], 0, small[2]])
    np.testing.assert_array_equal(op.tanh(small), small)
    np.testing.assert_array_equal(op.sgd_step(small, small, 0.0), small)
    np.testing.assert_array_equal(op.l1_penalty(small[2:], 1.0), small[2])
    np.testing.assert_allclose(op.softmax(np.array([0, -100], np.float32))[1], 3.8e-44, rtol=0.02)
    np.testing.assert_allclose(op.sigmoid(np.array([-100], np.float32)), [3.8e-44], rtol=0.02)


@pytest.mark.parametrize(
    ("library", "half"),
    [
        ("numpy", "float16"),
        needing("torch", "torch", "float16"),
        needing("torch", "torch", "bfloat16"),
        needing("jax", "jax.numpy", "float16"),
    ],
)
def test_halves_are_summed_in_float32(library: str, half: str) -> None:
    xp = importlib.import_module(library)
    dtype = getattr(xp, half)
    many, row, column = (xp.ones(s, dtype=dtype) for s in (20_000, (1, 20_000), (20_000, 1)))
    zeros, labels = xp.zeros((80_000, 1), dtype=dtype), xp.zeros(1, dtype=xp.int32)
    cases = {
        "l1": (op.l1_penalty(many, 0.5), 10_000),
        "l2": (op.l2_penalty(many, 1.0), 10_000),
        "product": (op.linear(row, column), 20_000),
        "bias": (op.linear_backward(column, column, row[:, :1])[2], 20_000),
        # 80,000 is more than float16 holds, but the mean is not.
        "mean": (op.half_squared_error(zeros, zeros + 2), 2),
        "loss": (op.softmax_cross_entropy(row, labels), np.log(20_000)),
        "network": (op.mlp_loss_and_grads([(column, None)], row[:, :] * 0, labels)[0], 0),
        "log_softmax": (op.log_softmax(row)[0, 0], -np.log(20_000)),
    }
    for name, (got, expected) in cases.items():
        assert got.dtype == dtype, name
        rounded = float(xp.asarray(expected, dtype=dtype))
        np.testing.assert_array_equal(float(got.reshape(-1)[0]), rounded, err_msg=name)


@of_labels(*LABEL_LOSSES)
def test_one_class_has_no_loss_and_no_gradient(name: str, options: dict[str, Any], backend: str) -> None:
    options = {key: value[:1] if key == "class_weight" else value for key, value in options.items()}
    scores = np.array([[0.0], [0.0]]) if name == "nll_loss" else np.array([[7.5], [-1e4]])
    loss, grad = loss_and_grads(name, scores, np.array([0, 0]), reduction="none", **options)
    np.testing.assert_array_equal(loss, [0, 0])
    if name != "nll_loss":
        np.testing.assert_array_equal(grad, [[0], [0]])


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_no_rows(xp: Any, reduction: str) -> None:
    nothing = {"none": np.zeros(0), "sum": 0.0, "mean": NAN}[reduction]
    empty, labels = xp.zeros((0, 5), dtype=xp.float32), xp.asarray(np.zeros(0, dtype=int))
    for name in ("softmax_cross_entropy", "nll_loss", "multiclass_hinge", *ELEMENTWISE):
        targets = empty if name in ELEMENTWISE else labels
        loss, grad = with_grad(name)(empty, targets, reduction=reduction)
        again = getattr(op, f"{name}_backward")(loss, empty, targets, reduction=reduction)
        assert tuple(again.shape) == (0, 5)
        expected = np.zeros((0, 5)) if name in ELEMENTWISE and reduction == "none" else nothing
        np.testing.assert_array_equal(numbers(loss), expected, err_msg=name)
        assert loss.dtype == grad.dtype == xp.float32
        assert tuple(grad.shape) == (0, 5)
    weight, bias = xp.ones((5, 2), dtype=xp.float32), xp.ones(2, dtype=xp.float32)
    loss, grads = op.mlp_loss_and_grads([(weight, bias)], empty, labels)
    assert np.isnan(numbers(loss))
    np.testing.assert_array_equal(numbers(grads[0][0]), np.zeros((5, 2)))
    np.testing.assert_array_equal(numbers(op.softmax(empty)), np.zeros((0, 5)))


@of_labels(*LABEL_LOSSES)
def test_all_rows_ignored(name: str, options: dict[str, Any], backend: str) -> None:
    options = {**options, "ignore_index": 2}
    loss, grad = with_grad(name)(np.array([[1.0, 2, 3], [NAN, 0, INF]]), np.array([2, 2]), **options)
    assert np.isnan(loss)
    np.testing.assert_array_equal(grad, np.zeros((2, 3)))


def test_kinks_take_the_stated_subgradient(xp: Any) -> None:
    zero = xp.asarray([0.0, -0.0, 1.0, -1.0])
    np.testing.assert_array_equal(numbers(op.relu_backward(xp.ones(4), op.relu(zero))), [0, 0, 1, 0])
    np.testing.assert_array_equal(numbers(op.l1_penalty_backward(2.0, zero, 0.5)), [0, 0, 1, -1])
    loss, grad = op.multiclass_hinge_with_grad(xp.asarray([[2.0, 1.0, 1.5]]), xp.asarray([0]))
    assert float(loss) == 0.5
    np.testing.assert_array_equal(numbers(grad), [[-1, 0, 1]])
