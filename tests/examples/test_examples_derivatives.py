"""The examples of derived gradients in a short form, and the figures that must come out of them."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_runs import ON_NUMPY, is_picture, require_extra, run
from selection import exhaustively

import onepass as op

require_extra()

USABLE = [backend.name for backend in op.backends().values() if backend.usable]
DTYPES = ("float32", "float64")


def test_the_derived_spiral_begins_as_the_library_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "curves.png"
    found = run("spiral_derived", "--backend", "numpy", "--steps", "60", "--output", str(picture))
    assert len(found.derived.losses) == len(found.library.losses) == 60
    assert found.derived.losses[0] == pytest.approx(math.log(3), abs=2e-4)
    assert found.apart().max() < 1e-13
    assert list(found.loss_errors) == list(found.grad_errors) == [0, 10, 20, 30, 40, 50]
    assert max(found.loss_errors.values()) < 1e-14
    assert max(found.grad_errors.values()) < 1e-12
    printed = capsys.readouterr().out
    assert "iteration 0: loss 1.098765, mlp_loss_and_grads 1.098765" in printed
    assert "from equal weights: losses differ by less than 1e-10 for 60 steps" in printed
    assert is_picture(picture)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_derived_spiral_ends_where_the_library_ends(dtype: str) -> None:
    found = run("spiral_derived", "--dtype", dtype, "--no-plot")
    for training in (found.derived, found.library):
        assert training.losses[9000] == pytest.approx(0.2453, abs=2e-3)
    assert found.accuracy >= 0.97
    assert max(found.loss_errors.values()) < 4 * np.finfo(dtype).eps
    first = {"float32": 100, "float64": 1000}[dtype]
    assert found.apart()[:first].max() < {"float32": 1e-5, "float64": 1e-10}[dtype]
    # In float32 rounding sometimes decides whether a ReLU unit is active.
    assert np.median(list(found.grad_errors.values())) < 1e2 * np.finfo(dtype).eps


def small_spiral() -> tuple[Any, ...]:
    """Parameters of a small network, points and labels."""
    random = np.random.default_rng(0)
    params = [(random.standard_normal((2, 5)), random.standard_normal((1, 5)))]
    params.append((random.standard_normal((5, 3)), random.standard_normal((1, 3))))
    return params, random.standard_normal((7, 2)), random.integers(0, 3, 7)


def test_the_loss_by_hand_has_the_slope_of_its_values() -> None:
    check = op.check_gradients(importlib.import_module("spiral_derived").loss_of, args=small_spiral())
    assert check.passed


def small_network(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """The module with layers of 5 units; parameters, images and labels for it."""
    example = importlib.import_module("layer_norm_digits")
    monkeypatch.setattr(example, "WIDTH", 5)
    random = np.random.default_rng(1)
    params = example.initial_params(random, 4, 3)
    for block in params["blocks"]:
        block["norm"] = {name: array + 0.1 * random.random(5) for name, array in block["norm"].items()}
    return example, params, random.random((6, 4)), random.integers(0, 3, 6)


def plain_scores(params: Any, x: np.ndarray) -> np.ndarray:
    """The scores of one image after the other."""
    scores = []
    for image in x:
        row = image @ params["input"]["weight"] + params["input"]["bias"]
        for block in params["blocks"]:
            z = row @ block["linear"]["weight"] + block["linear"]["bias"]
            z = (z - np.mean(z)) / math.sqrt(np.mean(z * z) - np.mean(z) ** 2 + 1e-5)
            z = z * block["norm"]["scale"] + block["norm"]["shift"]
            # 1 + tanh y = 2 / (1 + exp(-2 y))
            cubic = np.asarray([math.sqrt(8 / math.pi) * (v + 0.044715 * v * v * v) for v in z])
            row = row + z / (1 + np.exp(-cubic))
        scores.append(row @ params["head"]["weight"] + params["head"]["bias"])
    return np.asarray(scores)


@pytest.mark.parametrize("backend", USABLE)
def test_the_residual_network_is_its_formula(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    example, params, x, labels = small_network(monkeypatch)
    move = importlib.import_module("common").move
    options = importlib.import_module("common").command_line("", "").parse_args(["--backend", backend])
    arguments = move([params, x, labels], options)
    with op.use_backend(backend):
        scores = importlib.import_module("common").to_numpy(example.scores_of(*arguments[:2]))
        loss, grads = example.loss_and_grads(*arguments)
    expected = plain_scores(params, x)
    np.testing.assert_allclose(scores, expected, rtol=1e-10, atol=1e-12)
    log_sums = np.log(np.exp(expected).sum(axis=1))
    assert float(loss) == pytest.approx(np.mean(log_sums - expected[range(6), labels]), rel=1e-12)
    # A constant that is added before a layer norm changes nothing.
    for block in grads["blocks"]:
        assert abs(float(block["linear"]["bias"].sum())) < 1e-14


def test_the_residual_network_has_the_slope_of_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    example, params, x, labels = small_network(monkeypatch)
    assert op.check_gradients(example.loss_of, args=(params, x, labels)).passed


def test_gelu_and_layer_norm() -> None:
    example = importlib.import_module("layer_norm_digits")
    x = np.asarray([-3.0, -1.0, 0.0, 1.0, 3.0])
    exact = [0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x]
    np.testing.assert_allclose(example.gelu(x), exact, atol=5e-4)  # how good the tanh form is
    rows = example.layer_norm(np.random.default_rng(0).random((3, 50)), 2.0, 0.5)
    np.testing.assert_allclose(rows.mean(axis=1), 0.5, rtol=1e-12)
    np.testing.assert_allclose(rows.std(axis=1), 2.0, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", exhaustively("float64")])
def test_the_residual_network_learns_the_digits(
    dtype: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "digits.png"
    options = ("--backend", "numba", "--dtype", dtype, "--epochs", "15", "--output", str(picture))
    found = run("layer_norm_digits", *options)
    history, mistakes = found.run.history, found.mistakes
    assert history["training_loss"][0] == pytest.approx(0.994, abs=0.01)
    assert history["test_loss"][0] == pytest.approx(0.375, abs=0.01)
    assert history["test_accuracy"][0] == pytest.approx(0.93, abs=0.01)
    assert history["training_loss"][-1] < 0.005
    assert history["test_loss"][-1] < 0.1
    assert found.accuracy == history["test_accuracy"][-1] >= 0.975
    assert len(mistakes.labels) == round(360 * (1 - found.accuracy))
    assert np.all(mistakes.labels != mistakes.predictions)
    assert np.all(np.diff(mistakes.probabilities) <= 0)
    assert f"{len(mistakes.labels)} images wrong" in capsys.readouterr().out
    assert is_picture(picture)


def test_the_gradient_of_an_image_lowers_its_loss() -> None:
    example = importlib.import_module("layer_norm_digits")
    found = run("layer_norm_digits", *ON_NUMPY, "--epochs", "1")
    images, labels, _, _, gradients = found.mistakes
    assert gradients.shape == images.shape == (len(labels), 64)
    assert len(labels) == round(360 * (1 - found.accuracy)) > 10

    def losses(changed: np.ndarray) -> np.ndarray:
        return np.asarray(
            op.softmax_cross_entropy(plain_scores(found.run.params, changed), labels, reduction="none")
        )

    # Along its gradient, the loss of each image changes by the square of its length.
    step = 1e-5
    change = losses(images + step * gradients) - losses(images - step * gradients)
    np.testing.assert_allclose(change / (2 * step), np.sum(gradients**2, axis=1), rtol=1e-5)
    assert np.all(losses(images - 0.01 * gradients) < losses(images))
    assert len(labels) > example.MOST_SHOWN


@pytest.mark.exhaustive
def test_the_residual_network_continues_to_the_same_bits(tmp_path: Path) -> None:
    saved, options = str(tmp_path / "run.npz"), ("--backend", "numba", "--no-plot")
    whole = run("layer_norm_digits", *options, "--epochs", "3").run
    run("layer_norm_digits", *options, "--epochs", "2", "--save", saved)
    continued = run("layer_norm_digits", *options, "--epochs", "3", "--resume", saved).run
    assert continued.history == whole.history
    np.testing.assert_equal(continued.params, whole.params)
