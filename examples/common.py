"""What the examples share: command line, arrays, mini-batches, runs that can be continued, tables, plots."""

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
    """A parser with the options that all examples have; an example adds its own.

    description: the docstring of the example, whose first line is shown
    output:      the name of its picture
    epochs:      how many it trains; adds --epochs, --save and --resume
    data:        the images that it trains on, "MNIST", say; adds --data
    """
    usable = ["auto", *(backend.name for backend in op.backends().values() if backend.usable)]
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--backend", choices=usable, default="auto", help="what runs the kernels")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    parser.add_argument("--seed", type=int, default=0, help="of data, first weights and mini-batches")
    parser.add_argument("--output", type=Path, metavar="FILE", default=Path(output), help="the picture")
    parser.add_argument("--no-plot", action="store_true", help="draw no picture")
    if epochs is not None:
        parser.add_argument("--epochs", type=int, default=epochs)
        parser.add_argument(
            "--save", type=Path, metavar="FILE", help="keep the run in a .npz or .safetensors"
        )
        parser.add_argument("--resume", type=Path, metavar="FILE", help="continue a run that was saved")
    if data is not None:
        what = f"folder of the IDX files of {data}, or 'openml' to fetch it; without it scikit-learn's digits"
        parser.add_argument("--data", metavar="DIR", help=what)
    return parser


def move(tree: Any, options: argparse.Namespace) -> Any:
    """NumPy arrays, alone or in lists, tuples and dicts, to where --backend is; real ones in --dtype.

    Real arrays are copied: what is moved may be donated to a training step.
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
    """The inverse of `move`: the arrays on the host."""
    if isinstance(tree, dict):
        return {key: to_numpy(item) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(to_numpy(item) for item in tree)
    return tree.get() if hasattr(tree, "get") else tree


def random_layers(
    random: np.random.Generator, sizes: Sequence[int], scale: float | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """First weights [(weight, bias), ...] of a network with layers of these sizes.

    scale: of normal weights, with biases of 0; None for what `nn.Linear` of PyTorch has, where weights and
           biases are uniform within 1 / sqrt(inputs)
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
    """Mini-batches of arrays with as many rows: every row once, in the random order of this seed and epoch.

    The order depends on nothing else, so a run can be continued at any epoch. The last batch may be smaller.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(arrays[0]))
    xp = array_namespace(arrays[0])
    order = xp.asarray(order, device=device(arrays[0]))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield tuple(xp.take(array, rows, axis=0) for array in arrays)


@dataclass
class Run:
    """What a training is made of, and all that is needed to continue it."""

    params: Any
    state: Any = None  # of the optimiser
    seed: int = 0
    epoch: int = 0  # how many are done
    history: dict[str, list[float]] = field(default_factory=dict)  # one figure an epoch

    def log(self, **figures: Any) -> None:
        """Keep the figures of an epoch; numbers, or the losses of its batches, whose mean is kept."""
        for name, figure in figures.items():
            number = sum(map(float, figure)) / len(figure) if isinstance(figure, list) else float(figure)
            self.history.setdefault(name, []).append(number)


def start(options: argparse.Namespace, params: Any, state: Any = None) -> Run:
    """A run that begins with `params` and the optimiser's `state`, or that of --resume."""
    if options.resume is None:
        return Run(params, state, options.seed)
    run = Run(**move(checkpoints.load(options.resume), options))
    if run.seed != options.seed:
        raise SystemExit(f"{options.resume}: a run of --seed {run.seed}; expected --seed {options.seed}.")
    found, expected = (checkpoints.shapes(tree) for tree in ((run.params, run.state), (params, state)))
    if found != expected:
        raise SystemExit(f"{options.resume}: a run of another model: {found}; expected {expected}.")
    return run


def epochs(run: Run, options: argparse.Namespace) -> Iterator[int]:
    """The epochs that are left, with a progress bar; the run is saved after each where --save asks for it."""
    with tqdm(total=options.epochs, initial=run.epoch, unit=" epochs", leave=False, disable=None) as progress:
        for epoch in range(run.epoch, options.epochs):
            yield epoch
            run.epoch = epoch + 1
            progress.set_postfix({name: f"{figures[-1]:.4g}" for name, figures in run.history.items()})
            progress.update()
            if options.save is not None:
                checkpoints.save(options.save, to_numpy(vars(run)))


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on the standard output; text to the left, numbers to the right with four digits."""
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
    """Figures of a run over its epochs, a line each."""
    for name in names:
        figures = run.history[name]
        axes.plot(range(1, len(figures) + 1), figures, label=label or name.replace("_", " "))
    axes.set_xlabel("epoch")
    axes.legend()


def save_picture(figure: Figure, options: argparse.Namespace) -> None:
    """Write the picture to --output."""
    figure.savefig(options.output, dpi=120)
    print(f"\nwrote {options.output}")
