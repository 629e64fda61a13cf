"""How derivatives are used: arguments, results, nesting, kernels with backwards of their own, errors."""

from __future__ import annotations

import copy
import functools
import math
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import array_api_strict
import numpy as np
import pytest
from array_api_compat import array_namespace

import onepass as op

BACKENDS = pytest.mark.parametrize("backend", ["numpy", "numba"], indirect=True)
X, W = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]), np.array([[2.0, 1.0], [-1.0, 0.5], [3.0, 2.0]])


def squares(x: Any) -> Any:
    return (x * x).sum()


class Layer(NamedTuple):
    weight: Any
    bias: Any


@dataclass
class Net:
    layers: list[Layer]
    scale: float


@BACKENDS
def test_gradients_have_the_structure_of_the_argument(backend: str) -> None:
    def loss(net: Net, x: Any) -> Any:
        (first,) = net.layers
        return net.scale * ((x @ first.weight) ** 2).sum()

    net = Net([Layer(W, None)], 0.5)
    value, grad = op.value_and_grad(loss)(net, X)
    np.testing.assert_allclose(value, 0.5 * np.sum((X @ W) ** 2))
    assert isinstance(grad, Net)
    assert isinstance(grad.layers[0], Layer)
    assert grad.layers[0].bias is None
    np.testing.assert_allclose(grad.layers[0].weight, X.T @ (X @ W))
    np.testing.assert_allclose(grad.scale, np.sum((X @ W) ** 2))
    tree = op.grad(lambda t: (t["a"] * t["b"][1]).sum())({"a": X, "b": (None, 2.0)})
    np.testing.assert_array_equal(tree["a"], np.full(X.shape, 2.0))
    assert tree["b"][0] is None
    np.testing.assert_allclose(tree["b"][1], X.sum())


@BACKENDS
def test_argnums(backend: str) -> None:
    def loss(x: Any, w: Any, scale: float = 2.0) -> Any:
        return scale * (x @ w).sum()

    of_x = 2 * np.broadcast_to(W.sum(axis=1), X.shape)
    of_w = 2 * np.broadcast_to(X.sum(axis=0)[:, None], W.shape)
    np.testing.assert_allclose(op.grad(loss)(X, W), of_x)
    np.testing.assert_allclose(op.grad(loss, 1)(X, W), of_w)
    np.testing.assert_allclose(op.grad(loss, argnums=-1)(X, W), of_w)
    both = op.grad(loss, (1, 0))(X, W)
    assert isinstance(both, tuple)
    np.testing.assert_allclose(both[0], of_w)
    np.testing.assert_allclose(both[1], of_x)
    (alone,) = op.grad(loss, (0,))(X, W)
    np.testing.assert_allclose(alone, of_x)
    np.testing.assert_allclose(op.grad(loss, (0, 1))(X, w=W, scale=1.0)[1], of_w / 2)
    np.testing.assert_allclose(op.grad(loss, 2)(X, W, 3.0), np.sum(X @ W))


@BACKENDS
def test_aux(backend: str) -> None:
    def loss(x: Any) -> Any:
        return squares(x), {"doubled": 2 * x, "count": x.shape[0], "name": "loss"}

    (value, aux), grad = op.value_and_grad(loss, has_aux=True)(X)
    np.testing.assert_allclose(value, np.sum(X * X))
    np.testing.assert_allclose(grad, 2 * X)
    np.testing.assert_array_equal(aux["doubled"], 2 * X)
    assert (aux["count"], aux["name"]) == (2, "loss")
    grad, aux = op.grad(loss, has_aux=True)(X)
    np.testing.assert_allclose(grad, 2 * X)
    assert aux["name"] == "loss"


