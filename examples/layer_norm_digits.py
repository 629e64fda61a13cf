"""Layer norm and GELU
===================

A residual network with layer norm and GELU, for which the library has no kernel, on scikit-learn's digits.

Usage::

    python examples/layer_norm_digits.py [--epochs N] [--save FILE] [--resume FILE] [--backend NAME]
                                         [--dtype float32|float64] [--seed N] [--output FILE] [--no-plot]

The network and its loss are plain functions of arrays. `op.value_and_grad` derives the gradient with respect
to a dict of parameters, and `@op.kernel` compiles loss, gradient and Adam as one program. `op.grad` derives
the gradient with respect to the images: it shows which pixels are to blame for a wrong prediction.

Source: Ba, Kiros and Hinton, arXiv:1607.06450 (layer norm); Hendrycks and Gimpel, arXiv:1606.08415 (GELU);
He, Zhang, Ren and Sun, arXiv:1512.03385 (residual connections).
"""

from __future__ import annotations

import argparse
import math
from typing import Any, NamedTuple

import common
import numpy as np
from array_api_compat import array_namespace
from datasets import ImageData, load_images
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score

import onepass as op

WIDTH, BLOCKS, BATCH_SIZE, RATE = 128, 2, 50, 1e-3
EPSILON = 1e-5
MOST_SHOWN = 8


def layer_norm(x: Any, scale: Any, shift: Any) -> Any:
    """Every row with mean 0 and variance 1, then scaled and shifted by column."""
    xp = array_namespace(x)
    mean = xp.mean(x, axis=1, keepdims=True)
    variance = xp.var(x, axis=1, keepdims=True)
    return (x - mean) / xp.sqrt(variance + EPSILON) * scale + shift


def gelu(x: Any) -> Any:
    """The tanh form of x times the standard normal distribution function."""
    xp = array_namespace(x)
    return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@op.kernel
def scores_of(params: Any, x: Any) -> Any:
    """The score (N, K) of each class."""
    x = op.linear(x, **params["input"])
    for block in params["blocks"]:
        x = x + gelu(layer_norm(op.linear(x, **block["linear"]), **block["norm"]))
    return op.linear(x, **params["head"])


def loss_of(params: Any, x: Any, labels: Any, reduction: Any = "mean") -> Any:
    """Softmax cross-entropy, in nats."""
    return op.softmax_cross_entropy(scores_of(params, x), labels, reduction=reduction)


loss_and_grads = op.value_and_grad(loss_of)
gradient_of_images = op.grad(loss_of, argnums=1)


@op.kernel(donate=("params", "state"))
def train_step(params: Any, state: Any, x: Any, labels: Any, lr: Any) -> tuple[Any, Any, Any]:
    """One step of Adam on a mini-batch; the loss is from before the step."""
    loss, grads = loss_and_grads(params, x, labels)
    return loss, *op.adam_step(params, grads, state, lr)


def initial_params(random: np.random.Generator, inputs: int, classes: int) -> dict[str, Any]:
    """Linear layers initialised as in PyTorch; scales of 1 and shifts of 0."""
    sizes = [(inputs, WIDTH), *[(WIDTH, WIDTH)] * BLOCKS, (WIDTH, classes)]
    pairs = [common.random_layers(random, pair)[0] for pair in sizes]
    first, *middle, head = [{"weight": weight, "bias": bias} for weight, bias in pairs]
    norms = [{"scale": np.ones(WIDTH), "shift": np.zeros(WIDTH)} for _ in middle]
    blocks = [{"linear": linear, "norm": norm} for linear, norm in zip(middle, norms, strict=True)]
    return {"input": first, "blocks": blocks, "head": head}


class Mistakes(NamedTuple):
    """The images of the test set that the network gets wrong, the most certain of its mistakes first."""

    images: np.ndarray  # (M, D)
    labels: np.ndarray  # (M,)
    predictions: np.ndarray  # (M,)
    probabilities: np.ndarray  # (M,) of the prediction
    gradients: np.ndarray  # (M, D) of the loss of each image with respect to its pixels


class Result(NamedTuple):
    """The trained network on the test set."""

    run: common.Run
    accuracy: float
    mistakes: Mistakes


