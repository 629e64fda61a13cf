"""Every rank holds the averages over uneven shares against the gradients of the whole batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from onepass.backends.common.trees import leaves
from report import report

import onepass as op
from onepass.distributed import initialize


class Layer(NamedTuple):
    weight: Any
    bias: Any


def largest_error(got: Any, expected: Any) -> float:
    """Relative to the largest value of each array; infinite where a type, dtype or shape differs."""
    worst = 0.0
    for mine, theirs in zip(leaves(got), leaves(expected), strict=True):
        if mine is None or theirs is None:
            worst = max(worst, 0.0 if mine is theirs else np.inf)
            continue
        if (type(mine), mine.dtype, mine.shape) != (type(theirs), theirs.dtype, theirs.shape):
            return np.inf
        error = float(np.max(abs(mine - theirs)) / np.max(abs(theirs)))
        worst = max(worst, error if error == error else np.inf)
    return worst


communicator = initialize()
messages: list[str] = []
send = communicator._job.sum_in_place
communicator._job.sum_in_place = lambda buffer: (messages.append(str(buffer.dtype)), send(buffer))[1]

errors: dict[str, float] = {}
counts: dict[str, list[str]] = {}
kept: list[tuple[Any, Any]] = []
for dtype in ("float64", "float32"):
    random = np.random.default_rng(1)  # the same numbers on all ranks
    params = [
        Layer(random.standard_normal((5, 7)).astype(dtype), random.standard_normal(7).astype(dtype)),
        Layer(np.asfortranarray(random.standard_normal((7, 4)).astype(dtype)), None),
        Layer(random.standard_normal((4, 3)).astype(dtype), random.standard_normal((1, 3)).astype(dtype)),
    ]
    # Shares that are even, that are not, and that are empty on the first or on all ranks but one.
    for rows in (12, 13, 2, 1):
        x, labels = random.standard_normal((rows, 5)).astype(dtype), random.integers(0, 3, rows)
        whole = op.mlp_loss_and_grads(params, x, labels, l2=0.1)
        mine = communicator.share(rows)
        part = op.mlp_loss_and_grads(params, x[mine], labels[mine], l2=0.1)
        messages.clear()
        mean = communicator.all_reduce_mean(part, mine.stop - mine.start)
        errors[f"{dtype} {rows} rows"] = largest_error(mean, whole)
        counts[f"{dtype} {rows} rows"] = list(messages)
        assert type(mean[1][0]) is Layer
        kept.append((mean, [np.array(leaf) for leaf in leaves(mean)]))

# Weights of classes: what a mean was divided by is the sum of the weights, not the rows.
logits, labels = np.random.default_rng(2).standard_normal((11, 3)), np.arange(11) % 3
class_weight = np.array([0.5, 3.0, 0.0])
whole = op.softmax_cross_entropy_with_grad(logits, labels, class_weight=class_weight)
# Padded to the whole, so that a gradient of some rows has the shape that it has on all ranks.
mine = communicator.share(11)
value, grad = op.softmax_cross_entropy_with_grad(logits[mine], labels[mine], class_weight=class_weight)
padded = np.zeros_like(logits)
padded[mine] = grad
mean = communicator.all_reduce_mean({"loss": value, "grad": padded}, float(class_weight[labels[mine]].sum()))
errors["class weights"] = largest_error((mean["loss"], mean["grad"]), whole)

# Three dtypes in one tree: a message each, halves with those of float32.
rank, size = communicator.rank, communicator.size
tree = {"a": np.full(3, 60000 + rank, np.float16), "b": [float(rank), None, np.float32(rank)], "c": ()}
messages.clear()
mean = communicator.all_reduce_mean(tree, 1000)
counts["mixed"] = list(messages)
middle = (size - 1) / 2
assert mean["a"].dtype == np.float16, mean
assert np.all(mean["a"] == np.full(3, 60000 + middle).astype(np.float16)), mean
assert type(mean["b"][0]) is float, mean
assert mean["b"][0] == middle, mean
assert mean["b"][1] is None, mean
assert type(mean["b"][2]) is np.float32, mean
assert mean["b"][2] == np.float32(middle), mean
assert mean["c"] == (), mean

# A rank without rows does not count, whatever it holds; of no rows at all there is no mean.
last = rank == size - 1
held = np.full((2, 2), np.nan if last else 3.0)
only_rows = communicator.all_reduce_mean(held, 0 if last else 7).tolist()
nobody = communicator.all_reduce_mean(held, 0).tolist()

# No result was a view of a buffer that later calls wrote into.
unchanged = all(
    np.array_equal(leaf, copy, equal_nan=copy.dtype != object)
    for result, copies in kept
    for leaf, copy in zip(leaves(result), copies, strict=True)
)
report(communicator, errors=errors, counts=counts, only_rows=only_rows, nobody=nobody, unchanged=unchanged)