@BACKENDS
def test_vector_jacobian_products(backend: str) -> None:
    def function(x: Any, labels: Any, w: Any) -> Any:
        return {"scores": x @ w, "picked": x[range(2), labels]}

    labels = np.array([2, 0])
    out, backward = op.vjp(function, X, labels, W)
    np.testing.assert_allclose(out["scores"], X @ W)
    cotangent = {"scores": np.array([[1.0, 2.0], [0.0, -1.0]]), "picked": np.array([10.0, 20.0])}
    of_x, of_labels, of_w = backward(cotangent)
    expected = cotangent["scores"] @ W.T
    expected[[0, 1], labels] += cotangent["picked"]
    np.testing.assert_allclose(of_x, expected)
    assert of_labels is None
    np.testing.assert_allclose(of_w, X.T @ cotangent["scores"])
    with pytest.raises(
        ValueError, match=r"vjp\(function\): got a cotangent of shape \(3,\); expected \(2,\)"
    ):
        backward({"scores": cotangent["scores"], "picked": np.zeros(3)})
    with pytest.raises(TypeError, match=r"got an array of shape \(2, 2\) as cotangent; expected the struc"):
        backward(cotangent["scores"])


@BACKENDS
def test_nested_derivatives(backend: str) -> None:
    def cubes(x: Any) -> Any:
        return (x**3).sum()

    np.testing.assert_allclose(op.grad(lambda x: op.grad(cubes)(x).sum())(X), 6 * X)
    third = op.grad(lambda x: op.grad(lambda x: op.grad(cubes)(x).sum())(x).sum())(X)
    np.testing.assert_allclose(third, np.full(X.shape, 6.0))
    # A Hessian-vector product, by the gradient of a vector-Jacobian product.
    v = np.array([[1.0, 0.0, -1.0], [2.0, 0.5, 0.0]])

    def along(x: Any) -> Any:
        out, backward = op.vjp(cubes, x)
        return (backward(1.0 + 0 * out)[0] * v).sum()

    np.testing.assert_allclose(op.grad(along)(X), 6 * X * v)


@BACKENDS
def test_variables_of_nested_derivatives_are_apart(backend: str) -> None:
    # d/dx (x * d/dy (x + y)) is 1: the inner x is a constant.
    inner = op.grad(lambda x: x * op.grad(lambda y: x + y)(1.0))
    assert float(inner(np.asarray(3.0))) == 1.0
    # The same array as an argument and in the closure.
    np.testing.assert_array_equal(op.grad(lambda x: (x * X).sum())(X), X)
    np.testing.assert_allclose(op.grad(lambda x: op.grad(lambda y: (x * x * y).sum())(x).sum())(X), 2 * X)


@BACKENDS
def test_mixed_second_derivatives_of_kernels_with_a_backward(backend: str) -> None:
    z, weight, labels = np.concatenate([X, -X + 0.3]), np.array([1.0, 2.0, 0.5]), np.array([0, 1, 2, 1])

    @op.kernel(backward=lambda grad_out, a, b: grad_out * 2 * a * b)
    def function(a: Any, *, b: Any) -> Any:
        return (a * a * b).sum()

    def of_b(a: Any, b: Any) -> Any:
        return op.grad(lambda b: function(a, b=b))(b)

    np.testing.assert_allclose(op.grad(lambda a, b: of_b(a, b).sum())(X, X), 2 * X)

    def weighted(z: Any, w: Any) -> Any:
        return op.softmax_cross_entropy(z, labels, class_weight=w)

    # One variable that reaches an argument that the backward covers, and one that it does not.
    losses = [
        lambda z: op.mean_squared_error(z, np.sin(z)),
        lambda z: op.softmax_cross_entropy(z, z * z),
        lambda z: op.binary_cross_entropy_with_logits(z, op.sigmoid(z)),
    ]
    for gradient, args in [
        (op.grad(weighted, argnums=1), (z, weight)),
        (op.grad(op.mean_squared_error, argnums=1), (z, z * z)),
        *((op.grad(loss), (z,)) for loss in losses),
    ]:
        checked = op.check_gradients(gradient, args=args)
        assert all(check.tested > 0 for check in checked.arguments)


