"""The examples of two-layer networks in a short form, and the figures that must come out of them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from example_runs import EXAMPLES, ON_NUMPY, is_picture, require_extra, run
from test_example_data import write_images

import onepass as op

pytestmark = pytest.mark.exhaustive

require_extra()


def test_half_spaces_are_learned(tmp_path: Path) -> None:
    picture = tmp_path / "regions.png"
    found = run("half_spaces", "--backend", "numpy", "--epochs", "300", "--output", str(picture))
    losses, accuracies = found.history["loss"], found.history["accuracy"]
    # At first the network knows no more than how many points are inside: 40 in 100.
    assert losses[0] == pytest.approx(-0.4 * np.log(0.4) - 0.6 * np.log(0.6), abs=0.02)
    assert accuracies[0] == pytest.approx(0.6, abs=0.02)
    assert losses[-1] < 0.18
    assert accuracies[-1] > 0.94
    assert [array.shape for layer in found.params for array in layer] == [(2, 4), (4,), (4, 1), (1,)]
    assert is_picture(picture)


def test_half_spaces_continue_to_the_same_bits(tmp_path: Path) -> None:
    saved = str(tmp_path / "run.npz")
    whole = run("half_spaces", *ON_NUMPY, "--epochs", "6")
    run("half_spaces", *ON_NUMPY, "--epochs", "4", "--save", saved)
    continued = run("half_spaces", *ON_NUMPY, "--epochs", "6", "--resume", saved)
    assert continued.history == whole.history
    for ours, theirs in zip(continued.params, whole.params, strict=True):
        for array, expected in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_compared(dtype: str, tmp_path: Path) -> None:
    picture = tmp_path / "activations.png"
    options = ("--backend", "numpy", "--dtype", dtype, "--epochs", "10", "--output", str(picture))
    found, broken = run("activations", *options)
    last = {name: figures[-1] for name, figures in found.history.items()}
    # Sigmoids saturate and are not centred, so they learn more slowly than both others.
    assert last["tanh loss"] < 0.15
    assert last["relu loss"] < 0.15
    assert 0.4 < last["sigmoid loss"] < 0.7
    assert last["tanh accuracy"] > 0.95
    assert last["relu accuracy"] > 0.95
    # exp overflows at 88.7 and 709.8; 1 + exp(-z) rounds to 1 at 16.6 and 36.7.
    assert broken == {"float32": (-89, 17), "float64": (-710, 37)}
    assert is_picture(picture)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", [name for name, backend in op.backends().items() if backend.usable])
def test_losses_of_logits_hold_where_the_naive_form_does_not(backend: str, dtype: str) -> None:
    example = importlib.import_module("activations")
    options = importlib.import_module("common").command_line("", "").parse_args(["--backend", backend])
    logits = np.asarray([sign * size for size in example.CERTAINTIES for sign in (-1, 1)])
    with op.use_backend(backend):
        values = example.wrong_answers(logits, dtype, options)
    np.testing.assert_allclose(values["from logits"], np.logaddexp(0, abs(logits)), rtol=1e-6)
    np.testing.assert_allclose(values["gradient"], np.sign(logits) / (1 + np.exp(-abs(logits))), rtol=1e-6)
    assert np.all(values["bounded"] <= 100)
    # ±10, ±50, ±100, ±1000
    lost = {"float32": [0, 0, 0, 1, 1, 1, 1, 1], "float64": [0, 0, 0, 1, 0, 1, 1, 1]}[dtype]
    assert np.isinf(values["naive"]).tolist() == np.isnan(values["naive gradient"]).tolist() == lost


def test_network_and_svm_on_digits(tmp_path: Path) -> None:
    picture = tmp_path / "digits.png"
    network, svm = run("mnist", "--backend", "numpy", "--dtype", "float32", "--output", str(picture))
    assert (network.name, svm.name) == ("network", "SVM")
    assert network.images == svm.images == 1437
    assert network.accuracy >= 0.97
    assert svm.accuracy >= 0.97
    for model in (network, svm):
        assert model.predictions.shape == (360,)
        assert min(model.alone, model.of_many, model.fit_seconds) > 0
    assert is_picture(picture)


def test_mnist_reads_idx_files_and_takes_its_50_000(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mnist = importlib.import_module("mnist")
    assert mnist.MOST_IMAGES == 50_000
    write_images(tmp_path)
    monkeypatch.setattr(mnist, "MOST_IMAGES", 5)
    options = ("--data", str(tmp_path), "--epochs", "1", "--batch-size", "2", "--svm-images", "4")
    network, svm = run("mnist", *ON_NUMPY, *options)
    assert (network.images, svm.images) == (5, 4)


def test_k_outputs_beside_scikit_learn(tmp_path: Path) -> None:
    picture = tmp_path / "outputs.png"
    found = run("k_outputs", "--backend", "numpy", "--epochs", "60", "--output", str(picture))
    linear, network = found["onepass, linear"], found["onepass, network"]
    # The closed form of the same problem.
    assert linear == pytest.approx(found["scikit-learn, LinearRegression"], abs=2e-3)
    assert linear[1] < 0.05
    assert min(network) > 0.85
    for ours, theirs in zip(network, found["scikit-learn, MLPRegressor"], strict=True):
        assert ours > theirs - 0.02
    assert is_picture(picture)


def test_fine_tuning_finds_and_continues(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra `tuning` is not installed")
    short = [*ON_NUMPY[:2], "--dtype", "float32", "--epochs", "3"]
    picture, study = tmp_path / "trials.png", tmp_path / "study.db"
    whole, accuracy = run("fine_tuning", *short, "--trials", "8", "--output", str(picture))
    assert len(whole.trials) == 8
    assert whole.best_value < 0.4
    assert accuracy > 0.88
    assert is_picture(picture)
    run("fine_tuning", *short, "--no-plot", "--trials", "5", "--study", str(study))
    continued, same = run("fine_tuning", *short, "--no-plot", "--trials", "8", "--study", str(study))
    assert [trial.params for trial in continued.trials] == [trial.params for trial in whole.trials]
    assert same == accuracy


def test_fine_tuning_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "optuna.py").write_text("raise ImportError")
    program = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(EXAMPLES)!r}]; import fine_tuning"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install -e '.[examples,tuning]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_sklearn_digits_has_the_losses_of_scikit_learn(tmp_path: Path) -> None:
    picture = tmp_path / "curves.png"
    trained, accuracy = run("sklearn_digits", "--epochs", "10", "--output", str(picture))
    ours, theirs = trained["onepass"], trained["scikit-learn"]
    np.testing.assert_allclose(ours.loss_curve, theirs.loss_curve, rtol=1e-9)
    assert accuracy["onepass"] == accuracy["scikit-learn"] > 0.8
    assert len(ours.seconds) == len(theirs.seconds) == 4
    assert is_picture(picture)
