"""Derivative rules: a row for every operation, each against differences and against its closed form."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from onepass.backends.autodiff.elementwise_rules import ELEMENTWISE_RULES
from onepass.backends.autodiff.library_rules import LIBRARY_RULES
from onepass.backends.autodiff.structure_rules import STRUCTURE_RULES
from onepass.backends.ir.library import FUNCTIONS
from onepass.backends.ir.operations import ELEMENTWISE, REDUCTIONS, STRUCTURE, Op

import onepass as op

pytestmark = pytest.mark.parametrize("backend", ["numpy", "numba"], indirect=True)

# What a graph begins with has no inputs.
BEGINNINGS = {Op.INPUT, Op.SCALAR, Op.CONSTANT, Op.SIZE, Op.IOTA}
BOOLS = {Op.ANY, Op.ALL}


def test_every_operation_has_a_row(backend: str) -> None:
    assert set(ELEMENTWISE_RULES) == set(ELEMENTWISE)
    for operation, rules in ELEMENTWISE_RULES.items():
        assert len(rules) == ELEMENTWISE[operation].arity, operation
        for rule in filter(None, rules):
            inspect.signature(rule).bind(None, None, *[None] * len(rules))
    assert set(STRUCTURE_RULES) == {*REDUCTIONS, *STRUCTURE} - BEGINNINGS - BOOLS
    assert set(LIBRARY_RULES) == set(FUNCTIONS)


ANYWHERE = np.array([-1.7, -0.4, 0.3, 1.2])
INSIDE = np.array([-0.9, -0.3, 0.4, 0.8])
ABOVE = np.array([0.2, 0.7, 1.5, 3.0])
OTHER = np.array([1.3, -0.6, -0.8, 0.5])

# Operation: a point, and the derivative there in closed form.
OF_ONE: dict[str, tuple[np.ndarray, Callable[[Any], Any]]] = {
    "abs": (ANYWHERE, np.sign),
    "negative": (ANYWHERE, lambda x: -np.ones_like(x)),
    "sqrt": (ABOVE, lambda x: 0.5 * x**-0.5),
    "exp": (ANYWHERE, np.exp),
    "expm1": (np.array([-45.0, -0.3, 0.2, 2.0]), np.exp),
    "log": (ABOVE, lambda x: 1 / x),
    "log1p": (INSIDE, lambda x: 1 / (1 + x)),
    "log2": (ABOVE, lambda x: 1 / (x * math.log(2))),
    "log10": (ABOVE, lambda x: 1 / (x * math.log(10))),
    "tanh": (np.array([-1.7, -0.4, 0.3, 3.0]), lambda x: np.cosh(x) ** -2),
    "sin": (ANYWHERE, np.cos),
    "cos": (ANYWHERE, lambda x: -np.sin(x)),
    "tan": (INSIDE, lambda x: np.cos(x) ** -2),
    "asin": (INSIDE, lambda x: (1 - x * x) ** -0.5),
    "acos": (INSIDE, lambda x: -((1 - x * x) ** -0.5)),
    "atan": (ANYWHERE, lambda x: 1 / (1 + x * x)),
    "sinh": (ANYWHERE, np.cosh),
    "cosh": (ANYWHERE, np.sinh),
    "asinh": (ANYWHERE, lambda x: (1 + x * x) ** -0.5),
    "acosh": (1 + ABOVE, lambda x: (x * x - 1) ** -0.5),
    "atanh": (INSIDE, lambda x: 1 / (1 - x * x)),
}
STEPS = ["sign", "ceil", "floor", "round", "trunc"]

# Operation: two points, and both derivatives.
OF_TWO: dict[str, tuple[np.ndarray, np.ndarray, Callable[[Any, Any], tuple[Any, Any]]]] = {
    "add": (ANYWHERE, OTHER, lambda x, y: (x * 0 + 1, x * 0 + 1)),
    "subtract": (ANYWHERE, OTHER, lambda x, y: (x * 0 + 1, x * 0 - 1)),
    "multiply": (ANYWHERE, OTHER, lambda x, y: (y, x)),
    "divide": (ANYWHERE, OTHER, lambda x, y: (1 / y, -x / y**2)),
    "maximum": (ANYWHERE, OTHER, lambda x, y: (1.0 * (x > y), 1.0 * (y > x))),
    "minimum": (ANYWHERE, OTHER, lambda x, y: (1.0 * (x < y), 1.0 * (y < x))),
    "remainder": (ANYWHERE, OTHER, lambda x, y: (x * 0 + 1, -np.floor(x / y))),
    "floor_divide": (ANYWHERE, OTHER, lambda x, y: (x * 0, x * 0)),
    "atan2": (ANYWHERE, OTHER, lambda x, y: (y / (x * x + y * y), -x / (x * x + y * y))),
    "hypot": (ANYWHERE, OTHER, lambda x, y: (x / np.hypot(x, y), y / np.hypot(x, y))),
    "pow": (ABOVE, OTHER, lambda x, y: (y * x ** (y - 1), np.log(x) * x**y)),
    "copysign": (ANYWHERE, OTHER, lambda x, y: (np.sign(x) * np.sign(y), x * 0)),
}


def test_every_smooth_operation_has_a_closed_form(backend: str) -> None:
    smooth = {str(operation) for operation, rules in ELEMENTWISE_RULES.items() if any(rules)}
    steps = {*STEPS, "floor_divide"}
    assert {*OF_ONE, *OF_TWO} - steps == smooth - {"where", "astype"}


@pytest.mark.parametrize("name", OF_ONE)
def test_functions_of_one_number(name: str, backend: str) -> None:
    point, derivative = OF_ONE[name]

    def function(x: Any) -> Any:
        return getattr(array_namespace(x), name)(x)

    _, backward = op.vjp(function, point)
    np.testing.assert_allclose(backward(np.ones(4))[0], derivative(point), rtol=1e-14)
    np.testing.assert_allclose(backward(np.full(4, -2.0))[0], -2 * derivative(point), rtol=1e-14)
    assert op.check_gradients(function, args=(point,)).passed


@pytest.mark.parametrize("name", STEPS)
def test_steps_have_the_gradient_zero(name: str, backend: str) -> None:
    gradient = op.grad(lambda x: getattr(array_namespace(x), name)(x).sum())(ANYWHERE)
    np.testing.assert_array_equal(gradient, np.zeros(4))


@pytest.mark.parametrize("name", OF_TWO)
def test_functions_of_two_numbers(name: str, backend: str) -> None:
    first, second, derivative = OF_TWO[name]

    def function(x: Any, y: Any) -> Any:
        return getattr(array_namespace(x), name)(x, y)

    got = op.vjp(function, first, second)[1](np.full(4, 3.0))
    for mine, expected in zip(got, derivative(first, second), strict=True):
        np.testing.assert_allclose(mine, 3 * expected, rtol=1e-14, atol=1e-300)
    # Broadcast, each gradient is summed to the shape of its argument.
    wide = np.broadcast_to(first[:, None], (4, 4)), np.broadcast_to(second, (4, 4))
    got = op.vjp(function, first[:, None], second)[1](np.ones((4, 4)))
    for mine, whole, axis in zip(got, derivative(*wide), (1, 0), strict=True):
        np.testing.assert_allclose(np.ravel(mine), whole.sum(axis=axis), rtol=1e-13, atol=1e-300)


def total(function: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    def of(x: Any) -> Any:
        xp = array_namespace(x)
        return xp.sum(function(xp, x))

    return of


def test_ties_share_the_gradient_equally(backend: str) -> None:
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [5.0, 4.0, 5.0]])
    largest = [[0, 1 / 2, 1 / 2], [1 / 3] * 3, [1 / 2, 0, 1 / 2]]
    np.testing.assert_allclose(op.grad(total(lambda xp, x: xp.max(x, axis=1)))(x), largest)
    np.testing.assert_allclose(op.grad(total(lambda xp, x: xp.min(-x, axis=1)))(x), -np.array(largest))
    everywhere = [[0, 0, 0], [0, 0, 0], [1 / 2, 0, 1 / 2]]
    np.testing.assert_allclose(op.grad(total(lambda xp, x: xp.max(x)))(x), everywhere)
    equal = op.vjp(np.maximum, np.array([1.0, 2.0]), np.array([1.0, 3.0]))[1](np.ones(2))
    np.testing.assert_array_equal(equal, [[0.5, 0], [0.5, 1]])
    clipped = op.grad(total(lambda xp, x: xp.clip(x, 0.0, 1.0)))(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
    np.testing.assert_array_equal(clipped, [0, 0.5, 1, 0.5, 0])


def test_functions_of_the_library_keep_their_value_at_the_kink(backend: str) -> None:
    x = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(op.grad(lambda x: op.relu(x).sum())(x), [0, 0, 1])
    weight = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(op.grad(op.l1_penalty)(weight, 1.0), [-1, 0, 1])
    # The scores of both classes at the margin: no subgradient of them is chosen twice.
    scores = np.array([[1.0, 0.0]])
    np.testing.assert_array_equal(op.grad(op.multiclass_hinge)(scores, np.array([0])), [[0, 0]])
    params = [(np.ones((1, 2)), np.zeros(2)), (np.ones((2, 1)), None)]
    at_kink = op.grad(lambda x: op.mlp_forward(params, x).sum())(np.zeros((1, 1)))
    np.testing.assert_array_equal(at_kink, [[0.0]])


def test_kinks_and_zeros(backend: str) -> None:
    zeros = np.zeros(3)
    np.testing.assert_array_equal(op.grad(total(lambda xp, x: xp.abs(x)))(zeros), zeros)
    np.testing.assert_array_equal(op.grad(total(lambda xp, x: xp.sqrt(xp.sum(x * x))))(zeros), zeros)
    np.testing.assert_array_equal(op.grad(total(lambda xp, x: xp.linalg.vector_norm(x)))(zeros), zeros)
    np.testing.assert_array_equal(op.grad(np.std)(np.full(3, 2.0)), zeros)
    np.testing.assert_array_equal(op.grad(total(lambda xp, x: xp.sqrt(x)))(zeros), np.full(3, np.inf))
    np.testing.assert_array_equal(op.vjp(np.hypot, zeros, zeros)[1](np.ones(3)), [zeros, zeros])
    # x ** y at (0, 2), (0, 0), (-2, 3), (0, 1)
    base, exponent = np.array([0.0, 0.0, -2.0, 0.0]), np.array([2.0, 0.0, 3.0, 1.0])
    with np.errstate(invalid="ignore"):
        of_base, of_exponent = op.vjp(np.power, base, exponent)[1](np.ones(4))
    np.testing.assert_array_equal(of_base, [0, 0, 12, 1])
    np.testing.assert_array_equal(of_exponent[[0, 1, 3]], zeros)
    np.testing.assert_array_equal(op.grad(total(lambda xp, x: x**0))(zeros), zeros)
    np.testing.assert_array_equal(op.grad(total(lambda xp, x: x**3))(np.array([0.0, -2.0])), [0, 12])


SAFE: dict[str, Callable[[Any, Any], Any]] = {
    "chosen logarithm": lambda xp, x: xp.where(x > 0, xp.log(x), 0.0),
    "chosen logarithm, the other way": lambda xp, x: xp.where(x <= 0, 0.0, xp.log(x)),
    "with a safe argument": lambda xp, x: xp.where(x > 0, xp.log(xp.where(x > 0, x, 1.0)), 0.0),
    "through a chain": lambda xp, x: xp.where(x > 0, xp.log(3 * xp.sqrt(x * 4)) * 2, 0.0),
    "quotient": lambda xp, x: xp.where(x != 0, xp.sin(x) / x, 1.0),
    "power": lambda xp, x: xp.where(x > 0, x**-0.5, 0.0),
}


@pytest.mark.parametrize("name", SAFE)
def test_a_branch_that_is_not_chosen_has_no_gradient(name: str, backend: str) -> None:
    point = np.array([0.0, 0.5, 2.0])
    gradient = op.grad(total(SAFE[name]))(point)
    assert gradient[0] == 0
    alone = op.grad(total(SAFE[name]))(point[1:])
    np.testing.assert_allclose(gradient[1:], alone, rtol=1e-15)
    assert op.check_gradients(total(SAFE[name]), args=(point[1:],)).passed


def test_products_with_zeros(backend: str) -> None:
    x = np.array([[2.0, 3.0, 5.0, 7.0, 11.0], [2.0, 0.0, 3.0, 4.0, 5.0], [0.0, 1.0, 0.0, 2.0, 3.0]])
    others = [[np.prod(np.delete(row, k)) for k in range(5)] for row in x]
    np.testing.assert_allclose(op.grad(total(lambda xp, x: xp.prod(x, axis=1)))(x), others, rtol=1e-15)
    # The second derivative where two of the factors are 0.
    second = op.grad(lambda x: op.grad(lambda x: np.prod(x))(x)[0])(np.array([0.0, 2.0, 0.0, 3.0]))
    np.testing.assert_array_equal(second, [0, 0, 6, 0])
    up_to = op.grad(total(lambda xp, x: xp.cumulative_prod(x)))(np.array([2.0, 0.0, 3.0]))
    np.testing.assert_array_equal(up_to, [1, 2 + 6, 0])


def test_a_singular_matrix_has_cofactors(backend: str) -> None:
    gradient = op.grad(lambda x: np.linalg.det(x))(np.array([[1.0, 2.0], [2.0, 4.0]]))
    np.testing.assert_allclose(gradient, [[4, -2], [-2, 1]], rtol=1e-14)


def test_losses_of_extreme_logits(backend: str) -> None:
    logits = np.array([[1e4, -1e4, 0.0], [-500.0, -501.0, -500.0]])
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)

    def log_sum_exp(x: Any) -> Any:
        largest = np.max(x, axis=1, keepdims=True)
        return np.sum(np.log(np.sum(np.exp(x - largest), axis=1)) + largest[:, 0])

    def stopped(x: Any) -> Any:
        largest = op.stop_gradient(np.max(x, axis=1, keepdims=True))
        return np.sum(np.log(np.sum(np.exp(x - largest), axis=1)) + largest[:, 0])

    for loss in (log_sum_exp, stopped):
        np.testing.assert_allclose(op.grad(loss)(logits), probs, rtol=1e-13, atol=1e-15)
    # At the row's own maximum, where the loss of log(softmax) is finite.
    chosen = op.grad(lambda x: np.log(op.softmax(x))[:, 0].sum())(logits)
    np.testing.assert_allclose(chosen, np.eye(3)[[0, 0]] - probs, rtol=1e-13, atol=1e-15)


def test_elements_without_an_influence_have_no_infinite_slope(backend: str) -> None:
    x = np.array([0.0, 4.0])
    for function in (
        np.log,
        np.log2,
        np.log10,
        np.sqrt,
        lambda x: x**-0.5,
        lambda x: x ** np.array([0.5, 0.5]),
    ):
        gradient = op.grad(lambda x, function=function: function(x)[1])(x)
        assert gradient[0] == 0
        assert np.isfinite(gradient[1])
        assert gradient[1] != 0


def test_stopped_values_are_constants(backend: str) -> None:
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(op.grad(lambda x: (x * op.stop_gradient(x)).sum())(x), x)
    tree = {"a": x, "b": [x, None]}
    stopped = op.grad(lambda t: sum((v * v).sum() for v in (op.stop_gradient(t)["a"], t["b"][0])))(tree)
    np.testing.assert_array_equal(stopped["a"], [0, 0])
    np.testing.assert_array_equal(stopped["b"][0], 2 * x)
    assert stopped["b"][1] is None
    assert op.stop_gradient(x) is x


FIRST, SECOND = np.array([0, -3]), np.array([[2], [3], [3]])
NEW_AXES: list[Callable[[Any], Any]] = [
    lambda x: x[None, FIRST, SECOND],
    lambda x: x[:, :, 0][None, FIRST, SECOND],
    lambda x: x[FIRST, None, SECOND],
    lambda x: x[FIRST, :, None, 1],
    lambda x: x[:, None, SECOND[:, 0]],
    lambda x: x[None, :, SECOND[:, 0], None, [0, 1, 1]],
    lambda x: x[..., FIRST % 2, None],
]


@pytest.mark.parametrize("index", range(len(NEW_AXES)))
def test_new_axes_beside_repeated_indices(index: int, backend: str) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 2))
    assert op.check_gradients(NEW_AXES[index], args=(x,)).passed
