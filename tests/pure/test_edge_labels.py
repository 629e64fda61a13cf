"""Hard labels: every integer dtype, wrong kinds and shapes, labels outside the classes, ignored labels."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from selection import MOSTLY_NUMPY, exhaustively, needing

import onepass as op
from onepass import kernels

LIBRARIES = {"numpy": "numpy", "strict": "array_api_strict", "torch": "torch", "jax": "jax.numpy"}
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
LOSSES = ["softmax_cross_entropy", "nll_loss", "multiclass_hinge"]
N, K = 6, 5
LOGITS = np.random.default_rng(3).standard_normal((N, K))
LABELS = np.array([4, 0, 2, 3, 1, 4])
LABEL_OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ignore_index": {"ignore_index": 4},
    "class_weight": {"class_weight": np.arange(1.0, K + 1)},
    "both": {"ignore_index": 4, "class_weight": np.arange(1.0, K + 1)},
}


def with_grad(name: str) -> Callable[..., Any]:
    return getattr(op, f"{name}_with_grad")


def library(name: str) -> Any:
    return importlib.import_module(LIBRARIES.get(name, "numpy"))


def on(name: str) -> AbstractContextManager[None]:
    """The backend for the arrays of `library(name)`; "numba" compiles for NumPy's."""
    return op.use_backend(name if name in ("numpy", "numba") else "auto")


# Everything that takes labels.
TAKERS = [
    *(f"{name}{form}" for name in LOSSES for form in ("", "_with_grad", "_backward")),
    "softmax_classifier_loss_and_grads",
    "mlp_loss_and_grads",
]


def call(name: str, scores: Any, labels: Any) -> Any:
    """One of TAKERS with (N, K) scores, or with a network whose scores have that shape."""
    if name.endswith("_and_grads"):
        return getattr(op, name)([(scores[:K, :], None)], scores, labels)
    return getattr(op, name)(*([1.0] if name.endswith("_backward") else []), scores, labels)


@pytest.mark.parametrize(
    ("name", "options", "backend"),
    [
        # Every dtype is another program: one loss with all that reads labels, and the others as written.
        exhaustively(
            name,
            options,
            backend,
            when=backend == "numba" and (name, option) != (LOSSES[0], "both"),
            id=f"{backend}-{name}-{option}",
        )
        for backend in ("numpy", "numba")
        for name in LOSSES
        for option, options in LABEL_OPTIONS.items()
    ],
    indirect=["backend"],
)
def test_every_integer_dtype_gives_the_same_bits(
    name: str, options: dict[str, Any], backend: str, pytestconfig: pytest.Config
) -> None:
    loss, grad = with_grad(name)(LOGITS, LABELS, reduction="none", **options)
    assert np.count_nonzero(loss) >= 3
    few = backend == "numba" and not pytestconfig.getoption("exhaustive")
    for dtype in ["int8", "uint64", ">i4"] if few else [*INTEGERS, ">i4", ">u2"]:
        got_loss, got_grad = with_grad(name)(LOGITS, LABELS.astype(dtype), reduction="none", **options)
        np.testing.assert_array_equal(got_loss, loss, strict=True, err_msg=dtype)
        np.testing.assert_array_equal(got_grad, grad, strict=True, err_msg=dtype)


@pytest.mark.parametrize("other", ["strict", needing("torch"), needing("jax")])
def test_integer_dtypes_of_other_libraries(other: str) -> None:
    xp = library(other)
    logits = xp.asarray(LOGITS.astype(np.float32))
    expected = with_grad("softmax_cross_entropy")(LOGITS, LABELS)
    # JAX has no 64-bit integers unless they are switched on.
    for dtype in [d for d in INTEGERS if not (other == "jax" and d.endswith("64"))]:
        got = with_grad("softmax_cross_entropy")(logits, xp.asarray(LABELS.astype(dtype)))
        np.testing.assert_allclose(np.asarray(got[0]), expected[0], rtol=1e-6, err_msg=dtype)
        np.testing.assert_allclose(np.asarray(got[1]), expected[1], rtol=1e-4, atol=1e-7, err_msg=dtype)


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        exhaustively(name, backend, when=backend == "numba" and name != LOSSES[0])
        for backend in ("numpy", "numba")
        for name in LOSSES
    ],
    indirect=["backend"],
)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_more_classes_than_a_small_dtype_counts(dtype: str, name: str, backend: str) -> None:
    wide = np.random.default_rng(4).standard_normal((2, 300))
    last = np.iinfo(dtype).max
    got = with_grad(name)(wide, np.array([0, last], dtype))
    expected = with_grad(name)(wide, np.array([0, last]))
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])


