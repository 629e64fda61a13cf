"""Fine-tuning with Optuna
=======================

Fine-tuning with Optuna: hidden units, activation, rate and its schedule, batch size, penalty.

Usage::

    python examples/fine_tuning.py [--trials N] [--epochs N] [--study FILE] [--backend NAME]
                                   [--dtype float32|float64] [--seed N] [--output FILE] [--no-plot]

Needs the extra `tuning`. A study that is stored in an SQLite FILE can be stopped and resumed.
Source: ECE 5307, Unit 8, "Fine-tuning the implementation".
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import common
import numpy as np
from datasets import Labelled, load_images
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import onepass as op

try:
    import optuna
except ImportError:
    raise SystemExit(
        "fine_tuning.py needs Optuna, which is not installed: python -m pip install -e '.[examples,tuning]'"
    ) from None

# The factor of the learning rate, by the fraction of the epochs done.
SCHEDULES = {
    "constant": lambda done: 1.0,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "halving": lambda done: 0.5 ** int(4 * done),
}


@op.kernel(donate=("params", "state"))
def train_step(params: Any, state: Any, x: Any, labels: Any, lr: Any, l2: Any, activation: Any) -> Any:
    """One step of Adam on the cross-entropy with its penalty; the loss is from before the step."""
    loss, grads = op.mlp_loss_and_grads(params, x, labels, activation=activation, l2=l2)
    return loss, *op.adam_step(params, grads, state, lr)


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """The parameters of a trial."""
    return {
        "hidden units": trial.suggest_int("hidden units", 8, 256, log=True),
        "activation": trial.suggest_categorical("activation", ["sigmoid", "tanh", "relu"]),
        "rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True),
        "schedule": trial.suggest_categorical("schedule", list(SCHEDULES)),
        "batch size": trial.suggest_categorical("batch size", [32, 64, 128, 256]),
        "λ": trial.suggest_float("λ", 1e-6, 1e-1, log=True),
    }


def train(chosen: dict[str, Any], parts: Any, options: Any, trial: Any = None) -> tuple[Any, float]:
    """Train on the first part. Returns the weights and their loss on the second part."""
    training, validation = parts
    sizes = [training.x.shape[1], chosen["hidden units"], 10]
    params = common.move(common.random_layers(np.random.default_rng(options.seed), sizes), options)
    state, loss = op.adam_init(params), math.inf
    for epoch in range(options.epochs):
        rate = chosen["rate"] * SCHEDULES[chosen["schedule"]](epoch / options.epochs)
        for x, labels in common.batches(*training, size=chosen["batch size"], seed=options.seed, epoch=epoch):
            _, params, state = train_step(params, state, x, labels, rate, chosen["λ"], chosen["activation"])
        scores = op.mlp_forward(params, validation.x, activation=chosen["activation"])
        loss = float(op.softmax_cross_entropy(scores, validation.labels))
        if trial is not None:
            trial.report(loss, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
    return params, loss


def search(parts: list[Labelled], options: argparse.Namespace) -> optuna.Study:
    """Run the remaining trials of --trials. A trial with a loss above the median of the others is pruned."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="fine_tuning",
        storage=f"sqlite:///{options.study}" if options.study else None,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=options.epochs // 3),
    )
    for number in tqdm(range(len(study.trials), options.trials), unit=" trials", leave=False, disable=None):
        # One seed for each trial, so that a resumed study equals an uninterrupted one.
        study.sampler = optuna.samplers.TPESampler(seed=1000 * options.seed + number)
        study.optimize(lambda trial: train(suggest(trial), parts, options, trial)[1], n_trials=1)
    return study


def plot(study: optuna.Study, options: argparse.Namespace) -> None:
    """Plot the validation loss by each parameter, and the best loss so far by trial."""
    done = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    losses = np.asarray([trial.value for trial in done])
    figure = Figure(figsize=(16, 7.5), layout="constrained")
    first, *panels = figure.subplots(2, 4).flat
    numbers = [trial.number for trial in done]
    first.semilogy(numbers, losses, "o", markersize=4, label="trial")
    first.step(numbers, np.minimum.accumulate(losses), where="post", label="best so far")
    first.set(xlabel="trial", ylabel="validation loss, nats")
    first.legend()
    for axes, (name, kind) in zip(panels, done[0].distributions.items(), strict=False):
        values, best = [trial.params[name] for trial in done], study.best_params[name]
        if isinstance(kind, optuna.distributions.CategoricalDistribution):
            values, best = [kind.choices.index(value) for value in values], kind.choices.index(best)
            axes.set_xticks(range(len(kind.choices)), kind.choices)
        elif name != "hidden units":
            axes.set_xscale("log")
        points = axes.scatter(values, losses, c=numbers, s=25)
        axes.scatter([best], [study.best_value], marker="*", s=220, color="crimson", label="best trial")
        axes.set(xlabel=name, yscale="log")
    figure.colorbar(points, ax=panels[-1], label="number of the trial", location="left")
    panels[-1].set_axis_off()
    panels[0].legend()
    common.save_picture(figure, options)


def main(arguments: list[str] | None = None) -> tuple[optuna.Study, float]:
    """Search, then test the best trial. Returns the study, and the accuracy on the test set."""
    parser = common.command_line(__doc__, "fine_tuning.png")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=15, help="epochs of each trial")
    parser.add_argument("--study", type=Path, metavar="FILE", help="store the study here, or resume it")
    options = parser.parse_args(arguments)
    data = load_images("MNIST", None, options.seed)
    split = train_test_split(*data.train, random_state=options.seed, stratify=data.train.labels)
    parts = [Labelled(*common.move(pair, options)) for pair in (split[::2], split[1::2])]
    with op.use_backend(options.backend):
        study = search(parts, options)
        params, loss = train(study.best_params, parts, options)
        test_x, activation = common.move(data.test.x, options), study.best_params["activation"]
        scores = common.to_numpy(op.mlp_forward(params, test_x, activation=activation))
    accuracy = float(accuracy_score(data.test.labels, scores.argmax(axis=1)))
    pruned = sum(trial.state.name == "PRUNED" for trial in study.trials)
    print(f"{len(study.trials)} trials, {pruned} of them pruned\n")
    best = study.best_params | {"validation loss": loss, "test accuracy": accuracy}
    rows = [
        [name, f"{value:.4g}" if isinstance(value, float) else str(value)] for name, value in best.items()
    ]
    common.print_table(["best trial", f"number {study.best_trial.number}"], rows)
    if not options.no_plot:
        plot(study, options)
    return study, accuracy


if __name__ == "__main__":
    main()
