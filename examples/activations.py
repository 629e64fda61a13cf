"""Activations, and losses from logits
===================================

Sigmoid, tanh and ReLU hidden units, and why a loss should be computed from logits.

Usage::

    python examples/activations.py [--backend NAME] [--dtype float32|float64] [--seed N] [--epochs N]
                                   [--save FILE] [--resume FILE] [--output FILE] [--no-plot]

Source: ECE 5307, Unit 8, "Common choices for hidden-layer activation", "PyTorch loss options: Be careful!"
"""

from __future__ import annotations

import argparse
from typing import Any

import common
import numpy as np
from array_api_compat import array_namespace
from datasets import load_images
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import StandardScaler

import onepass as op

HIDDEN_UNITS, BATCH_SIZE, RATE = 100, 50, 0.1
# name -> the function, and its backward function, which takes the result of the function
ACTIVATIONS: dict[Any, Any] = {
    "sigmoid": (op.sigmoid, op.sigmoid_backward),
    "tanh": (op.tanh, op.tanh_backward),
    "relu": (op.relu, op.relu_backward),
}
CERTAINTIES = (10.0, 50.0, 100.0, 1000.0)


@op.kernel(donate="params")
def train_step(params: Any, x: Any, labels: Any, lr: Any, activation: Any) -> tuple[Any, Any]:
    """One step of mini-batch gradient descent; the loss is from before the step."""
    loss, grads = op.mlp_loss_and_grads(params, x, labels, activation=activation)
    return loss, op.sgd_step(params, grads, lr)


def train(options: argparse.Namespace) -> common.Run:
    """Train 64-100-10 on the digits with each activation, with the same initial weights and batches."""
    data = load_images("MNIST", None, options.seed)
    scaler = StandardScaler().fit(data.train.x)
    x, labels = common.move((scaler.transform(data.train.x), data.train.labels), options)
    test_x = common.move(scaler.transform(data.test.x), options)
    layers = common.random_layers(
        np.random.default_rng(options.seed), [x.shape[1], HIDDEN_UNITS, len(data.classes)]
    )
    run = common.start(options, {name: common.move(layers, options) for name in ACTIVATIONS})
    for epoch in common.epochs(run, options):
        for name in ACTIVATIONS:
            losses = []
            for rows, targets in common.batches(x, labels, size=BATCH_SIZE, seed=options.seed, epoch=epoch):
                loss, run.params[name] = train_step(run.params[name], rows, targets, RATE, name)
                losses.append(loss)
            scores = common.to_numpy(op.mlp_forward(run.params[name], test_x, activation=name))
            accuracy = accuracy_score(data.test.labels, scores.argmax(axis=1))
            run.log(**{f"{name} loss": losses, f"{name} accuracy": accuracy})
    return run


def naive_loss_and_gradient(logits: Any, targets: Any) -> tuple[Any, Any]:
    """Binary cross-entropy through the activation a, as in the formula: -y ln a - (1 - y) ln(1 - a).

    The gradient is computed by the chain rule: dJ/da = (a - y) / (a (1 - a)) times da/dz = a (1 - a).
    """
    xp = array_namespace(logits)
    with np.errstate(all="ignore"):  # overflow, ln 0 and 0 / 0 are expected here
        a = 1 / (1 + xp.exp(-logits))
        loss = -targets * xp.log(a) - (1 - targets) * xp.log(1 - a)
        return loss, (a - targets) / (a * (1 - a)) * (a * (1 - a))


