"""A kernel computes with what there is at a call, whatever there was at the first one."""

from __future__ import annotations

import dataclasses
import enum
import functools
import gc
import math
import sys
import types
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onepass.backends.cpu.llvm import cache

import onepass as op
from onepass import compilation, routes

x = np.array([1.0, 2.0])


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The source of every program that is made."""
    found: list[str] = []
    load = cache.load

    def counted(source: str, *how: Any) -> Any:
        found.append(source)
        return load(source, *how)

    monkeypatch.setattr(cache, "load", counted)
    return found


class Mode(enum.Enum):
    PLUS = 1
    MINUS = -1


class Word(str):
    """An option of a type of its own."""


class Whole(int):
    """An integer of a type of its own, which NumPy does not take for weak."""


OPTIONS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "truth": (
        lambda v, t: v * 2 if t else v * 3,
        [True, np.True_, 1, 0, np.False_, False, 0.0, "", "a", None],
    ),
    "text": (lambda v, t: v * len(t), ["a", np.str_("ab"), Word("abc"), "abc", Word("a")]),
    "mode": (lambda v, t: v * t.value, [Mode.PLUS, Mode.MINUS]),
    "number": (
        lambda v, t: v * t,
        [1, 1.0, True, np.int64(2), np.float64(3), np.float32(0.1), Whole(4), -1, 0],
    ),
    "zero": (lambda v, t: np.asarray(1.0) * v * t, [0.0, -0.0]),
    "array": (lambda v, t: v * t, [np.array(3.0), np.array(2), np.array(2.0), np.float64(2)]),
    "kind": (lambda v, t: v * 2 if isinstance(t, float) else v, [1.5, 2, np.float64(2), np.int64(2), True]),
    "huge": (lambda v, t: v * t, [2**70, 2**71, -(2**80)]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_has_its_own_value_at_every_call(name: str) -> None:
    function, options = OPTIONS[name]
    kernel = op.kernel(function)
    for option in [*options, *reversed(options)]:
        got, expected = kernel(x, option), function(x, option)
        assert got.tobytes() == expected.tobytes(), option
        assert got.dtype == expected.dtype


def test_an_option_of_the_library_may_be_of_any_integer_type() -> None:
    scores, labels = np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([-1, 1])
    for ignored in (-1, np.int64(-1), np.int8(-1), np.array(-1), Whole(-1)):
        op.softmax_cross_entropy(scores, np.array([-100, 1]), ignore_index=np.int64(-100))
        got = op.softmax_cross_entropy(scores, labels, ignore_index=ignored)
        assert got == pytest.approx(math.log1p(math.exp(-3)))
    with pytest.raises(ValueError, match=r"labels\[0\] is -1"):
        op.softmax_cross_entropy(scores, labels, ignore_index=np.int64(-100))
    for axis, expected in ((0, 0.5), (np.int64(1), 1.0), (np.int32(0), 0.5)):
        assert op.softmax(np.ones((2, 1)), axis=axis)[0, 0] == expected


def test_a_scalar_alone_is_an_array_of_shape_nothing() -> None:
    assert [op.relu(np.float64(n)) for n in (2, 3, -1)] == [2, 3, 0]
    assert op.relu(np.array(4.0)) == 4
    parameter = np.array(1.0)
    for expected in (0.8, 0.64, 0.512, 0.4096):
        parameter = op.sgd_step(parameter, 2 * parameter, 0.1)
        assert parameter.shape == ()
        assert parameter == pytest.approx(expected)
    assert op.sgd_step(x, x, np.float64(0)).tolist() == [1, 2]
    assert op.sgd_step(x, x, np.float64(1)).tolist() == [0, 0]
    with pytest.raises(ValueError, match="lr is -1"):
        op.sgd_step(x, x, np.float64(-1))


SCALE = 2.0
WEIGHT = np.array([1.0, 1.0])
SETTINGS: dict[str, Any] = {"rate": 2.0, "weight": WEIGHT, "layers": [np.ones(2)]}


def scaled(v: Any) -> Any:
    return v * SCALE


@op.kernel
def by_globals(v: Any) -> Any:
    return scaled(v) * WEIGHT + SETTINGS["rate"] * SETTINGS["weight"] + SETTINGS["layers"][0]


def test_a_global_that_is_bound_anew_has_its_new_value(monkeypatch: pytest.MonkeyPatch) -> None:
    here = sys.modules[__name__]

    def check() -> None:
        np.testing.assert_array_equal(by_globals(x), by_globals.__wrapped__(x))

    check()
    monkeypatch.setattr(here, "SCALE", 5.0)
    check()
    monkeypatch.setattr(here, "WEIGHT", np.array([7.0, 8.0]))
    check()
    monkeypatch.setattr(here, "scaled", lambda v: v - SCALE)
    check()
    monkeypatch.setattr(here, "SCALE", np.array([[3.0, 4.0]]))
    check()
    monkeypatch.setitem(SETTINGS, "rate", 3)
    check()
    monkeypatch.setitem(SETTINGS, "weight", np.ones(2, np.float32) / 3)
    check()
    monkeypatch.setitem(SETTINGS, "layers", [np.zeros(2), 1])
    check()
    SETTINGS["layers"][0][:] = 9
    check()


activation: Any = op.relu
FUNCTIONS: dict[str, Any] = {"first": np.exp, "second": (op.relu, 1.0)}


@op.kernel
def by_functions(v: Any) -> Any:
    return activation(v) + FUNCTIONS["first"](v) + FUNCTIONS["second"][0](v)


def test_a_name_of_a_function_of_a_library_that_is_bound_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    here = sys.modules[__name__]
    for name in ("tanh", "sigmoid", "relu"):
        monkeypatch.setattr(here, "activation", getattr(op, name))
        np.testing.assert_allclose(by_functions(x), by_functions.__wrapped__(x), rtol=1e-14)
        monkeypatch.setitem(FUNCTIONS, "second", (getattr(op, name), 1.0))
        np.testing.assert_allclose(by_functions(x), by_functions.__wrapped__(x), rtol=1e-14)
    monkeypatch.setitem(FUNCTIONS, "first", np.sum)
    np.testing.assert_allclose(by_functions(x), by_functions.__wrapped__(x), rtol=1e-14)
    monkeypatch.setitem(FUNCTIONS, "first", np.mean)
    np.testing.assert_allclose(by_functions(x), by_functions.__wrapped__(x), rtol=1e-14)


def of_a_module(v: Any) -> Any:
    return v * 2


def test_new_code_of_a_function_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reloading a module in a notebook gives the functions that are there new code."""
    kernel = op.kernel(lambda v: of_a_module(v) + 1)
    assert kernel(x).tolist() == (x * 2 + 1).tolist()
    monkeypatch.setattr(of_a_module, "__code__", (lambda v: v * 3).__code__)
    assert kernel(x).tolist() == (x * 3 + 1).tolist()


