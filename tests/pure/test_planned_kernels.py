"""The backend "numpy" and kernels of a user: programs run only where nobody sees a difference."""

from __future__ import annotations

import contextlib
import copy
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from idioms import IDIOMS, Idiom
from onepass.backends import leaves, map_leaves, planned
from onepass.backends.numpy_program import NumpyProgram
from onepass.backends.planned import MAX_PROGRAMS, is_same

import onepass as op

random = np.random.default_rng(5)
x = random.standard_normal((6, 4))
labels = np.array([0, 1, 2, 3, 0, 1])


@pytest.fixture(autouse=True)
def on_numpy() -> Iterator[None]:
    with op.use_backend("numpy"):
        yield


class Programs:
    """The kernels whose programs are made, in order, and the number of their calls."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.calls = 0


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A kernel is planned in its second call."""
    monkeypatch.setattr(planned, "FIRST_PLANNED", 1)
    found = Programs()
    make, call = NumpyProgram.__init__, NumpyProgram.__call__

    def counted_make(self: Any, function: Any, name: str, *rest: Any) -> None:
        make(self, function, name, *rest)
        found.made.append(name)

    def counted_call(self: Any, values: Any) -> Any:
        found.calls += 1
        return call(self, values)

    monkeypatch.setattr(NumpyProgram, "__init__", counted_make)
    monkeypatch.setattr(NumpyProgram, "__call__", counted_call)
    return found


def assert_same_bits(found: Any, expected: Any) -> None:
    assert map_leaves(type, found) == map_leaves(type, expected)
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        if isinstance(other, np.ndarray | np.generic):
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other or (one != one and other != other)


@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom.name)
def test_an_idiom(idiom: Idiom, programs: Programs) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of the mean of no elements
        expected = idiom.function(*copy.deepcopy(idiom.args))
        kernel, args = op.kernel(idiom.function), copy.deepcopy(idiom.args)
        for _ in range(4):
            assert_same_bits(kernel(*args), expected)
    assert_same_bits(args, idiom.args)


def test_most_idioms_run_a_program(programs: Programs) -> None:
    is_planned = []
    for idiom in IDIOMS:
        before = programs.calls
        kernel = op.kernel(idiom.function)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(3):
                kernel(*idiom.args)
        is_planned.append(programs.calls - before >= 3)
    assert np.mean(is_planned) > 0.6


def test_a_training_step_is_one_program(programs: Programs) -> None:
    def step(params: Any, state: Any, x: Any, labels: Any, lr: float) -> Any:
        loss, grads = op.mlp_loss_and_grads(params, x, labels, l2=1e-3)
        return loss, *op.adam_step(params, grads, state, lr=lr)

    start = [(random.standard_normal((4, 5)), np.zeros(5)), (random.standard_normal((5, 4)), np.zeros(4))]
    kernel = op.kernel(donate=("params", "state"))(step)
    params, state = start, op.adam_init(start)
    expected_params, expected_state = start, op.adam_init(start)
    for number in range(6):
        lr = 0.1 / (1 + number)
        loss, params, state = kernel(params, state, x, labels, lr)
        expected, expected_params, expected_state = step(expected_params, expected_state, x, labels, lr)
        assert_same_bits((loss, params, state), (expected, expected_params, expected_state))
    assert programs.made.count("step") == 1


def test_effects_are_those_of_every_call(programs: Programs, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)

    @op.kernel
    def loud(v: Any) -> Any:
        print("called")
        return v * 2

    @op.kernel
    def noisy(v: Any) -> Any:
        return v + rng.standard_normal(v.shape)

    found = [noisy(x) for _ in range(5)]
    assert len({one.tobytes() for one in found}) == 5
    for _ in range(5):
        loud(x)
    assert capsys.readouterr().out.split() == ["called"] * 5
    assert programs.made == []


def test_writes_into_what_is_captured(programs: Programs) -> None:
    history: list[Any] = []
    seen = np.zeros(3)

    @op.kernel
    def appends(v: Any) -> Any:
        history.append(v.shape)
        return v * 2

    @op.kernel
    def counts(v: Any) -> Any:
        np.add(seen, 1, seen)  # the third argument is `out`, which only running it shows
        return v * 2

    for number in range(1, 5):
        assert_same_bits(appends(x), x * 2)
        assert history == [(6, 4)] * number
        assert_same_bits(counts(x), x * 2)
        assert seen.tolist() == [number] * 3


