"""`onepass.sklearn` beside scikit-learn: the same loss curves, attributes and predictions."""

from __future__ import annotations

import importlib
import inspect
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from selection import exhaustively

pytestmark = [
    pytest.mark.needs(name="sklearn"),
    # Few epochs do not converge.
    pytest.mark.filterwarnings("ignore:.*converg"),
]

RTOL = {"float64": 1e-9, "float32": 2e-5}
ATTRIBUTES = ("t_", "n_iter_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_")


def random() -> np.random.RandomState:
    return np.random.RandomState(20261127)


def problem(name: str) -> tuple[str, np.ndarray, np.ndarray]:
    """The estimator, x (230, 6) and y; 230 rows are a mini-batch of 200 and one of 30."""
    x = random().standard_normal((230, 6))
    scores = np.tanh(x @ random().standard_normal((6, 4))) + 0.3 * x[:, :4] ** 2
    classes = np.array(["ash", "birch", "cedar", "elm"])[scores.argmax(axis=1)]
    return {
        "classes": ("MLPClassifier", x, classes),
        "binary": ("MLPClassifier", x, classes == "ash"),
        "labels": ("MLPClassifier", x, (scores > 0.5).astype(int)),
        "regression": ("MLPRegressor", x, scores[:, 0]),
        "outputs": ("MLPRegressor", x, scores),
    }[name]


