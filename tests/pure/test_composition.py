"""Functions that do nothing but call kernels of the library, found in their code."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onepass.backends.trace.composition import not_composed

import onepass as op
from onepass import relu

x = np.ones((4, 3))
labels = np.array([0, 1, 2, 0])
params = [(np.ones((3, 5)), np.zeros(5)), (np.ones((5, 3)), np.zeros(3))]
options: dict[str, Any] = {"l2": 1e-3, "activation": "sigmoid"}
large = list(range(300))
activations = (op.relu, op.tanh)
table = np.ones(3)


def found_in(function: Any, *args: Any, **kwargs: Any) -> str:
    return not_composed(function, args, kwargs, [])


def layer(v: Any, weight: Any, bias: Any) -> Any:
    return op.relu(op.linear(v, weight, bias))


@op.kernel
def layer_kernel(v: Any, weight: Any, bias: Any) -> Any:
    return layer(v, weight, bias)


def step(params: Any, v: Any, labels: Any, lr: float) -> Any:
    loss, grads = op.mlp_loss_and_grads(params, v, labels, **options)
    return loss, op.sgd_step(params, grads, lr)


def loops(params: Any, v: Any, *rest: Any) -> Any:
    hidden = []
    for activation, (weight, bias) in zip(activations, params, strict=True):
        v = activation(op.linear(v, weight, bias))
        hidden = [*hidden, v]
    first, *others = hidden
    return {"first": first, "others": [op.softmax(h, axis=1) for h in others], "x": (relu(v), None, 1.5)}


def inner(params: Any, v: Any, labels: Any) -> Any:
    def own(w: Any) -> Any:
        return op.linear(w, weight, bias)

    weight, bias = params[0]
    return own(v)


COMPOSED: list[Callable[..., Any]] = [
    functools.partial(step, lr=0.1),
    lambda params, v, labels: step(params, v, labels, 0.1),
    lambda params, v, labels: op.adam_step(params, params, op.adam_init(params), lr=1e-3),
    lambda params, v, labels, scale=2.0, *, axis=1: op.softmax(v, axis=axis),
    loops,
    inner,
    layer_kernel,
]


@pytest.mark.parametrize("function", COMPOSED, ids=lambda f: getattr(f, "__name__", "partial"))
def test_functions_of_kernels(function: Any) -> None:
    assert found_in(function, params, x, labels) == ""


def loud(params: Any, v: Any, labels: Any) -> Any:
    print(v.shape)
    return op.relu(v)


@op.kernel
def loud_kernel(params: Any, v: Any, labels: Any) -> Any:
    return loud(params, v, labels)


calls = 0


def counts(params: Any, v: Any, labels: Any) -> Any:
    global calls
    calls = 1
    return op.relu(v)


def closure() -> Callable[..., Any]:
    count = 0

    def counted(params: Any, v: Any, labels: Any) -> Any:
        nonlocal count
        count = 1
        return op.relu(v)

    return counted


def imports(params: Any, v: Any, labels: Any) -> Any:
    import random

    return op.relu(v), random


def tries(params: Any, v: Any, labels: Any) -> Any:
    try:
        return op.relu(v)
    except ValueError:
        return v


def branches(params: Any, v: Any, labels: Any) -> Any:
    if labels:
        return op.relu(v)
    return v


def generates(params: Any, v: Any, labels: Any) -> Any:
    yield op.relu(v)


def sets_items(params: Any, v: Any, labels: Any) -> Any:
    result = {}
    result["v"] = op.relu(v)
    return result


class Model:
    """A method is a kernel of `self`."""

    def forward(self, params: Any, v: Any, labels: Any) -> Any:
        return op.relu(v)

    __call__ = forward


other = op
OTHERS: list[tuple[Callable[..., Any], str]] = [
    (loud, "names print"),
    (loud_kernel, "names print"),
    (functools.partial(loud), "names print"),
    (lambda params, v, labels: [loud(params, w, labels) for w in [v]], "names print"),
    (lambda params, v, labels, f=loud: f(params, v, labels), "names print"),
    (lambda params, v, labels: op.value_and_grad(step)(params, v, labels), "names value_and_grad"),
    (lambda params, v, labels: op.use_backend("numba"), "names use_backend"),
    (lambda params, v, labels: np.exp(v), "names exp"),
    (np.exp, "names exp"),
    (lambda params, v, labels: v.sum(), "names the attribute sum"),
    (lambda params, v, labels: op.relu.reference(v), "names the attribute reference"),
    (lambda params, v, labels: [other, v], "names the module onepass"),
    (lambda params, v, labels: op.relu(v) + 1, "has the instruction BINARY_OP"),
    (lambda params, v, labels: op.relu(-v), "has the instruction UNARY_NEGATIVE"),
    (lambda params, v, labels: v[labels], "has the instruction BINARY_"),
    (lambda params, v, labels: v[1:], "has the instruction"),
    (lambda params, v, labels: v is labels, "has the instruction IS_OP"),
    (lambda params, v, labels: v == labels, "has the instruction COMPARE_OP"),
    (lambda params, v, labels: f"{v}", "has the instruction FORMAT_"),
    (lambda params, v, labels: op.relu(v) if labels is None else v, "has the instruction"),
    (lambda params, v, labels: op.linear(v, table), "names ndarray"),
    (lambda params, v, labels: op.sgd_step(v, v, large[0]), "names a list of 300 items"),
    (lambda params, v, labels: sum([v, v]), "names sum"),
    (lambda params, v, labels: undefined(v), "names undefined, which does not exist"),  # type: ignore[name-defined]  # noqa: F821
    (counts, "has the instruction STORE_GLOBAL"),
    (closure(), "sets the variable count of another function"),
    (imports, "has the instruction IMPORT_NAME"),
    (tries, "has the instruction PUSH_EXC_INFO"),
    (branches, "has the instruction"),
    (generates, "has the instruction"),
    (sets_items, "has the instruction STORE_SUBSCR"),
    (Model().forward, "names forward"),
    (Model(), "names Model"),
]


@pytest.mark.parametrize(("function", "something"), OTHERS, ids=[something for _, something in OTHERS])
def test_functions_that_do_something_else(function: Any, something: str) -> None:
    assert something in found_in(function, params, x, labels)


@dataclasses.dataclass
class Settings:
    """An object whose attributes may be anything."""

    rate: float = 1.0


@pytest.mark.parametrize(
    ("argument", "something"),
    [
        (object(), "has an argument of type object"),
        (Settings(), "has an argument of type Settings"),
        (loud, "has an argument of type function"),
        (np.float32(2), "has an argument of type float32"),
        ([x, {"a": Model()}], "has an argument of type Model"),
        ([x, {"a": (1, 2.5, None, "b", True)}], ""),
        (op.adam_init(params), ""),
    ],
)
def test_arguments(argument: Any, something: str) -> None:
    def second(v: Any, other: Any) -> Any:
        return op.relu(v)

    assert found_in(second, x, argument) == something
    assert found_in(second, x, other=argument) == something


def test_the_lists_and_dicts_that_a_function_reaches() -> None:
    reached: list[Any] = []
    given = [x, {"a": (x, [1.0])}]
    assert not_composed(lambda v: op.relu(v, **options), (given,), {}, reached) == ""
    assert [type(one) for one in reached] == [dict, list, dict, list]
    assert reached[0] is options
    assert reached[1] is given


def test_a_function_that_was_bound_anew() -> None:
    own: Any = layer

    def outer(v: Any) -> Any:
        return own(v, v, v)

    assert found_in(outer, x) == ""
    own = loud
    assert found_in(outer, x) == "names print"