def test_a_variable_of_a_closure_that_is_bound_anew_has_its_new_value() -> None:
    weight: Any = np.ones(2)
    kernel = op.kernel(lambda v: v * weight)
    for value in (
        np.ones(2),
        np.full(2, 5.0),
        2.0,
        2,
        np.float32(3),
        np.ones((3, 2)),
        np.ones(2, np.float32),
    ):
        weight = value
        got, expected = kernel(x), x * weight
        assert got.tobytes() == expected.tobytes()
        assert got.shape == expected.shape
    weight = np.ones(2)
    kernel(x)
    weight *= 7  # in its own memory
    assert kernel(x).tolist() == [7, 14]


def test_what_numpy_computes_of_a_captured_array_is_computed_anew() -> None:
    weight = np.array([3.0, 4.0])
    element, doubled = op.kernel(lambda v: v * weight[0]), op.kernel(lambda v: v * (2 * weight))
    branch = op.kernel(lambda v: v if weight[0] > 5 else -v)
    both = op.kernel(lambda v: v * weight + weight[1])
    for first in (3.0, 7.0, 5.0):
        weight[0] = first
        for kernel in (element, doubled, branch, both):
            np.testing.assert_array_equal(kernel(x), kernel.__wrapped__(x))
    weight[1] = 11
    np.testing.assert_array_equal(both(x), x * weight + 11)


def test_a_captured_array_that_is_returned_is_the_one_that_is_there() -> None:
    weight = np.ones(2)
    kernel = op.kernel(lambda v: (v, weight))
    kernel(x)
    weight = np.full(2, 4.0)
    assert kernel(x)[1].tolist() == [4, 4]


