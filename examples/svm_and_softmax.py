"""Hinge loss and cross-entropy
============================

A support vector machine (hinge loss) and a softmax classifier on the digits, with L1 and L2 penalties.

Usage::

    python examples/svm_and_softmax.py [--steps N] [--backend NAME] [--dtype float32|float64] [--seed N]

First it computes both losses for one example with three classes. Then it trains both classifiers.

Source: E6930, Lecture 1, "Loss Function" and "SVM vs. Softmax". The numbers of the slide are from CS231n,
"Linear Classification". R(W) of the lecture is sum W^2; `op.l2_penalty` has the usual factor 1/2.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from common import command_line, move, print_table, random_layers, save_picture, to_numpy
from datasets import load_images
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score
from tqdm import trange

import onepass as op

# The example of the slide: an image of four pixels, and the weights of cat, dog and ship. It shows a ship.
PIXELS = np.asarray([[-15.0, 22.0, -44.0, 56.0]])
WEIGHT = np.asarray([[0.01, -0.05, 0.1, 0.05], [0.7, 0.2, 0.05, 0.16], [0.0, -0.45, -0.2, 0.03]])
BIAS = np.asarray([0.0, 0.2, -0.3])
LABEL = np.asarray([2])

PENALTIES = {"none": (0.0, 0.0), "L2": (0.0, 0.02), "L1": (0.003, 0.0)}  # strengths of L1 and L2
RATE = 0.2
Loss = Literal["multiclass_hinge", "softmax_cross_entropy"]
LOSSES: dict[str, Loss] = {"SVM": "multiclass_hinge", "softmax": "softmax_cross_entropy"}


class Trained(NamedTuple):
    """A trained linear classifier, and its results."""

    loss: float  # on the training set, with the penalty
    train: float  # accuracy
    test: float
    small: float  # fraction of the weights below 0.01
    layer: tuple[np.ndarray, np.ndarray]


class Slide(NamedTuple):
    """The results for the example of the slide."""

    scores: list[float]
    hinge: float
    probabilities: list[float]
    cross_entropy: float


@op.kernel(donate="layer")
def train_step(
    layer: Any, x: Any, labels: Any, loss: Loss, l1: float, l2: float, rate: float
) -> tuple[Any, Any]:
    """One step of gradient descent on the data loss and both penalties on the weight."""
    weight, _ = layer
    value, [(grad_weight, grad_bias)] = op.mlp_loss_and_grads([layer], x, labels, loss=loss, l2=l2)
    grads = (grad_weight + op.l1_penalty_backward(1.0, weight, l1), grad_bias)
    return value + op.l1_penalty(weight, l1), op.sgd_step(layer, grads, rate)


def slide(options: Any) -> Slide:
    """Compute scores and both losses for the example of the slide."""
    pixels, weight, bias, label = move([PIXELS, WEIGHT.T, BIAS, LABEL], options)
    scores = op.linear(pixels, weight, bias)
    return Slide(
        to_numpy(scores)[0].tolist(),
        float(op.multiclass_hinge(scores, label)),
        to_numpy(op.softmax(scores))[0].tolist(),
        float(op.softmax_cross_entropy(scores, label)),
    )


def train(loss: Loss, penalty: str, data: Any, options: Any) -> Trained:
    """Full-batch gradient descent. The rate decreases to 0, so that with L1 weights settle at the kink."""
    [layer] = move(
        random_layers(np.random.default_rng(options.seed), [data.train.x.shape[1], 10], 0.01), options
    )
    x, labels, test_x = move([data.train.x, data.train.labels, data.test.x], options)
    l1, l2 = PENALTIES[penalty]
    for step in trange(options.steps, leave=False, disable=None):
        rate = RATE * (1 - step / options.steps)
        value, layer = train_step(layer, x, labels, loss, l1, l2, rate)
    found, tested = (to_numpy(op.linear(rows, *layer)).argmax(axis=1) for rows in (x, test_x))
    layer = to_numpy(layer)
    right = accuracy_score(data.train.labels, found), accuracy_score(data.test.labels, tested)
    return Trained(float(value), *right, float(np.mean(np.abs(layer[0]) < 0.01)), layer)


def draw(found: dict[tuple[str, str], Trained]) -> Figure:
    """Plot the weights of each class as an image."""
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    for axes_row, ((model, penalty), trained) in zip(
        figure.subplots(len(found), 10), found.items(), strict=True
    ):
        weight = trained.layer[0]
        limit = np.abs(weight).max()
        for digit, axes in enumerate(axes_row):
            axes.imshow(weight[:, digit].reshape(8, 8), cmap="RdBu", vmin=-limit, vmax=limit)
            axes.set_xticks([])
            axes.set_yticks([])
        axes_row[0].set_ylabel(f"{model}\npenalty {penalty}")
    for digit in range(10):
        figure.axes[digit].set_title(str(digit))
    figure.suptitle("weights of the score of each digit: blue is positive, red is negative")
    return figure


def main(arguments: list[str] | None = None) -> tuple[Slide, dict[tuple[str, str], Trained]]:
    """Run the example of the slide, then train every loss with every penalty."""
    parser = command_line(__doc__, "svm_and_softmax.png")
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args(arguments)
    data = load_images("MNIST", None, options.seed)
    with op.use_backend(options.backend):
        one = slide(options)
        found = {
            (model, penalty): train(loss, penalty, data, options)
            for model, loss in LOSSES.items()
            for penalty in PENALTIES
        }
    margins = [max(0.0, score - one.scores[2] + 1) for score in one.scores[:2]]
    classes = zip(("cat", "dog", "ship (right)"), one.scores, [*margins, 0.0], one.probabilities, strict=True)
    print_table(["class", "score", "hinge", "probability"], [list(row) for row in classes])
    print(f"hinge loss {one.hinge:.2f}, cross-entropy {one.cross_entropy:.2f} nats\n")
    rows = [[*name, *trained[:4]] for name, trained in found.items()]
    print_table(
        ["loss", "penalty", "training loss", "training accuracy", "test accuracy", "weights < 0.01"], rows
    )
    if not options.no_plot:
        save_picture(draw(found), options)
    return one, found


if __name__ == "__main__":
    main()