@BACKENDS
def test_a_training_step_is_one_kernel(backend: str) -> None:
    labels = np.array([1, 0])

    def loss(params: Any, x: Any) -> Any:
        return op.softmax_cross_entropy(op.linear(x, *params), labels)

    @op.kernel(donate=("params", "state"))
    def step(params: Any, state: Any, x: Any) -> Any:
        value, grads = op.value_and_grad(loss)(params, x)
        return value, *op.adam_step(params, grads, state, lr=0.1)

    params, state = (W.copy(), np.zeros(2)), op.adam_init((W, np.zeros(2)))
    expected, expected_state = (W.copy(), np.zeros(2)), op.adam_init((W, np.zeros(2)))
    for _ in range(3):
        value, params, state = step(params, state, X)
        scores = op.linear(X, *expected)
        other, grad = op.softmax_cross_entropy_with_grad(scores, labels)
        grads = op.linear_backward(grad, X, expected[0])[1:]
        expected, expected_state = op.adam_step(expected, grads, expected_state, lr=0.1)
        np.testing.assert_allclose(value, other, rtol=1e-12)
        np.testing.assert_allclose(params[0], expected[0], rtol=1e-9)
    if backend == "numba":
        plan = op.explain(step, params, state, X)
        assert "by the library" not in plan.text


@BACKENDS
def test_the_last_value_of_what_a_function_reads(backend: str) -> None:
    held = {"scale": 2.0, "array": X.copy()}

    def loss(x: Any) -> Any:
        return held["scale"] * (x * held["array"]).sum()  # type: ignore[operator]

    derivative = op.grad(loss)
    np.testing.assert_allclose(derivative(X), 2 * X)
    held["scale"] = 3.0
    np.testing.assert_allclose(derivative(X), 3 * X)
    held["array"] = -X
    np.testing.assert_allclose(derivative(X), -3 * X)
    held["array"][...] = 1.0  # type: ignore[index]
    np.testing.assert_allclose(derivative(X), np.full(X.shape, 3.0))


SCALE = 2.0


@op.kernel(backward=lambda grad_out, x: grad_out * SCALE * x)
def with_global(x: Any) -> Any:
    return 0.5 * (x * x).sum()


@BACKENDS
def test_the_last_value_of_what_a_backward_reads(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    derivative = op.grad(lambda x: with_global(x))
    np.testing.assert_allclose(derivative(X), 2 * X)
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    np.testing.assert_allclose(derivative(X), 5 * X)


class Model:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    def loss(self, x: Any) -> Any:
        return self.scale * squares(x)

    def __call__(self, x: Any) -> Any:
        return self.loss(x)


@op.grad
def decorated(x: Any) -> Any:
    """A gradient by decoration."""
    return squares(x)


@BACKENDS
def test_what_can_be_differentiated(backend: str) -> None:
    model = Model(3.0)
    for function in (model.loss, model, functools.partial(Model.loss, model), op.kernel(model.loss)):
        np.testing.assert_allclose(op.grad(function)(X), 6 * X)
    model.scale = 4.0
    np.testing.assert_allclose(op.grad(model.loss)(X), 8 * X)
    np.testing.assert_allclose(decorated(X), 2 * X)
    assert decorated.__doc__ == "A gradient by decoration."
    np.testing.assert_allclose(op.grad(op.l2_penalty)(X, 0.5), 0.5 * X)
    out = np.empty_like(X)
    assert op.grad(squares)(X, out=out) is out
    np.testing.assert_allclose(out, 2 * X)


def test_a_derivative_travels() -> None:
    for derivative in (decorated, op.value_and_grad(squares), op.grad(op.l2_penalty, 1), op.grad(Model(2.0))):
        for again in (pickle.loads(pickle.dumps(derivative)), copy.deepcopy(derivative)):
            args = (X, 0.5) if "l2_penalty" in repr(derivative) else (X,)
            np.testing.assert_equal(again(*args), derivative(*args))
    assert pickle.loads(pickle.dumps(decorated)) is decorated


def test_a_function_that_is_differentiated_in_a_loop_is_traced_once() -> None:
    derivative = op.value_and_grad(squares)
    assert op.value_and_grad(squares, argnums=0) is derivative
    assert op.value_and_grad(squares, has_aux=True) is not derivative
    assert op.value_and_grad(squares, (0,)) is not derivative
    assert op.grad(squares) is not derivative


def test_derivatives_of_functions_that_share_attributes() -> None:
    np.testing.assert_allclose(op.grad(squares)(X), 2 * X)

    @functools.wraps(squares)
    def wrapped(x: Any) -> Any:
        return 10 * squares(x)

    np.testing.assert_allclose(op.grad(wrapped)(X), 20 * X)
    first, second = Model(1.0), Model(2.0)
    op.vjp(Model.loss, first, X)
    for model in (first, second, copy.copy(second)):
        np.testing.assert_allclose(op.grad(model.loss)(X), 2 * model.scale * X)
        np.testing.assert_allclose(op.grad(model)(X), 2 * model.scale * X)
        assert set(vars(model)) == {"scale"}


def test_threads() -> None:
    found: list[Any] = []

    def run() -> None:
        found.extend(op.grad(squares)(X) for _ in range(20))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    for grad in found:
        np.testing.assert_allclose(grad, 2 * X)


@BACKENDS
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_dtypes(dtype: str, backend: str) -> None:
    if dtype == "float16" and backend == "numba":
        pytest.skip("float16 has no loops on the CPU")
    x = X.astype(dtype)
    value, grad = op.value_and_grad(lambda x: 0.5 * squares(np.tanh(x)))(x)
    assert (value.dtype, grad.dtype) == (x.dtype, x.dtype)
    np.testing.assert_allclose(
        grad, np.tanh(X) * (1 - np.tanh(X) ** 2), rtol=5 * np.finfo(dtype).eps, atol=1e-3
    )
    mixed = op.grad(lambda x, w: (x @ w).sum(), (0, 1))(X.astype("float32"), W)
    assert [g.dtype for g in mixed] == [np.float32, np.float64]


@BACKENDS
def test_results_share_no_memory(backend: str) -> None:
    def loss(a: Any, b: Any) -> Any:
        return (a * 2 + b * 2).sum(), {"view": a.T, "same": a, "part": a[0]}

    a = X.copy()
    grads, aux = op.grad(loss, (0, 1), has_aux=True)(a, a)
    arrays = [*grads, *aux.values(), a]
    for number, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[number + 1 :])
        array *= 0  # each can be written into