@pytest.mark.parametrize("name", TAKERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "complex128", "object", "datetime64[s]"])
def test_labels_of_another_kind_are_an_error(name: str, dtype: str) -> None:
    labels = LABELS.astype(dtype)
    got = re.escape(f"a numpy {labels.dtype} array of shape (6,)")
    message = f"^{name}: labels is {got}; expected an integer dtype"
    with pytest.raises(TypeError, match=message):
        call(name, LOGITS, labels)


@pytest.mark.parametrize("name", TAKERS)
@pytest.mark.parametrize("labels", [None, [4, 0, 2, 3, 1, 4], 3, "cat", np.ma.array(LABELS)], ids=str)
def test_labels_that_are_no_array_are_an_error(name: str, labels: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{name}: labels is .*; expected an array"):
        call(name, LOGITS, labels)


@pytest.mark.parametrize("name", TAKERS)
@pytest.mark.parametrize("shape", [(), (5,), (7,), (6, 1), (1, 6), (6, 4), (5, 6), (6, 5, 1)], ids=str)
def test_labels_of_another_shape_are_an_error(name: str, shape: tuple[int, ...]) -> None:
    # The message shows both shapes, so that nobody needs a debugger.
    message = rf"^{name}: labels has shape {re.escape(str(shape))}; expected \(6,\), the rows of .* \(6, 5\)"
    for dtype in (int, float):
        with pytest.raises(ValueError, match=message):
            call(name, LOGITS, np.zeros(shape, dtype))


@MOSTLY_NUMPY
@pytest.mark.parametrize("name", TAKERS)
def test_only_some_losses_take_soft_labels_and_only_real_ones(name: str, backend: str) -> None:
    soft = np.eye(K)[LABELS]
    if name.startswith("multiclass_hinge"):
        with pytest.raises(ValueError, match=rf"^{name}: labels has shape \(6, 5\); expected \(6,\)"):
            call(name, LOGITS, soft)
        return
    for dtype in (int, bool, complex):
        with pytest.raises(
            TypeError, match=rf"^{name}: labels is a numpy {np.dtype(dtype)} array of shape \(6, 5\)"
        ):
            call(name, LOGITS, soft.astype(dtype))
    for got, expected in zip(flat(call(name, LOGITS, soft)), flat(call(name, LOGITS, LABELS)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-15)


def flat(result: Any) -> list[Any]:
    """The arrays of a result, whatever tuples and lists they come in."""
    if isinstance(result, list | tuple):
        return [array for part in result for array in flat(part)]
    return [] if result is None else [result]


@pytest.mark.parametrize("name", TAKERS)
@pytest.mark.parametrize("other", ["numpy", "strict", needing("torch")])
@pytest.mark.parametrize(
    ("bad", "dtype"),
    [
        (-1, "int64"),
        (K, "int64"),
        (-1, "int8"),
        (K, "uint8"),
        (255, "uint8"),
        (-(2**63), "int64"),
        (2**64 - 1, "uint64"),
    ],
)
def test_a_label_outside_is_an_error_that_names_its_row(name: str, other: str, bad: int, dtype: str) -> None:
    xp = library(other)
    labels = LABELS.astype(dtype)
    # Two are outside; the first is named.
    labels[2], labels[4] = bad, 5
    message = rf"^{name}: labels\[2\] is {bad}; expected 0 <= label < 5, the classes of .* \(6, 5\)"
    with pytest.raises(ValueError, match=message):
        call(name, xp.asarray(LOGITS), xp.asarray(labels))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("other", ["numpy", exhaustively("numba"), "strict", needing("torch")])
@pytest.mark.parametrize("ignore_index", [-100, -1, 2, K, 10**6])
def test_ignored_labels_may_lie_anywhere(name: str, other: str, ignore_index: int) -> None:
    xp = library(other)
    labels = np.where(LABELS == 2, 3, LABELS)
    labels[[1, 4]] = ignore_index
    keep = np.array([0, 2, 3, 5])
    logits = xp.asarray(LOGITS)
    with on(other):
        loss, grad = with_grad(name)(logits, xp.asarray(labels), ignore_index=ignore_index)
    with op.use_backend("numpy"):
        expected_loss, expected_grad = with_grad(name)(LOGITS[keep], labels[keep])
    np.testing.assert_allclose(np.asarray(loss), expected_loss, rtol=1e-14)
    np.testing.assert_allclose(np.asarray(grad)[keep], expected_grad, rtol=1e-13, atol=1e-17)
    np.testing.assert_array_equal(np.asarray(grad)[[1, 4]], 0)
    labels[5] = -7
    with pytest.raises(ValueError, match=rf"labels\[5\] is -7; expected .* or ignore_index {ignore_index}\."):
        with_grad(name)(logits, xp.asarray(labels), ignore_index=ignore_index)


def test_an_unsigned_label_does_not_wrap_round_to_ignore_index() -> None:
    labels = np.array([0, 2**64 - 100], np.uint64)
    with pytest.raises(ValueError, match=rf"labels\[1\] is {2**64 - 100}; expected"):
        op.softmax_cross_entropy(LOGITS[:2], labels, ignore_index=-100)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("bad", [1.5, "a", [1]], ids=str)
def test_an_ignore_index_that_is_no_integer_is_an_error(name: str, bad: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{name}: ignore_index is .*; expected an integer or None"):
        getattr(op, name)(LOGITS, LABELS, ignore_index=bad)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("other", ["numpy", "strict", needing("torch"), needing("jax")])
@pytest.mark.parametrize(
    "options",
    [{}, {"ignore_index": -100}, {"class_weight": True}, {"label_smoothing": 0.2}],
    ids=str,
)
def test_the_kernel_itself_makes_nan_of_a_row_whose_label_is_outside(
    name: str, other: str, options: dict[str, Any]
) -> None:
    xp = library(other)
    if name == "multiclass_hinge" and "label_smoothing" in options:
        options = {}
    weight = {"class_weight": np.linspace(0.5, 2, K).astype(np.float32)} if "class_weight" in options else {}
    numpy_options, options = (
        {**options, **weight},
        {**options, **{k: xp.asarray(v) for k, v in weight.items()}},
    )
    kernel = getattr(kernels, f"{name}_with_grad")
    logits = LOGITS.astype(np.float32)
    good = np.array([True, False, True, False, True, False])
    for bad in ([-1, K, 2 * K], [10**6, -(10**6), -K]):
        labels = LABELS.astype(np.int32)
        labels[~good] = bad
        loss, grad = kernel(xp.asarray(logits), xp.asarray(labels), reduction="none", **options)
        loss, grad = np.asarray(loss), np.asarray(grad)
        assert np.isnan(loss[~good]).all()
        # What the label does not touch, as another class of nll_loss, may stay 0.
        assert np.isnan(grad[~good]).any(axis=1).all()
        expected = kernel(logits[good], LABELS[good], reduction="none", **numpy_options)
        np.testing.assert_allclose(loss[good], expected[0], rtol=2e-6)
        np.testing.assert_allclose(grad[good], expected[1], rtol=1e-4, atol=1e-6)


@pytest.mark.needs(name="jax")
@pytest.mark.parametrize("value", ["1", "yes"])
def test_onepass_check_reads_labels_at_any_price(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    jnp = library("jax")
    logits, labels = jnp.zeros((3, 4)), jnp.asarray([0, 4, -1])
    monkeypatch.setenv("ONEPASS_CHECK", value)
    with pytest.raises(
        ValueError, match=r"^softmax_cross_entropy: labels\[1\] is 4; expected 0 <= label < 4"
    ):
        op.softmax_cross_entropy(logits, labels)
    for off in ("0", ""):
        monkeypatch.setenv("ONEPASS_CHECK", off)
        loss = np.asarray(op.softmax_cross_entropy(logits, labels, reduction="none"))
        np.testing.assert_allclose(loss, [np.log(4), np.nan, np.nan], rtol=1e-6)
