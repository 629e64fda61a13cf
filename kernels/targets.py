"""Targets of label losses: one class for each row, or a weight for every class of each row.

A label loss is linear in its target t: loss_i = sum_k t_ik cost_ik. A target with one class is stored as an
index and a weight, so that only one cost of each row is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from array_api_compat import device

from .arrays import Array, Scalar, is_zero, weighted
from .reductions import Reduction, reduced_weight


@dataclass(frozen=True)
class LabelTarget:
    """A target with one class for each row."""

    classes: Array  # (K,) integer, 0 to K - 1
    label: Array  # (N, 1) integer, clipped to [0, K)
    weight: Array  # (N, 1) real: 0 for an ignored label, NaN for any other label outside [0, K)
    total: Array | int  # the sum of the weights: the divisor of "mean"
    uniform: bool  # whether no weight is 0, so that 0 * inf cannot occur

    def one_hot(self) -> Array:
        """(N, K) bool, true at the label of each row."""
        return self.classes == self.label

    def _times(self, xp: Any, weight: Array, values: Array) -> Array:
        return weight * values if self.uniform else weighted(xp, weight, values)

    def _row_weight(self, xp: Any, reduction: Reduction) -> Array:
        return reduced_weight(xp, self.weight, self.total, reduction, no_zeros=self.uniform)

    def cost(self, xp: Any, log_normalizer: Array | float, scores: Array) -> Array:
        """sum_k t_ik (log_normalizer_i - scores_ik), (N,)."""
        costs = log_normalizer - xp.take_along_axis(scores, self.label, axis=-1)
        return self._times(xp, self.weight, costs)[:, 0]

    def cost_gradient(self, xp: Any, reduction: Reduction) -> Array:
        """The derivative of the reduced loss with respect to the costs, (N, K)."""
        return xp.where(self.one_hot(), self._row_weight(xp, reduction), 0.0)

    def residual(self, xp: Any, exponentials: Array, total: Array, reduction: Reduction) -> Array:
        """The derivative of the reduced loss with respect to logits, (N, K): (sum_j t_ij) p_ik - t_ik."""
        row = self._row_weight(xp, reduction)
        # Without zero weights, row / total is one factor for each row. This saves a pass over (N, K).
        probs = exponentials * (row / total) if self.uniform else weighted(xp, row, exponentials / total)
        return probs - xp.where(self.one_hot(), row, 0.0)

    def reweighted(self, xp: Any, class_weight: Array | None) -> LabelTarget:
        """The same labels with class weights. The total does not change."""
        if class_weight is None:
            return self
        return replace(
            self, uniform=False, weight=self.weight * xp.take(class_weight, self.label[:, 0])[:, None]
        )


@dataclass(frozen=True)
class ClassTarget:
    """A target with a weight for every class of each row."""

    weight: Array  # (N, K) real
    total: Array | int  # the divisor of "mean"

    def cost(self, xp: Any, log_normalizer: Array | float, scores: Array) -> Array:
        """sum_k t_ik (log_normalizer_i - scores_ik), (N,)."""
        return xp.sum(weighted(xp, self.weight, log_normalizer - scores), axis=-1)

    def cost_gradient(self, xp: Any, reduction: Reduction) -> Array:
        """The derivative of the reduced loss with respect to the costs, (N, K)."""
        return reduced_weight(xp, self.weight, self.total, reduction)

    def residual(self, xp: Any, exponentials: Array, total: Array, reduction: Reduction) -> Array:
        """The derivative of the reduced loss with respect to logits, (N, K): (sum_j t_ij) p_ik - t_ik."""
        target = self.cost_gradient(xp, reduction)
        row = xp.sum(target, axis=-1, keepdims=True)
        return weighted(xp, row, exponentials / total) - target


def label_target(
    xp: Any, scores: Array, labels: Array, class_weight: Array | None, ignore_index: int | None
) -> LabelTarget:
    """The target of (N,) integer labels for (N, K) `scores`."""
    classes = xp.arange(scores.shape[-1], device=device(scores))
    # The index dtype of the library holds every label: values of small unsigned dtypes, and -1.
    given = xp.astype(labels, classes.dtype)[:, None]
    label = xp.clip(given, 0, scores.shape[-1] - 1)
    known = given == label
    weight = xp.astype(known, scores.dtype)
    if class_weight is not None:
        weight = weight * xp.take(class_weight, label[:, 0])[:, None]
    if ignore_index is not None:
        ignored = given == ignore_index
        weight, known = xp.where(ignored, 0.0, weight), known | ignored
    uniform = ignore_index is None and class_weight is None
    total = scores.shape[0] if uniform else xp.sum(weight)
    return LabelTarget(classes, label, xp.where(known, weight, float("nan")), total, uniform)


def class_target(
    xp: Any,
    scores: Array,
    labels: Array,
    class_weight: Array | None,
    ignore_index: int | None,
    label_smoothing: Scalar,
) -> LabelTarget | ClassTarget:
    """The target of integer or soft labels for (N, K) `scores`.

    t_ik = class_weight_k * ((1 - s) y_ik + s / K), where s is `label_smoothing` and y_i the one-hot or
    soft label. As in PyTorch, the total is the sum of class_weight[label] for integer labels, and N for soft
    labels.
    """
    probabilities, total = labels, scores.shape[0]
    if labels.ndim == 1:
        target = label_target(xp, scores, labels, class_weight, ignore_index)
        if is_zero(label_smoothing):
            return target
        row = label_target(xp, scores, labels, None, ignore_index)
        probabilities = xp.astype(row.one_hot(), scores.dtype)
        total = target.total
    weight = (1 - label_smoothing) * probabilities + label_smoothing / scores.shape[-1]
    if class_weight is not None:
        weight = class_weight * weight
    if labels.ndim == 1:
        weight = row.weight * weight
    return ClassTarget(weight, total)
