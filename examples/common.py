"""Common code of the examples: command line, arrays, mini-batches, resumable runs, tables, plots."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
from array_api_compat import array_namespace, device
from matplotlib.figure import Figure
from tqdm import tqdm

import onepass as op


def command_line(
    description: str | None, output: str, *, epochs: int | None = None, data: str | None = None
) -> argparse.ArgumentParser:
    """A parser with the options of all examples. An example adds its own.

    description: the docstring of the example; its first line is shown
    output:      the default file name of the plot
    epochs:      the default number of epochs; adds --epochs, --save and --resume
    data:        the name of the images, such as "MNIST"; adds --data
    """
    usable = ["auto", *(backend.name for backend in op.backends().values() if backend.usable)]
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--backend", choices=usable, default="auto", help="the backend that runs the kernels")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    parser.add_argument("--seed", type=int, default=0, help="for data, initial weights and mini-batches")
    parser.add_argument("--output", type=Path, metavar="FILE", default=Path(output), help="the plot")
    parser.add_argument("--no-plot", action="store_true", help="do not draw the plot")
    if epochs is not None:
        parser.add_argument("--epochs", type=int, default=epochs)
        parser.add_argument("--save", type=Path, metavar="FILE", help="save the run as .npz or .safetensors")
        parser.add_argument("--resume", type=Path, metavar="FILE", help="resume a saved run")
    if data is not None:
        what = (
            f"folder of the IDX files of {data}, or 'openml' to download it; default: scikit-learn's digits"
        )
        parser.add_argument("--data", metavar="DIR", help=what)
    return parser


def move(tree: Any, options: argparse.Namespace) -> Any:
    """Move NumPy arrays, alone or in lists, tuples and dicts, to the device of --backend.

    Real arrays are cast to --dtype, and always copied, so that they can be donated to a training step.
    """
    if isinstance(tree, dict):
        return {key: move(item, options) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(move(item, options) for item in tree)
    if not isinstance(tree, np.ndarray):
        return tree
    array = tree.astype(options.dtype) if tree.dtype.kind == "f" else tree
    if options.backend != "cupy":
        return array
    import cupy

    return cupy.asarray(array)


def to_numpy(tree: Any) -> Any:
    """The inverse of `move`: copy the arrays to the host."""
    if isinstance(tree, dict):
        return {key: to_numpy(item) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(to_numpy(item) for item in tree)
    return tree.get() if hasattr(tree, "get") else tree


def random_layers(
    random: np.random.Generator, sizes: Sequence[int], scale: float | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Initial parameters [(weight, bias), ...] of a network with layers of these sizes.

    scale: the standard deviation of normal weights, with biases of 0; None for the initialisation of
           `nn.Linear` in PyTorch: weights and biases are uniform within 1 / sqrt(inputs)
    """
    layers = []
    for rows, columns in pairwise(sizes):
        if scale is None:
            bound = rows**-0.5
            layers.append(
                (random.uniform(-bound, bound, (rows, columns)), random.uniform(-bound, bound, columns))
            )
        else:
            layers.append((scale * random.standard_normal((rows, columns)), np.zeros(columns)))
    return layers


def batches(*arrays: Any, size: int, seed: int, epoch: int) -> Iterator[tuple[Any, ...]]:
    """Mini-batches of arrays with the same number of rows. Every row occurs once, in random order.

    The order depends only on `seed` and `epoch`, so a run can be resumed at any epoch. The last batch may be
    smaller.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(arrays[0]))
    xp = array_namespace(arrays[0])
    order = xp.asarray(order, device=device(arrays[0]))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield tuple(xp.take(array, rows, axis=0) for array in arrays)


@dataclass
class Run:
    """The state of a training run: everything that is needed to resume it."""

    params: Any
    state: Any = None  # of the optimiser
    seed: int = 0
    epoch: int = 0  # number of epochs done
    history: dict[str, list[float]] = field(default_factory=dict)  # one figure per epoch

    def log(self, **figures: Any) -> None:
        """Add the figures of an epoch: numbers, or lists of the losses of its batches, which are averaged."""
        for name, figure in figures.items():
            number = sum(map(float, figure)) / len(figure) if isinstance(figure, list) else float(figure)
            self.history.setdefault(name, []).append(number)


def start(options: argparse.Namespace, params: Any, state: Any = None) -> Run:
    """A run that starts with `params` and the optimiser's `state`, or the run given by --resume."""
    if options.resume is None:
        return Run(params, state, options.seed)
    run = Run(**move(checkpoints.load(options.resume), options))
    if run.seed != options.seed:
        raise SystemExit(f"{options.resume}: has --seed {run.seed}; expected --seed {options.seed}.")
    found, expected = (checkpoints.shapes(tree) for tree in ((run.params, run.state), (params, state)))
    if found != expected:
        raise SystemExit(f"{options.resume}: has shapes {found}; expected {expected}, those of this model.")
    return run


def epochs(run: Run, options: argparse.Namespace) -> Iterator[int]:
    """Iterate over the remaining epochs with a progress bar. With --save, save the run after each epoch."""
    with tqdm(total=options.epochs, initial=run.epoch, unit=" epochs", leave=False, disable=None) as progress:
        for epoch in range(run.epoch, options.epochs):
            yield epoch
            run.epoch = epoch + 1
            progress.set_postfix({name: f"{figures[-1]:.4g}" for name, figures in run.history.items()})
            progress.update()
            if options.save is not None:
                checkpoints.save(options.save, to_numpy(vars(run)))


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table. Text is left-aligned, numbers are right-aligned with four digits."""
    cells = [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    numbers = [not isinstance(cell, str) for cell in rows[0]] if rows else [False] * len(header)
    for line in [list(header), *cells]:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numbers, strict=True)
        ]
        print("  ".join(padded).rstrip())


def draw_history(axes: Any, run: Run, *names: str, label: str = "") -> None:
    """Draw figures of a run by epoch, one line each."""
    for name in names:
        figures = run.history[name]
        axes.plot(range(1, len(figures) + 1), figures, label=label or name.replace("_", " "))
    axes.set_xlabel("epoch")
    axes.legend()


def save_picture(figure: Figure, options: argparse.Namespace) -> None:
    """Write the plot to --output."""
    figure.savefig(options.output, dpi=120)
    print(f"\nwrote {options.output}")