def test_an_attribute_of_a_module_has_its_new_value(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: Any = types.ModuleType("settings_of_a_test")
    settings.rate, settings.weight = 2.0, np.ones(2)
    monkeypatch.setitem(sys.modules, "settings_of_a_test", settings)

    def imports(v: Any) -> Any:
        import settings_of_a_test as inside  # type: ignore[import-not-found]

        return v * inside.rate + settings.weight

    kernel = op.kernel(imports)
    assert kernel(x).tolist() == [3, 5]
    settings.rate = 3.0
    assert kernel(x).tolist() == [4, 7]
    settings.weight = np.zeros(2)
    assert kernel(x).tolist() == [3, 6]


class Model:
    """An object with a kernel as its method."""

    bias = 0.0

    def __init__(self) -> None:
        self.weight, self.rate, self.calls = np.full(2, 3.0), 2.0, 0

    @op.kernel
    def forward(self, v: Any) -> Any:
        return self.activation(v * self.weight * self.rate) + self.bias

    def activation(self, v: Any) -> Any:
        return v * SCALE


def test_an_object_is_itself_and_its_attributes_are_those_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    model, other = Model(), Model()
    other.weight = np.array([1.0, 0.0])
    kernels = [model.forward, other.forward, op.kernel(model.activation), lambda v: Model.forward(other, v)]

    def check() -> None:
        for kernel in kernels[:2]:
            inside = kernel.__self__  # type: ignore[attr-defined]
            expected = v_of(inside)
            np.testing.assert_array_equal(kernel(x), expected)
        np.testing.assert_array_equal(kernels[3](x), v_of(other))

    def v_of(one: Model) -> Any:
        return one.activation(x * one.weight * one.rate) + one.bias

    check()
    model.weight = np.zeros(2)
    check()
    model.rate, other.rate = 7.0, 8
    check()
    monkeypatch.setattr(Model, "bias", 5.0)
    check()
    monkeypatch.setattr(Model, "activation", lambda self, v: -v)
    check()
    model.bias = np.ones(2)
    check()


def test_what_a_kernel_does_not_read_of_an_object_costs_no_trace(traces: list[str]) -> None:
    model = Model()
    for _ in range(12):
        model.calls += 1
        model.forward(x)
    assert len(traces) == 1


def test_an_object_is_not_kept_alive() -> None:
    model = Model()
    model.forward(x)
    dead, weight = weakref.ref(model), weakref.ref(model.weight)
    del model
    gc.collect()
    assert dead() is None
    assert weight() is None


def test_the_arrays_of_the_first_call_are_not_kept_alive() -> None:
    kernel = op.kernel(lambda v: v * 2)
    first = np.ones(1000)
    kernel(first)
    dead = weakref.ref(first)
    del first
    gc.collect()
    assert dead() is None


def test_a_program_whose_route_gave_way_is_not_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    compile_for_cpu = compilation.compile_for_cpu

    def counted(*call: Any) -> Any:
        program = compile_for_cpu(*call)
        made.append(weakref.ref(program))
        return program

    monkeypatch.setattr(compilation, "compile_for_cpu", counted)
    monkeypatch.setattr(routes, "MAX_ROUTES", 2)
    kernel = op.kernel(lambda v: v * 2)
    for size in range(2, 8):
        np.testing.assert_array_equal(kernel(np.full(size, 3.0)), np.full(size, 6.0))
    gc.collect()
    assert [program() is not None for program in made] == [False] * 4 + [True] * 2


@dataclasses.dataclass
class Settings:
    rate: Any
    name: str = "a"


def test_settings_of_any_class_have_their_values_of_now() -> None:
    kernel = op.kernel(lambda v, settings: v * settings.rate)
    plain: Any = types.SimpleNamespace(rate=2.0)
    for settings in (Settings(2.0), Settings(3), Settings(x), plain):
        np.testing.assert_array_equal(kernel(x, settings), x * settings.rate)
    plain.rate = 9.0
    np.testing.assert_array_equal(kernel(x, plain), 9 * x)


def test_partials_and_callable_objects_are_looked_into() -> None:
    weight = np.ones(2)
    kernel = op.kernel(functools.partial(lambda v, w, *, k: v * w * k, w=weight, k=3.0))
    assert kernel(x).tolist() == [3, 6]
    weight[:] = 2
    assert kernel(x).tolist() == [6, 12]
    applied = op.kernel(lambda v, f: f(v))
    assert applied(x, lambda v: v + 1).tolist() == [2, 3]
    assert applied(x, lambda v: v + 2).tolist() == [3, 4]


def test_attributes_that_are_read_by_name_have_their_values_of_now() -> None:
    settings: Any = types.SimpleNamespace(rate=2.0)
    name = "rate"
    kernels = [
        op.kernel(lambda v: v * getattr(settings, name)),
        op.kernel(lambda v: v * vars(settings)["rate"]),
    ]
    for settings.rate in (2.0, 5.0, x):
        for kernel in kernels:
            np.testing.assert_array_equal(kernel(x), x * settings.rate)


def outer_of(scale: list[Any]) -> Callable[..., Any]:
    def inner(v: Any) -> Any:
        return v * scale[0] + sum(scale[1:])

    return functools.wraps(inner)(lambda v: inner(v) * SCALE)


def test_functions_that_are_called_are_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    scale: list[Any] = [np.ones(2), 1.0]
    function = outer_of(scale)
    inside, outside = op.kernel(function), op.kernel(lambda v: inside(v) - 1)
    for change in (lambda: None, lambda: scale.append(3.0), lambda: scale.insert(0, 7), lambda: scale.pop()):
        change()
        np.testing.assert_array_equal(inside(x), function(x))
        np.testing.assert_array_equal(outside(x), function(x) - 1)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 11.0)
    np.testing.assert_array_equal(outside(x), function(x) - 1)
    inside = op.kernel(lambda v: -v)
    np.testing.assert_array_equal(outside(x), -x - 1)


