"""A network and a support vector machine
======================================

A network of 100 sigmoid units on MNIST, compared with a support vector machine in accuracy and speed.

Usage::

    python examples/mnist.py [--data DIR] [--epochs N] [--svm-images N] [--save FILE] [--resume FILE]
                             [--backend NAME] [--dtype float32|float64] [--seed N] [--output FILE] [--no-plot]

DIR has the four IDX files of MNIST, plain or gzip. `--data openml` downloads the images with scikit-learn.
Without `--data` the images are scikit-learn's digits.

Source: ECE 5307, Unit 8, "Application to MNIST": 784-100-10, Adam(1e-3), 50,000 training
images and 10,000 test images.
"""

from __future__ import annotations

import argparse
import statistics
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import common
import numpy as np
from datasets import ImageData, load_images
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score
from sklearn.svm import SVC

import onepass as op

HIDDEN_UNITS, RATE, MOST_IMAGES = 100, 1e-3, 50_000


@dataclass
class Model:
    """A trained model, and its results on the test set."""

    name: str
    images: int  # number of training images
    fit_seconds: float
    predictions: Any = None
    accuracy: float = 0.0
    alone: float = 0.0  # microseconds to predict one image
    of_many: float = 0.0  # microseconds per image if the whole test set is predicted at once

    def apply(self, predict: Callable[[Any], np.ndarray], x: Any, labels: np.ndarray) -> None:
        """Predict the test set, and time it."""
        self.predictions = predict(x)
        self.accuracy = float(accuracy_score(labels, self.predictions))
        self.alone = 1e6 * median_seconds(predict, x[:1], repeats=100)
        self.of_many = 1e6 * median_seconds(predict, x, repeats=3) / len(labels)


def median_seconds(predict: Callable[[Any], np.ndarray], x: Any, repeats: int) -> float:
    """The median time of `repeats` calls, after one warm-up call."""
    return statistics.median(timeit.repeat(lambda: predict(x), number=1, repeat=repeats + 1)[1:])


@op.kernel(donate=("params", "state"))
def train_step(params: Any, state: Any, x: Any, labels: Any, lr: Any) -> tuple[Any, Any, Any]:
    """One step of Adam on the cross-entropy of a mini-batch; the loss is from before the step."""
    loss, grads = op.mlp_loss_and_grads(params, x, labels, activation="sigmoid")
    return loss, *op.adam_step(params, grads, state, lr)


def classes_of(params: Any, x: Any) -> np.ndarray:
    """The class with the largest score in each row."""
    scores = common.to_numpy(op.mlp_forward(params, x, activation="sigmoid"))
    classes: np.ndarray = scores.argmax(axis=1)
    return classes


def train(data: ImageData, options: argparse.Namespace) -> common.Run:
    """Train the network, and measure its test accuracy after each epoch."""
    x, labels, test_x = common.move([*(part[:MOST_IMAGES] for part in data.train), data.test.x], options)
    sizes = [x.shape[1], HIDDEN_UNITS, len(data.classes)]
    params = common.move(common.random_layers(np.random.default_rng(options.seed), sizes), options)
    run = common.start(options, params, op.adam_init(params))
    for epoch in common.epochs(run, options):
        losses = []
        for rows, targets in common.batches(
            x, labels, size=options.batch_size, seed=options.seed, epoch=epoch
        ):
            loss, run.params, run.state = train_step(run.params, run.state, rows, targets, RATE)
            losses.append(loss)
        accuracy = accuracy_score(data.test.labels, classes_of(run.params, test_x))
        run.log(training_loss=losses, test_accuracy=accuracy)
    return run


def plot(run: common.Run, models: list[Model], data: ImageData, options: argparse.Namespace) -> None:
    """Plot the curves of the network, and the confusion matrices of both models."""
    figure = Figure(figsize=(11, 10), layout="constrained")
    (losses, accuracies), matrices = figure.subplots(2, 2)
    common.draw_history(losses, run, "training_loss")
    losses.set(title=f"network on {data.name}", ylabel="nats", yscale="log")
    accuracies.axhline(models[1].accuracy, color="grey", linestyle="--", label="support vector machine")
    common.draw_history(accuracies, run, "test_accuracy", label="network")
    accuracies.set(title="test accuracy", ylim=(0.8, 1))
    style = {"display_labels": data.classes, "cmap": "Blues", "colorbar": False}
    for axes, model in zip(matrices, models, strict=True):
        ConfusionMatrixDisplay.from_predictions(data.test.labels, model.predictions, ax=axes, **style)
        axes.set_title(f"{model.name}: {model.accuracy:.1%} right")
    common.save_picture(figure, options)


def main(arguments: list[str] | None = None) -> list[Model]:
    """Train and compare both models."""
    parser = common.command_line(__doc__, "mnist.png", data="MNIST", epochs=0)  # 0: the default is set below
    parser.add_argument("--batch-size", type=int, help="default: 100, or 50 for the digits")
    parser.add_argument("--svm-images", type=int, default=10_000, help="number of training images of the SVM")
    options = parser.parse_args(arguments)
    data = load_images("MNIST", options.data, options.seed)
    small = data.name == "digits"
    options.epochs = options.epochs or (200 if small else 20)
    options.batch_size = options.batch_size or (50 if small else 100)
    x, labels = (part[: min(MOST_IMAGES, options.svm_images)] for part in data.train)
    with op.use_backend(options.backend):
        begin = time.perf_counter()
        run = train(data, options)
        seconds = time.perf_counter() - begin
        network = Model("network", min(MOST_IMAGES, data.train.size), seconds)
        network.apply(partial(classes_of, run.params), common.move(data.test.x, options), data.test.labels)
    begin = time.perf_counter()
    machine = SVC().fit(x, labels)
    svm = Model("SVM", len(x), time.perf_counter() - begin)
    svm.apply(machine.predict, data.test.x, data.test.labels)
    models = [network, svm]
    common.print_table(
        ["model", "images", "test accuracy", "fit, s", "one image, µs", "of many, µs"],
        [[m.name, m.images, m.accuracy, m.fit_seconds, m.alone, m.of_many] for m in models],
    )
    if not options.no_plot:
        plot(run, models, data, options)
    return models


if __name__ == "__main__":
    main()
