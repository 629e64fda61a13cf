"""`@op.kernel`, the report of `python -m onepass`, and the README's own code."""

from __future__ import annotations

import inspect
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import numpy as np
import pytest
from array_api_compat import array_namespace
from array_trees import copied
from cases import D, labels, two_layers, x
from golden_calls import CALLS, normal
from pages import ROOT, blocks
from selection import MOSTLY_NUMPY

import onepass as op
from onepass import functions, report

README = ROOT / "README.md"


@op.kernel(donate="params")
def train_step(params: Any, x: Any, labels: Any, lr: float, *, l2: float = 1e-3) -> Any:
    """One step of gradient descent."""
    loss, grads = op.mlp_loss_and_grads(params, x, labels, l2=l2)
    return loss, op.sgd_step(params, grads, lr)


def test_a_training_step_is_its_parts() -> None:
    layers = [(normal(D, 40, dtype="float64"), None)]
    loss, params = train_step(copied(layers), x, labels, 0.1)
    with op.use_backend("numpy"):
        expected, grads = op.mlp_loss_and_grads(layers, x, labels, l2=1e-3)
    assert loss == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(params[0][0], layers[0][0] - 0.1 * grads[0][0], rtol=0, atol=1e-15)
    assert params[0][1] is None


def test_training_goes_the_way_of_numpy() -> None:
    step, (params, x, labels, _) = CALLS["train_step"]
    paths = {}
    for backend in ("numpy", "numba"):
        mine, losses = copied(params), []
        with op.use_backend(backend):
            for turn in range(8):
                loss, mine = step(mine, x, labels, 0.5 / (1 + turn))
                losses.append(float(loss))
        paths[backend] = losses
    np.testing.assert_allclose(paths["numba"], paths["numpy"], rtol=1e-4)
    assert paths["numba"][-1] < paths["numba"][0]


def test_a_kernel_keeps_the_function_s_face() -> None:
    assert train_step.__name__ == "train_step"
    assert train_step.__doc__ == "One step of gradient descent."
    assert list(inspect.signature(train_step).parameters) == ["params", "x", "labels", "lr", "l2"]
    assert train_step.donate == ("params",)
    assert op.kernel(lambda a, b: a + b, donate=["a", "b"]).donate == ("a", "b")
    assert op.kernel(lambda a: a).donate == ()


def test_a_donated_name_must_be_a_parameter() -> None:
    with pytest.raises(ValueError, match="donate has 'weights'; expected parameters of f"):

        @op.kernel(donate="weights")
        def f(params: Any) -> Any:
            return params

    with pytest.raises(TypeError, match="expected a function"):
        op.kernel(3)  # type: ignore[call-overload]


def test_trees_keep_their_structure() -> None:
    class Layer(NamedTuple):
        weight: Any
        bias: Any

    @op.kernel
    def double(tree: Any) -> Any:
        return {"list": [2 * tree["list"][0]], "layer": Layer(*(2 * part for part in tree["layer"]))}

    result = double({"list": [x], "layer": Layer(x, labels)})
    np.testing.assert_array_equal(result["list"][0], 2 * x)
    np.testing.assert_array_equal(result["layer"].bias, 2 * labels)
    params = op.sgd_step({"layer": Layer(x, x[0])}, {"layer": Layer(x, x[0])}, 1.0)
    assert isinstance(params["layer"], Layer)
    np.testing.assert_array_equal(params["layer"].weight, 0 * x)


def test_a_numpy_scalar_promotes_nothing_where_it_is_a_scalar_of_the_library() -> None:
    single = x.astype(np.float32)
    assert op.l2_penalty_backward(np.float64(1), single, np.float64(0.5)).dtype == np.float32
    assert op.l2_penalty_backward(np.array(1.0), single, np.array(1)).dtype == np.float32
    # Of the user's kernel it is an array of shape (), of a library function that this calls a scalar.
    _, params = train_step([(single.T @ single, None)], single, labels % 4, np.float64(0.1))
    assert params[0][0].dtype == np.float32


@op.kernel
def scaled_by(values: Any, factor: Any) -> Any:
    return values * factor


