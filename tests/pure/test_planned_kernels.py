"""The backend "numpy" and kernels of a user: those that only call the library become one program."""

from __future__ import annotations

import contextlib
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case
from onepass.backends import leaves, planned
from onepass.backends.numpy_program import NumpyProgram
from onepass.backends.planned import MAX_PROGRAMS, is_same
from same_results import assert_same_bits

import onepass as op

random = np.random.default_rng(5)
x = random.standard_normal((6, 4))
labels = np.array([0, 1, 2, 3, 0, 1])


@pytest.fixture(autouse=True)
def on_numpy() -> Iterator[None]:
    with op.use_backend("numpy"):
        yield


class Programs:
    """The kernels whose programs are made, and those whose programs are called, in order."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.called: list[str] = []


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
        found.called.append(self.kernel)
        return call(self, values)

    monkeypatch.setattr(NumpyProgram, "__init__", counted_make)
    monkeypatch.setattr(NumpyProgram, "__call__", counted_call)
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_function_of_the_library(case: Case, programs: Programs) -> None:
    function = getattr(op, case.kernel)

    def twice(*args: Any, **kwargs: Any) -> Any:
        return [function(*args, **kwargs), (function(*args, **kwargs), 1.5)]

    kernel = op.kernel(twice)
    with np.errstate(all="ignore"):
        expected = twice(*case.args, **case.kwargs)
    for _ in range(4):
        assert_same_bits(kernel(*case.args, **case.kwargs), expected)


LAYERS = [
    *(f"op.{name}(v)" for name in ("relu", "sigmoid", "tanh")),
    *(f"op.{name}(v, axis={axis})" for name in ("softmax", "log_softmax") for axis in (0, 1)),
    *("op.linear(v, weight, bias)", "op.linear(v, weight)", "op.relu_backward(v, op.tanh(v))"),
]
ENDS = [
    *("op.softmax_cross_entropy_with_grad(v, labels)", "op.multiclass_hinge(v, labels, reduction='none')"),
    *("op.mean_squared_error(v, targets)", "op.sgd_step([v, weight], [targets, weight], lr)"),
    "op.adam_step([weight], [weight], op.adam_init([weight]), lr=lr)",
]


@pytest.mark.parametrize("seed", range(60))
def test_random_compositions(seed: int, programs: Programs) -> None:
    """Later calls have other values than the one that was compared, and infinities, NaN and -0.0."""
    own = np.random.default_rng(seed)
    lines = [f"    v = {own.choice(LAYERS)}" for _ in range(own.integers(1, 5))]
    text = ["def made(v, weight, bias, labels, targets, lr):", *lines, f"    return {own.choice(ENDS)}, v"]
    scope: dict[str, Any] = {"op": op}
    exec("\n".join(text), scope)
    function, kernel = scope["made"], op.kernel(scope["made"])
    (rows, columns), dtype = own.choice([(1, 2), (17, 1), (300, 5), (2000, 40)]), own.choice(["f", "d"])
    for call in range(6):
        v, weight = own.standard_normal((rows, columns)), own.standard_normal((columns, columns))
        if call > 2:
            v.flat[own.integers(0, v.size, 4)] = np.nan, np.inf, -np.inf, -0.0
        arrays = [a.astype(dtype) for a in (v, weight, weight[0], own.standard_normal(v.shape))]
        args = (*arrays[:3], own.integers(0, columns, rows), arrays[3], float(own.choice([0.1, 0.25])))
        with np.errstate(all="ignore"):
            expected = function(*args)
        assert_same_bits(kernel(*args), expected)
    assert "made" in programs.made


def test_functions_of_the_library_become_programs(programs: Programs) -> None:
    is_planned = []
    for case in CASES:
        function = getattr(op, case.kernel)
        kernel = op.kernel(lambda *args, function=function, **kwargs: function(*args, **kwargs))
        for _ in range(3):
            kernel(*case.args, **case.kwargs)
        is_planned.append("<lambda>" in programs.made)
        programs.made.clear()
    assert np.mean(is_planned) > 0.9


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
        return op.relu(v)

    @op.kernel
    def noisy(v: Any) -> Any:
        return v + rng.standard_normal(v.shape)

    found = [noisy(x) for _ in range(5)]
    assert len({one.tobytes() for one in found}) == 5
    for _ in range(5):
        loud(x)
    assert capsys.readouterr().out.split() == ["called"] * 5
    assert set(programs.made) == {"relu"}


def test_results_that_are_the_callers(programs: Programs) -> None:
    @op.kernel
    def parts(v: Any, given: Any) -> Any:
        return v, given, names, op.relu(v)

    @op.kernel
    def twice(v: Any) -> Any:
        w = op.relu(v)
        return w, w

    names, given = ["a"], {"a": 1.5}
    for _ in range(4):
        same, mine, captured, new = parts(x, given)
        assert same is x
        assert mine is given
        assert captured is names
        assert not np.shares_memory(new, x)
        first, second = twice(x)
        assert first is second


def test_results_belong_to_the_caller(programs: Programs) -> None:
    @op.kernel
    def two(v: Any) -> Any:
        w = op.tanh(v)
        return w, [op.softmax(w, axis=1)]

    expected = [array.copy() for array in leaves(two(x))]
    for _ in range(4):
        found = two(x)
        assert_same_bits(leaves(found), expected)
        for array in leaves(found):
            array.fill(0)
    assert "two" in programs.made


def test_errors_are_those_of_the_function(programs: Programs) -> None:
    @op.kernel
    def step(params: Any, grads: Any, lr: float) -> Any:
        return op.sgd_step(params, grads, lr)

    for lr in (0.1, 0.2, 0.3, 0.4):
        assert_same_bits(step([x], [x], lr), [x - lr * x])
    assert "step" in programs.made
    with pytest.raises(ValueError, match=r"sgd_step: lr is -0\.5; expected") as error:
        step([x], [x], -0.5)
    assert error.value.__context__ is None
    assert "step" in [frame.name for frame in traceback.extract_tb(error.value.__traceback__)]
    assert_same_bits(step([x], [x], 0.5), [x - 0.5 * x])


def test_labels_are_checked_at_every_call(programs: Programs) -> None:
    @op.kernel
    def loss(v: Any, labels: Any) -> Any:
        return op.softmax_cross_entropy(op.relu(v), labels)

    given = labels.copy()
    for _ in range(4):
        loss(x, given)
    assert "loss" in programs.made
    given[4] = 4
    with pytest.raises(ValueError, match=r"softmax_cross_entropy: labels\[4\] is 4") as error:
        loss(x, given)
    assert error.value.__context__ is None
    assert "loss" in [frame.name for frame in traceback.extract_tb(error.value.__traceback__)]


settings: dict[str, Any] = {"lr": 0.5, "function": op.relu}


def helper(v: Any) -> Any:
    return settings["function"](v)


@op.kernel
def reads(v: Any) -> Any:
    return op.sgd_step([v], [helper(v)], settings["lr"])


def test_what_is_bound_anew_is_seen(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[__name__]

    def same(count: int = 3) -> None:
        for _ in range(count):
            assert_same_bits(reads(x), [x - settings["lr"] * helper(x)])

    same()
    assert "reads" in programs.made
    monkeypatch.setitem(settings, "lr", 0.25)
    same()
    monkeypatch.setitem(settings, "function", op.tanh)
    same()
    # As reloading a module in a notebook does.
    monkeypatch.setattr(
        helper, "__code__", (lambda v: settings["function"](settings["function"](v))).__code__
    )
    same()
    said: list[Any] = []
    monkeypatch.setattr(module, "helper", lambda v: said.append(1) or v)
    same()
    assert len(said) == 6


def test_a_number_that_is_another_one_at_every_call(programs: Programs) -> None:
    @op.kernel
    def repeated(v: Any, count: int) -> Any:
        for _ in range(count):
            v = op.tanh(v)
        return v

    expected = x
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for count in range(1, 40):
            expected = op.tanh(expected)
            assert_same_bits(repeated(x, count), expected)
    assert 0 < programs.made.count("repeated") <= MAX_PROGRAMS


def test_a_debugger_stops_in_the_function(programs: Programs) -> None:
    @op.kernel
    def clipped(v: Any) -> Any:
        return op.relu(v)

    def is_entered() -> bool:
        seen: list[str] = []
        own = sys.gettrace()
        sys.settrace(lambda frame, event, argument: seen.append(frame.f_code.co_name))
        try:
            clipped(x)
        finally:
            sys.settrace(own)
        return "clipped" in seen

    for _ in range(4):
        clipped(x)
    assert "clipped" in programs.made
    assert is_entered()
    assert_same_bits(clipped(x), np.maximum(x, 0))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 has sys.monitoring")
def test_a_debugger_that_monitors(programs: Programs) -> None:
    @op.kernel
    def clipped(v: Any) -> Any:
        return op.relu(v)

    for _ in range(4):
        clipped(x)
    before = programs.called.count("clipped")
    assert before
    with contextlib.ExitStack() as stack:
        sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, "a debugger")
        stack.callback(sys.monitoring.free_tool_id, sys.monitoring.DEBUGGER_ID)
        clipped(x)
    assert programs.called.count("clipped") == before


def test_a_few_calls_are_not_planned(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "FIRST_PLANNED", 5)

    @op.kernel
    def clipped(v: Any) -> Any:
        return op.relu(v)

    for _ in range(5):
        clipped(x)
    assert "clipped" not in programs.made
    clipped(x)
    assert "clipped" in programs.made


@pytest.mark.parametrize(
    "wrong",
    [
        lambda v: v + 1e-12,
        lambda v: v.astype(np.float32),
        lambda v: v[:-1],
        lambda v: np.broadcast_to(v, v.shape),
        np.asfortranarray,
        lambda v: np.where(v == 0, -0.0, v),
    ],
)
def test_a_program_with_another_result_is_not_used(
    wrong: Callable[..., Any], programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = NumpyProgram.__call__

    def changed(self: Any, values: Any) -> Any:
        found = call(self, values)
        return [wrong(found[0])] if self.kernel == "clipped" else found

    monkeypatch.setattr(NumpyProgram, "__call__", changed)

    @op.kernel
    def clipped(v: Any) -> Any:
        return [op.relu(v)]

    for _ in range(4):
        assert_same_bits(clipped(x), [np.maximum(x, 0)])
    assert programs.made.count("clipped") == 1


def test_what_is_the_same() -> None:
    nan = np.array([np.nan, 1.0])
    assert is_same((nan, [1, "a", None]), (nan.copy(), [1, "a", None]))
    assert is_same(float("nan"), float("nan"))
    for other in (nan.astype("f"), nan[:1], [nan], np.array([np.nan, 2.0]), 1.0, None):
        assert not is_same(nan, other)
    assert not is_same(np.zeros(2), -np.zeros(2))
    assert not is_same(np.zeros((2, 3)), np.zeros((3, 2)).T)
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
    assert len(programs.called) >= 5


def test_out_arrays(programs: Programs) -> None:
    @op.kernel
    def step(params: Any, grads: Any, lr: float) -> Any:
        return op.sgd_step(params, grads, lr)

    for number in range(5):
        mine = [np.empty_like(x)]
        found = step([x], [x], float(number), out=mine)
        assert found[0] is mine[0]
        assert_same_bits(found, [x - number * x])
    assert "step" in programs.made


def test_layouts(programs: Programs) -> None:
    @op.kernel
    def loss(v: Any, labels: Any) -> Any:
        return op.softmax_cross_entropy_with_grad(op.tanh(v), labels)

    slices = [lambda a: np.repeat(a, 2, 0)[::2], lambda a: a[::-1], lambda a: a[:, ::-1]]
    for layout in [np.asfortranarray, *slices]:
        given = layout(x)
        expected = loss(given, labels)  # as it is written: the first call of a signature
        for _ in range(4):
            found = loss(given, labels)
            assert_same_bits(found, expected)
            assert found[1].strides == expected[1].strides


def test_threads(programs: Programs) -> None:
    @op.kernel
    def step(v: Any, labels: Any) -> Any:
        return op.softmax_cross_entropy_with_grad(op.tanh(v), labels)

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
