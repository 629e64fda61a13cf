"""Linear regression and its closed form
=====================================

Linear regression with mini-batch SGD, compared with the closed form.

Usage::

    python examples/linear_regression.py [--epochs N] [--save FILE] [--resume FILE] [--backend NAME]
                                         [--dtype float32|float64] [--seed N]

The four parts are model, loss, SGD step and training loop. The result of SGD is compared with the solution of
the normal equations, in units of its standard errors, sigma sqrt(diag (X'X)^-1).

Source: "Introduction to ML", Lecture 2, "A Neural Linear Regression Implementation from Scratch".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from common import (
    Run,
    batches,
    command_line,
    draw_history,
    epochs,
    move,
    print_table,
    save_picture,
    start,
    to_numpy,
)
from matplotlib.figure import Figure

import onepass as op

TRUE_WEIGHT, TRUE_BIAS, NOISE = np.asarray([2.0, -3.4]), 4.2, 0.01
EXAMPLES, BATCH, RATE = 1000, 32, 0.03
NAMES = ("w1", "w2", "b")


class Fit(NamedTuple):
    """The parameters found by SGD and by the closed form, in the order of NAMES."""

    sgd: np.ndarray
    closed_form: np.ndarray
    standard_errors: np.ndarray
    run: Run


def synthetic(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """x (rows, 2) and y (rows, 1) = x w + b + noise."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, 2))
    return x, x @ TRUE_WEIGHT[:, None] + TRUE_BIAS + NOISE * random.standard_normal((rows, 1))


def model(params: Any, x: Any) -> Any:
    """Predictions: X w + b."""
    return op.linear(x, *params)


@op.kernel(donate="params")
def training_step(params: Any, x: Any, y: Any, rate: float) -> tuple[Any, Any]:
    """The loss of a mini-batch, half the mean squared error, and the parameters after one step of SGD."""
    loss, grad = op.half_squared_error_with_grad(model(params, x), y)
    _, grad_weight, grad_bias = op.linear_backward(grad, x, params[0])
    return loss, op.sgd_step(params, (grad_weight, grad_bias), rate)


@op.kernel
def validation_step(params: Any, x: Any, y: Any) -> Any:
    """The loss of rows that were not used for training."""
    return op.half_squared_error(model(params, x), y)


def closed_form(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least-squares solution, and the standard errors of its parameters."""
    design = np.column_stack([x, np.ones(len(x))])
    solution, residual, _, _ = np.linalg.lstsq(design, y[:, 0])
    variance = residual[0] / (len(design) - design.shape[1])
    return solution, np.sqrt(variance * np.diag(np.linalg.inv(design.T @ design)))


def fit(options: Any) -> Run:
    """The training loop."""
    training_set, validation_set = (synthetic(seed, EXAMPLES) for seed in (options.seed, options.seed + 1))
    x, y, validation_x, validation_y = move([*training_set, *validation_set], options)
    first = 0.01 * np.random.default_rng(options.seed).standard_normal((2, 1)), np.zeros(1)
    run = start(options, move(first, options))
    for epoch in epochs(run, options):
        training = []
        for rows, targets in batches(x, y, size=BATCH, seed=options.seed, epoch=epoch):
            loss, run.params = training_step(run.params, rows, targets, RATE)
            training.append(loss)
        validation = validation_step(run.params, validation_x, validation_y)
        parameters = dict(zip(NAMES, flat(run.params), strict=True))
        run.log(training_loss=training, validation_loss=validation, **parameters)
    return run


def flat(params: Any) -> np.ndarray:
    """The parameters in the order of NAMES."""
    return np.concatenate([array.reshape(-1) for array in to_numpy(params)])


def draw(found: Fit) -> Figure:
    """Plot the losses, and the distance of each parameter from the closed form."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    losses, distances = figure.subplots(1, 2)
    draw_history(losses, found.run, "training_loss", "validation_loss")
    losses.axhline(NOISE**2 / 2, color="black", linestyle=":", label="noise, $\\sigma^2 / 2$")
    for name, solution, error in zip(NAMES, found.closed_form, found.standard_errors, strict=True):
        away = np.abs(np.asarray(found.run.history[name]) - solution) / error
        distances.plot(range(1, len(away) + 1), away, label=name)
    distances.axhline(1, color="black", linestyle=":", label="one standard error")
    losses.set_ylabel("loss")
    distances.set_ylabel("|SGD - closed form| / standard error")
    distances.set_xlabel("epoch")
    for axes in (losses, distances):
        axes.set_yscale("log")
        axes.legend()
    return figure


def main(arguments: list[str] | None = None) -> Fit:
    """Fit, and compare with the closed form."""
    options = command_line(__doc__, "linear_regression.png", epochs=15).parse_args(arguments)
    with op.use_backend(options.backend):
        run = fit(options)
    found = Fit(flat(run.params), *closed_form(*synthetic(options.seed, EXAMPLES)), run)
    losses = zip(run.history["training_loss"], run.history["validation_loss"], strict=True)
    print_table(
        ["epoch", "training loss", "validation loss"], [[n, *pair] for n, pair in enumerate(losses, 1)]
    )
    print()
    columns = (NAMES, [*TRUE_WEIGHT, TRUE_BIAS], found.sgd, found.closed_form, found.standard_errors)
    rows = [
        [name, f"{true:.5f}", f"{sgd:.5f}", f"{exact:.5f}", f"{error:.5f}", f"{(sgd - exact) / error:+.2f}"]
        for name, true, sgd, exact, error in zip(*columns, strict=True)
    ]
    print_table(["", "true", "SGD", "closed form", "standard error", "distance in standard errors"], rows)
    if not options.no_plot:
        save_picture(draw(found), options)
    return found


if __name__ == "__main__":
    main()
