"""Spirals in PyTorch
==================

Train the models of `spiral.py` with onepass and with PyTorch, and compare the losses of every step.

Usage::

    python examples/spiral_pytorch.py [--steps N] [--backend NAME] [--dtype float32|float64] [--seed N]

Both start with the same weights. `SGD(weight_decay)` decays all parameters. The case study decays only
weights, so there are two groups of parameters. The losses are equal up to rounding, until spikes in the loss
of the network amplify rounding errors. Without torch only the loss curves are drawn.

Source: E6930, Lecture 3, "PyTorch Implementation"; CS231n, "Minimal Neural Network Case Study".
"""

from __future__ import annotations

import importlib.util
from typing import Any, NamedTuple

import numpy as np
from common import command_line, move, print_table, save_picture, to_numpy
from matplotlib.figure import Figure
from spiral import CLASSES, HIDDEN_UNITS, RATE, STRENGTH, generator, small_random_layers, spiral, train_step
from tqdm import trange

import onepass as op

EQUAL = 1e-10
# name: sizes of the layers, and number of steps of the case study
MODELS = {
    "softmax classifier": ([2, CLASSES], 200),
    "network 2-100-3, ReLU": ([2, HIDDEN_UNITS, CLASSES], 10_000),
}


class Comparison(NamedTuple):
    """One model trained twice from the same weights."""

    losses: np.ndarray  # by step
    torch_losses: np.ndarray | None  # None if torch is not installed
    difference: float | None  # the largest difference of any parameter at the end

    def apart(self) -> np.ndarray:
        """The difference of the two losses, by step."""
        return np.asarray(np.abs(self.losses - self.torch_losses))


def train(params: Any, x: Any, labels: Any, steps: int) -> tuple[np.ndarray, Any]:
    """The loss of every step, and the final parameters."""
    losses = []
    for _ in trange(steps, leave=False, disable=None, desc="onepass"):
        loss, params = train_step(params, x, labels)
        losses.append(loss)
    return np.asarray([float(loss) for loss in losses]), params


def torch_model(layers: list[Any]) -> Any:
    """The layers as PyTorch modules, which store a weight as (outputs, inputs)."""
    import torch

    modules: list[Any] = []
    for weight, bias in layers:
        linear = torch.nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = torch.tensor(weight.T), torch.tensor(bias.reshape(-1))
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])


def train_in_torch(model: Any, x: np.ndarray, labels: np.ndarray, steps: int) -> np.ndarray:
    """The loss of every step, including the penalty, which SGD has as weight decay."""
    import torch

    weights, biases = ([p for p in model.parameters() if p.ndim == dimensions] for dimensions in (2, 1))
    groups = [{"params": weights, "weight_decay": STRENGTH}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=RATE)
    criterion = torch.nn.CrossEntropyLoss()
    torch.set_num_threads(1)  # more threads are slower for so little work
    inputs, targets = torch.tensor(x), torch.tensor(labels, dtype=torch.long)
    losses = []
    for _ in trange(steps, leave=False, disable=None, desc="torch"):
        loss = criterion(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        penalty = sum(float((weight.detach() ** 2).sum()) for weight in weights)
        losses.append(loss.item() + 0.5 * STRENGTH * penalty)
        optimizer.step()
    return np.asarray(losses)


def compare(sizes: list[int], steps: int, options: Any, random: np.random.RandomState) -> Comparison:
    """Train one model with both libraries."""
    x, labels = spiral(generator(options.seed))
    pairs = small_random_layers(random, sizes)
    layers = [(weight.astype(options.dtype), bias.astype(options.dtype)) for weight, bias in pairs]
    model = torch_model(layers) if importlib.util.find_spec("torch") else None
    inputs, targets = move([x, labels], options)
    losses, params = train(move(layers, options), inputs, targets, steps)
    if model is None:
        return Comparison(losses, None, None)
    torch_losses = train_in_torch(model, x.astype(options.dtype), labels, steps)
    ours = [array for weight, bias in to_numpy(params) for array in (weight.T, bias.reshape(-1))]
    theirs = [parameter.detach().numpy() for parameter in model.parameters()]
    difference = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))
    return Comparison(losses, torch_losses, difference)


def draw(results: dict[str, Comparison]) -> Figure:
    """Plot the loss curves, and their difference at each step."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, result in results.items():
        steps = np.arange(1, len(result.losses) + 1)
        left.semilogx(steps, result.losses, label=f"{name}, onepass")
        if result.torch_losses is not None:
            left.semilogx(steps, result.torch_losses, "k--", linewidth=1, label="the same, PyTorch")
            right.loglog(steps, np.maximum(result.apart(), 1e-17), linewidth=1, label=name)
    left.set_ylabel("loss")
    right.set_ylabel("|loss of onepass - loss of PyTorch|")
    right.axhline(EQUAL, color="black", linestyle=":", label=f"{EQUAL:g}")
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.legend()
    return figure


def main(arguments: list[str] | None = None) -> dict[str, Comparison]:
    """Train both models with both libraries."""
    parser = command_line(__doc__, "spiral_pytorch.png")
    parser.add_argument("--steps", type=int, help="maximum number, instead of 200 and 10,000")
    options = parser.parse_args(arguments)
    results = {}
    random = generator(options.seed)
    spiral(random)  # the course draws the weights after the data
    with op.use_backend(options.backend):
        for name, (sizes, most) in MODELS.items():
            results[name] = compare(sizes, min(most, options.steps or most), options, random)
    rows = []
    for name, result in results.items():
        theirs: list[Any] = ["torch is not installed"] * 3
        if result.torch_losses is not None:
            equal_steps = int(np.argmax([*(result.apart() > EQUAL), True]))
            theirs = [f"{result.torch_losses[-1]:.6f}", f"{result.difference:.1e}", equal_steps]
        rows.append([name, len(result.losses), f"{result.losses[-1]:.6f}", *theirs])
    header = ["model", "steps", "last loss", "PyTorch's", "parameter difference", f"steps equal to {EQUAL:g}"]
    print_table(header, rows)
    if not options.no_plot:
        save_picture(draw(results), options)
    return results


if __name__ == "__main__":
    main()
