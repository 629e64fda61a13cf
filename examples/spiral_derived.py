"""Spirals with a derived gradient
===============================

Train the network of `spiral.py` with a loss of ten lines, whose gradient is derived from it.

Usage::

    python examples/spiral_derived.py [--steps N] [--backend NAME] [--dtype float32|float64] [--seed N]
                                      [--output FILE] [--no-plot]

`op.value_and_grad` derives the gradient of the loss. `@op.kernel` compiles the loss, its gradient and the
optimiser as one program. `op.mlp_loss_and_grads`, whose gradient is written by hand, trains from the same
weights. At equal parameters both losses are equal up to rounding, and so are both gradients, except where
rounding decides whether a ReLU unit is active (in float32). The losses of the two runs are equal too, until
training amplifies the rounding errors.

Source: CS231n, "Minimal Neural Network Case Study".
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import spiral
from common import command_line, move, save_picture, to_numpy
from matplotlib.figure import Figure
from spiral import CLASSES, HIDDEN_UNITS, RATE, STRENGTH
from tqdm import tqdm

import onepass as op

PRINTED_EVERY, COMPARED_EVERY = 1_000, 10
# By dtype: losses of the two runs whose relative difference is smaller count as equal.
EQUAL = {"float32": 1e-5, "float64": 1e-10}


def loss_of(params: Any, x: Any, labels: Any) -> Any:
    """Mean softmax cross-entropy of a network with one layer of ReLU units, plus a penalty on the weights."""
    (weight1, bias1), (weight2, bias2) = params
    hidden = np.maximum(x @ weight1 + bias1, 0)
    scores = hidden @ weight2 + bias2
    # Subtracting the row maximum keeps exp from overflowing. The loss, and so its gradient, stays the same.
    scores = scores - op.stop_gradient(np.max(scores, axis=1, keepdims=True))
    log_probabilities = scores - np.log(np.sum(np.exp(scores), axis=1, keepdims=True))
    cross_entropy = -np.mean(log_probabilities[np.arange(len(labels)), labels])
    penalty = 0.5 * STRENGTH * (np.sum(weight1 * weight1) + np.sum(weight2 * weight2))
    return cross_entropy + penalty


loss_and_grads = op.value_and_grad(loss_of)


@op.kernel(donate="params")
def train_step(params: Any, x: Any, labels: Any) -> tuple[Any, Any]:
    """One step of gradient descent on the whole data set; the loss is from before the step."""
    loss, grads = loss_and_grads(params, x, labels)
    return loss, op.sgd_step(params, grads, RATE)


@dataclass
class Training:
    """A training run of the network."""

    step: Callable[..., tuple[Any, Any]]
    params: Any
    losses: list[float] = field(default_factory=list)  # by step
    seconds: float = 0.0

    def advance(self, x: Any, labels: Any) -> None:
        """Make one step."""
        start = time.perf_counter()
        loss, self.params = self.step(self.params, x, labels)
        self.losses.append(float(loss))
        self.seconds += time.perf_counter() - start

    def accuracy(self, x: Any, labels: Any) -> float:
        """The accuracy on the training set."""
        scores = to_numpy(op.mlp_forward(self.params, x))
        return float(np.mean(scores.argmax(axis=1) == to_numpy(labels)))

    def microseconds_per_step(self) -> float:
        """The mean time of a step, with the compilation in the first one."""
        return 1e6 * self.seconds / len(self.losses)


@dataclass
class Comparison:
    """The network trained with the derived gradient, and with the library's, from the same weights."""

    derived: Training
    library: Training
    # By step, at the parameters of `derived`: relative differences of both losses and of both gradients.
    loss_errors: dict[int, float] = field(default_factory=dict)
    grad_errors: dict[int, float] = field(default_factory=dict)
    accuracy: float = 0.0  # of `derived` on the training set

    def apart(self) -> np.ndarray:
        """The relative difference of the losses of the two runs, by step."""
        return np.asarray(np.abs(np.divide(self.derived.losses, self.library.losses) - 1))

    def compare(self, x: Any, labels: Any) -> None:
        """Compare losses and gradients at the same parameters."""
        step, params = len(self.derived.losses), self.derived.params
        loss, grads = to_numpy(loss_and_grads(params, x, labels))
        expected_loss, expected_grads = to_numpy(op.mlp_loss_and_grads(params, x, labels, l2=STRENGTH))
        self.loss_errors[step] = float(abs(loss - expected_loss) / expected_loss)
        self.grad_errors[step] = gradient_error(grads, expected_grads)


