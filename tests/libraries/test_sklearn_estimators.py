"""The estimators of `onepass.sklearn` in scikit-learn: checks, searches, pandas, pickle; options, errors."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", reason="the extra `sklearn` is not installed")

from sklearn.base import clone  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.neural_network import MLPClassifier as TheirClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import SVC  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from onepass.sklearn import (  # noqa: E402
    LinearSVMClassifier,
    MLPClassifier,
    MLPRegressor,
    SoftmaxClassifier,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*converg")

SMALL = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 30, "learning_rate_init": 0.02}


def points() -> tuple[np.ndarray, np.ndarray]:
    """Three classes of a plane's points, the last one ten times rarer."""
    random = np.random.RandomState(20261127)
    y = np.repeat([0, 1, 2], [100, 100, 10])
    return random.standard_normal((210, 2)) + np.array([[0, 0], [3, 0], [1.5, 2]])[y], y


# They warn where data are few or a fit does not converge; scikit-learn runs them with warnings.
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        MLPClassifier(max_iter=60),
        MLPRegressor(max_iter=60),
        SoftmaxClassifier(max_iter=60),
        LinearSVMClassifier(max_iter=60),
    ]
)
def test_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        MLPClassifier(max_iter=60, loss="multiclass_hinge"),
        MLPClassifier(max_iter=60, solver="lbfgs"),
        MLPRegressor(max_iter=60, solver="lbfgs"),
    ]
)
def test_checks_of_scikit_learn_with_options(estimator: Any, check: Any) -> None:
    check(estimator)


def test_pipelines_searches_and_workers() -> None:
    x, y = points()
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    grid = {"mlpclassifier__alpha": [1e-4, 100.0]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(x, y)
    assert search.best_params_["mlpclassifier__alpha"] == 1e-4
    theirs = make_pipeline(StandardScaler(), TheirClassifier(**SMALL))
    scores = (cross_val_score(estimator, x, y, cv=2) for estimator in (pipeline, theirs))
    np.testing.assert_allclose(*scores, rtol=1e-12)


def test_pandas() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    x, y = points()
    table, names = pandas.DataFrame(x, columns=["length", "width"]), pandas.Series(np.array(list("abc"))[y])
    classifier = MLPClassifier(**SMALL).fit(table, names)
    assert list(classifier.feature_names_in_) == ["length", "width"]
    assert list(classifier.classes_) == ["a", "b", "c"]
    assert classifier.loss_curve_ == MLPClassifier(**SMALL).fit(x, y).loss_curve_
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(table[["width", "length"]])


def test_copies_and_pickles() -> None:
    x, y = points()
    classifier = MLPClassifier(**SMALL).fit(x, y)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(x), classifier.predict_proba(x))
    fresh = clone(classifier).set_params(alpha=0.5)
    assert fresh.get_params() == {**classifier.get_params(), "alpha": 0.5}
    assert not hasattr(fresh, "coefs_")


def test_earlier_weights_are_not_overwritten() -> None:
    x, y = points()
    classifier = MLPClassifier(**SMALL).partial_fit(x, y, classes=[0, 1, 2])
    before = [*classifier.coefs_, *classifier.intercepts_]
    kept = [array.copy() for array in before]
    classifier.partial_fit(x, y)
    for array, copy, after in zip(before, kept, [*classifier.coefs_, *classifier.intercepts_], strict=True):
        np.testing.assert_array_equal(array, copy)
        assert not np.array_equal(array, after)


def test_the_data_are_not_changed() -> None:
    x, y = points()
    for given in (x.copy(), np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2]):
        given.flags.writeable = False
        for shuffle in (True, False):
            curve = MLPClassifier(**SMALL, shuffle=shuffle).fit(given, y).loss_curve_
            expected = TheirClassifier(**SMALL, shuffle=shuffle).fit(x, y).loss_curve_
            np.testing.assert_allclose(curve, expected, rtol=1e-9)
        np.testing.assert_array_equal(given, x)


