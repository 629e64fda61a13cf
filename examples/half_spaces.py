"""An intersection of half-spaces
==============================

A network of four sigmoid units learns the intersection of four half-spaces, one for each unit.

Usage::

    python examples/half_spaces.py [--epochs N] [--save FILE] [--resume FILE] [--backend NAME]
                                   [--dtype float32|float64] [--seed N] [--output FILE] [--no-plot]

Source: ECE 5307, Unit 8, "Dealing with data that is not linearly separable" and "PyTorch recipe".
The points and half-spaces are our own, because the source has its data only as a plot.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import common
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score

import onepass as op

POINTS, HIDDEN_UNITS, BATCH_SIZE, RATE = 2000, 4, 100, 0.01
# A point x is inside where x @ NORMALS + OFFSETS > 0 in all four columns.
NORMALS = np.array([[1.0, -1.0, 0.2, -0.3], [0.35, 0.15, 1.0, -1.0]])
OFFSETS = np.array([-0.35, 0.8, -0.3, 0.9])


class Points(NamedTuple):
    x: np.ndarray  # (N, 2) in the unit square
    targets: np.ndarray  # (N, 1): 1 inside all half-spaces, else 0


def draw_points(random: np.random.Generator) -> Points:
    """Uniform random points in the unit square."""
    x = random.random((POINTS, 2))
    inside = np.all(x @ NORMALS + OFFSETS > 0, axis=1, keepdims=True)
    return Points(x, inside.astype(x.dtype))


@op.kernel(donate=("params", "state"))
def train_step(params: Any, state: Any, x: Any, targets: Any, lr: Any) -> tuple[Any, Any, Any]:
    """One step of Adam on the binary cross-entropy of the logits; the loss is from before the step."""
    loss, grads = op.mlp_loss_and_grads(
        params, x, targets, activation="sigmoid", loss="binary_cross_entropy_with_logits"
    )
    return loss, *op.adam_step(params, grads, state, lr)


def logits_of(params: Any, x: Any) -> Any:
    """The score of the output unit, positive for points inside."""
    return op.mlp_forward(params, x, activation="sigmoid")


def train(points: Points, random: np.random.Generator, options: argparse.Namespace) -> common.Run:
    """Train 2-4-1. The loss of an epoch is the mean over its steps; the accuracy is measured at its end."""
    x, targets = common.move([*points], options)
    params = common.move(common.random_layers(random, [2, HIDDEN_UNITS, 1]), options)
    run = common.start(options, params, op.adam_init(params))
    for epoch in common.epochs(run, options):
        losses = []
        for rows, labels in common.batches(x, targets, size=BATCH_SIZE, seed=options.seed, epoch=epoch):
            loss, run.params, run.state = train_step(run.params, run.state, rows, labels, RATE)
            losses.append(loss)
        inside = common.to_numpy(logits_of(run.params, x)) > 0
        run.log(loss=losses, accuracy=accuracy_score(points.targets, inside))
    return run


def plot(run: common.Run, points: Points, options: argparse.Namespace) -> None:
    """Plot loss and accuracy by epoch, the decision region, and the output of each hidden unit."""
    ticks = np.linspace(0, 1, 201)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    x = common.move(grid.reshape(-1, 2), options)
    (hidden_weight, hidden_bias), (output_weight, _) = run.params
    hidden = common.to_numpy(op.sigmoid(op.linear(x, hidden_weight, hidden_bias)))
    probability = common.to_numpy(op.sigmoid(logits_of(run.params, x)))

    figure = Figure(figsize=(13, 7.5), layout="constrained")
    above, below = np.asarray(figure.subfigures(2, 1, height_ratios=[1.25, 1]))
    losses, accuracies, region = above.subplots(1, 3)
    common.draw_history(losses, run, "loss")
    losses.set(title="binary cross-entropy", ylabel="nats")
    common.draw_history(accuracies, run, "accuracy")
    accuracies.set(title="training accuracy")
    maps = [(region, "probability of being inside", probability)]
    for unit, axes in enumerate(below.subplots(1, HIDDEN_UNITS)):
        weight = float(output_weight[unit, 0])
        maps.append((axes, f"hidden unit {unit + 1}, output weight {weight:+.2f}", hidden[:, unit]))
    for axes, title, values in maps:
        image = axes.imshow(
            values.reshape(grid.shape[:2]), origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=1
        )
        axes.set(xlabel="$x_0$", ylabel="$x_1$")
        axes.set_title(title, fontsize=11)
    for value, colour in ((0, "white"), (1, "crimson")):
        region.scatter(
            *points.x[points.targets[:, 0] == value][:250].T, s=7, color=colour, label=f"y = {value}"
        )
    region.contour(ticks, ticks, probability.reshape(grid.shape[:2]), levels=[0.5], colors="black")
    region.legend(loc="lower left", facecolor="grey")
    below.colorbar(image, ax=below.axes, shrink=0.8)
    common.save_picture(figure, options)


def main(arguments: list[str] | None = None) -> common.Run:
    """Train, print the history and draw the plot."""
    options = common.command_line(__doc__, "half_spaces.png", epochs=2000).parse_args(arguments)
    random = np.random.default_rng(options.seed)
    points = draw_points(random)
    with op.use_backend(options.backend):
        run = train(points, random, options)
        shown = np.unique(np.linspace(1, len(run.history["loss"]), 11).astype(int)).tolist()
        history = run.history
        common.print_table(
            ["epoch", "loss", "accuracy"],
            [[epoch, history["loss"][epoch - 1], history["accuracy"][epoch - 1]] for epoch in shown],
        )
        if not options.no_plot:
            plot(run, points, options)
    return run


if __name__ == "__main__":
    main()