@BACKENDS
def test_numbers_in_arrays_decide_by_their_value(backend: str) -> None:
    def loss(x: Any, s: Any) -> Any:
        return (2 * x if s > 0.5 else x).sum()

    derivative = op.grad(loss)
    for dtype in ("float64", "float32", "float16"):
        for number, slope in ((1.0, 2), (0.25, 1)):
            with op.use_backend("auto" if dtype == "float16" else backend):
                got = derivative(X.astype(dtype), np.array(number, dtype))
            np.testing.assert_array_equal(got, np.full(X.shape, slope))


@BACKENDS
def test_not_a_number_stays(backend: str) -> None:
    x = np.array([[1.0, np.nan], [1.0, 2.0]])
    np.testing.assert_array_equal(op.grad(lambda x: x.max(axis=1).sum())(x), [[np.nan] * 2, [0, 1]])
    np.testing.assert_array_equal(op.grad(lambda x: x.min(axis=1).sum())(x), [[np.nan] * 2, [1, 0]])


@BACKENDS
def test_cotangents_in_another_order(backend: str) -> None:
    _, backward = op.vjp(lambda x: {"a": 2 * x, "b": 3 * x, "c": 1, "d": np.ones(2)}, X)
    cotangent = {"d": np.ones(2), "c": None, "b": 10 * np.ones(X.shape), "a": np.ones(X.shape)}
    np.testing.assert_array_equal(backward(cotangent)[0], np.full(X.shape, 32.0))
    np.testing.assert_array_equal(backward({**cotangent, "a": None})[0], np.full(X.shape, 30.0))

    @op.kernel(backward=lambda grad_out, p: {"b": grad_out * 3 + 0 * p["b"], "a": grad_out * 2 + 0 * p["a"]})
    def function(p: Any) -> Any:
        return (2 * p["a"] + 3 * p["b"]).sum()

    got = op.grad(lambda p: function(p))({"a": X, "b": X})
    np.testing.assert_array_equal(got["a"], np.full(X.shape, 2.0))
    np.testing.assert_array_equal(got["b"], np.full(X.shape, 3.0))