@pytest.mark.parametrize("scalar", [np.float32(0.1), np.float64(0.1), np.float32(3), np.float64(-0.1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_numpy_scalar_beside_arrays_of_another_library(dtype: str, scalar: Any) -> None:
    strict = pytest.importorskip("array_api_strict")
    values = x.astype(dtype)
    got = scaled_by(strict.asarray(values), scalar)
    assert isinstance(got, type(strict.asarray(values)))
    assert got.dtype == getattr(strict, dtype)
    number = float(scalar) if isinstance(scalar, np.float64) else scalar
    np.testing.assert_array_equal(np.asarray(got), values * number)
    with pytest.raises(TypeError, match=r"values is an array_api_strict .* and factor is a numpy"):
        scaled_by(strict.asarray(values), np.asarray(scalar))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("backend", ["auto", "numpy"])
def test_a_float32_number_in_a_kernels_text_counts(backend: str, dtype: str) -> None:
    tenth = np.float32(0.1)

    @op.kernel
    def kernel(values: Any) -> Any:
        xp = array_namespace(values)
        return values * tenth, xp.where(values > 0, values, np.float32(3)), xp.sum(values, axis=1) + tenth

    values = x.astype(dtype)
    with op.use_backend(backend):
        got = kernel(values)
    expected = values * tenth, np.where(values > 0, values, np.float32(3)), values.sum(axis=1) + tenth
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train_step([(x, object())], x, labels, 0.1), r"train_step: params\[0\]\[1\] is an object"),
        (lambda: train_step({"w": {1, 2}}, x, labels, 0.1), r"train_step: params\['w'\] is a set"),
        (lambda: train_step(two_layers, x, 0.1), "missing a required argument: 'lr'; expected train_step"),
        (lambda: train_step(two_layers, x, labels, 0.1, l1=2), "unexpected keyword argument 'l1'"),
    ],
)
def test_arguments_of_another_kind_are_errors(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_the_report_says_what_is_here_and_agrees() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "onepass"],
        capture_output=True,
        text=True,
        check=False,
        cwd=README.parent,
    )
    assert done.returncode == 0, done.stderr
    assert f"onepass {op.__version__}" in done.stdout
    assert f"numpy (NumPy {np.__version__}): NumPy arrays" in done.stdout
    assert f"numba (llvmlite {llvmlite.__version__}): NumPy arrays, compiled" in done.stdout
    assert "threads (ONEPASS_THREADS); matrix products by " in done.stdout
    assert "BLAS: " in done.stdout
    assert re.search(r"numpy +float32: \d\.\de-\d\d in \w+, ok", done.stdout)
    assert done.stdout.rstrip().endswith("all agree")


def test_the_report_compares_what_is_compiled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = report._samples()
    monkeypatch.setattr(report, "_samples", lambda: samples[1:2])  # which compiles in a second
    assert report.main() == 0
    printed = capsys.readouterr().out
    assert re.search(r"numba +float32: \d\.\de-\d\d in \w+, ok", printed)
    assert re.search(r"numba +float64: \d\.\de-\d\d in \w+, ok", printed)
    assert printed.rstrip().endswith("all agree")


def test_the_report_finds_a_backend_that_computes_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(functions, "sigmoid", op.tanh)
    samples = report._samples()
    monkeypatch.setattr(report, "_samples", lambda: samples[1:2])
    assert report.main() == 1
    assert "sigmoid, WRONG" in capsys.readouterr().out


@MOSTLY_NUMPY
def test_the_readme_s_code_runs(tmp_path: Path, backend: str) -> None:
    shown = blocks(README, "python")
    assert shown, "README.md shows no Python"
    script = tmp_path / "readme.py"
    script.write_text("\n".join(shown), encoding="utf-8")
    assert runpy.run_path(str(script))["value"] < 0.1


@op.kernel
def picked_clipped(x: Any, labels: Any) -> Any:
    """x at labels that are clipped in their own dtype, which may be too narrow for the number of columns."""
    xp = array_namespace(x)
    last = xp.astype(xp.asarray(x.shape[1] - 1), labels.dtype)
    return xp.take_along_axis(x, xp.clip(labels, 0, last)[:, None], axis=1)


@op.kernel
def picked_by_remainder(x: Any, labels: Any) -> Any:
    """The same with what a division by the number of columns leaves."""
    xp = array_namespace(x)
    return xp.take_along_axis(x, (labels % xp.astype(xp.asarray(x.shape[1]), labels.dtype))[:, None], axis=1)


@pytest.mark.parametrize("kernel", [picked_clipped, picked_by_remainder], ids=lambda kernel: kernel.__name__)
def test_labels_too_narrow_for_the_columns_lead_nowhere_else(kernel: Any) -> None:
    around = np.full(1000, 1e9, np.float32)
    x = around[500:902].reshape(2, 201)
    x[:] = 1
    assert kernel(x, np.array([5, -3], np.int8)).tolist() == [[1], [1]]


def test_kernels_that_compute_nothing() -> None:
    vector = np.arange(3.0)
    x = np.ones((3, 4))
    with op.use_backend("numba"):
        assert op.kernel(lambda x: 3.0)(x) == 3.0
        assert op.kernel(lambda x: None)(x) is None
        assert op.kernel(lambda x: (x.shape[0], vector @ vector))(x) == (3, 5.0)


def test_functions_of_captured_arrays() -> None:
    weight, x = np.arange(12.0).reshape(3, 4), np.ones((3, 4))

    def of_captured(x: Any) -> Any:
        xp = array_namespace(x)
        largest = xp.max(weight, axis=0) + xp.mean(weight, axis=1, keepdims=True)
        turned = xp.permute_dims(weight, (1, 0)) @ x
        return x + largest, turned, xp.reshape(weight[0], (1, 4)) * x, xp.any(weight > 10.0)

    with op.use_backend("numpy"):
        expected = op.kernel(of_captured)(x)
    with op.use_backend("numba"):
        got = op.kernel(of_captured)(x)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)
