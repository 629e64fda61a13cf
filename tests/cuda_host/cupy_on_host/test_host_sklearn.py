"""`onepass.sklearn` with arrays of CuPy in and out: the fits, predictions and errors of NumPy's arrays."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import onepass as op

pytestmark = [
    pytest.mark.needs(name="CuPy on the host"),
    pytest.mark.needs(name="sklearn"),
    # Few epochs do not converge.
    pytest.mark.filterwarnings("ignore:.*converg"),
]


@pytest.fixture
def cp(cupy: Any) -> Iterator[Any]:
    """CuPy, whose arrays choose their backend, as for a user."""
    with op.use_backend("auto"):
        yield cupy


def data(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """x (70, 5) and y."""
    random = np.random.default_rng(20261127)
    x = random.standard_normal((70, 5))
    scores = np.tanh(x @ random.standard_normal((5, 3)))
    classes = 2 * scores.argmax(axis=1) + 3
    return x, {
        "classes": classes,
        "strings": np.array(["", "", "", "ash", "", "birch", "", "cedar"])[classes],
        "binary": classes == 3,
        "labels": (scores > 0.2).astype(int),
        "numbers": scores[:, 0],
        "outputs": scores,
    }[kind]


# estimator, y, its options
FITS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "adam": ("MLPClassifier", "classes", {}),
    "binary": ("MLPClassifier", "binary", {"solver": "sgd", "class_weight": "balanced"}),
    "labels, early stopping": ("MLPClassifier", "labels", {"early_stopping": True}),
    "classes, early stopping": ("MLPClassifier", "classes", {"early_stopping": True}),
    "strings": ("MLPClassifier", "strings", {"label_smoothing": 0.1}),
    "regression": ("MLPRegressor", "numbers", {"solver": "sgd"}),
    "outputs": ("MLPRegressor", "outputs", {"shuffle": False}),
    "lbfgs": ("SoftmaxClassifier", "classes", {}),
    "hinge": ("LinearSVMClassifier", "classes", {}),
}
OUTPUTS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def estimator(name: str, **options: Any) -> Any:
    made = getattr(importlib.import_module("onepass.sklearn"), name)
    own = {"hidden_layer_sizes": (7,)} if name.startswith("MLP") else {}
    return made(**own, **{"max_iter": 6, "batch_size": 32, "random_state": 3, **options})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("fit", FITS)
def test_a_fit_is_that_of_numpy(cp: Any, fit: str, dtype: str) -> None:
    name, kind, options = FITS[fit]
    x, y = data(kind)
    x = x.astype(dtype)
    weight = 1 + np.arange(len(x)) % 3
    weights = {} if fit == "adam" else {"sample_weight": weight}
    expected = estimator(name, **options).fit(x, y, **weights)
    on_gpu = {key: cp.asarray(value) for key, value in weights.items()}
    got = estimator(name, **options).fit(cp.asarray(x), y if kind == "strings" else cp.asarray(y), **on_gpu)
    close = {"rtol": 1e-9, "atol": 1e-11} if dtype == "float64" else {"rtol": 2e-4, "atol": 2e-5}
    if got.solver != "lbfgs":
        assert all(type(loss) is float for loss in got.loss_curve_)
        np.testing.assert_allclose(got.loss_curve_, expected.loss_curve_, **close)
    assert got.n_iter_ == expected.n_iter_
    for theirs, ours in zip(
        expected.coefs_ + expected.intercepts_, got.coefs_ + got.intercepts_, strict=True
    ):
        assert type(ours) is cp.ndarray
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours.get(), theirs, **close)
    for output in OUTPUTS:
        if hasattr(expected, output):
            ours, theirs = getattr(got, output)(cp.asarray(x)), getattr(expected, output)(x)
            if kind == "strings" and output == "predict":
                assert type(ours) is np.ndarray
            else:
                assert type(ours) is cp.ndarray
                ours = ours.get()
            assert ours.dtype == theirs.dtype
            if output == "predict" and name != "MLPRegressor":
                np.testing.assert_array_equal(ours, theirs)
            else:
                np.testing.assert_allclose(ours, theirs, **close)
    score = got.score(cp.asarray(x), y if kind == "strings" else cp.asarray(y), **on_gpu)
    assert score == pytest.approx(expected.score(x, y, **weights), rel=1e-4)


def test_partial_fit_and_warm_start(cp: Any) -> None:
    x, y = data("classes")
    on_gpu = cp.asarray(x), cp.asarray(y)
    expected, got = estimator("MLPClassifier"), estimator("MLPClassifier")
    for _ in range(3):
        expected.partial_fit(x, y, classes=np.unique(y))
        got.partial_fit(*on_gpu, classes=cp.asarray(np.unique(y)))
    np.testing.assert_allclose(got.loss_curve_, expected.loss_curve_, rtol=1e-9)
    expected, got = (estimator("MLPClassifier", warm_start=True) for _ in range(2))
    for _ in range(2):
        expected.fit(x, y)
        got.fit(*on_gpu)
    np.testing.assert_allclose(got.loss_curve_, expected.loss_curve_, rtol=1e-9)


def test_arguments_are_not_written(cp: Any) -> None:
    x, y = data("classes")
    on_gpu, labels = cp.asarray(x), cp.asarray(y)
    fitted = estimator("MLPClassifier").fit(on_gpu, labels)
    before = [array.copy() for array in fitted.coefs_]
    held = list(fitted.coefs_)
    fitted.partial_fit(on_gpu, labels)
    np.testing.assert_array_equal(on_gpu.get(), x)
    np.testing.assert_array_equal(labels.get(), y)
    for array, kept in zip(held, before, strict=True):
        np.testing.assert_array_equal(array.get(), kept.get())


@pytest.mark.parametrize("dtype", ["float16", "int32"])
def test_other_dtypes_are_computed_in_float64(cp: Any, dtype: str) -> None:
    x, y = data("classes")
    x = (4 * x).astype(dtype)
    fitted = estimator("MLPClassifier").fit(cp.asarray(x), y)
    assert fitted.coefs_[0].dtype == "float64"
    np.testing.assert_allclose(
        fitted.loss_curve_, estimator("MLPClassifier").fit(x, y).loss_curve_, rtol=1e-9
    )


def _with_nan(cp: Any, x: Any) -> Any:
    x[3, 2] = np.nan
    return x


REFUSED: list[tuple[Callable[[Any, Any], Any], type[Exception], str]] = [
    (_with_nan, ValueError, "MLPClassifier: X contains NaN or infinity; expected finite numbers"),
    (
        lambda cp, x: x[0],
        ValueError,
        r"MLPClassifier: X has shape \(5,\) and dtype float64; expected \(N, D\)",
    ),
    (lambda cp, x: x[:0], ValueError, r"MLPClassifier: X has shape \(0, 5\) and dtype float64; expected"),
    (
        lambda cp, x: x.astype("complex64"),
        ValueError,
        r"MLPClassifier: X has shape .* and dtype complex64; e",
    ),
    (lambda cp, x: x[:, :4], ValueError, "X has 4 features, but MLPClassifier is expecting 5 features"),
    (lambda cp, x: x.get(), ValueError, "MLPClassifier: X is an array of NumPy; expected one of CuPy, as in"),
]


@pytest.mark.parametrize(("change", "error", "said"), REFUSED)
def test_what_is_refused(cp: Any, change: Any, error: type[Exception], said: str) -> None:
    x, y = (cp.asarray(array) for array in data("classes"))
    fitted = estimator("MLPClassifier", warm_start=True).fit(x, y)
    for call in (
        fitted.predict,
        fitted.predict_proba,
        lambda wrong: fitted.partial_fit(wrong, y[: len(wrong)]),
    ):
        with pytest.raises(error, match=said):
            call(change(cp, x.copy()))


def test_lengths_sparse_matrices_and_fits_of_numpy(cp: Any) -> None:
    x, y = data("classes")
    on_gpu = cp.asarray(x)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[69, 70\]"):
        estimator("MLPClassifier").fit(on_gpu, y[1:])
    with pytest.raises(ValueError, match="X is an array of CuPy; expected one of NumPy, as in the fit"):
        estimator("MLPClassifier").fit(x, y).predict(on_gpu)
    sparse = importlib.import_module("cupyx.scipy.sparse")
    wrong = sparse.csr_matrix.__new__(sparse.csr_matrix)
    for call in (
        lambda: estimator("MLPClassifier").fit(wrong, y),
        lambda: estimator("MLPClassifier").fit(on_gpu, y).predict(wrong),
    ):
        with pytest.raises(
            TypeError, match="MLPClassifier: X is a sparse csr_matrix of CuPy; expected a dense"
        ):
            call()
