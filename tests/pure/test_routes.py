"""What a kernel keeps of its calls is found again, is bounded, and goes with the objects it belongs to."""

from __future__ import annotations

import gc
import itertools
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from onepass.backends import signature_of_call
from onepass.backends.trace.guards import Guards

import onepass as op
from onepass import compilation, option_ranges, routes
from onepass.dispatch import KernelFunction


class Program:
    """Stands in for a compiled program."""

    def __init__(self, function: Callable[..., Any], kernel: str, check: Any) -> None:
        self.function, self.kernel = function, kernel
        self.guards, self.captured = Guards(check, []), []

    def __call__(self, values: Any) -> Any:
        return self.function(*values)


@pytest.fixture(params=["without guards", "with guards"])
def programs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Weak references to all programs that are made."""
    made: list[Any] = []

    def make(function: Any, name: str, *_: Any) -> Program:
        check = (lambda values: values) if request.param == "with guards" else None
        program = Program(function, name, check)
        made.append(weakref.ref(program))
        return program

    monkeypatch.setattr(compilation, "compile_for_cpu", make)
    monkeypatch.setattr(compilation, "cpu_why_not", lambda: "")
    # Whatever is left behind must go without the garbage collector.
    gc.collect()
    gc.disable()
    yield made
    gc.enable()


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the first arrays of calls whose route had to be found out."""
    sizes: list[int] = []
    make = KernelFunction._make_route

    def counted(self: KernelFunction, args: Any, kwargs: Any, **more: Any) -> Any:
        sizes.append(args[0].size)
        return make(self, args, kwargs, **more)

    monkeypatch.setattr(KernelFunction, "_make_route", counted)
    return sizes


def double(x: Any, *_: Any) -> Any:
    return x * 2


def routes_of(kernel: Any) -> Any:
    return kernel._routes