def test_results_that_are_arguments_or_their_views(programs: Programs) -> None:
    @op.kernel
    def parts(v: Any) -> Any:
        return v, v[1:], v.T, v * 2

    @op.kernel
    def twice(v: Any) -> Any:
        w = v * 2
        return w, w

    @op.kernel
    def broadcast(v: Any) -> Any:
        return np.broadcast_to(v * 2, (3, *v.shape))

    for _ in range(4):
        same, part, turned, new = parts(x)
        assert same is x
        assert np.shares_memory(part, x)
        assert np.shares_memory(turned, x)
        assert part.flags.writeable
        assert not np.shares_memory(new, x)
        first, second = twice(x)
        assert first is second
        assert not broadcast(x).flags.writeable


def test_results_belong_to_the_caller(programs: Programs) -> None:
    @op.kernel
    def two(v: Any) -> Any:
        w = np.exp(v)
        return w, w.sum(axis=1), w.T + 1

    expected = [array.copy() for array in two(x)]
    for _ in range(4):
        found = two(x)
        assert_same_bits(list(found), expected)
        for array in found:
            array.fill(0)
    assert programs.calls >= 3


class TooLargeError(Exception):
    """An error of a user's function."""


def test_errors_are_those_of_the_function(programs: Programs) -> None:
    table, at = np.arange(5.0), np.array([0, 4])

    @op.kernel
    def looked_up(v: Any, at: Any) -> Any:
        return v[at] * 2

    for _ in range(4):
        assert_same_bits(looked_up(table, at), 2 * table[at])
    assert programs.calls >= 3
    at[1] = 5
    with pytest.raises(IndexError, match="index 5 is out of bounds for axis 0 with size 5") as error:
        looked_up(table, at)
    assert traceback.extract_tb(error.value.__traceback__)[-1].name == "looked_up"
    assert error.value.__context__ is None
    at[1] = 3
    assert_same_bits(looked_up(table, at), 2 * table[at])

    @op.kernel
    def bounded(v: Any, bound: float) -> Any:
        if bound > 3:
            raise TooLargeError(f"{bound} is too large")
        return np.minimum(v, bound)

    for bound in (1.0, 2.0, 2.5, 4.0, 1.5):
        if bound > 3:
            with pytest.raises(TooLargeError, match=r"4\.0 is too large"):
                bounded(x, bound)
        else:
            assert_same_bits(bounded(x, bound), np.minimum(x, bound))


def test_labels_are_checked_at_every_call(programs: Programs) -> None:
    @op.kernel
    def loss(v: Any, labels: Any) -> Any:
        return op.softmax_cross_entropy(v * 2, labels)

    given = labels.copy()
    for _ in range(4):
        loss(x, given)
    assert programs.calls >= 3
    given[4] = 4
    with pytest.raises(ValueError, match=r"softmax_cross_entropy: labels\[4\] is 4"):
        loss(x, given)


scale = 2.0
weights = {"w": random.standard_normal((4, 3))}


def helper(v: Any) -> Any:
    return v * scale


@op.kernel
def reads(v: Any) -> Any:
    return helper(v) @ weights["w"]


def test_what_is_bound_anew_is_seen(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[__name__]

    def same() -> None:
        for _ in range(3):
            assert_same_bits(reads(x), helper(x) @ weights["w"])

    same()
    assert programs.calls
    monkeypatch.setattr(module, "scale", 3.0)
    same()
    weights["w"][0] = 1.0  # in place
    same()
    monkeypatch.setitem(weights, "w", random.standard_normal((4, 2)))
    same()
    said: list[Any] = []
    monkeypatch.setattr(module, "helper", lambda v: said.append(1) or v * 2)
    same()
    assert len(said) == 6


def test_a_number_that_is_another_one_at_every_call(programs: Programs) -> None:
    @op.kernel
    def repeated(v: Any, count: int) -> Any:
        for _ in range(count):
            v = v * 2
        return v

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for count in range(1, 40):
            assert_same_bits(repeated(x, count), x * 2**count)
    assert 0 < len(programs.made) <= MAX_PROGRAMS


def test_a_debugger_stops_in_the_function(programs: Programs) -> None:
    @op.kernel
    def doubled(v: Any) -> Any:
        return v * 2

    for _ in range(4):
        doubled(x)
    before, seen = programs.calls, []
    assert before
    own = sys.gettrace()
    sys.settrace(lambda frame, event, argument: seen.append(frame.f_code.co_name))
    try:
        doubled(x)
    finally:
        sys.settrace(own)
    assert "doubled" in seen
    assert programs.calls == before


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 has sys.monitoring")
def test_a_debugger_that_monitors(programs: Programs) -> None:
    calls = 0

    @op.kernel
    def doubled(v: Any) -> Any:
        return v * 2

    for _ in range(4):
        doubled(x)
    calls = programs.calls
    assert calls
    with contextlib.ExitStack() as stack:
        sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, "a debugger")
        stack.callback(sys.monitoring.free_tool_id, sys.monitoring.DEBUGGER_ID)
        doubled(x)
    assert programs.calls == calls


