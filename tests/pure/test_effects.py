"""What a function may do besides computing its result, found in its code."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import time
from collections.abc import Callable
from math import exp
from time import perf_counter
from typing import Any

import numpy as np
import numpy as other_name
import pytest
from array_api_compat import array_namespace
from idioms import IDIOMS
from numpy.random import standard_normal
from onepass.backends.trace.effects import effects_of

import onepass as op

x = np.ones((4, 3))


def effect_of(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return effects_of(function, args, kwargs).found


table = np.ones((3, 2))
numbers = np.arange(4)
totals: list[Any] = []
options = {"reduction": "sum", "factor": 0.5}
functions = {"square": np.square, "loud": print}
calls = 0


def squares(v: Any) -> Any:
    return np.sum(v * v, axis=1)


def loud(v: Any) -> Any:
    print(v.shape)
    return v


@op.kernel
def of_a_user(v: Any) -> Any:
    return squares(v) + 1


@op.kernel
def loud_inside(v: Any) -> Any:
    return loud(v) + 1


loss_and_grad = op.value_and_grad(lambda v: np.sum(v**2))


def local_function(v: Any) -> Any:
    def twice(w: Any) -> Any:
        return w * factor

    factor = 2
    parts = [twice(w) for w in (v, v + 1)]
    return sum(np.sum(part) for part in parts) + (lambda w: w.max())(v)


def namespace(v: Any) -> Any:
    xp = array_namespace(v)
    return xp.mean(xp.exp(v) @ xp.astype(table, v.dtype), axis=-1)


def fills_its_own(v: Any) -> Any:
    found = np.zeros(v.shape)
    found[0] = v[0]
    found += 1
    np.add(found, v, out=found)
    return found


def raises_for_others(v: Any) -> Any:
    if v.ndim != 2:
        raise ValueError(f"v has {v.ndim} dimensions")
    return v * 2


def library(v: Any) -> Any:
    loss, grad = op.softmax_cross_entropy_with_grad(v, numbers % 3)
    return loss, op.sgd_step([v], [grad], lr=options["factor"])


def with_a_default(v: Any, scale: Any = 2.0, *, table: Any = table) -> Any:
    return v @ table * scale


PURE: list[Callable[..., Any]] = [
    squares,
    of_a_user,
    local_function,
    namespace,
    fills_its_own,
    raises_for_others,
    library,
    with_a_default,
    functools.partial(squares),
    functools.partial(with_a_default, scale=3.0),
    np.exp,
    op.relu,
    lambda v: loss_and_grad(v),
    lambda v: op.value_and_grad(squares)(v),
    lambda v: v * exp(options["factor"]) * math.pi,
    lambda v: functions["square"](v) if v.ndim == 1 else v,
    lambda v: np.linalg.norm(v, axis=1) + other_name.max(v),
    lambda v: functools.reduce(np.add, [v, v, v]),
    lambda v: [np.float32(2) * v, (v.T, {"a": v.mean()})],
]
PURE[-4] = lambda v: [f(v) for f in (np.square, np.exp)]


@pytest.mark.parametrize("function", PURE, ids=lambda f: getattr(f, "__name__", "partial"))
def test_functions_without_effects(function: Callable[..., Any]) -> None:
    assert effect_of(function, (x,), {}) == ""


def counts(v: Any) -> Any:
    global calls
    calls += 1
    return v * 2


def changes_an_array(v: Any) -> Any:
    numbers[0] += 1
    return v * 2


def changes_an_alias(v: Any) -> Any:
    mine = numbers
    mine += 1
    return v * 2


def writes_out(v: Any) -> Any:
    np.add(numbers, 1, out=numbers)
    return v * 2


def fills(v: Any) -> Any:
    numbers.fill(3)
    return v


def sorts(v: Any) -> Any:
    numbers.sort()
    return v


def imports(v: Any) -> Any:
    import random

    return v * random.random()


def tries(v: Any) -> Any:
    try:
        return v.frobnicate()
    except AttributeError:
        return v * 2


def generates(v: Any) -> Any:
    yield v * 2


def closure() -> Callable[..., Any]:
    count = 0

    def counted(v: Any) -> Any:
        nonlocal count
        count += 1
        return v * 2

    return counted


def noisy(v: Any) -> Any:
    rng = np.random.default_rng()
    return v + rng.normal()


def a_name_of_its_own(v: Any) -> Any:
    module = np
    return v + module.random.random()


def of_a_class(v: Any) -> Any:
    class Local:
        pass

    return v


@dataclasses.dataclass
class Settings:
    """An object whose attributes may be anything."""

    rate: float = 1.0

    def mean(self) -> float:
        print("called")
        return self.rate


class Model:
    """A method is a kernel of `self`."""

    def forward(self, v: Any) -> Any:
        return v * 2

    def __call__(self, v: Any) -> Any:
        return v * 2


settings = Settings()

EFFECTS: list[tuple[Callable[..., Any], str]] = [
    (loud, "names print"),
    (loud_inside, "names print"),
    (functools.partial(loud), "names print"),
    (op.value_and_grad(loud), "names print"),
    (lambda v: op.value_and_grad(loud)(v), "names print"),
    (lambda v: list(map(loud, [v])), "names print"),
    (lambda v, f=loud: f(v), "names print"),
    (lambda v: functions["square"](v), "names print"),
    (counts, "sets a global"),
    (closure(), "sets the variable count of another function"),
    (changes_an_array, "captures an array, and"),
    (changes_an_alias, "captures an array, and has +="),
    (writes_out, "captures an array, and gives out="),
    (fills, "captures an array, and calls fill"),
    (sorts, "captures an array, and calls sort"),
    (imports, "imports a module"),
    (tries, "frobnicate"),
    (generates, "has the generator generates"),
    (noisy, "names random"),
    (a_name_of_its_own, "names random"),
    (lambda v: v + standard_normal(), "names standard_normal"),  # noqa: NPY002
    (lambda v: v + np.random.power(2.0), "names random"),  # noqa: NPY002
    (lambda v: v * time.time(), "names time"),
    (lambda v: v * perf_counter(), "names perf_counter"),
    (lambda v: np.save("file", v), "names save"),
    (lambda v: v.tofile("file"), "names tofile"),
    (lambda v: np.frompyfunc(loud, 1, 1)(v), "names frompyfunc"),
    (np.frompyfunc(loud, 1, 1), "names"),
    (np.vectorize(loud), "names"),
    (lambda v: logging.getLogger().info(v) or v, "names"),
    (lambda v: v * settings.rate, "names Settings"),
    (lambda v: eval("v"), "names eval"),
    (lambda v, name="T": getattr(v, name), "names getattr"),
    (lambda v: setattr(settings, "rate", 2) or v, "names setattr"),
    (lambda v: v * undefined, "names undefined, which does not exist"),  # type: ignore[name-defined]  # noqa: F821
    (of_a_class, "defines a class"),
    (Model().forward, "names forward"),
    (Model(), "names Model"),
]


@pytest.mark.parametrize(("function", "effect"), EFFECTS, ids=[effect for _, effect in EFFECTS])
def test_functions_that_may_have_effects(function: Callable[..., Any], effect: str) -> None:
    assert effect in effect_of(function, (x,), {})
    assert effect_of(function, (x,), {})


@pytest.mark.parametrize(
    ("argument", "effect"),
    [
        (object(), "names object"),
        (Settings(), "names Settings"),
        (loud, "names print"),
        ([x, {"a": Model()}], "names Model"),
        ([x, {"a": (1, 2.5, None, "b", np.float32(2))}], ""),
        (squares, ""),
    ],
)
def test_objects_among_the_arguments(argument: Any, effect: str) -> None:
    assert effect_of(lambda v, other: v, (x, argument), {}) == effect
    assert effect_of(lambda v, other: v, (x,), {"other": argument}) == effect


def test_a_function_that_was_bound_anew() -> None:
    inner = squares

    def outer(v: Any) -> Any:
        return inner(v)

    assert effect_of(outer, (x,), {}) == ""
    inner = loud
    assert effect_of(outer, (x,), {}) == "names print"


def test_most_idioms_have_no_effects() -> None:
    found = {idiom.name: effect_of(idiom.function, idiom.args, {}) for idiom in IDIOMS}
    refused = {name: effect for name, effect in found.items() if effect}
    assert len(refused) < 0.1 * len(found), refused
