"""Spirals
=======

The minimal neural network case study: a linear classifier and a ReLU network on three spirals.

Usage::

    python examples/spiral.py [--backend NAME] [--dtype float32|float64] [--seed N]
                              [--json FILE] [--output FILE] [--no-plot]

Source: CS231n, "Minimal Neural Network Case Study".
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import onepass as op

POINTS_PER_CLASS, CLASSES, HIDDEN_UNITS = 100, 3, 100
RATE, STRENGTH = 1.0, 1e-3


class Run(NamedTuple):
    """One model trained on one backend."""

    model: str
    backend: str
    dtype: str
    losses: dict[int, float]  # by iteration
    accuracy: float  # on the training set
    microseconds_per_step: float
    params: Any


def generator(seed: int) -> np.random.RandomState:
    """The random generator of the course. Seed 0 gives its data; its classifier ends at loss 0.7863."""
    return np.random.RandomState(seed)


def spiral(random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Three arms of a spiral: x (300, 2) and labels (300,)."""
    arms = []
    for arm in range(CLASSES):
        radius = np.linspace(0.0, 1.0, POINTS_PER_CLASS)
        angle = np.linspace(4 * arm, 4 * (arm + 1), POINTS_PER_CLASS)
        angle = angle + 0.2 * random.randn(POINTS_PER_CLASS)
        arms.append(np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1))
    return np.concatenate(arms), np.repeat(np.arange(CLASSES, dtype=np.uint8), POINTS_PER_CLASS)


def small_random_layers(
    random: np.random.RandomState, sizes: list[int]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights of 0.01 times a standard normal, biases of 0."""
    pairs = pairwise(sizes)
    return [(0.01 * random.randn(rows, columns), np.zeros((1, columns))) for rows, columns in pairs]


@op.kernel(donate="params")
def train_step(params: Any, x: Any, labels: Any) -> tuple[Any, Any]:
    """One step of gradient descent on the whole data set; the loss is from before the step."""
    loss, grads = op.mlp_loss_and_grads(params, x, labels, l2=STRENGTH)
    return loss, op.sgd_step(params, grads, RATE)


def train(model: str, params: Any, x: Any, labels: Any, steps: int, every: int) -> Run:
    """Train, and print the loss every `every` steps, as in the course."""
    print(f"\n{model}")
    losses, seconds = {}, 0.0
    with tqdm(total=steps, unit=" steps", leave=False, disable=None) as progress:
        for iteration in range(steps):
            start = time.perf_counter()
            loss, params = train_step(params, x, labels)
            seconds += time.perf_counter() - start
            if iteration % every == 0:
                losses[iteration] = float(loss)
                progress.write(f"iteration {iteration}: loss {losses[iteration]:f}")
                progress.update(min(every, steps - iteration))
    scores = to_numpy(op.mlp_forward(params, x))
    accuracy = float(np.mean(np.argmax(scores, axis=1) == to_numpy(labels)))
    print(f"training accuracy: {accuracy:.2f}   ({1e6 * seconds / steps:.0f} µs per step)")
    return Run(model, "", str(x.dtype), losses, accuracy, 1e6 * seconds / steps, params)


def run_backend(backend: str, dtype: str, seed: int) -> list[Run]:
    """Train both models on one backend. All backends get the same data and initial weights."""
    random = generator(seed)
    x, labels = spiral(random)
    models = [
        ("softmax classifier", [2, CLASSES], 200, 10),
        ("network 2-100-3, ReLU", [2, HIDDEN_UNITS, CLASSES], 10_000, 1_000),
    ]
    runs = []
    with op.use_backend(backend):
        for model, sizes, steps, every in models:
            layers = small_random_layers(random, sizes)
            params = [tuple(to_backend(array, backend, dtype) for array in layer) for layer in layers]
            data, targets = to_backend(x, backend, dtype), to_backend(labels, backend, None)
            run = train(f"{model} on {backend}, {dtype}", params, data, targets, steps, every)
            runs.append(run._replace(model=model, backend=backend))
    return runs


def to_backend(array: np.ndarray, backend: str, dtype: str | None) -> Any:
    """Move the array to the device of the backend, in this dtype."""
    array = array if dtype is None else array.astype(dtype)
    if backend != "cupy":
        return array
    import cupy

    return cupy.asarray(array)


def to_numpy(array: Any) -> np.ndarray:
    """Copy the array to the host."""
    return np.asarray(array.get() if hasattr(array, "get") else array)


def plot(runs: list[Run], x: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """Plot both decision regions with the data."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    low, high = x.min(axis=0) - 0.2, x.max(axis=0) + 0.2
    grid = np.stack(np.meshgrid(*np.linspace(low, high, 400).T), axis=-1)
    colours = mpl.colors.ListedColormap(["#4c72b0", "#c44e52", "#ddb144"])
    figure, all_axes = plt.subplots(1, len(runs), figsize=(5.2 * len(runs), 5), layout="constrained")
    for axes, run in zip(all_axes, runs, strict=True):
        params = [tuple(to_numpy(array) for array in layer) for layer in run.params]
        scores = op.mlp_forward(params, grid.reshape(-1, 2).astype(run.dtype))
        regions = np.argmax(scores, axis=1).reshape(grid.shape[:2])
        axes.pcolormesh(grid[..., 0], grid[..., 1], regions, cmap=colours, alpha=0.35, rasterized=True)
        axes.scatter(*x.T, c=labels, cmap=colours, edgecolors="black", linewidths=0.5, s=28)
        axes.set_title(f"{run.model}: {100 * run.accuracy:.0f} % right")
        axes.set_xlabel("$x_1$")
        axes.set_ylabel("$x_2$")
        axes.set_aspect("equal")
    figure.savefig(path, dpi=120)
    print(f"\nwrote {path}")


def main(arguments: list[str] | None = None) -> list[Run]:
    """Train both models on the selected backends, and draw the plot."""
    usable = [backend.name for backend in op.backends().values() if backend.usable]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backend", help=f"one backend instead of all that work here ({', '.join(usable)})")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--output", type=Path, metavar="FILE", default=Path("spiral.png"), help="the plot")
    parser.add_argument("--no-plot", action="store_true")
    options = parser.parse_args(arguments)
    runs = [
        run
        for backend in ([options.backend] if options.backend else usable)
        for run in run_backend(backend, options.dtype, options.seed)
    ]
    if options.json:
        figures = [{key: value for key, value in run._asdict().items() if key != "params"} for run in runs]
        options.json.write_text(json.dumps({"seed": options.seed, "runs": figures}, indent=2) + "\n")
        print(f"\nwrote {options.json}")
    if not options.no_plot:
        plot(runs[:2], *spiral(generator(options.seed)), options.output)
    return runs


if __name__ == "__main__":
    main()