def gradient_error(grads: Any, expected: Any) -> float:
    """The largest difference of two elements, relative to the largest element of the array."""
    pairs = [pair for layers in zip(grads, expected, strict=True) for pair in zip(*layers, strict=True)]
    return max(float(np.abs(ours - theirs).max() / np.abs(theirs).max()) for ours, theirs in pairs)


def train(options: argparse.Namespace) -> Comparison:
    """Make the steps of both runs in turn, and print the losses as in the course."""
    random = spiral.generator(options.seed)
    x, labels = move(spiral.spiral(random), options)
    layers = spiral.small_random_layers(random, [x.shape[1], HIDDEN_UNITS, CLASSES])
    # Each run donates its parameters, so each has a copy.
    derived, library = (
        Training(train_step, move(layers, options)),
        Training(spiral.train_step, move(layers, options)),
    )
    found = Comparison(derived, library)
    with tqdm(total=options.steps, unit=" steps", leave=False, disable=None) as progress:
        for step in range(options.steps):
            if step % COMPARED_EVERY == 0:
                found.compare(x, labels)
            derived.advance(x, labels)
            library.advance(x, labels)
            if step % PRINTED_EVERY == 0:
                ours, theirs = derived.losses[-1], library.losses[-1]
                losses = f"loss {ours:f}, mlp_loss_and_grads {theirs:f}"
                progress.write(f"iteration {step}: {losses}, difference {abs(ours - theirs):.0e}")
            progress.update()
    found.accuracy = derived.accuracy(x, labels)
    return found


def report(found: Comparison, equal: float) -> None:
    """Print accuracy, times, and how far the losses agree."""
    times = [f"{run.microseconds_per_step():.0f} µs" for run in (found.derived, found.library)]
    print(f"training accuracy: {found.accuracy:.2f}   ({times[0]} per step, mlp_loss_and_grads {times[1]})")
    equal_steps = int(np.argmax([*(found.apart() > equal), True]))
    print(
        f"at equal parameters: losses differ by at most {max(found.loss_errors.values()):.1e}, "
        f"gradients by {max(found.grad_errors.values()):.1e} (relative)"
    )
    print(f"from equal weights: losses differ by less than {equal:g} for {equal_steps} steps")


def draw(found: Comparison, equal: float) -> Figure:
    """Plot both loss curves, and the differences at each step."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    curves, differences = figure.subplots(1, 2)
    steps = np.arange(1, len(found.derived.losses) + 1)
    curves.semilogx(steps, found.derived.losses, label="gradient derived by value_and_grad")
    curves.semilogx(steps, found.library.losses, "k--", linewidth=1, label="mlp_loss_and_grads")
    curves.set(title="network 2-100-3, ReLU, on three spirals", ylabel="loss, nats")
    # The scale is logarithmic, so equal losses and gradients have no dot.
    for name, style, size, errors in (
        ("losses of the two runs", "C0.", 1, dict(enumerate(found.apart()))),
        ("losses at equal parameters", "C1.", 4, found.loss_errors),
        ("gradients at equal parameters", "C3.", 6, found.grad_errors),
    ):
        at, values = np.asarray(list(errors)), np.asarray(list(errors.values()))
        label = f"{name} (equal bits: {np.mean(values == 0):.1%})"
        differences.loglog(at + 1, values, style, markersize=size, label=label)
    differences.axhline(equal, color="black", linestyle=":", label=f"{equal:g}")
    smallest = float(np.finfo(found.derived.params[0][0].dtype).eps)
    differences.set(title="derived and library", ylabel="relative difference", ylim=(smallest / 10, 1e2))
    for axes, place in ((curves, "lower left"), (differences, "upper left")):
        axes.set_xlabel("step")
        axes.legend(loc=place, fontsize="small", markerscale=1.5)
    return figure


def main(arguments: list[str] | None = None) -> Comparison:
    """Train with both gradients, and compare."""
    parser = command_line(__doc__, "spiral_derived.png")
    parser.add_argument("--steps", type=int, default=10_000)
    options = parser.parse_args(arguments)
    print(f"network 2-100-3, ReLU on {options.backend}, {options.dtype}")
    with op.use_backend(options.backend):
        found = train(options)
    report(found, EQUAL[options.dtype])
    if not options.no_plot:
        save_picture(draw(found, EQUAL[options.dtype]), options)
    return found


if __name__ == "__main__":
    main()