def test_defaults_and_large_and_unordered_containers_have_their_values_of_now() -> None:
    def defaults(v: Any, w: Any = np.ones(2), *, more: Any = [2.0]) -> Any:  # noqa: B006, B008
        return v * w * more[0]

    many, some = [float(n) for n in range(1000)], {1.0}
    kernel, others = op.kernel(defaults), op.kernel(lambda v: v * many[700] * max(some))
    for number in (1.0, 4.0, 9.0):
        assert defaults.__defaults__ is not None
        defaults.__defaults__[0][:] = number
        defaults.__kwdefaults__["more"][0] = -number
        many[700] = number
        some.add(number)
        np.testing.assert_array_equal(kernel(x), defaults(x))
        np.testing.assert_array_equal(others(x), x * number * number)


def test_a_comparison_keeps_its_outcome(traces: list[str]) -> None:
    kernel = op.kernel(lambda v, n: v * 2 if n > 3 else v * 3)
    for number in [*range(-4, 12), *np.linspace(0.1, 40, 60).tolist(), 3.0, math.nan]:
        assert kernel(x, number)[0] == (2 if number > 3 else 3), number
    # An int and a float, those below 0, between 0 and 1, and above are different forms.
    assert len(traces) <= 12
    smallest = op.kernel(lambda v, a, b: v * min(a, b) / sorted([a, b])[1])
    for a, b in ((2.0, 3.0), (3.0, 2.0), (5.0, 4.0), (4.0, 4.0)):
        np.testing.assert_array_equal(smallest(x, a, b), x * min(a, b) / max(a, b))


def test_a_new_number_in_the_graph_is_no_new_program(traces: list[str]) -> None:
    rate = 0.3
    kernel = op.kernel(lambda v: v * rate - math.exp(rate))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for rate in (0.3, 0.7, 1.5, 1e-9, 12.678, -3.25):
            np.testing.assert_array_equal(kernel(x), x * rate - math.exp(rate))
    assert len(traces) == 6
    assert len(set(traces)) == 1


ASKED: dict[str, Callable[..., Any]] = {
    "float": lambda v, n: v * float(n),
    "int": lambda v, n: v * int(n),
    "round": lambda v, n: v * round(n) + math.floor(n) - math.ceil(n) + math.trunc(n),
    "range": lambda v, n: sum((v for _ in range(int(n))), 0 * v),
    "math": lambda v, n: v * math.sqrt(n),
    "text": lambda v, n: v * len(f"{n:.3f}"),
    "repeated": lambda v, n: sum([1.0] * int(n)) * v,
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.filterwarnings("ignore:.*was traced 8 times")
def test_a_number_that_is_asked_for_is_right_at_every_call(name: str) -> None:
    kernel = op.kernel(ASKED[name])
    numbers = (3, 2.5, 3.5, 2.5, 11, 4, np.float64(3), np.float64(5), np.array(2.0), np.array(6.0))
    for number in numbers[: -2 if name == "round" else None]:
        np.testing.assert_array_equal(kernel(x, number), ASKED[name](x, number))


def test_the_eighth_trace_for_one_number_warns_once() -> None:
    kernel = op.kernel(lambda v, number: v * float(number))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(2, 9):
            kernel(x, number)
        assert not caught
        for number in range(9, 20):
            kernel(x, number)
    (warning,) = caught
    assert str(warning.message).startswith("<lambda>: was traced 8 times because number was another number")
    assert f"({__file__}, line " in str(warning.message)
    assert warning.filename == __file__