def wrong_answers(logits: np.ndarray, dtype: str, options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Losses and gradients of wrong predictions: target 0 for positive logits, 1 for negative ones."""
    options = argparse.Namespace(**{**vars(options), "dtype": dtype})
    z, targets = common.move((logits, (logits < 0).astype(dtype)), options)
    naive, naive_gradient = naive_loss_and_gradient(z, targets)
    # As in PyTorch, logarithms are bounded by -100, so the loss is finite but inaccurate.
    bounded = op.binary_cross_entropy(op.sigmoid(z), targets, reduction="none")
    loss, gradient = op.binary_cross_entropy_with_logits_with_grad(z, targets, reduction="none")
    names = ("naive", "naive gradient", "bounded", "from logits", "gradient")
    return dict(zip(names, common.to_numpy([naive, naive_gradient, bounded, loss, gradient]), strict=True))


def first_broken(sign: int, dtype: str, options: argparse.Namespace) -> int:
    """The whole logit closest to 0 at which the naive loss or its gradient is not finite."""
    logits = sign * np.arange(1.0, 2000.0)
    values = wrong_answers(logits, dtype, options)
    return int(logits[np.argmin(np.isfinite(values["naive"] + values["naive gradient"]))])


def plot(run: common.Run, options: argparse.Namespace) -> None:
    """Plot the activations and their derivatives, the training curves, and three formulas of the loss."""
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    (shapes, wrong), (losses, accuracies) = figure.subplots(2, 2)
    z = np.linspace(-4, 4, 401)
    for colour, (name, (forward, backward)) in enumerate(ACTIVATIONS.items()):
        shapes.plot(z, forward(z), f"C{colour}", label=name)
        shapes.plot(z, backward(np.ones_like(z), forward(z)), f"C{colour}--", linewidth=1)
        common.draw_history(losses, run, f"{name} loss", label=name)
        common.draw_history(accuracies, run, f"{name} accuracy", label=name)
    shapes.set(title="activations and their derivatives (dashed)", xlabel="$z$", ylim=(-1.1, 2.1))
    losses.set(title="digits: training loss", ylabel="nats", yscale="log")
    accuracies.set(title="digits: test accuracy", ylim=(0.5, 1))
    z = np.linspace(-120, 60, 1801)
    values = wrong_answers(z, "float32", options)
    for name, style, width in (("from logits", "C0", 6), ("bounded", "C2--", 2), ("naive", "C3", 2)):
        wrong.plot(z, values[name], style, linewidth=width, label=name)
    low, high = (first_broken(sign, "float32", options) for sign in (-1, 1))
    wrong.axvspan(z[0], low, color="C3", alpha=0.15, label="naive: inf, gradient NaN")
    wrong.axvspan(high, z[-1], color="C3", alpha=0.15)
    wrong.set(
        title="loss of a wrong prediction in float32", xlabel="logit", ylabel="nats", xlim=(z[0], z[-1])
    )
    for axes in (shapes, wrong):
        axes.legend()
    common.save_picture(figure, options)


def main(arguments: list[str] | None = None) -> tuple[common.Run, dict[str, tuple[int, int]]]:
    """Train, and find the logits at which the naive loss is no longer finite, by dtype."""
    options = common.command_line(__doc__, "activations.png", epochs=30).parse_args(arguments)
    with op.use_backend(options.backend):
        run = train(options)
        kinds = ("loss", "accuracy")
        rows = [[name, *(run.history[f"{name} {kind}"][-1] for kind in kinds)] for name in ACTIVATIONS]
        common.print_table(["hidden units", "training loss", "test accuracy"], rows)
        broken = {}
        logits = np.asarray([sign * size for size in CERTAINTIES for sign in (-1, 1)])
        for dtype in ("float32", "float64"):
            values = wrong_answers(logits, dtype, options)
            print(f"\nloss of a wrong prediction, {dtype}")
            common.print_table(
                ["logit", *values], [list(row) for row in zip(logits, *values.values(), strict=True)]
            )
            broken[dtype] = (first_broken(-1, dtype, options), first_broken(1, dtype, options))
            print("the naive formula fails from logits of {} and {:+d} on".format(*broken[dtype]))
        if not options.no_plot:
            plot(run, options)
    return run, broken


if __name__ == "__main__":
    main()
