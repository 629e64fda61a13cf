"""Every backward against differences, and the check itself against gradients that are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import CASES, Case, layers, x

import onepass as op
from onepass import kernels

pytestmark = pytest.mark.usefixtures("as_written")

WITH_BACKWARD = [case for case in CASES if f"{case.kernel}_backward" in kernels.__all__]
NETWORKS = [case for case in CASES if case.kernel.endswith("_loss_and_grads")]


def test_every_differentiable_kernel_has_its_backward() -> None:
    without = {name for name in kernels.__all__ if name.endswith(("_step", "_init"))}
    fused = ("_with_grad", "_backward", "_and_grads")
    forward = [name for name in kernels.__all__ if not name.endswith(fused) and name not in without]
    assert sorted(forward) == sorted({case.kernel for case in WITH_BACKWARD})


@pytest.mark.parametrize("method", ["central", "forward"])
@pytest.mark.parametrize("case", WITH_BACKWARD, ids=str)
def test_backward_agrees_with_differences(case: Case, method: Any) -> None:
    function, backward = getattr(op, case.kernel), getattr(op, f"{case.kernel}_backward")
    result = op.check_gradients(function, backward, case.args, kwargs=case.kwargs, method=method)
    assert result.passed
    assert all(argument.tested > 0 and argument.kinks == 0 for argument in result.arguments)


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_network_gradients_agree_with_differences(case: Case) -> None:
    loss_and_grads = getattr(op, case.kernel)
    params, *data = case.args

    def loss(params: Any) -> Any:
        return loss_and_grads(params, *data, **case.kwargs)[0]

    def grads(_: float, params: Any) -> Any:
        return loss_and_grads(params, *data, **case.kwargs)[1]

    result = op.check_gradients(loss, grads, (params,))
    names = [argument.name for argument in result.arguments]
    assert names[:2] == ["params[0][0]", "params[0][1]"]
    assert len(names) == sum(array is not None for layer in params for array in layer)


@pytest.mark.parametrize("case", [case for case in CASES if case.kernel.endswith("_with_grad")], ids=str)
def test_with_grad_is_forward_and_backward(case: Case) -> None:
    name = case.kernel.removesuffix("_with_grad")
    loss, grad = getattr(op, case.kernel)(*case.args, **case.kwargs)
    np.testing.assert_array_equal(loss, getattr(op, name)(*case.args, **case.kwargs))
    ones = np.ones_like(loss) if case.kwargs.get("reduction") == "none" else 1.0
    backward = getattr(op, f"{name}_backward")(ones, *case.args, **case.kwargs)
    np.testing.assert_allclose(grad, backward, rtol=1e-15)


WRONG: dict[str, Any] = {
    "a factor": lambda grad_out, out: 1.001 * op.tanh_backward(grad_out, out),
    "a sign": lambda grad_out, out: -op.tanh_backward(grad_out, out),
    "one entry": lambda grad_out, out: op.tanh_backward(grad_out, out) + np.eye(*out.shape) * [[1e-4]],
    "a NaN": lambda grad_out, out: np.where(out == out[0, 0], np.nan, op.tanh_backward(grad_out, out)),
    "zero": lambda grad_out, out: 0 * op.tanh_backward(grad_out, out),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("size", [(3, 4), (40, 50)], ids=["by entries", "by directions"])
def test_a_wrong_gradient_is_found(wrong: Any, size: tuple[int, int]) -> None:
    points = np.random.default_rng(0).standard_normal(size)
    with pytest.raises(AssertionError, match=r"x +relative error .* over \d+ differences"):
        op.check_gradients(op.tanh, wrong, (points,))
    assert not op.check_gradients(op.tanh, wrong, (points,), raises=False).passed
    assert op.check_gradients(op.tanh, op.tanh_backward, (points,)).passed


def test_kinks_are_left_out_and_points_near_them_are_not() -> None:
    points = np.array([0.0, 1e-7, -1e-7, 1e-5, 1.0, 0.0])
    (argument,) = op.check_gradients(op.relu, op.relu_backward, (points,)).arguments
    assert (argument.tested, argument.kinks) == (4, 2)
    penalty = op.check_gradients(op.l1_penalty, op.l1_penalty_backward, (points, 0.5))
    assert (penalty.arguments[0].tested, penalty.arguments[0].kinks) == (4, 2)
    assert "2 more at a kink" in str(penalty)


def test_a_minimum_is_no_kink() -> None:
    points = np.array([1.0, -2.0])
    result = op.check_gradients(op.mean_squared_error, op.mean_squared_error_backward, (points, points))
    assert (result.arguments[0].tested, result.arguments[0].kinks) == (2, 0)
    with pytest.raises(AssertionError):
        op.check_gradients(op.mean_squared_error, lambda g, p, t: g * (p - t + 1e-3), (points, points))


def test_float32_arguments_are_tested_in_float64() -> None:
    result = op.check_gradients(op.sigmoid, op.sigmoid_backward, (x.astype(np.float32),), rtol=1e-7)
    assert result.arguments[0].tested == x.size


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((np.array([1, 2]),), "relu: x is a numpy int64 array"),
        ((np.array([1.0, np.nan]),), "the function is nan at args"),
    ],
)
def test_what_cannot_be_tested_is_an_error(args: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        op.check_gradients(op.relu, op.relu_backward, args)


def test_a_gradient_of_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"gradient for x has shape \(4,\); expected \(6, 4\)"):
        op.check_gradients(op.relu, lambda grad_out, out: grad_out[0], (x,))


@pytest.mark.parametrize(("method", "error"), [("central", 1e-8), ("forward", 1e-5)])
def test_numeric_gradient(method: Any, error: float) -> None:
    def loss(weight: np.ndarray) -> Any:
        return op.mlp_loss_and_grads([(weight, None), *layers[1:]], x, np.zeros(len(x), dtype=int))[0]

    _, grads = op.mlp_loss_and_grads([(layers[0][0], None), *layers[1:]], x, np.zeros(len(x), dtype=int))
    numeric = op.numeric_gradient(loss, layers[0][0], method=method)
    np.testing.assert_allclose(numeric, grads[0][0], rtol=0, atol=error)