PROBLEMS = ("classes", "binary", "labels", "regression", "outputs")
OPTIONS: dict[str, dict[str, Any]] = {
    "adam": {},
    "momentum": {"solver": "sgd", "learning_rate_init": 0.05, "nesterovs_momentum": False},
    "Nesterov": {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.8},
    "invscaling": {"solver": "sgd", "learning_rate_init": 0.3, "learning_rate": "invscaling", "power_t": 0.3},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 3},
}
MORE: dict[str, dict[str, Any]] = {
    "adaptive": {
        "solver": "sgd",
        "learning_rate_init": 0.05,
        "learning_rate": "adaptive",
        "tol": 0.02,
        "n_iter_no_change": 1,
    },
    "in order": {"shuffle": False, "batch_size": 64},
    "logistic": {"activation": "logistic", "hidden_layer_sizes": (9, 5), "alpha": 0.3},
    "tanh": {"activation": "tanh", "beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3},
    "identity": {"activation": "identity", "hidden_layer_sizes": 3},
    "linear": {"hidden_layer_sizes": ()},
}


def both(name: str, **options: Any) -> tuple[Any, Any]:
    """scikit-learn's estimator, and ours."""
    options = {"hidden_layer_sizes": (12,), "max_iter": 25, "random_state": 3, **options}
    theirs = getattr(importlib.import_module("sklearn.neural_network"), name)
    ours = getattr(importlib.import_module("onepass.sklearn"), name)
    return theirs(**options), ours(**options)


def assert_same(theirs: Any, ours: Any, x: np.ndarray) -> None:
    rtol = RTOL[str(x.dtype)]
    for name in ATTRIBUTES:
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("loss_curve_", "loss_", "best_loss_", "validation_scores_", "best_validation_score_"):
        expected, got = getattr(theirs, name), getattr(ours, name)
        assert (got is None) == (expected is None), name
        if expected is not None:
            np.testing.assert_allclose(got, expected, rtol=rtol, err_msg=name)
    for got, expected in zip(
        [*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True
    ):
        assert got.dtype == expected.dtype == x.dtype
        np.testing.assert_allclose(got, expected, rtol=50 * rtol, atol=50 * rtol)
    if hasattr(theirs, "classes_"):
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
        for method in ("predict_proba", "predict_log_proba"):
            got, expected = getattr(ours, method)(x), getattr(theirs, method)(x)
            assert got.dtype == x.dtype
            np.testing.assert_allclose(got, expected, rtol=100 * rtol, atol=10 * rtol)
    else:
        np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=100 * rtol, atol=10 * rtol)


@pytest.mark.parametrize("dtype", ["float64", exhaustively("float32")])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_curves_are_those_of_scikit_learn(name: str, options: str, dtype: str) -> None:
    estimator, x, y = problem(name)
    theirs, ours = both(estimator, **OPTIONS[options])
    assert_same(theirs.fit(x.astype(dtype), y), ours.fit(x.astype(dtype), y), x.astype(dtype))


@pytest.mark.parametrize("options", MORE)
@pytest.mark.parametrize("name", ["classes", *(exhaustively(name) for name in PROBLEMS[1:])])
def test_curves_with_other_options(name: str, options: str) -> None:
    estimator, x, y = problem(name)
    theirs, ours = both(estimator, **MORE[options])
    assert_same(theirs.fit(x, y), ours.fit(x, y), x)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("name", ["classes", "outputs"])
def test_float32_stays_float32(name: str, solver: str) -> None:
    estimator, x, y = problem(name)
    theirs, ours = both(estimator, solver=solver, learning_rate_init=0.01)
    x = x.astype(np.float32)
    assert_same(theirs.fit(x, y), ours.fit(x, y), x)


@pytest.mark.parametrize("name", PROBLEMS)
def test_sample_weights(name: str) -> None:
    estimator, x, y = problem(name)
    theirs, ours = both(estimator, alpha=0.5)
    if "sample_weight" not in inspect.signature(theirs.fit).parameters:
        pytest.skip("this scikit-learn has no sample_weight")
    weight = random().uniform(0, 2, len(x))
    assert_same(theirs.fit(x, y, sample_weight=weight), ours.fit(x, y, sample_weight=weight), x)
    both_early = both(estimator, early_stopping=True)
    theirs, ours = (each.fit(x, y, sample_weight=weight) for each in both_early)
    assert_same(theirs, ours, x)


def test_poisson() -> None:
    estimator, x, y = problem("outputs")
    if "loss" not in both(estimator)[0].get_params():
        pytest.skip("this scikit-learn has no loss 'poisson'")
    theirs, ours = both(estimator, loss="poisson")
    assert_same(theirs.fit(x, y.clip(0)), ours.fit(x, y.clip(0)), x)


@pytest.mark.parametrize("name", ["classes", "labels", "outputs"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_warm_starts_and_partial_fits_continue(name: str, solver: str) -> None:
    estimator, x, y = problem(name)
    theirs, ours = both(estimator, solver=solver, warm_start=True, max_iter=4)
    for _ in range(3):
        assert_same(theirs.fit(x, y), ours.fit(x, y), x)
    theirs, ours = both(estimator, solver=solver)
    classes = np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])
    first = {"classes": classes} if estimator == "MLPClassifier" else {}
    for start in (0, 100, 40, 70):
        rows = slice(start, start + 130)
        theirs.partial_fit(x[rows], y[rows], **first)
        ours.partial_fit(x[rows], y[rows], **first)
        assert_same(theirs, ours, x)
        ours, first = pickle.loads(pickle.dumps(ours)), {}


@pytest.mark.parametrize("name", PROBLEMS)
def test_lbfgs_finds_the_same_minimum(name: str) -> None:
    estimator, x, y = problem(name)
    theirs, ours = both(estimator, solver="lbfgs", alpha=2.0, hidden_layer_sizes=(), max_iter=500, tol=1e-9)
    theirs.fit(x, y)
    ours.fit(x, y)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-9)
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-4, atol=1e-4)


def test_confident_errors_have_the_bounded_loss_of_scikit_learn() -> None:
    estimator, x, y = problem("classes")
    for dtype in ("float64", "float32"):
        scaled = (1000 * x).astype(dtype)
        theirs, ours = both(estimator, max_iter=1)
        theirs.fit(scaled, y)
        ours.fit(scaled, y)
        assert ours.loss_ == pytest.approx(theirs.loss_, rel=RTOL[dtype])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's logarithm of 0
            assert np.isinf(theirs.predict_log_proba(scaled)).any()
        assert np.isfinite(ours.predict_log_proba(scaled)).all()
