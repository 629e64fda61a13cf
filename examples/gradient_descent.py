"""Full batch, mini-batches, single examples
=========================================

Gradient descent with all examples, with mini-batches, and with one example at a time.

Usage::

    python examples/gradient_descent.py [--epochs N] [--backend NAME] [--dtype float32|float64] [--seed N]

The mini-batch gradient is unbiased. The mean over the batches of an epoch is exactly the full gradient. The
mean over random batches differs from it by about the standard error.

Source: E6930, Lecture 1, "Gradient Descent"; ECE 5307, Unit 8, "Justification for
stochastic gradient descent".
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from common import batches, command_line, move, print_table, random_layers, save_picture, to_numpy
from datasets import load_images
from matplotlib.figure import Figure
from tqdm import trange

import onepass as op

EXAMPLES, BATCH, DRAWS = 1400, 100, 2000
# name: rows of a batch, learning rate, and factor of --epochs
METHODS = {
    "full batch": (EXAMPLES, 0.5, 20),
    f"mini-batches of {BATCH}": (BATCH, 0.5, 1),
    "one example": (1, 0.05, 1),
}


class Descent(NamedTuple):
    """The loss on all examples after each epoch, and the training time in seconds up to then."""

    losses: list[float]
    seconds: list[float]


class Noise(NamedTuple):
    """The distance of the mean mini-batch gradient from the full gradient, relative to its norm."""

    of_an_epoch: float
    of_draws: np.ndarray  # by number of batches
    standard_error: np.ndarray  # the expected distance


@op.kernel(donate="params")
def train_step(params: Any, x: Any, labels: Any, rate: float) -> Any:
    """One step of gradient descent on some rows."""
    _, grads = op.softmax_classifier_loss_and_grads(params, x, labels)
    return op.sgd_step(params, grads, rate)


def descend(name: str, epochs: int, params: Any, x: Any, labels: Any, seed: int) -> Descent:
    """Train with one method."""
    size, rate, factor = METHODS[name]
    losses, times, seconds = [], [], 0.0
    for epoch in trange(factor * epochs, desc=name, unit=" epochs", leave=False, disable=None):
        begin = time.perf_counter()
        for rows, targets in batches(x, labels, size=size, seed=seed, epoch=epoch):
            params = train_step(params, rows, targets, rate)
        to_numpy(params)  # waits for a GPU
        seconds += time.perf_counter() - begin
        times.append(seconds)
        losses.append(float(op.softmax_cross_entropy(op.mlp_forward(params, x), labels)))
    return Descent(losses, times)


def gradient(params: Any, x: Any, labels: Any) -> np.ndarray:
    """All partial derivatives as a vector."""
    _, grads = op.softmax_classifier_loss_and_grads(params, x, labels)
    [(weight, bias)] = to_numpy(grads)
    return np.concatenate([weight.reshape(-1), bias]).astype(np.float64)


def noise(params: Any, x: Any, labels: Any, options: Any) -> Noise:
    """Compare mini-batch gradients at one point with the full gradient."""
    full = gradient(params, x, labels)
    one_epoch = batches(x, labels, size=BATCH, seed=options.seed, epoch=0)
    of_batches = [gradient(params, rows, targets) for rows, targets in one_epoch]
    random = np.random.default_rng(options.seed)
    draws = []
    for _ in trange(DRAWS, desc="draws", leave=False, disable=None):
        rows = move(random.integers(0, EXAMPLES, BATCH), options)
        draws.append(gradient(params, x[rows], labels[rows]))
    errors = np.asarray(draws) - full
    counts = np.arange(1, DRAWS + 1)
    means = np.cumsum(errors, axis=0) / counts[:, None]
    length = np.linalg.norm(full)
    return Noise(
        float(np.linalg.norm(np.mean(of_batches, axis=0) - full) / length),
        np.linalg.norm(means, axis=1) / length,
        np.sqrt(errors.var(axis=0, ddof=1).sum() / counts) / length,
    )


def draw(found: dict[str, Descent], unbiased: Noise) -> Figure:
    """Plot the loss by epochs and by seconds, and the distance of the mean gradient by number of batches."""
    figure = Figure(figsize=(14, 4.5), layout="constrained")
    by_epoch, by_second, averaging = figure.subplots(1, 3)
    for name, descent in found.items():
        by_epoch.loglog(range(1, len(descent.losses) + 1), descent.losses, label=name)
        by_second.loglog(descent.seconds, descent.losses, label=name)
    by_epoch.set_xlabel("epochs")
    by_second.set_xlabel("seconds of training")
    by_epoch.set_ylabel("loss on all examples")
    counts = range(1, DRAWS + 1)
    averaging.loglog(counts, unbiased.of_draws, label="mean gradient - full gradient")
    averaging.loglog(counts, unbiased.standard_error, "--", color="black", label="standard error")
    averaging.set_xlabel(f"mini-batches of {BATCH} drawn")
    averaging.set_ylabel("relative to the full gradient")
    for axes in figure.axes:
        axes.legend()
    return figure


def main(arguments: list[str] | None = None) -> tuple[dict[str, Descent], Noise]:
    """Train with the three methods, and compute the noise at their common initial weights."""
    parser = command_line(__doc__, "gradient_descent.png")
    parser.add_argument("--epochs", type=int, default=20, help="the full batch takes 20 times as many")
    options = parser.parse_args(arguments)
    data = load_images("MNIST", None, options.seed).train
    x, labels = move([data.x[:EXAMPLES], data.labels[:EXAMPLES]], options)
    first = random_layers(np.random.default_rng(options.seed), [x.shape[1], 10], 0.01)
    with op.use_backend(options.backend):
        train_step(move(first, options), x, labels, 0.0)  # compile before timing
        found = {
            name: descend(name, options.epochs, move(first, options), x, labels, options.seed)
            for name in METHODS
        }
        unbiased = noise(move(first, options), x, labels, options)
    rows = [
        [name, *METHODS[name][:2], len(descent.losses), descent.losses[-1], descent.seconds[-1]]
        for name, descent in found.items()
    ]
    print_table(["method", "rows", "rate", "epochs", "loss", "seconds"], rows)
    print(
        f"\ndistance of the mean over an epoch's batches from the full gradient: {unbiased.of_an_epoch:.1e}"
    )
    away, expected = unbiased.of_draws[-1], unbiased.standard_error[-1]
    print(f"distance of the mean over {DRAWS} random batches: {away:.4f}; standard error {expected:.4f}")
    if not options.no_plot:
        save_picture(draw(found, unbiased), options)
    return found, unbiased


if __name__ == "__main__":
    main()
