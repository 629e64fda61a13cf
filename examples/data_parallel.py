"""Data-parallel training
======================

Train a network on handwritten digits with several processes. Each takes a part of every mini-batch.

Usage::

    mpiexec -n 4 python examples/data_parallel.py [--epochs N] [--seed N] [--check] [--json FILE]
                                                   [--output FILE]

It prints the same curve as a single process (`python examples/data_parallel.py`), up to rounding. It needs
`pip install 'onepass[mpi]' mpich scikit-learn tqdm`. If processes share a machine, limit the threads of each:
OPENBLAS_NUM_THREADS=1 ONEPASS_THREADS=1 mpiexec ...
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import onepass as op
from onepass.distributed import Communicator, initialize

SIZES = [64, 128, 10]
TEST_ROWS, BATCH = 360, 128
RATE, L2 = 0.1, 1e-4


@op.kernel
def loss_and_grads(params: Any, x: Any, labels: Any) -> tuple[Any, Any]:
    """The mean loss of some rows, and its gradients."""
    return op.mlp_loss_and_grads(params, x, labels, l2=L2)


@op.kernel(donate=("params", "state"))
def step(params: Any, grads: Any, state: Any) -> tuple[Any, Any]:
    """The update, which is the same on all ranks."""
    return op.momentum_step(params, grads, state, RATE, nesterov=True)


def first_weights(random: np.random.Generator) -> Any:
    """Initial weights, scaled so that activations are as large as their inputs; biases of 0."""
    return [
        (random.standard_normal((rows, columns)) * np.sqrt(2 / rows), np.zeros(columns))
        for rows, columns in pairwise(SIZES)
    ]


def batches(rows: int, seed: int, epoch: int) -> Iterator[Any]:
    """The rows of each mini-batch, in a random order that is the same on all ranks. The last is smaller."""
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    for start in range(0, rows, BATCH):
        yield order[start : start + BATCH]


def train(communicator: Communicator, options: argparse.Namespace) -> list[dict[str, float]]:
    """Train, and return loss and test error of every epoch."""
    digits = load_digits()
    x, labels = digits.data / 16.0, digits.target
    x, test_x, labels, test_labels = x[TEST_ROWS:], x[:TEST_ROWS], labels[TEST_ROWS:], labels[:TEST_ROWS]
    # Every rank could draw the same numbers. Broadcasting them makes sure that they are equal.
    params = communicator.broadcast(first_weights(np.random.default_rng(options.seed)))
    state = op.momentum_init(params)
    curve = []
    # None: no progress bar if the output is not a terminal.
    silent = None if communicator.rank == 0 else True
    for epoch in tqdm(range(options.epochs), unit=" epochs", leave=False, disable=silent):
        losses = []
        for batch in batches(len(x), options.seed, epoch):
            mine = batch[communicator.share(len(batch))]
            loss, grads = loss_and_grads(params, x[mine], labels[mine])
            loss, grads = communicator.all_reduce_mean((loss, grads), len(mine))
            params, state = step(params, grads, state)
            losses.append(float(loss) * len(batch))
        if options.check:
            communicator.check_equal((params, state))
        mine = communicator.share(len(test_x))
        wrong = np.argmax(op.mlp_forward(params, test_x[mine]), axis=1) != test_labels[mine]
        error = communicator.all_reduce_mean(float(np.mean(wrong)) if len(wrong) else 0.0, len(wrong))
        curve.append({"loss": sum(losses) / len(x), "test_error": error})
    return curve


def draw(curve: list[dict[str, float]], path: Path) -> None:
    """Plot the loss and the test error of every epoch."""
    from matplotlib.figure import Figure  # only for a plot

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), curve[0], strict=True):
        axes.plot(range(1, len(curve) + 1), [point[name] for point in curve])
        axes.set_xlabel("epoch")
        axes.set_ylabel(name.replace("_", " "))
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, train, and print the curve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="for initial weights and mini-batches")
    parser.add_argument(
        "--check", action="store_true", help="compare the parameters of all ranks every epoch"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the curve as JSON")
    parser.add_argument("--output", type=Path, metavar="FILE", help="draw the curve, which needs matplotlib")
    options = parser.parse_args(arguments)
    with initialize() as communicator:
        start = time.perf_counter()
        curve = train(communicator, options)
        seconds = time.perf_counter() - start
        if communicator.rank != 0:
            return
        for epoch, point in enumerate(curve):
            if epoch % 5 == 4 or epoch == len(curve) - 1:
                print(f"epoch {epoch + 1:3}: loss {point['loss']:.6f}, test error {point['test_error']:.2%}")
        print(f"{communicator.size} processes, {seconds:.2f} s")
        if options.output:
            draw(curve, options.output)
        if options.json:
            options.json.write_text(json.dumps({"processes": communicator.size, "curve": curve}) + "\n")


if __name__ == "__main__":
    main()