def test_the_oldest_unused_route_gives_way(found: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_ROUTES", 4)
    kernel = op.kernel(double)
    with op.use_backend("numpy"):
        for size in range(1, 21):
            for n in (1, size, 1):
                np.testing.assert_array_equal(kernel(np.full(n, 3.0)), np.full(n, 6.0))
    assert found == list(range(1, 21))
    assert len(routes_of(kernel)) == 4
    with op.use_backend("numpy"):
        for n in (20, 19, 18, 1):
            kernel(np.ones(n))
    assert found == list(range(1, 21))
    with op.use_backend("numpy"):
        kernel(np.ones(2))
    assert found[20:] == [2]


def test_routes_that_are_all_used_give_way_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_ROUTES", 4)
    kernel = op.kernel(double)
    with op.use_backend("numpy"):
        for n in (1, 2, 3, 4) * 2:
            kernel(np.ones(n))
        kernel(np.ones(5))
        kernel(np.ones(5))
    assert len(routes_of(kernel)) == 4


def test_a_program_goes_with_its_route(programs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_ROUTES", 4)
    kernel = op.kernel(double)
    for n in range(1, 11):
        np.testing.assert_array_equal(kernel(np.full(n, 3.0)), np.full(n, 6.0))
    assert [made() is not None for made in programs] == [False] * 6 + [True] * 4


def test_a_route_goes_with_an_object_of_its_signature(programs: list[Any]) -> None:
    class Model:
        pass

    kernel = op.kernel(double)
    models, function = [Model(), Model()], lambda: None
    x = np.ones(3)
    for note in (*models, function):
        for _ in range(2):
            kernel(x, note)
    assert len(programs) == len(routes_of(kernel)) == 3
    models.pop(0)
    assert len(routes_of(kernel)) == 2
    del function
    note = None
    assert len(routes_of(kernel)) == 1
    assert [made() is not None for made in programs] == [False, True, False]


def test_an_object_gathers_no_references(programs: list[Any]) -> None:
    class Model:
        pass

    kernel, model = op.kernel(double), Model()
    for n in range(1, routes.MAX_ROUTES + 100):
        kernel(np.ones(n), model)
    assert len(routes_of(kernel)) == routes.MAX_ROUTES
    # Signatures share one reference, and each route has one with its callback.
    assert weakref.getweakrefcount(model) <= routes.MAX_ROUTES + 1


@pytest.mark.parametrize("notes", ["one", "many"])
def test_thousands_of_signatures_leave_nothing_behind(programs: list[Any], notes: str) -> None:
    class Model:
        pass

    kernel, model = op.kernel(double), Model()
    sizes = itertools.count(1)

    def blocks_after(calls: int) -> int:
        for size in itertools.islice(sizes, calls):
            kernel(np.ones(size), model if notes == "one" else Model())
        programs.clear()
        return sys.getallocatedblocks()

    first = blocks_after(1000)
    assert blocks_after(2000) - first < 1000


def test_a_failed_call_leaves_no_argument_behind() -> None:
    def cannot_be_compiled(x: Any) -> Any:
        return np.histogram(x)[0].sum() + 0.0

    kernel = op.kernel(cannot_be_compiled)
    x = np.ones(3)
    with pytest.warns(RuntimeWarning, match="operation by operation"):
        kernel(x)
    gc.collect()
    gc.disable()
    try:
        x = np.full(4, 2.0)
        argument = weakref.ref(x)
        assert kernel(x) == 4.0
        del x
        assert argument() is None
    finally:
        gc.enable()


def test_keywords_for_positions_find_the_same_route(programs: list[Any]) -> None:
    x, weight, bias = np.ones((2, 3)), np.ones((3, 4)), np.ones(4)
    routes_of(op.linear).clear()
    op.linear(x, weight, bias)
    op.linear(x, weight, bias=bias)
    op.linear(x, bias=bias, weight=weight)
    op.linear(bias=bias, weight=weight, x=x)
    assert len(programs) == len(routes_of(op.linear)) == 1
    op.linear(x, weight)
    assert len(routes_of(op.linear)) == 2
    routes_of(op.linear).clear()


NUMBERS = [
    *(-np.inf, -2.5, -1.0, -0.25, -5e-324, -0.0, 0.0, 5e-324, 0.25, 1 - 2**-53),
    *(1.0, 1 + 2**-52, 2.5, 1e308, np.inf, np.nan, -(2**70), -3, -1, 0, 1, 2, 3, 2**62, 2**63, 2**70),
]


@pytest.mark.parametrize("option", [name for name in option_ranges.RANGES if name not in option_ranges.PAIRS])
def test_numbers_of_one_signature_are_in_the_same_ranges(option: str) -> None:
    verdicts: dict[Any, set[bool]] = {}
    for number in NUMBERS:
        try:
            verdict = option_ranges.RANGES[option]("f", option, number)
        except ValueError:
            verdict = False
        verdicts.setdefault(signature_of_call((number,), {}, []), set()).add(verdict)
    assert all(len(verdict) == 1 for verdict in verdicts.values())
    assert {True, False} == set().union(*verdicts.values())


def test_values_that_a_signature_does_not_decide_are_checked_in_every_call(backend: str) -> None:
    params, grads, state = [np.ones(2)], [np.ones(2)], op.rprop_init([np.ones(2)])
    logits = np.zeros((2, 3))
    for _ in range(2):
        op.rprop_step(params, grads, state, etas=(0.5, 1.2))
        op.softmax_cross_entropy(logits, np.array([0, 2]), label_smoothing=0.25)
        with pytest.raises(ValueError, match="step_sizes"):
            op.rprop_step(params, grads, state, etas=(0.5, 1.2), step_sizes=(0.5, 0.25))
        op.rprop_step(params, grads, state, etas=(0.5, 1.2), step_sizes=(0.25, 0.5))
        with pytest.raises(ValueError, match=r"labels\[1\] is 3"):
            op.softmax_cross_entropy(logits, np.array([0, 3]), label_smoothing=0.25)
        with pytest.raises(ValueError, match="label_smoothing"):
            op.softmax_cross_entropy(logits, np.array([0, 2]), label_smoothing=1.5)
        with pytest.raises(ValueError, match="lr"):
            op.sgd_step(params, grads, np.float64(-1))
        np.testing.assert_array_equal(op.sgd_step(params, grads, np.float64(0.5))[0], np.full(2, 0.5))


a, b, c, d = (np.ones(n) for n in (2, 2, 2, 2))
DIFFERENT: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((a, b, c, d), {}),
    (([a, b, c, d],), {}),
    (((a, b, c, d),), {}),
    (([a, b], [c, d]), {}),
    (([a, b], c, d), {}),
    (([a, b, c], d), {}),
    ((a, [b, c], d), {}),
    (([[a, b], c], d), {}),
    (([[a], b, c], d), {}),
    (([a, b, c, d], []), {}),
    (([[], a, b, c, d],), {}),
    (({"a": a, "b": b}, c, d), {}),
    (({"a": a, "b": b, "c": c}, d), {}),
    ((a, b, c), {"d": d}),
    ((a, b), {"c": c, "d": d}),
    ((a, b), {"d": c, "c": d}),
    ((a, b), {"c": [c, d]}),
    ((a, b, ("c", "d"), c, d), {}),
    ((a, b, c, d, 2), {}),
    ((a, b, c, d, 2.0), {}),
    ((a, b, c, d, 0.5), {}),
    ((a, b, c, d, 1), {}),
    ((a, b, c, d, True), {}),
    ((a, b, c, d, "1"), {}),
    ((a, b, c, d, None), {}),
]


def test_calls_of_other_trees_have_other_signatures() -> None:
    signatures = [signature_of_call(args, kwargs, []) for args, kwargs in DIFFERENT]
    assert len(set(signatures)) == len(DIFFERENT)
    assert signatures == [signature_of_call(args, kwargs, []) for args, kwargs in DIFFERENT]