@BACKENDS
def test_options_of_a_backward(backend: str) -> None:
    @op.kernel(backward=lambda grad_out, x, scale: (grad_out * scale + 0 * x, (grad_out * x).sum()))
    def with_default(x: Any, scale: float = 2.0) -> Any:
        return (x * scale).sum()

    np.testing.assert_array_equal(op.grad(with_default)(X), np.full(X.shape, 2.0))

    @op.kernel(backward=lambda grad_out, x, **options: grad_out * options["scale"] + 0 * x)
    def with_options(x: Any, *, scale: float = 2.0) -> Any:
        return (x * scale).sum()

    np.testing.assert_array_equal(op.grad(lambda x: with_options(x, scale=3.0))(X), np.full(X.shape, 3.0))


@BACKENDS
def test_sizes(backend: str) -> None:
    empty = np.zeros((0, 3))
    np.testing.assert_array_equal(op.grad(squares)(empty), empty)
    of_w = op.grad(lambda w, x: (x @ w).sum())(W, empty)
    np.testing.assert_array_equal(of_w, np.zeros(W.shape))
    number = op.grad(lambda x: x * x)(np.asarray(3.0))
    assert (number.shape, float(number)) == ((), 6.0)
    product = op.grad(lambda x: x.prod(axis=0).sum())(empty)
    np.testing.assert_array_equal(product, empty)
    unused = op.grad(lambda x, y: squares(y))(X, X)
    np.testing.assert_array_equal(unused, np.zeros(X.shape))


def test_arrays_of_a_strict_library() -> None:
    xp = array_api_strict
    x, w = xp.asarray(X), xp.asarray(W)
    labels = xp.asarray([1, 0])

    def loss(x: Any, w: Any) -> Any:
        scores = op.linear(x, w)
        table = array_namespace(x).take(x, labels, axis=0)  # repeated rows
        return op.softmax_cross_entropy(scores, labels) + array_namespace(x).sum(table**2)

    value, grads = op.value_and_grad(loss, (0, 1))(x, w)
    assert array_namespace(value) is xp
    with op.use_backend("numpy"):
        loss_np, grad = op.softmax_cross_entropy_with_grad(X @ W, np.array([1, 0]))
    np.testing.assert_allclose(np.asarray(value), loss_np + np.sum(X**2))
    np.testing.assert_allclose(np.asarray(grads[0]), grad @ W.T + 2 * X)
    np.testing.assert_allclose(np.asarray(grads[1]), X.T @ grad)


# Kernels with a backward of their own


@BACKENDS
def test_the_backward_of_a_kernel_is_its_derivative(backend: str) -> None:
    def backward(grad_out: Any, w: Any, out: Any) -> Any:
        return 10 * grad_out @ w.T, None  # not the derivative, so that a test can see it

    @op.kernel(backward=backward)
    def product(x: Any, w: Any) -> Any:
        return x @ w

    assert product(X, W).shape == (2, 2)
    of_x, of_w = op.grad(lambda x, w: product(2 * x, w).sum(), (0, 1))(X, W)
    np.testing.assert_allclose(of_x, 20 * np.ones((2, 2)) @ W.T)
    np.testing.assert_array_equal(of_w, np.zeros(W.shape))
    # In the second derivative the backward is differentiated.
    second = op.grad(lambda w: (op.grad(lambda x: product(x, w).sum())(X) ** 2).sum())(W)
    row = 10 * W.sum(axis=1)
    np.testing.assert_allclose(second, 2 * 2 * 10 * np.broadcast_to(row[:, None], W.shape))
    with pytest.raises(AssertionError, match="do not agree"):
        op.check_gradients(product, args=(X, W))


@BACKENDS
def test_a_backward_gets_the_result_and_trees(backend: str) -> None:
    def backward(grad_out: Any, out: Any, params: Any) -> Any:
        return {"a": grad_out * params["b"], "b": grad_out * params["a"], "c": None}, out.sum() * grad_out

    @op.kernel(backward=backward)
    def function(params: Any, x: Any, *, scale: float = 1.0) -> Any:
        return scale * (params["a"] * params["b"] + 0 * x)

    params = {"a": X, "b": 2 * X, "c": 5.0}
    (of_params, of_x), of_scale = (
        op.grad(lambda p, x: function(p, x).sum(), (0, 1))(params, X),
        op.grad(lambda s: function(params, X, scale=s).sum())(np.asarray(1.0)),
    )
    np.testing.assert_allclose(of_params["a"], 2 * X)
    np.testing.assert_allclose(of_params["b"], X)
    assert of_params["c"] == 0
    np.testing.assert_allclose(of_x, np.full(X.shape, np.sum(2 * X * X)))
    # What the backward does not cover is differentiated as usual: it is never zero in silence.
    np.testing.assert_allclose(of_scale, np.sum(2 * X * X))


