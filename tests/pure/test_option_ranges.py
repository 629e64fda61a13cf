"""Options outside of their range are a ValueError, the same on every backend, at every call."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from selection import exhaustively, needing

import onepass as op

NAN, INFINITY = math.nan, math.inf
AT_LEAST_0 = ([-0.1, -1, NAN, -INFINITY], "a number >= 0")
BELOW_1 = ([1, 1.0, 1.5, 2, -0.1, NAN, INFINITY], r"a number in \[0, 1\)")
UP_TO_1 = ([1.5, -0.1, NAN, INFINITY, 2], r"a number in \[0, 1\]")

STATES = {
    "sgd_step": None,
    "momentum_step": op.momentum_init,
    "adam_step": op.adam_init,
    "adamw_step": op.adam_init,
    "rmsprop_step": op.rmsprop_init,
    "adagrad_step": op.adagrad_init,
    "adadelta_step": op.adadelta_init,
    "rprop_step": op.rprop_init,
}
OPTIONS: dict[str, list[str]] = {
    "sgd_step": ["lr", "weight_decay"],
    "momentum_step": ["lr", "momentum", "weight_decay"],
    "adam_step": ["lr", "eps", "weight_decay"],
    "adamw_step": ["lr", "eps", "weight_decay"],
    "rmsprop_step": ["lr", "eps", "weight_decay", "alpha"],
    "adagrad_step": ["lr", "eps", "weight_decay"],
    "adadelta_step": ["lr", "eps", "weight_decay", "rho"],
}
OF_LABELS = ["softmax_cross_entropy", "nll_loss"]
GOOD = {"lr": 0.1}


def asarray(library: str, values: Any) -> Any:
    return importlib.import_module(library).asarray(values)


def optimizer_call(name: str, library: str, options: dict[str, Any]) -> Any:
    params = [asarray(library, [1.0, -2.0])]
    state = STATES[name]
    more = () if state is None else (state(params),)
    needed = {} if name == "rprop_step" else GOOD
    return getattr(op, name)(params, params, *more, **{**needed, **options})


def label_call(name: str, library: str, options: dict[str, Any]) -> Any:
    scores, labels = asarray(library, [[0.5, 1.5], [2.0, 0.0]]), asarray(library, [0, 1])
    first = (asarray(library, 1.0),) if name.endswith("_backward") else ()
    return getattr(op, name)(*first, scores, labels, **options)


def penalty_call(name: str, library: str, options: dict[str, Any]) -> Any:
    weight = asarray(library, [[0.5, 1.5]])
    return getattr(op, name)(*((2.0,) if name.endswith("_backward") else ()), weight, **options)


def network_call(name: str, library: str, options: dict[str, Any]) -> Any:
    x, labels = asarray(library, [[0.5, 1.5], [2.0, 0.0]]), asarray(library, [0, 1])
    return getattr(op, name)([(asarray(library, [[0.5, 1.5], [2.0, 0.0]]), None)], x, labels, **options)


Row = tuple[Callable[[str, str, dict[str, Any]], Any], str, str, tuple[list[Any], str], Any]
TABLE: list[Row] = [
    *(
        (optimizer_call, name, option, BELOW_1 if option in ("alpha", "rho") else AT_LEAST_0, 0.0)
        for name, options in OPTIONS.items()
        for option in options
    ),
    *(
        (label_call, name + more, "label_smoothing", UP_TO_1, 1.0)
        for name in OF_LABELS
        for more in ("", "_with_grad", "_backward")
    ),
    *(
        (label_call, f"multiclass_hinge{more}", "margin", ([NAN], "a number"), -1.0)
        for more in ("", "_with_grad", "_backward")
    ),
    *(
        (penalty_call, name + more, "strength", AT_LEAST_0, 0.0)
        for name in ("l1_penalty", "l2_penalty")
        for more in ("", "_backward")
    ),
    *(
        (network_call, name, "l2", AT_LEAST_0, 0)
        for name in ("mlp_loss_and_grads", "softmax_classifier_loss_and_grads")
    ),
]

IN_0_1 = r"expected a number in \[0, 1\)"
PAIRS: list[tuple[str, str, list[tuple[Any, Any]], str]] = [
    *(
        (name, "betas", values, rf"betas\[{index}\] is .*; {IN_0_1}")
        for name in ("adam_step", "adamw_step")
        for index, values in enumerate(
            [
                [(1, 0.999), (1.0, 0.9), (-0.1, 0.9), (NAN, 0.9)],
                [(0.9, 1.0), (0.9, 2), (0.0, NAN)],
            ]
        )
    ),
    (
        "rprop_step",
        "etas",
        [(0.5, 1.0), (1.0, 1.2), (0.0, 1.2), (-0.5, 1.2), (0.5, NAN), (NAN, 1.2), (1.2, 0.5)],
        r"etas is \(.*\); expected two numbers with 0 < etas\[0\] < 1 < etas\[1\]",
    ),
    (
        "rprop_step",
        "step_sizes",
        [(1.0, 0.5), (-1.0, 1.0), (NAN, 1.0), (0.1, NAN)],
        r"step_sizes is \(.*\); expected two numbers with 0 <= step_sizes\[0\] <= step_sizes\[1\]",
    ),
]

# Compiled, these stand for all; --exhaustive compiles every function.
COMPILED = ("sgd_step", "adam_step", "softmax_cross_entropy", "l2_penalty", "mlp_loss_and_grads")
NUMPY, NUMBA = ("numpy", "numpy"), ("numpy", "numba")
OTHERS = [
    pytest.param(("array_api_strict", "auto"), id="strict"),
    needing("torch", ("torch", "auto"), id="torch"),
    needing("jax", ("jax.numpy", "auto"), id="jax"),
]


@pytest.fixture(
    params=[pytest.param(NUMPY, id="numpy"), exhaustively(NUMBA, id="numba"), *OTHERS],
)
def library(request: pytest.FixtureRequest) -> Iterator[Any]:
    library, backend = request.param
    with op.use_backend(backend):
        yield library


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def compiled(rows: list[Any]) -> list[Any]:
    """The rows of a table again, for functions that are compiled."""
    named = [(next(filter(None, map(name_of, row))), row) for row in rows]
    return [exhaustively(*row, when=name not in COMPILED) for name, row in named]


OF_NUMBERS = ("call", "name", "option", "wrong", "right")


@pytest.mark.parametrize(OF_NUMBERS, TABLE, ids=name_of)
@pytest.mark.parametrize("library", [pytest.param(NUMPY, id="numpy"), *OTHERS], indirect=True)
def test_a_number_outside_of_its_range(
    library: str, call: Any, name: str, option: str, wrong: tuple[list[Any], str], right: Any
) -> None:
    require_its_range(library, call, name, option, wrong, right)


@pytest.mark.parametrize(OF_NUMBERS, compiled(TABLE), ids=name_of)
def test_a_number_outside_of_its_range_of_a_compiled_function(
    call: Any, name: str, option: str, wrong: tuple[list[Any], str], right: Any
) -> None:
    with op.use_backend("numba"):
        require_its_range("numpy", call, name, option, wrong, right)


def require_its_range(
    library: str, call: Any, name: str, option: str, wrong: tuple[list[Any], str], right: Any
) -> None:
    values, words = wrong
    # Also after a call that is right, which is of the same form and may be compiled.
    for value in [*values, None, *values]:
        if value is None:
            call(name, library, {option: right})
            continue
        with pytest.raises(ValueError, match=rf"^{name}: {option} is {value}; expected {words}\.$"):
            call(name, library, {option: value})
        with pytest.raises(ValueError, match=rf"^{name}: {option} is {float(value)}; expected {words}\.$"):
            call(name, library, {option: np.float64(value)})


@pytest.mark.parametrize(("name", "option", "values", "words"), PAIRS, ids=name_of)
def test_a_pair_outside_of_its_range(
    library: str, name: str, option: str, values: list[Any], words: str
) -> None:
    for first_is_right in (False, True):
        if first_is_right:
            optimizer_call(name, library, {})
        for value in values:
            with pytest.raises(ValueError, match=rf"^{name}: {words}\.$"):
                optimizer_call(name, library, {option: value})


@pytest.mark.parametrize("value", [0.9, (0.9,), (0.9, 0.99, 0.999), {"a": 1}, None])
def test_a_pair_is_two_numbers(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^adam_step: betas is .*; expected two numbers\.$"):
        optimizer_call("adam_step", "numpy", {"betas": value})


def test_one_number_is_no_pair() -> None:
    with pytest.raises(TypeError, match=r"^sgd_step: lr is a tuple; expected a number\.$"):
        optimizer_call("sgd_step", "numpy", {"lr": (0.1, 0.2)})


@pytest.mark.parametrize("name", ["adam_step", "adamw_step"])
def test_a_number_of_steps_below_0(library: str, name: str) -> None:
    params = [asarray(library, [1.0, -2.0])]
    for step in (-1, -1.0, NAN):
        with pytest.raises(
            ValueError, match=rf"^{name}: state\['step'\] is {step}; expected a number >= 0\.$"
        ):
            getattr(op, name)(params, params, {**op.adam_init(params), "step": step})


def test_a_learning_rate_below_0_in_the_state_of_rprop(library: str) -> None:
    with pytest.raises(ValueError, match=r"^rprop_init: lr is -0.1; expected a number >= 0\.$"):
        op.rprop_init([asarray(library, [1.0])], -0.1)


def test_a_number_in_an_array_is_looked_at_where_that_costs_nothing(library: str) -> None:
    params = asarray(library, [1.0, -2.0])
    op.sgd_step(params, params, asarray(library, 0.1))
    if library == "jax.numpy":  # would wait for the device
        assert float(op.sgd_step(params, params, asarray(library, -0.5))[0]) == 1.5
        return
    with pytest.raises(ValueError, match=r"^sgd_step: lr is -0\.5; expected a number >= 0\.$"):
        op.sgd_step(params, params, asarray(library, -0.5))


@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_a_kernel_that_hands_on_an_option(backend: str) -> None:
    params = np.array([1.0, -2.0])

    @op.kernel
    def step(params: Any, lr: Any, beta: Any) -> Any:
        moved, _ = op.adam_step(params, params, op.adam_init(params), lr, betas=(beta, 0.999))
        return moved

    with op.use_backend(backend):
        np.testing.assert_allclose(step(params, 0.5, 0.9), [0.5, -1.5], rtol=1e-6)
        with pytest.raises(ValueError, match=r"^adam_step: lr is -0\.5; expected a number >= 0\.$"):
            step(params, -0.5, 0.9)
        with pytest.raises(
            ValueError, match=r"^adam_step: betas\[0\] is 1\.0; expected a number in \[0, 1\)\.$"
        ):
            step(params, 0.5, 1.0)
        np.testing.assert_allclose(step(params, 0.25, 0.9), [0.75, -1.75], rtol=1e-6)


def test_nothing_is_overwritten_before_the_error() -> None:
    params = np.ones(3)
    out = np.zeros(3)
    with pytest.raises(ValueError, match="lr is -1"):
        op.sgd_step(params, params, -1.0, out=out)
    np.testing.assert_array_equal(out, 0)
    np.testing.assert_array_equal(params, 1)
