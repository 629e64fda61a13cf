"""Softmax regression on Fashion-MNIST
===================================

Softmax regression on Fashion-MNIST with named classes, or on scikit-learn's digits.

Usage::

    python examples/fashion.py [--data DIR] [--epochs N] [--save FILE] [--resume FILE] [--backend NAME]
                               [--dtype float32|float64] [--seed N]

DIR has the four IDX files of Fashion-MNIST, plain or gzip. `--data openml` downloads the images with
scikit-learn. Without `--data` the images are scikit-learn's digits.

Source: "Introduction to ML", Lecture 2, "Softmax" and "The Image Classification Dataset". As in the lecture,
the test set is used for validation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from common import (
    Run,
    batches,
    command_line,
    draw_history,
    epochs,
    move,
    print_table,
    random_layers,
    save_picture,
    start,
    to_numpy,
)
from datasets import ImageData, load_images
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score, recall_score

import onepass as op

RATE = 0.1
SHOWN = 16


class Trained(NamedTuple):
    """A trained classifier, and its predictions for the validation set."""

    run: Run
    predictions: np.ndarray
    data: ImageData


@op.kernel(donate="params")
def training_step(params: Any, x: Any, labels: Any, rate: float) -> tuple[Any, Any]:
    """The cross-entropy of a mini-batch, and the parameters after one step of SGD."""
    loss, grads = op.softmax_classifier_loss_and_grads(params, x, labels)
    return loss, op.sgd_step(params, grads, rate)


@op.kernel
def validation_step(params: Any, x: Any, labels: Any) -> tuple[Any, Any]:
    """The cross-entropy, and the scores, which have the same order as the probabilities."""
    scores = op.mlp_forward(params, x)
    return op.softmax_cross_entropy(scores, labels), scores


def fit(data: ImageData, options: Any) -> Trained:
    """The training loop, with validation after each epoch."""
    x, labels, validation_x, validation_labels = move([*data.train, *data.test], options)
    first = random_layers(np.random.default_rng(options.seed), [x.shape[1], len(data.classes)], 0.01)
    run = start(options, move(first, options))
    for epoch in epochs(run, options):
        losses = []
        for rows, targets in batches(x, labels, size=options.batch_size, seed=options.seed, epoch=epoch):
            loss, run.params = training_step(run.params, rows, targets, RATE)
            losses.append(loss)
        validation_loss, scores = validation_step(run.params, validation_x, validation_labels)
        right = accuracy_score(data.test.labels, to_numpy(scores).argmax(axis=1))
        run.log(training_loss=losses, validation_loss=validation_loss, validation_accuracy=right)
    _, scores = validation_step(run.params, validation_x, validation_labels)
    return Trained(run, to_numpy(scores).argmax(axis=1), data)


def draw(trained: Trained) -> Figure:
    """Draw the first images of the validation set with their true and predicted classes, and the curves."""
    run, predictions, data = trained
    figure = Figure(figsize=(12, 8), layout="constrained")
    above, below = np.asarray(figure.subfigures(2, height_ratios=[1.15, 1]))
    for index, axes in enumerate(above.subplots(2, SHOWN // 2).flat):
        axes.imshow(data.test.x[index].reshape(data.shape), cmap="gray_r")
        name, predicted = data.classes[data.test.labels[index]], data.classes[predictions[index]]
        wrong = name != predicted
        axes.set_title(f"{name}\n{predicted}", fontsize=10, color="firebrick" if wrong else "black")
        axes.set_axis_off()
    above.suptitle("above: class; below: predicted class, red if wrong")
    losses, accuracy = below.subplots(1, 2)
    draw_history(losses, run, "training_loss", "validation_loss")
    losses.set_ylabel("cross-entropy, nats")
    draw_history(accuracy, run, "validation_accuracy")
    accuracy.set_ylabel("accuracy")
    return figure


def main(arguments: list[str] | None = None) -> Trained:
    """Train, and print how many images of each class are recognised."""
    parser = command_line(__doc__, "fashion.png", epochs=10, data="Fashion-MNIST")
    parser.add_argument("--batch-size", type=int, help="default: 256, or 16 for the digits")
    options = parser.parse_args(arguments)
    data = load_images("Fashion-MNIST", options.data, options.seed)
    options.batch_size = options.batch_size or (16 if data.name == "digits" else 256)
    with op.use_backend(options.backend):
        trained = fit(data, options)
    history = trained.run.history
    print(f"{data.name}: {data.train.size} images for training, {data.test.size} for validation\n")
    rows = [[epoch, *figures] for epoch, figures in enumerate(zip(*history.values(), strict=True), 1)]
    print_table(["epoch", *(name.replace("_", " ") for name in history)], rows)
    found = recall_score(
        data.test.labels, trained.predictions, labels=range(10), average=None, zero_division=0
    )
    counts = np.bincount(data.test.labels, minlength=10).tolist()
    print()
    print_table(
        ["class", "images", "recognised"],
        [list(row) for row in zip(data.classes, counts, found, strict=True)],
    )
    if not options.no_plot:
        save_picture(draw(trained), options)
    return trained


if __name__ == "__main__":
    main()
