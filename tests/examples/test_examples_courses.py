"""The examples of the courses in a short form, and the figures that must come out of them."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_runs import ON_NUMPY, is_picture, require_extra, run
from test_example_data import write_images

import onepass as op

pytestmark = pytest.mark.exhaustive

require_extra()

USABLE = [backend.name for backend in op.backends().values() if backend.usable]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", USABLE)
def test_backpropagation_gives_the_numbers_of_the_lecture(backend: str, dtype: str, tmp_path: Path) -> None:
    picture = tmp_path / "graph.png"
    result = run("backpropagation", "--backend", backend, "--dtype", dtype, "--output", str(picture))
    assert result.values == {"x": 3, "y": -4, "z": 2, "w": -1, "p": -12, "q": 2, "v": -10, "f": -20}
    assert result.grads == {"x": -8, "y": 6, "z": 2, "w": 0, "p": 2, "q": 2, "v": 2, "f": 1}
    assert result.check.passed
    assert is_picture(picture)


def test_backpropagation_hands_the_gradient_to_the_larger_input() -> None:
    result = run("backpropagation", *ON_NUMPY, "--at", "1", "2", "3", "5")
    assert result.values["f"] == 14
    assert [result.grads[name] for name in "xyzw"] == [4, 2, 0, 2]


def test_gradient_check_finds_the_best_steps(tmp_path: Path) -> None:
    picture = tmp_path / "steps.png"
    found = run("gradient_check", "--backend", "numpy", "--output", str(picture))
    with_backward = {name.removesuffix("_backward") for name in op.__all__ if name.endswith("_backward")}
    assert with_backward == {name.partition(",")[0] for name in found} - {"network"}
    steps = importlib.import_module("gradient_check").STEPS
    for name, errors in found.items():
        assert min(errors["central"]) < 1e-9, name
        assert min(errors["forward"]) < 1e-6, name
        assert errors["forward"][steps.index(1e-5)] < 1e-4, name
        # Rounding makes the small steps worse, all in the same way.
        assert errors["central"][0] > 1e3 * min(errors["central"]), name
    for name in ("sigmoid", "tanh", "softmax", "softmax_cross_entropy", "network, of weight 1"):
        best = {method: steps[int(np.argmin(line))] for method, line in found[name].items()}
        assert 1e-9 < best["forward"] < 1e-6, name
        assert 1e-6 < best["central"] < 1e-3, name
        assert min(found[name]["central"]) < 1e-1 * min(found[name]["forward"]), name
    assert is_picture(picture)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_svm_and_softmax_read_one_example_as_the_slide_does(dtype: str, tmp_path: Path) -> None:
    picture = tmp_path / "weights.png"
    options = ("--backend", "numpy", "--dtype", dtype, "--steps", "300", "--output", str(picture))
    slide, found = run("svm_and_softmax", *options)
    assert slide.scores == pytest.approx([-2.85, 0.86, 0.28], abs=1e-5)
    assert slide.hinge == pytest.approx(1.58, abs=1e-5)
    assert slide.probabilities == pytest.approx([0.016, 0.631, 0.353], abs=6e-4)
    assert slide.cross_entropy == pytest.approx(1.04, abs=5e-3)
    for model in ("SVM", "softmax"):
        none, l2, l1 = (found[model, penalty] for penalty in ("none", "L2", "L1"))
        assert min(none.test, l2.test, l1.test) > 0.88
        assert none.small <= l2.small < l1.small
        assert none.loss < min(l1.loss, l2.loss)
        assert np.linalg.norm(l2.layer[0]) < np.linalg.norm(none.layer[0])
        assert np.abs(l1.layer[0]).sum() < np.abs(none.layer[0]).sum()
    assert is_picture(picture)


def test_gradient_descent_is_unbiased_and_mini_batches_are_faster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = importlib.import_module("gradient_descent")
    monkeypatch.setattr(module, "DRAWS", 400)
    picture = tmp_path / "descent.png"
    found, noise = run("gradient_descent", "--backend", "numpy", "--epochs", "2", "--output", str(picture))
    full, batches, single = found.values()
    assert [len(descent.losses) for descent in found.values()] == [40, 2, 2]
    assert noise.of_an_epoch < 1e-13
    # The length of the error of 650 derivatives is close to its root mean square.
    assert 0.5 < noise.of_draws[-1] / noise.standard_error[-1] < 2
    assert noise.standard_error[0] == pytest.approx(20 * noise.standard_error[-1])
    # After as many epochs, more and smaller steps are further down.
    assert single.losses[1] < batches.losses[1] < full.losses[1] < 2.303
    assert all(np.diff(full.losses) < 0)
    assert all(np.diff(descent.seconds).min() > 0 for descent in found.values())
    assert is_picture(picture)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", USABLE)
def test_linear_regression_equals_the_closed_form_within_the_noise(
    backend: str, dtype: str, tmp_path: Path
) -> None:
    from sklearn.linear_model import LinearRegression

    picture = tmp_path / "regression.png"
    found = run("linear_regression", "--backend", backend, "--dtype", dtype, "--output", str(picture))
    x, y = importlib.import_module("linear_regression").synthetic(0, 1000)
    reference = LinearRegression().fit(x, y)
    assert found.closed_form == pytest.approx([*reference.coef_[0], *reference.intercept_])
    # sigma / sqrt(N) = 0.01 / sqrt(1000)
    assert found.standard_errors == pytest.approx(np.full(3, 3.16e-4), rel=0.15)
    assert np.all(np.abs(found.sgd - found.closed_form) < 2 * found.standard_errors)
    assert np.all(np.abs(found.closed_form - [2.0, -3.4, 4.2]) < 4 * found.standard_errors)
    assert found.run.history["validation_loss"][-1] == pytest.approx(0.01**2 / 2, rel=0.15)
    assert is_picture(picture)


def test_softmax_regression_learns_the_digits(tmp_path: Path) -> None:
    picture = tmp_path / "digits.png"
    found = run("fashion", "--backend", "numpy", "--output", str(picture))
    history = found.run.history
    assert [len(figures) for figures in history.values()] == [10, 10, 10]
    assert history["validation_accuracy"][-1] > 0.92
    assert history["validation_loss"][-1] < 0.4
    assert np.mean(found.predictions == found.data.test.labels) == history["validation_accuracy"][-1]
    assert is_picture(picture)


def test_softmax_regression_names_the_classes_of_idx_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path, end=".gz")
    monkeypatch.setattr(importlib.import_module("fashion"), "SHOWN", 4)
    picture = tmp_path / "garments.png"
    options = ("--data", str(tmp_path), "--epochs", "30", "--backend", "numpy", "--output", str(picture))
    found = run("fashion", *options)
    assert found.run.params[0][0].shape == (784, 10)
    # Seven images of noise, of which the test part is a darker copy, can be told apart.
    assert found.run.history["validation_accuracy"][-1] == 1
    printed = capsys.readouterr().out
    assert "Fashion-MNIST: 7 images for training" in printed
    assert "ankle boot" in printed
    assert is_picture(picture)


def test_the_spiral_is_pytorch_s_step_for_step(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    picture = tmp_path / "curves.png"
    options = ("--backend", "numpy", "--steps", "300", "--output", str(picture))
    classifier, network = run("spiral_pytorch", *options).values()
    assert (len(classifier.losses), len(network.losses)) == (200, 300)
    for model in (classifier, network):
        assert model.apart().max() < 1e-10
        assert model.difference < 1e-10
    assert classifier.losses[190] == pytest.approx(0.786302, abs=3e-6)
    assert network.losses[0] == pytest.approx(1.0987, abs=1e-4)
    assert is_picture(picture)


def test_the_spiral_s_curves_need_no_torch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec: Callable[[str], Any] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find_spec(name)
    )
    picture = tmp_path / "curves.png"
    classifier, _ = run(
        "spiral_pytorch", "--backend", "numpy", "--steps", "100", "--output", str(picture)
    ).values()
    assert classifier.torch_losses is None
    assert classifier.losses[90] == pytest.approx(0.788726, abs=1e-4)
    assert "torch is not installed" in capsys.readouterr().out
    assert is_picture(picture)