def test_hinge() -> None:
    x, y = points()
    linear = MLPClassifier((), loss="multiclass_hinge", solver="lbfgs", alpha=0.1, max_iter=500).fit(x, y)
    scores = linear.decision_function(x)
    np.testing.assert_allclose(scores, x @ linear.coefs_[0] + linear.intercepts_[0], rtol=1e-12)
    margins = np.maximum(0, scores - scores[np.arange(210), y][:, None] + 1).sum(axis=1) - 1
    penalty = 0.5 * 0.1 * (linear.coefs_[0] ** 2).sum() / 210
    assert linear.loss_ == pytest.approx(margins.mean() + penalty, rel=1e-9)
    assert linear.score(x, y) > 0.9
    assert not hasattr(linear, "predict_proba")
    two = MLPClassifier(**SMALL, loss="multiclass_hinge").fit(x, y > 0)
    np.testing.assert_array_equal(two.decision_function(x) > 0, two.predict(x))


@pytest.mark.parametrize("is_binary", [False, True])
def test_softmax_regression_is_logistic_regression(is_binary: bool) -> None:
    x, y = points()
    y = y > 0 if is_binary else y
    ours = SoftmaxClassifier(0.5, tol=1e-8).fit(x, y)
    theirs = LogisticRegression(C=2.0, tol=1e-10, max_iter=1000).fit(x, y)
    assert ours.coef_.shape == theirs.coef_.shape
    assert ours.intercept_.shape == theirs.intercept_.shape
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=2e-3)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=3e-4)


def test_the_svm_of_two_classes_is_the_svm() -> None:
    x, y = points()
    sign = np.where(y > 0, 1.0, -1.0)
    ours = LinearSVMClassifier(20.0, batch_size=210, random_state=0, tol=1e-7, n_iter_no_change=50)
    ours.fit(x, y > 0)
    theirs = SVC(kernel="linear", C=0.1, tol=1e-8).fit(x, y > 0)

    def objective(margins: np.ndarray, weight: np.ndarray) -> float:
        return float(np.maximum(0, 1 - sign * margins).mean() + 20.0 / (4 * 210) * (weight**2).sum())

    least = objective(theirs.decision_function(x), theirs.coef_)
    got = objective(ours.decision_function(x), ours.coef_[1] - ours.coef_[0])
    assert least * (1 - 1e-6) <= got <= least * 1.005


def test_class_weights_are_sample_weights() -> None:
    x, y = points()
    weight = np.array([1.0, 1.0, 10.0])[y]
    weighted = MLPClassifier(**SMALL, class_weight={2: 10.0}).fit(x, y)
    assert weighted.loss_curve_ == MLPClassifier(**SMALL).fit(x, y, sample_weight=weight).loss_curve_
    balanced = MLPClassifier(**SMALL, class_weight="balanced").fit(x, y)
    plain = MLPClassifier(**SMALL).fit(x, y)
    assert (balanced.predict(x) == 2).sum() > (plain.predict(x) == 2).sum()


@pytest.mark.parametrize("is_binary", [False, True])
def test_label_smoothing(is_binary: bool) -> None:
    x, y = points()
    y = y > 0 if is_binary else y
    smooth = MLPClassifier((), solver="lbfgs", alpha=0.0, label_smoothing=0.2, tol=1e-9, max_iter=2000)
    classes = 2 if is_binary else 3
    target = 0.8 * (y[:, None] == np.arange(classes)) + 0.2 / classes
    probabilities = smooth.fit(x, y).predict_proba(x)
    assert smooth.loss_ == pytest.approx(-(target * np.log(probabilities)).sum(axis=1).mean(), rel=1e-9)
    # At the minimum, the mean probability of each class is its mean target.
    np.testing.assert_allclose(probabilities.mean(axis=0), target.mean(axis=0), atol=1e-4)


def test_dtype() -> None:
    x, y = points()
    single = MLPClassifier(**SMALL, dtype="float32").fit(x, y)
    assert single.predict_proba(x).dtype == np.float32
    assert single.loss_curve_ == MLPClassifier(**SMALL).fit(x.astype(np.float32), y).loss_curve_
    double = MLPRegressor(**SMALL, dtype="float64").fit(x.astype(np.float32), y)
    assert double.coefs_[0].dtype == double.predict(x).dtype == np.float64


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = points()
    fitted = MLPClassifier(**{**SMALL, "max_iter": 3}, verbose=True, early_stopping=True).fit(x, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Iteration 1, loss = {fitted.loss_curve_[0]:.8f}"
    assert lines[1] == f"Validation score: {fitted.validation_scores_[0]:f}"
    MLPClassifier(**{**SMALL, "max_iter": 3}, verbose=True, solver="lbfgs").fit(x, y)
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"Iteration {i}" for i in (1, 2, 3)
    ]