def train(data: ImageData, options: argparse.Namespace) -> common.Run:
    """Train the network. The test set is measured after each epoch."""
    x, labels = common.move([*data.train], options)
    test_x, test_labels = common.move([*data.test], options)
    random = np.random.default_rng(options.seed)
    params = common.move(initial_params(random, x.shape[1], len(data.classes)), options)
    run = common.start(options, params, op.adam_init(params))
    for epoch in common.epochs(run, options):
        losses = []
        for rows, targets in common.batches(x, labels, size=BATCH_SIZE, seed=options.seed, epoch=epoch):
            loss, run.params, run.state = train_step(run.params, run.state, rows, targets, RATE)
            losses.append(loss)
        scores = scores_of(run.params, test_x)
        accuracy = accuracy_score(data.test.labels, common.to_numpy(scores).argmax(axis=1))
        test_loss = op.softmax_cross_entropy(scores, test_labels)
        run.log(training_loss=losses, test_loss=test_loss, test_accuracy=accuracy)
    return run


def find_mistakes(params: Any, data: ImageData, options: argparse.Namespace) -> Mistakes:
    """Compare predictions with labels, and differentiate the loss with respect to the wrong images."""
    probabilities = common.to_numpy(op.softmax(scores_of(params, common.move(data.test.x, options))))
    certainty = probabilities.max(axis=1)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != data.test.labels)
    wrong = wrong[np.argsort(-certainty[wrong])]
    images, labels = common.move([part[wrong] for part in data.test], options)
    # The sum of the losses, so that each image has the gradient of its own loss.
    gradients = common.to_numpy(gradient_of_images(params, images, labels, "sum"))
    predictions = probabilities[wrong].argmax(axis=1)
    return Mistakes(data.test.x[wrong], data.test.labels[wrong], predictions, certainty[wrong], gradients)


def draw_mistakes(figure: Any, mistakes: Mistakes, data: ImageData) -> None:
    """Draw wrong images, and below each the change of its pixels that lowers its loss fastest."""
    count = min(len(mistakes.labels), MOST_SHOWN)
    if count == 0:
        return
    grid = figure.subplots(2, count, squeeze=False)
    strongest = float(np.abs(mistakes.gradients[:count]).max())
    shown = [part[:count] for part in mistakes]
    for (above, below), image, label, prediction, probability, gradient in zip(grid.T, *shown, strict=True):
        pixels, change = image.reshape(data.shape), -gradient.reshape(data.shape)
        above.imshow(pixels, cmap="gray_r", vmin=0, vmax=1)
        right, wrong = data.classes[label], data.classes[prediction]
        above.set_title(f"a {right}, taken for\na {wrong} ({probability:.0%})", fontsize=10)
        drawn = below.imshow(change, cmap="RdBu_r", vmin=-strongest, vmax=strongest)
        below.contour(pixels, levels=[0.5], colors="black", linewidths=0.8)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    grid[0, 0].set_ylabel(f"{count} of {len(mistakes.labels)}\nwrong\npredictions")
    grid[1, 0].set_ylabel("more (red) or\nless (blue) ink\nlowers the loss")
    figure.colorbar(drawn, ax=grid[1], label="-gradient, nats\nper unit of ink", fraction=0.05)


def plot(result: Result, data: ImageData, options: argparse.Namespace) -> None:
    """Plot losses and accuracy by epoch, and wrong predictions with the gradient of their loss."""
    figure = Figure(figsize=(12, 8), layout="constrained")
    above, below = np.asarray(figure.subfigures(2, 1, height_ratios=[1.1, 1]))
    losses, accuracies = above.subplots(1, 2)
    common.draw_history(losses, result.run, "training_loss", "test_loss")
    losses.set(title=f"residual network with layer norm on {data.name}", ylabel="loss, nats", yscale="log")
    common.draw_history(accuracies, result.run, "test_accuracy")
    accuracies.set(
        title=f"{result.accuracy:.1%} of the test set right", ylabel="share of images right", ylim=(0.9, 1)
    )
    draw_mistakes(below, result.mistakes, data)
    common.save_picture(figure, options)


def main(arguments: list[str] | None = None) -> Result:
    """Train, print the history and the wrong predictions, and draw the plot."""
    options = common.command_line(__doc__, "layer_norm_digits.png", epochs=30).parse_args(arguments)
    data = load_images("MNIST", None, options.seed)
    with op.use_backend(options.backend):
        run = train(data, options)
        mistakes = find_mistakes(run.params, data, options)
    history = run.history
    shown = np.unique(np.linspace(1, run.epoch, 7).astype(int)).tolist()
    common.print_table(
        ["epoch", *(name.replace("_", " ") for name in history)],
        [[epoch, *(figures[epoch - 1] for figures in history.values())] for epoch in shown],
    )
    result = Result(run, history["test_accuracy"][-1], mistakes)
    print(f"\n{result.accuracy:.1%} of the test set right, {len(mistakes.labels)} images wrong")
    if not options.no_plot:
        plot(result, data, options)
    return result


if __name__ == "__main__":
    main()