@BACKENDS
def test_what_a_kernel_with_a_backward_reads_from_outside_is_differentiated(backend: str) -> None:
    def loss(w: Any) -> Any:
        @op.kernel(backward=lambda grad_out, x: grad_out * 100)
        def times(x: Any) -> Any:
            return x * w

        return times(X).sum() + times(w).sum()

    # 100 comes by the backward for the argument, X and w from the closure.
    np.testing.assert_allclose(op.grad(loss)(X), X + 100 + X)


@BACKENDS
@pytest.mark.parametrize(
    ("function", "args"),
    [
        (op.mean_squared_error, (X, X**2)),
        (op.half_squared_error, (X, X**2)),
        (lambda x, w: op.softmax_cross_entropy(x, np.abs(w.T)), (X, W)),
        (
            lambda x, w: op.softmax_cross_entropy(x, np.array([1, 2]), class_weight=w),
            (X, np.array([1.0, 2, 3])),
        ),
        (lambda x, s: op.softmax_cross_entropy(x, np.array([1, 2]), label_smoothing=s), (X, np.array(0.1))),
        (lambda x, m: op.multiclass_hinge(x, np.array([1, 2]), m), (X, np.array(0.7))),
        (
            lambda x, w: op.binary_cross_entropy_with_logits(x, 0.1 * np.abs(x), weight=w),
            (X, np.array([1.0, 2, 3])),
        ),
        (lambda x, s: op.l2_penalty(x, s), (X, np.array(0.3))),
        (lambda x: op.mean_squared_error(x, x * x), (X,)),
    ],
)
def test_arguments_that_a_backward_does_not_cover(function: Any, args: Any, backend: str) -> None:
    result = op.check_gradients(function, args=args)
    assert [check.tested > 0 for check in result.arguments] == [True] * len(args)


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        (lambda grad_out, y: grad_out, r"the backward of function has the parameters \(grad_out, y\)"),
        (lambda: None, "expected the gradient with respect to the result first"),
        (3, "got backward=3; expected a function"),
    ],
)
def test_a_backward_that_needs_something_else(backward: Any, message: str) -> None:
    def function(x: Any) -> Any:
        return x * 2

    with pytest.raises(TypeError, match=message):
        op.kernel(function, backward=backward)


@BACKENDS
@pytest.mark.parametrize(
    ("backward", "message"),
    [
        (lambda g, x: g, "the backward of function returned one gradient; expected 2, for x, y"),
        (lambda g, x: (g, g, g), "returned 3 gradients; expected 2, for x, y"),
        (lambda g, x: (g[0], None), r"returned a gradient of shape \(3,\) for x; expected \(2, 3\)"),
        (lambda g, x: ([g, g], None), "returned a list of 2 for x; expected the structure of the argument"),
    ],
)
def test_a_backward_that_returns_something_else(backward: Any, message: str, backend: str) -> None:
    def function(x: Any, y: Any) -> Any:
        return x * y

    kernel = op.kernel(function, backward=backward)
    with pytest.raises((TypeError, ValueError), match=message):
        op.grad(lambda x: kernel(x, x).sum())(X)


# Errors


