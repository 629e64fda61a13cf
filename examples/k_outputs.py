"""Regression with several outputs
===============================

Regression with K outputs and the quadratic loss, compared with scikit-learn on the same data.

Usage::

    python examples/k_outputs.py [--epochs N] [--save FILE] [--resume FILE] [--backend NAME]
                                 [--dtype float32|float64] [--seed N] [--output FILE] [--no-plot]

The data are synthetic: the three terms of Friedman's first function are K = 3 outputs of ten inputs, with
noise. One term is linear, one partly linear, one not linear. The latter two need the hidden layer.

Source: ECE 5307, Unit 8, "Loss functions for training".
"""

from __future__ import annotations

import argparse
import math
import warnings
from typing import Any, NamedTuple

import common
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

import onepass as op

ROWS, NOISE = 2000, 0.5
HIDDEN_UNITS, BATCH_SIZE, RATE = 32, 50, 0.01
# name -> hidden layers, and strength of the penalty
MODELS: dict[str, tuple[list[int], float]] = {"linear": ([], 0.0), "network": ([HIDDEN_UNITS], 1e-4)}
TERMS = (r"$10\,\sin(\pi x_0 x_1)$", r"$20\,(x_2 - 0.5)^2$", r"$10\,x_3 + 5\,x_4$")


class Split(NamedTuple):
    """Inputs (N, 10) and targets (N, 3), scaled to mean 0 and variance 1 on the training set."""

    x: np.ndarray
    test_x: np.ndarray
    targets: np.ndarray
    test_targets: np.ndarray


def friedman(seed: int) -> Split:
    """The data. A quarter is the test set."""
    x, _ = make_friedman1(ROWS, random_state=seed)
    terms = [10 * np.sin(np.pi * x[:, 0] * x[:, 1]), 20 * (x[:, 2] - 0.5) ** 2, 10 * x[:, 3] + 5 * x[:, 4]]
    targets = np.stack(terms, axis=1)
    targets += NOISE * np.random.default_rng(seed).standard_normal(targets.shape)
    x, test_x, targets, test_targets = train_test_split(x, targets, random_state=seed)
    of_x, of_targets = StandardScaler().fit(x), StandardScaler().fit(targets)
    scaled_targets = map(of_targets.transform, (targets, test_targets))
    return Split(of_x.transform(x), of_x.transform(test_x), *scaled_targets)


@op.kernel(donate=("params", "state"))
def train_step(params: Any, state: Any, x: Any, targets: Any, lr: Any, l2: Any) -> tuple[Any, Any, Any]:
    """One step of Adam on the mean squared error; the loss is from before the step."""
    loss, grads = op.mlp_loss_and_grads(
        params, x, targets, activation="tanh", loss="mean_squared_error", l2=l2
    )
    return loss, *op.adam_step(params, grads, state, lr)


def train(data: Split, options: argparse.Namespace) -> common.Run:
    """Train a linear layer and a network with a hidden layer, with a learning rate that decreases to zero."""
    random = np.random.default_rng(options.seed)
    x, targets = common.move([data.x, data.targets], options)
    params = {
        name: common.move(common.random_layers(random, [x.shape[1], *hidden, len(TERMS)]), options)
        for name, (hidden, _) in MODELS.items()
    }
    run = common.start(options, params, {name: op.adam_init(layers) for name, layers in params.items()})
    for epoch in common.epochs(run, options):
        rate = RATE * (1 + math.cos(math.pi * epoch / options.epochs)) / 2
        for name, (_, l2) in MODELS.items():
            losses = []
            for rows, wanted in common.batches(x, targets, size=BATCH_SIZE, seed=options.seed, epoch=epoch):
                loss, layers, state = train_step(run.params[name], run.state[name], rows, wanted, rate, l2)
                run.params[name], run.state[name] = layers, state
                losses.append(loss)
            run.log(**{name: losses})
    return run


def predictions(data: Split, run: common.Run, options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Predictions of our two models and of two scikit-learn models for the test set, each (N, 3)."""
    test_x = common.move(data.test_x, options)
    said = {
        f"onepass, {name}": common.to_numpy(op.mlp_forward(layers, test_x, activation="tanh"))
        for name, layers in run.params.items()
    }
    # Its loss is half of ours, and it divides the penalty by the batch size.
    alpha = MODELS["network"][1] * BATCH_SIZE / 2
    regressor = MLPRegressor(
        hidden_layer_sizes=(HIDDEN_UNITS,), activation="tanh", alpha=alpha, batch_size=BATCH_SIZE,
        learning_rate_init=RATE, max_iter=options.epochs, random_state=options.seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it trains for as many epochs as ours
        for model in (LinearRegression(), regressor):
            said[f"scikit-learn, {type(model).__name__}"] = model.fit(data.x, data.targets).predict(
                data.test_x
            )
    return said


def plot(data: Split, said: dict[str, np.ndarray], options: argparse.Namespace) -> None:
    """Plot predictions by target, one row for each of our models."""
    figure = Figure(figsize=(11.5, 7.5), layout="constrained")
    for name, row in zip(MODELS, figure.subplots(2, len(TERMS)), strict=True):
        predicted = said[f"onepass, {name}"]
        for output, axes in enumerate(row):
            pair = data.test_targets[:, output], predicted[:, output]
            axes.plot([-2.5, 2.5], [-2.5, 2.5], color="black", linewidth=1)
            axes.scatter(*pair, s=8, alpha=0.5)
            axes.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), xlabel="target", ylabel="prediction", aspect="equal")
            axes.set_title(f"{name}, {TERMS[output]}: $R^2$ = {r2_score(*pair):.2f}")
    common.save_picture(figure, options)


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    """Train. Returns the R² of each output on the test set, by model."""
    options = common.command_line(__doc__, "k_outputs.png", epochs=200).parse_args(arguments)
    data = friedman(options.seed)
    with op.use_backend(options.backend):
        said = predictions(data, train(data, options), options)
    scores = {
        name: r2_score(data.test_targets, values, multioutput="raw_values").tolist()
        for name, values in said.items()
    }
    rows = [[name, *by_output] for name, by_output in scores.items()]
    common.print_table(["R² on the test set", "sine", "square", "linear"], rows)
    if not options.no_plot:
        plot(data, said, options)
    return scores


if __name__ == "__main__":
    main()
