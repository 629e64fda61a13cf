"""What must hold of the losses of labels whatever the numbers are."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from closeness import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st
from selection import exhaustively

import onepass as op

Batch = tuple[np.ndarray, np.ndarray, float]


@st.composite
def drawn_batches(draw: st.DrawFn, shapes: st.SearchStrategy[tuple[int, int]]) -> Batch:
    """Logits, in 64ths so that adding whole numbers is exact, labels and a factor."""
    rows, classes = draw(shapes)
    numerators = draw(st.lists(st.integers(-2048, 2048), min_size=rows * classes, max_size=rows * classes))
    picks = draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows))
    return np.reshape(numerators, (rows, classes)) / 64, np.array(picks), draw(st.integers(-40, 40)) / 4


ANY_SHAPE = st.tuples(st.integers(1, 5), st.integers(1, 5))
SOME_ROWS = st.tuples(st.integers(2, 5), st.just(5))
LABEL_LOSSES = ("softmax_cross_entropy", "nll_loss", "multiclass_hinge")
REDUCTIONS = ("mean", "sum", "none")
cross_entropy, with_grad = op.softmax_cross_entropy, op.softmax_cross_entropy_with_grad


def a_constant_added_to_a_row_changes_nothing(batch: Batch) -> None:
    logits, labels, factor = batch
    shifted = logits + np.round(1000 * factor + np.arange(len(logits))[:, None])
    assert_close(with_grad(shifted, labels), with_grad(logits, labels), tolerance=0.0)


def gradient_rows_sum_to_zero(batch: Batch) -> None:
    for option in ({}, {"label_smoothing": 0.1}, {"class_weight": np.linspace(0, 2, batch[0].shape[1])}):
        _, grad = with_grad(*batch[:2], **option, reduction="sum")
        assert_close(np.sum(grad, axis=-1), np.zeros(len(grad)), terms=1.0)


def rows_and_classes_may_change_places(batch: Batch) -> None:
    logits, labels, _ = batch
    rows, classes = np.arange(len(logits))[::-1], np.roll(np.arange(logits.shape[1]), 1)
    losses, grad = with_grad(logits, labels, reduction="none")
    moved = with_grad(logits[rows][:, classes], np.argsort(classes)[labels[rows]], reduction="none")
    assert_close(moved, (losses[rows], grad[rows][:, classes]), terms=1.0)


def the_mean_is_the_sum_over_the_weights(batch: Batch) -> None:
    logits, labels, _ = batch
    class_weight = 1.0 + np.arange(logits.shape[1])
    for name, total in (
        ("softmax_cross_entropy", class_weight[labels].sum()),
        ("multiclass_hinge", len(labels)),
    ):
        mean, summed = (
            getattr(op, name)(logits, labels, class_weight=class_weight, reduction=reduction)
            for reduction in ("mean", "sum")
        )
        assert_close(mean, summed / total)


def cross_entropy_is_the_likelihood_of_log_softmax(batch: Batch) -> None:
    logits, labels, _ = batch
    likelihood, entropy = (
        [loss(scores, labels, reduction=reduction) for reduction in ("none", "mean")]
        for loss, scores in ((op.nll_loss, op.log_softmax(logits)), (cross_entropy, logits))
    )
    assert_close(likelihood[0], entropy[0], tolerance=0.0)
    assert_close(likelihood[1], entropy[1])  # two programs may add up the rows in two orders


def one_hot_rows_are_labels(batch: Batch) -> None:
    logits, labels, _ = batch
    option = {"class_weight": 1.0 + np.arange(logits.shape[1]), "reduction": "sum"}
    one_hot = np.eye(logits.shape[1])[labels]
    assert_close(with_grad(logits, one_hot, **option), with_grad(logits, labels, **option), terms=1.0)


def smoothing_mixes_the_label_with_all_classes(batch: Batch) -> None:
    plain, uniform, mixed = (with_grad(*batch[:2], label_smoothing=s) for s in (0.0, 1.0, 0.25))
    assert_close(mixed, [0.75 * p + 0.25 * u for p, u in zip(plain, uniform, strict=True)], terms=1.0)


def backward_is_linear_and_all_forms_agree(batch: Batch) -> None:
    *batch, factor = batch
    for name, reduction in itertools.product(LABEL_LOSSES, REDUCTIONS):
        loss, grad = getattr(op, f"{name}_with_grad")(*batch, reduction=reduction)
        assert_close(loss, getattr(op, name)(*batch, reduction=reduction))
        grad_out = factor * np.arange(1.0, 1 + len(grad)) if reduction == "none" else factor
        got = getattr(op, f"{name}_backward")(grad_out, *batch, reduction=reduction)
        assert_close(got, np.reshape(grad_out, (-1, 1)) * grad)


PROPERTIES: list[Callable[[Batch], None]] = [
    a_constant_added_to_a_row_changes_nothing,
    gradient_rows_sum_to_zero,
    rows_and_classes_may_change_places,
    the_mean_is_the_sum_over_the_weights,
    cross_entropy_is_the_likelihood_of_log_softmax,
    one_hot_rows_are_labels,
    smoothing_mixes_the_label_with_all_classes,
    backward_is_linear_and_all_forms_agree,
]
# Compiled in every run; each of the others compiles many more programs.
FEW_PROGRAMS = (a_constant_added_to_a_row_changes_nothing, rows_and_classes_may_change_places)


def cases() -> list[Any]:
    """Every property on every backend. One row, one class and any other number are another program each."""
    backends = [("numpy", ANY_SHAPE, ""), ("numba", SOME_ROWS, ""), ("numba", ANY_SHAPE, ", any shape")]
    return [
        exhaustively(
            holds,
            backend,
            shapes,
            when=backend == "numba" and (shapes is ANY_SHAPE or holds not in FEW_PROGRAMS),
            id=f"{backend}{more}-{holds.__name__}",
        )
        for backend, shapes, more in backends
        for holds in PROPERTIES
    ]


@pytest.mark.parametrize(("holds", "backend", "shapes"), cases())
@settings(derandomize=True, max_examples=25, deadline=None)
@given(data=st.data())
def test_property(
    holds: Callable[[Batch], None],
    backend: str,
    shapes: st.SearchStrategy[tuple[int, int]],
    data: st.DataObject,
) -> None:
    batch = data.draw(drawn_batches(shapes))
    with op.use_backend(backend):
        holds(batch)