ERRORS: list[tuple[str, Callable[[], Any], str]] = [
    (
        "integers",
        lambda: op.grad(squares)(X.astype(int)),
        "the argument x has dtype int64; expected floating-point",
    ),
    ("an integer", lambda: op.grad(lambda x, y: squares(y))(3, X), "the argument x has dtype int64"),
    ("in a tree", lambda: op.grad(lambda t: t[0].sum())([X, X > 0]), r"the argument t\[1\] has dtype bool"),
    (
        "no scalar",
        lambda: op.grad(lambda x: 2 * x)(X),
        r"returned an array of shape \(2, 3\); expected a scalar",
    ),
    ("a tuple", lambda: op.grad(lambda x: (x.sum(), x))(X), "a tuple of 2; .*pass has_aux=True"),
    ("no aux", lambda: op.grad(squares, has_aux=True)(X), r"expected a tuple \(value, aux\)"),
    (
        "an integer value",
        lambda: op.grad(lambda x: x.shape[0])(X),
        "a value of dtype int64; expected a scalar of a",
    ),
    ("None", lambda: op.grad(lambda x: None)(X), "returned None; expected a scalar"),
    ("argnums", lambda: op.grad(squares, 1)(X), "argnums has 1, and the call has 1 positional arguments"),
    ("float argnums", lambda: op.grad(squares, 0.5), "got argnums=0.5; expected an integer or a tuple"),  # type: ignore[arg-type]
    ("argnums twice", lambda: op.grad(squares, (0, 0)), "expected different numbers of arguments"),
    ("no function", lambda: op.grad(3), "grad: got 3; expected a function"),  # type: ignore[arg-type]
    ("a branch", lambda: op.grad(lambda x: x.sum() if x[0, 0] > 0 else x.max())(X), "use xp.where"),
    ("a wrong call", lambda: op.grad(squares)(X, X), r"too many positional arguments; expected"),
    ("argnums twice, once from the end", lambda: op.grad(squares, (0, -1))(X), "has an argument twice"),
    (
        "math",
        lambda: op.grad(lambda x: math.exp(x) * x)(np.asarray(1.0)),
        r"float\(\) of a number that is different",
    ),
    (
        "float",
        lambda: op.grad(lambda x: float(x[0]) * x[0])(X[0]),
        r"float\(\) of a number that is differentiated",
    ),
    (
        "a string",
        lambda: op.grad(lambda s, x: squares(x))("a", X),
        "the argument s is a value of type str; expected",
    ),
    ("complex", lambda: op.grad(squares)(X + 1j), r"complex128 (cannot be compiled|array of shape)"),
]


@BACKENDS
@pytest.mark.parametrize(("call", "message"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
def test_errors(call: Any, message: str, backend: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        call()
    assert str(caught.value).endswith(".")


def test_an_error_names_the_function_and_its_line() -> None:
    with pytest.raises(TypeError, match=rf"^grad\(squares\): the argument x .*{__name__}.py, line \d+\)\.$"):
        op.grad(squares)(X.astype(int))

    @op.kernel
    def step(x: Any) -> Any:
        return op.grad(lambda x: x * 2)(x)

    message = r"^step: grad\(<lambda>\): the function returned an array of shape"
    with op.use_backend("numba"), pytest.raises(ValueError, match=message):
        step(X)


@BACKENDS
def test_an_error_of_the_function_is_its_own(backend: str) -> None:
    def loss(x: Any) -> Any:
        raise LookupError("of the user")

    with pytest.raises(LookupError, match="of the user"):
        op.grad(loss)(X)


def test_arguments_are_not_written() -> None:
    def loss(x: Any) -> Any:
        x *= 2
        return x.sum()

    for backend in ("numpy", "numba", "auto"):
        with op.use_backend(backend), pytest.raises(TypeError, match="writes into the argument x"):
            op.grad(loss)(X)


@BACKENDS
def test_values_that_are_written_after_their_use(backend: str) -> None:
    def loss(x: Any) -> Any:
        hidden = x * 2
        out = op.tanh(hidden)
        hidden *= 10  # an argument of the kernel
        total = out.sum()
        out[0] = 7.0  # its result
        out *= 3
        return total + (out * 0).sum() + (hidden * 0).sum()

    np.testing.assert_allclose(op.grad(loss)(X), 2 / np.cosh(2 * X) ** 2, rtol=1e-8)

    def scaled(x: Any) -> Any:
        out, backward = op.vjp(lambda x: x**2, x)
        out += 100.0
        return backward(np.ones(X.shape))[0]

    np.testing.assert_allclose(op.kernel(scaled)(X), 2 * X)


def test_a_kernel_of_known_arrays_in_a_trace() -> None:
    @op.kernel
    def quotient(x: Any) -> Any:
        return x / (x * 0)  # NumPy would warn

    @op.kernel
    def function(x: Any) -> Any:
        return x + quotient(np.ones(3))

    with op.use_backend("numba"):
        np.testing.assert_array_equal(function(X), np.full(X.shape, np.inf))
