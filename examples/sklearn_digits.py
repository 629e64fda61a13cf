"""MLPClassifier, and that of scikit-learn
=======================================

The MLPClassifier of onepass and that of scikit-learn on the same digits: losses, accuracy, time of a fit.

Usage::

    python examples/sklearn_digits.py [--epochs N] [--backend NAME] [--dtype float32|float64] [--seed N]
                                      [--output FILE] [--no-plot]

With the same `random_state` both begin with the same weights and see the same mini-batches, so their losses
agree up to rounding. The first fit of a process compiles, or loads compiled code from disk.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any, NamedTuple

import common
import datasets
import numpy as np
from matplotlib.figure import Figure
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import onepass as op
import onepass.sklearn

FITS = 4


class Trained(NamedTuple):
    """A classifier, and the seconds of each of its fits."""

    classifier: Any
    seconds: list[float]

    @property
    def loss_curve(self) -> np.ndarray:
        return np.array(self.classifier.loss_curve_)


def train(data: datasets.ImageData, options: argparse.Namespace) -> dict[str, Trained]:
    """Fit both classifiers several times, in turn, so that both meet the same load of the machine."""
    # Without a tolerance, both train for all epochs.
    settings = {"max_iter": options.epochs, "tol": 0.0, "n_iter_no_change": options.epochs}
    trained = {
        name: Trained(classifier(random_state=options.seed, **settings), [])
        for name, classifier in {
            "onepass": onepass.sklearn.MLPClassifier,
            "scikit-learn": MLPClassifier,
        }.items()
    }
    x = data.train.x.astype(options.dtype)
    for _ in range(FITS):
        for classifier, seconds in trained.values():
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                classifier.fit(x, data.train.labels)
            seconds.append(time.perf_counter() - start)
    return trained


def plot(trained: dict[str, Trained], difference: np.ndarray, options: argparse.Namespace) -> None:
    """Plot both loss curves, and their relative difference at each epoch."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    curves, differences = figure.subplots(1, 2)
    epochs = range(1, options.epochs + 1)
    for (name, run), style in zip(trained.items(), ("-", "--"), strict=True):
        curves.plot(epochs, run.loss_curve, style, label=name)
    curves.set(xlabel="epoch", ylabel="training loss", yscale="log")
    curves.legend()
    differences.plot(epochs, np.maximum(difference, np.finfo(float).eps / 2))
    differences.set(xlabel="epoch", ylabel="relative difference of the losses", yscale="log")
    common.save_picture(figure, options)


def main(arguments: list[str] | None = None) -> tuple[dict[str, Trained], dict[str, float]]:
    """Train both. Returns the classifiers with their times, and their accuracies on the test set."""
    parser = common.command_line(__doc__, "sklearn_digits.png")
    parser.add_argument("--epochs", type=int, default=100)
    options = parser.parse_args(arguments)
    if options.backend == "cupy":
        raise SystemExit(
            "--backend cupy: the estimators take arrays of NumPy; expected auto, numba or numpy."
        )
    data = datasets.load_images("MNIST", None, options.seed)
    with op.use_backend(options.backend):
        trained = train(data, options)
        test_x = data.test.x.astype(options.dtype)
        accuracy = {
            name: float(np.mean(run.classifier.predict(test_x) == data.test.labels))
            for name, run in trained.items()
        }
    rows = [
        [name, accuracy[name], run.loss_curve[-1], run.seconds[0], float(np.median(run.seconds[1:]))]
        for name, run in trained.items()
    ]
    common.print_table(["classifier", "test accuracy", "last loss", "first fit (s)", "later fits (s)"], rows)
    ours, theirs = (trained[name].loss_curve for name in ("onepass", "scikit-learn"))
    difference = np.abs(ours / theirs - 1)
    print(f"\nlargest relative difference of the losses of an epoch: {difference.max():.1e}")
    if not options.no_plot:
        plot(trained, difference, options)
    return trained, accuracy


if __name__ == "__main__":
    main()
