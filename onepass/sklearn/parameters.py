"""Checks of the parameters of the estimators. An error names estimator, parameter and value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

__all__ = ["check_parameters", "hidden_sizes"]


class Rule(NamedTuple):
    """Which values a parameter may have."""

    holds: Callable[[Any], bool]
    expected: str


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not _is_flag(value) and not math.isnan(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not _is_flag(value) and bool(value >= 1)


def one_of(*names: str) -> Rule:
    """A string out of a list."""
    quoted = [repr(name) for name in names]
    expected = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    return Rule(lambda value: isinstance(value, str) and value in names, expected)


def _is_random_state(value: Any) -> bool:
    try:
        check_random_state(value)
    except ValueError:
        return False
    return True


def _is_hidden_layer_sizes(value: Any) -> bool:
    if isinstance(value, str | bytes) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return False
    return all(_is_count(size) for size in (value if hasattr(value, "__iter__") else [value]))


def _is_dtype(value: Any) -> bool:
    try:
        return value is None or np.dtype(value) in (np.dtype(np.float32), np.dtype(np.float64))
    except TypeError:
        return False


FLAG = Rule(_is_flag, "True or False")
COUNT = Rule(_is_count, "an integer >= 1")
POSITIVE = Rule(lambda value: _is_number(value) and value > 0, "a number > 0")
NOT_NEGATIVE = Rule(lambda value: _is_number(value) and value >= 0, "a number >= 0")
FRACTION = Rule(lambda value: _is_number(value) and 0 <= value <= 1, "a number in [0, 1]")
BELOW_ONE = Rule(lambda value: _is_number(value) and 0 <= value < 1, "a number in [0, 1)")

RULES: dict[str, Rule] = {
    "hidden_layer_sizes": Rule(_is_hidden_layer_sizes, "an integer >= 1, or a list or tuple of them"),
    "activation": one_of("identity", "logistic", "tanh", "relu"),
    "solver": one_of("lbfgs", "sgd", "adam"),
    "alpha": NOT_NEGATIVE,
    "batch_size": Rule(
        lambda value: (isinstance(value, str) and value == "auto") or _is_count(value),
        "'auto' or an integer >= 1",
    ),
    "learning_rate": one_of("constant", "invscaling", "adaptive"),
    "learning_rate_init": POSITIVE,
    "power_t": NOT_NEGATIVE,
    "max_iter": COUNT,
    "shuffle": FLAG,
    "random_state": Rule(_is_random_state, "None, an integer or a numpy.random.RandomState"),
    "tol": NOT_NEGATIVE,
    "verbose": Rule(
        lambda value: (
            (isinstance(value, str) and value == "bar")
            or _is_flag(value)
            or (isinstance(value, int | np.integer) and bool(value >= 0))
        ),
        "True, False, an integer >= 0 or 'bar'",
    ),
    "warm_start": FLAG,
    "momentum": FRACTION,
    "nesterovs_momentum": FLAG,
    "early_stopping": FLAG,
    "validation_fraction": BELOW_ONE,
    "beta_1": BELOW_ONE,
    "beta_2": BELOW_ONE,
    "epsilon": POSITIVE,
    "n_iter_no_change": Rule(
        lambda value: _is_count(value) or value == math.inf, "an integer >= 1 or numpy.inf"
    ),
    "max_fun": COUNT,
    "class_weight": Rule(
        lambda value: value is None or isinstance(value, dict | list) or value == "balanced",
        "None, 'balanced', a dict, or a list of dicts",
    ),
    "label_smoothing": FRACTION,
    "dtype": Rule(_is_dtype, "None, 'float32' or 'float64'"),
}


def check_parameters(name: str, parameters: Mapping[str, Any], losses: Rule) -> None:
    """Check all parameters of an estimator.

    name:    of the estimator
    losses:  the losses that it has
    raises:  ValueError for the first parameter that is not as expected
    """
    for parameter, value in parameters.items():
        rule = losses if parameter == "loss" else RULES[parameter]
        if not rule.holds(value):
            raise ValueError(f"{name}: {parameter} is {value!r}; expected {rule.expected}.")


def hidden_sizes(hidden_layer_sizes: Any) -> list[int]:
    """The sizes of the hidden layers as a list."""
    sizes = hidden_layer_sizes if hasattr(hidden_layer_sizes, "__iter__") else [hidden_layer_sizes]
    return [int(size) for size in sizes]