def test_a_progress_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = points()
    bar = MLPClassifier(**SMALL, verbose="bar")
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="verbose is 'bar', which needs tqdm"):
        bar.fit(x, y)
    monkeypatch.undo()
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    assert bar.fit(x, y).loss_curve_ == MLPClassifier(**SMALL).fit(x, y).loss_curve_
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "30/30" in captured.err


def test_an_interrupted_fit_keeps_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    training = importlib.import_module("onepass.sklearn.training")
    step, calls = training.steps.adam_step, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*arguments)

    x, y = points()
    monkeypatch.setattr(training.steps, "adam_step", interrupted)
    with pytest.warns(UserWarning, match="MLPClassifier: training was interrupted by the user."):
        stopped = MLPClassifier(**SMALL).fit(x, y)
    monkeypatch.undo()
    assert len(stopped.loss_curve_) == 1
    theirs = TheirClassifier(**SMALL).partial_fit(x, y, classes=[0, 1, 2])
    assert stopped.loss_ == pytest.approx(theirs.loss_, rel=1e-9)
    assert np.isfinite(stopped.predict_proba(x)).all()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"alpha": -1}, "MLPClassifier: alpha is -1; expected a number >= 0."),
    ({"alpha": float("nan")}, "alpha is nan; expected a number >= 0."),
    ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes is \(3, 0\); expected an integer >= 1"),
    ({"activation": "swish"}, "activation is 'swish'; expected 'identity', 'logistic', 'tanh' or 'relu'."),
    ({"solver": "lamb"}, "solver is 'lamb'; expected 'lbfgs', 'sgd' or 'adam'."),
    ({"batch_size": 0}, "batch_size is 0; expected 'auto' or an integer >= 1."),
    ({"beta_1": 1.0}, r"beta_1 is 1.0; expected a number in \[0, 1\)."),
    ({"shuffle": "yes"}, "shuffle is 'yes'; expected True or False."),
    ({"random_state": "a"}, "random_state is 'a'; expected None, an integer or"),
    ({"loss": "squared_error"}, "loss is 'squared_error'; expected 'log_loss' or 'multiclass_hinge'."),
    ({"class_weight": "even"}, "class_weight is 'even'; expected None, 'balanced'"),
    ({"label_smoothing": 2}, r"label_smoothing is 2; expected a number in \[0, 1\]."),
    ({"dtype": "int8"}, "dtype is 'int8'; expected None, 'float32' or 'float64'."),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[next(iter(options)) for options, _ in WRONG])
def test_parameters_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**options).fit(*points())


def test_errors() -> None:
    x, y = points()
    scipy_sparse = importlib.import_module("scipy.sparse")
    with pytest.raises(TypeError, match="dense data is required"):
        MLPClassifier().fit(scipy_sparse.csr_matrix(x), y)
    with pytest.raises(ValueError, match=r"sample_weight has shape \(3,\); expected \(210,\), the rows of X"):
        MLPClassifier().fit(x, y, sample_weight=[1, 2, 3])
    with pytest.raises(ValueError, match="sample_weight is zero for all rows"):
        MLPClassifier().fit(x, y, sample_weight=np.zeros(210))
    with pytest.raises(ValueError, match="first call of partial_fit got classes=None"):
        MLPClassifier().partial_fit(x, y)
    with pytest.raises(ValueError, match="early_stopping is True; expected False for partial_fit"):
        MLPClassifier(early_stopping=True).partial_fit(x, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="class_weight is 'balanced'; expected a dict or None"):
        MLPClassifier(class_weight="balanced").partial_fit(x, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="y has several labels a row"):
        MLPClassifier(loss="multiclass_hinge").fit(x, np.eye(3, dtype=int)[y])
    with pytest.raises(ValueError, match="y has values below 0; expected y >= 0 for loss 'poisson'"):
        MLPRegressor(loss="poisson").fit(x, x[:, 0])
    with pytest.raises(ValueError, match="solver 'sgd' got weights that are not finite"):
        MLPRegressor(solver="sgd", learning_rate_init=1e300).fit(x, y)
    with pytest.raises(ValueError, match="y has 2 outputs; expected 1, as in the previous fit"):
        MLPRegressor().partial_fit(x, y).partial_fit(x, x)
    with pytest.warns(UserWarning, match="batch_size is 300; expected at most 210"):
        MLPClassifier(batch_size=300, max_iter=2).fit(x, y)


def test_onepass_does_not_import_scikit_learn() -> None:
    program = "import sys, onepass; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
