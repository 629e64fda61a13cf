"""Gradients and finite differences
================================

Check the gradient of every kernel against forward and central finite differences, for many step sizes.

Usage::

    python examples/gradient_check.py [--dtype float32|float64] [--seed N] [--output FILE]

With a large step the curvature of the function causes an error. With a small step the difference of two
almost equal numbers has few correct digits. The best step is near eps^(1/2) for forward and eps^(1/3) for
central differences.

Source: E6930, Lecture 1, "Numerical Gradient", which uses forward differences with h = 0.00001.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace
from common import command_line, move, print_table, random_layers, save_picture, to_numpy
from matplotlib.figure import Figure
from tqdm import tqdm

import onepass as op

STEPS = [float(f"{digit}e{exponent}") for exponent in range(-12, 0) for digit in (1, 3)]
COURSE_STEP = 1e-5
BEST_POWER = {"forward": 1 / 2, "central": 1 / 3}  # of the eps of the dtype, if the function is of order 1
ROWS, CLASSES = 4, 5


class Case(NamedTuple):
    """A kernel as a function of one of its arguments."""

    name: str
    point: Any
    value: Callable[[Any], Any]
    gradient: Callable[[Any, Any], Any]  # of (grad_out, point)


def of_first_argument(name: str, point: Any, *others: Any) -> Case:
    """A loss or a penalty. Its backward function takes the arguments of the forward function."""
    forward, backward = getattr(op, name), getattr(op, f"{name}_backward")
    return Case(
        name, point, lambda a: forward(a, *others), lambda grad_out, a: backward(grad_out, a, *others)
    )


def activation(name: str, point: Any) -> Case:
    """An activation. Its backward function takes the result of the forward function."""
    forward, backward = getattr(op, name), getattr(op, f"{name}_backward")
    return Case(name, point, forward, lambda grad_out, a: backward(grad_out, forward(a)))


def cases(seed: int, to_backend: Callable[[Any], Any]) -> list[Case]:
    """Every kernel with a `_backward`, at a point away from its kinks, and a complete network."""
    random = np.random.default_rng(seed)
    away_from_0 = random.uniform(0.3, 2, (ROWS, CLASSES)) * random.choice([-1, 1], (ROWS, CLASSES))
    scores, probs, targets = map(to_backend, (away_from_0, *random.uniform(0.4, 0.6, (2, ROWS, CLASSES))))
    labels = to_backend(random.integers(0, CLASSES, ROWS))
    x = to_backend(random.standard_normal((ROWS, 3)))
    [(weight, bias)] = to_backend(random_layers(random, [3, CLASSES], scale=1))
    (first, first_bias), last = to_backend(random_layers(random, [3, 8, CLASSES], scale=1))

    def network(a: Any) -> Any:
        return op.mlp_loss_and_grads([(a, first_bias), last], x, labels, activation="tanh", l2=0.1)

    return [
        Case(
            "linear, of x",
            x,
            lambda a: op.linear(a, weight, bias),
            lambda g, a: op.linear_backward(g, a, weight)[0],
        ),
        Case(
            "linear, of weight",
            weight,
            lambda a: op.linear(x, a),
            lambda g, a: op.linear_backward(g, x, a)[1],
        ),
        *(activation(name, scores) for name in ("relu", "sigmoid", "tanh", "softmax", "log_softmax")),
        of_first_argument("softmax_cross_entropy", scores, labels),
        of_first_argument("nll_loss", op.log_softmax(scores), labels),
        of_first_argument("multiclass_hinge", scores, labels),
        of_first_argument("binary_cross_entropy_with_logits", scores, targets),
        of_first_argument("binary_cross_entropy", probs, targets),
        of_first_argument("mean_squared_error", scores, targets),
        of_first_argument("half_squared_error", scores, targets),
        of_first_argument("l2_penalty", scores, 0.1),
        of_first_argument("l1_penalty", scores, 0.1),
        Case("network, of weight 1", first, lambda a: network(a)[0], lambda g, a: g * network(a)[1][0][0]),
    ]


def errors(case: Case, method: Any, options: Any) -> list[float]:
    """|analytic - numeric| / max(|analytic|, |numeric|) for each step size, as norms of the gradients."""
    dtype = case.point.dtype
    # Finite differences need a scalar: the inner product of the result with random weights.
    weights = np.asarray(np.random.default_rng(options.seed).standard_normal(case.value(case.point).shape))

    def value(point: Any) -> float:
        result = case.value(array_namespace(point).astype(point, dtype))
        return float(np.sum(weights * to_numpy(result).astype(np.float64)))

    analytic = to_numpy(case.gradient(move(weights, options), case.point)).astype(np.float64)
    found = []
    for step in STEPS:
        numeric = op.numeric_gradient(value, case.point, method=method, step=step)
        scale = max(np.linalg.norm(analytic), np.linalg.norm(numeric))
        found.append(float(np.linalg.norm(analytic - numeric) / scale))
    return found


def draw(found: dict[str, dict[str, list[float]]], eps: float) -> Figure:
    """Plot the error of each kernel by step size, for forward and central differences."""
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    for axes, (method, power) in zip(figure.subplots(1, 2, sharey=True), BEST_POWER.items(), strict=True):
        for index, (name, by_method) in enumerate(found.items()):
            line = np.maximum(by_method[method], 1e-17)  # an error of 0 has no logarithm
            axes.loglog(STEPS, line, ("-", "--")[index >= 10], color=f"C{index % 10}", label=name)
        axes.axvline(eps**power, color="black", linestyle=":", linewidth=2)
        axes.text(eps**power, 1e-16, f"  eps$^{{1/{round(1 / power)}}}$")
        axes.set_title(f"{method} differences")
        axes.set_xlabel("step $h$")
    figure.axes[0].set_ylabel("relative error of the gradient")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return figure


def main(arguments: list[str] | None = None) -> dict[str, dict[str, list[float]]]:
    """Compute and print the errors of each kernel, by method, in the order of STEPS."""
    options = command_line(__doc__, "gradient_check.png").parse_args(arguments)
    found: dict[str, dict[str, list[float]]] = {}
    rows = []
    with op.use_backend(options.backend):
        for case in tqdm(cases(options.seed, lambda tree: move(tree, options)), leave=False, disable=None):
            found[case.name] = {method: errors(case, method, options) for method in BEST_POWER}
    for name, by_method in found.items():
        row: list[Any] = [name]
        for line in by_method.values():
            best = int(np.argmin(line))
            row += [f"{line[STEPS.index(COURSE_STEP)]:.1e}", f"{line[best]:.1e}", f"{STEPS[best]:.0e}"]
        rows.append(row)
    print_table(["kernel", *(f"{m} {w}" for m in BEST_POWER for w in ("h=1e-5", "best", "at h"))], rows)
    if not options.no_plot:
        save_picture(draw(found, float(np.finfo(options.dtype).eps)), options)
    return found


if __name__ == "__main__":
    main()