def test_a_few_calls_are_not_planned(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "FIRST_PLANNED", 5)

    @op.kernel
    def doubled(v: Any) -> Any:
        return v * 2

    for _ in range(5):
        doubled(x)
    assert programs.made == []
    doubled(x)
    assert programs.made == ["doubled"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda v: v + 1e-12,
        lambda v: v.astype(np.float32),
        lambda v: v[:-1],
        lambda v: [v],
        lambda v: np.broadcast_to(v, v.shape),
    ],
)
def test_a_program_with_another_result_is_not_used(
    wrong: Callable[..., Any], programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NumpyProgram, "__call__", lambda self, values: wrong(values[0] * 2))

    @op.kernel
    def doubled(v: Any) -> Any:
        return v * 2

    for _ in range(4):
        assert_same_bits(doubled(x), x * 2)
    assert programs.made == ["doubled"]


def test_what_is_the_same() -> None:
    nan = np.array([np.nan, 1.0])
    assert is_same((nan, [1, "a", None]), (nan.copy(), [1, "a", None]))
    assert is_same(float("nan"), float("nan"))
    for other in (nan.astype("f"), nan[:1], [nan], np.array([np.nan, 2.0]), 1.0, None):
        assert not is_same(nan, other)
    assert not is_same(1, 1.0)
    assert not is_same(np.float32(1), np.float64(1))
    assert not is_same({"a": 1}, {"b": 1})


def derivatives() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    def loss(params: Any, v: Any, labels: Any) -> Any:
        weight, bias = params
        return op.softmax_cross_entropy(np.tanh(v @ weight + bias), labels)

    params = (random.standard_normal((4, 4)), np.zeros(4))
    inner = op.grad(lambda v: np.sum(np.sin(v)))
    return {
        "loss": (op.value_and_grad(loss), (params, x, labels)),
        "nested": (op.grad(lambda v: np.sum(inner(v) ** 2)), (x,)),
        "cubes": (op.value_and_grad(lambda v: (v**3).mean()), (x,)),
        "view": (op.grad(lambda v: np.sum(v)), (x,)),
    }


@pytest.mark.parametrize("name", derivatives())
def test_derivatives(name: str, programs: Programs) -> None:
    function, args = derivatives()[name]
    expected = function(*args)
    for _ in range(4):
        assert_same_bits(function(*args), expected)
    assert (programs.calls >= 3) == (name != "view")


def test_out_arrays(programs: Programs) -> None:
    @op.kernel
    def scaled(v: Any, factor: float) -> Any:
        return v * factor, np.sum(v)

    for number in range(5):
        mine = np.empty_like(x)
        found = scaled(x, float(number), out=(mine, None))
        assert found[0] is mine
        assert_same_bits(found, (x * number, np.sum(x)))
    assert programs.calls >= 3


def test_layouts(programs: Programs) -> None:
    @op.kernel
    def normalised(v: Any) -> Any:
        return v / np.sqrt(np.sum(v * v, axis=1, keepdims=True))

    for layout in (
        np.asfortranarray,
        lambda a: np.repeat(a, 2, 0)[::2],
        lambda a: a[::-1],
        lambda a: a[:, ::2],
    ):
        given = layout(x)
        for _ in range(4):
            found = normalised(given)
            assert_same_bits(found, given / np.sqrt(np.sum(given * given, axis=1, keepdims=True)))


def test_threads(programs: Programs) -> None:
    @op.kernel
    def step(v: Any, labels: Any) -> Any:
        return op.softmax_cross_entropy_with_grad(np.tanh(v), labels)

    expected = step(x, labels)

    def run(_: int) -> None:
        with op.use_backend("numpy"):
            for _ in range(20):
                assert_same_bits(step(x, labels), expected)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(8)))


def test_arguments_are_protected_from_the_function(programs: Programs) -> None:
    @op.kernel
    def writes(v: Any) -> Any:
        v[0] = 0
        return v

    for _ in range(4):
        with pytest.raises(TypeError, match="writes: writes into the argument v"):
            writes(x)
