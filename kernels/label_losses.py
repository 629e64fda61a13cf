"""Losses of class labels: negative log-likelihood, softmax cross-entropy, multiclass hinge.

`labels` is (N,) of any integer dtype. Some losses also take (N, K) real probabilities ("soft labels").
`_with_grad` returns the loss and its gradient. With reduction="none" that is the gradient of the loss of each
row.
"""

from __future__ import annotations

from typing import Any

from .activations import shifted_exponentials
from .arrays import Array, Scalar, namespace, weighted
from .reductions import Reduction, reduce, reduced_weight, rows_first
from .targets import LabelTarget, class_target, label_target

__all__ = [
    "nll_loss",
    "nll_loss_with_grad",
    "nll_loss_backward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_grad",
    "softmax_cross_entropy_backward",
    "multiclass_hinge",
    "multiclass_hinge_with_grad",
    "multiclass_hinge_backward",
]


def nll_loss(
    log_probs: Array,
    labels: Array,
    *,
    class_weight: Array | None = None,
    ignore_index: int | None = None,
    label_smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Array:
    """Negative log-likelihood of `labels` under the log-probabilities of a model.

    loss_i = -sum_k t_ik log p_ik,  t_ik = class_weight_k * ((1 - label_smoothing) y_ik + label_smoothing / K)

    where y_i is the one-hot or soft label. Without smoothing it is -class_weight[label] * log p_i,label.

    log_probs:       (N, K) real, in nats, as `log_softmax` returns them
    labels:          (N,) integer, 0 <= label < K; or (N, K) real probabilities
    class_weight:    (K,) real, or None for 1
    ignore_index:    the label of rows to ignore, or None; for integer labels only
    label_smoothing: 0 <= s <= 1, the fraction of the target that is spread evenly over the classes
    reduction:       "mean" divides by the sum of class_weight[label] over the rows not ignored for integer
                     labels, and by N for soft labels; "sum"; "none"
    returns:         scalar, or (N,) with reduction="none"; in nats
    raises:          TypeError for dtypes, ValueError for shapes, options and labels outside [0, K)
    source:          `torch.nn.functional.nll_loss`; smoothing and soft labels as in its `cross_entropy`
    """
    xp = namespace(log_probs)
    target = class_target(xp, log_probs, labels, class_weight, ignore_index, label_smoothing)
    return reduce(xp, target.cost(xp, 0.0, log_probs), target.total, reduction)


def nll_loss_with_grad(
    log_probs: Array,
    labels: Array,
    *,
    class_weight: Array | None = None,
    ignore_index: int | None = None,
    label_smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> tuple[Array, Array]:
    """`nll_loss` and its gradient with respect to `log_probs`, (N, K): d loss_i / d log p_ik = -t_ik.

    Arguments, errors and source as for `nll_loss`.
    """
    xp = namespace(log_probs)
    target = class_target(xp, log_probs, labels, class_weight, ignore_index, label_smoothing)
    loss = reduce(xp, target.cost(xp, 0.0, log_probs), target.total, reduction)
    # 0.0 - x instead of -x, which would turn a gradient of 0.0 into -0.0.
    return loss, 0.0 - target.cost_gradient(xp, reduction)


def nll_loss_backward(
    grad_out: Array | Scalar,
    log_probs: Array,
    labels: Array,
    *,
    class_weight: Array | None = None,
    ignore_index: int | None = None,
    label_smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Array:
    """Vector-Jacobian product of `nll_loss`: the gradient with respect to `log_probs`, (N, K).

    grad_out: scalar, or (N,) with reduction="none"; the rest as for `nll_loss`.
    """
    _, grad_log_probs = nll_loss_with_grad(
        log_probs,
        labels,
        class_weight=class_weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
    return rows_first(grad_out, reduction) * grad_log_probs


def softmax_cross_entropy(
    logits: Array,
    labels: Array,
    *,
    class_weight: Array | None = None,
    ignore_index: int | None = None,
    label_smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Array:
    """Negative log-likelihood of `labels` under softmax(`logits`).

    loss_i = log sum_k exp(logits_ik) - logits_i,label_i

    In general: sum_k t_ik (log sum_j exp(logits_ij) - logits_ik), with the target t of `nll_loss`.

    logits:          (N, K) real
    labels:          (N,) integer, 0 <= label < K; or (N, K) real probabilities
    class_weight:    (K,) real, or None for 1
    ignore_index:    the label of rows to ignore, or None; for integer labels only
    label_smoothing: 0 <= s <= 1, the fraction of the target that is spread evenly over the classes
    reduction:       "mean" divides by the sum of class_weight[label] over the rows not ignored for integer
                     labels, and by N for soft labels; "sum"; "none"
    returns:         scalar, or (N,) with reduction="none"; in nats
    raises:          TypeError for dtypes, ValueError for shapes, options and labels outside [0, K)
    source:          CS231n, "Minimal Neural Network Case Study"; `torch.nn.functional.cross_entropy`
    """
    xp = namespace(logits)
    target = class_target(xp, logits, labels, class_weight, ignore_index, label_smoothing)
    shifted, _, total = shifted_exponentials(logits)
    return reduce(xp, target.cost(xp, xp.log(total), shifted), target.total, reduction)


def softmax_cross_entropy_with_grad(
    logits: Array,
    labels: Array,
    *,
    class_weight: Array | None = None,
    ignore_index: int | None = None,
    label_smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> tuple[Array, Array]:
    """`softmax_cross_entropy` and its gradient with respect to `logits`, (N, K).

    d loss_i / d logits_ik = p_ik sum_j t_ij - t_ik,  p = softmax(logits)

    For an integer label this is p - y, with y the one-hot label.

    Arguments, errors and source as for `softmax_cross_entropy`.
    """
    xp = namespace(logits)
    target = class_target(xp, logits, labels, class_weight, ignore_index, label_smoothing)
    shifted, exponentials, total = shifted_exponentials(logits)
    loss = reduce(xp, target.cost(xp, xp.log(total), shifted), target.total, reduction)
    return loss, target.residual(xp, exponentials, total, reduction)


def softmax_cross_entropy_backward(
    grad_out: Array | Scalar,
    logits: Array,
    labels: Array,
    *,
    class_weight: Array | None = None,
    ignore_index: int | None = None,
    label_smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Array:
    """Vector-Jacobian product of `softmax_cross_entropy`: the gradient with respect to `logits`, (N, K).

    grad_out: scalar, or (N,) with reduction="none"; the rest as for `softmax_cross_entropy`.
    """
    _, grad_logits = softmax_cross_entropy_with_grad(
        logits,
        labels,
        class_weight=class_weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
    return rows_first(grad_out, reduction) * grad_logits


def multiclass_hinge(
    scores: Array,
    labels: Array,
    margin: Scalar = 1.0,
    *,
    class_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Multiclass hinge loss (support vector machine, Weston and Watkins).

    loss_i = class_weight[label_i] * sum_{k != label_i} max(0, scores_ik - scores_i,label_i + margin)

    scores:       (N, K) real; a score of +inf gives an infinite loss, or 0 if it is the score of the label
    labels:       (N,) integer, 0 <= label < K
    margin:       how much larger the label's score must be than the others, any number except NaN
    class_weight: (K,) real, or None for 1
    ignore_index: the label of rows to ignore, or None
    reduction:    "mean" divides by the number of rows not ignored (not by their weights); "sum"; "none"
    returns:      scalar, or (N,) with reduction="none"; in units of the scores
    raises:       TypeError for dtypes, ValueError for shapes, options and labels outside [0, K)
    source:       E6930, Lecture 1, "Loss Function"; K times `torch.nn.functional.multi_margin_loss`
    """
    xp = namespace(scores)
    target = label_target(xp, scores, labels, None, ignore_index).reweighted(xp, class_weight)
    _, losses = _hinge(xp, scores, target, margin)
    return reduce(xp, losses, target.total, reduction)


def multiclass_hinge_with_grad(
    scores: Array,
    labels: Array,
    margin: Scalar = 1.0,
    *,
    class_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> tuple[Array, Array]:
    """`multiclass_hinge` and its gradient with respect to `scores`, (N, K).

    Each class that violates the margin adds 1 to the gradient of its own score and -1 to that of the label's
    score. At the kink, where the difference is exactly the margin, the gradient is 0.

    Arguments, errors and source as for `multiclass_hinge`.
    """
    xp = namespace(scores)
    target = label_target(xp, scores, labels, None, ignore_index).reweighted(xp, class_weight)
    violations, losses = _hinge(xp, scores, target, margin)
    inside = xp.astype(violations > 0, scores.dtype)
    direction = xp.where(target.one_hot(), 0.0 - xp.sum(inside, axis=-1, keepdims=True), inside)
    # A comparison with NaN is false, so `direction` has lost the NaN that the loss of the row still has.
    factor = reduced_weight(xp, target.weight, target.total, reduction)
    factor = xp.where(xp.isnan(losses)[:, None], float("nan"), factor)
    return reduce(xp, losses, target.total, reduction), weighted(xp, factor, direction)


def multiclass_hinge_backward(
    grad_out: Array | Scalar,
    scores: Array,
    labels: Array,
    margin: Scalar = 1.0,
    *,
    class_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Vector-Jacobian product of `multiclass_hinge`: the gradient with respect to `scores`, (N, K).

    grad_out: scalar, or (N,) with reduction="none"; the rest as for `multiclass_hinge`.
    """
    _, grad_scores = multiclass_hinge_with_grad(
        scores, labels, margin, class_weight=class_weight, ignore_index=ignore_index, reduction=reduction
    )
    return rows_first(grad_out, reduction) * grad_scores


def _hinge(xp: Any, scores: Array, target: LabelTarget, margin: Scalar) -> tuple[Array, Array]:
    """The margin violations, and the weighted loss of each row.

    returns: max(0, scores_ik - scores_i,label + margin), with 0 at the label, (N, K); losses (N,)
    """
    difference = scores - xp.take_along_axis(scores, target.label, axis=-1)
    violations = xp.where(target.one_hot(), 0.0, xp.maximum(difference + margin, 0.0))
    return violations, weighted(xp, target.weight[:, 0], xp.sum(violations, axis=-1))
