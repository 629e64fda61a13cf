"""What cannot be compiled runs operation by operation, with a warning; under a named backend it raises."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import queue
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from array_api_compat import array_namespace

import onepass as op

x = np.array([1.0, 2.0, 4.0])
history: list[Any] = []
latest: collections.deque[Any] = collections.deque(maxlen=3)
totals: dict[str, Any] = {"calls": 0}


class Record:
    """An object that a kernel writes into."""

    def __init__(self) -> None:
        self.last: Any = None

    def step(self, v: Any) -> Any:
        self.last = v * 2
        return self.last


record = Record()


def finds(v: Any) -> Any:
    return array_namespace(v).nonzero(v > 1)[0]


def branches(v: Any) -> Any:
    return v if array_namespace(v).sum(v) > 0 else -v


def counts_values(v: Any) -> Any:
    return array_namespace(v).unique_values(v)


def smallest(v: Any) -> Any:
    return min(array_namespace(v).sum(v), array_namespace(v).max(v))


def formats(v: Any) -> Any:
    return f"{array_namespace(v).sum(v):.2f}"


def prints(v: Any) -> Any:
    print(array_namespace(v).sum(v))
    return v + 1


def appends(v: Any) -> Any:
    history.append(v * 2)
    return v + 1


def queues(v: Any) -> Any:
    latest.append(v * 2)
    return v + 1


def counts(v: Any) -> Any:
    totals["calls"] += 1
    return v * totals["calls"]


def keeps(v: Any) -> Any:
    return record.step(v)


def numpy_s(v: Any) -> Any:
    return np.exp(v) + np.histogram(v)[0].sum()


def methods(v: Any) -> Any:
    return v.tolist()


def converts(v: Any) -> Any:
    return np.stack([np.frombuffer(v, dtype=v.dtype)])


def at_a_mask(v: Any) -> Any:
    return v[v > 1] * 2


def counted(v: Any) -> Any:
    return np.bincount(v.astype(np.int64))


def generates(v: Any) -> Any:
    return (v * n for n in range(2))


def of_a_set(v: Any) -> Any:
    return {1: v, 2: frozenset([3])}


def complex_numbers(v: Any) -> Any:
    return v * 1j


REFUSED = {
    finds: "xp.nonzero has a shape that depends on values",
    counts_values: "xp.unique_values has a shape that depends on values",
    branches: r"bool\(array\)",
    smallest: r"bool\(array\)",
    formats: r"str\(array\)",
    prints: r"str\(array\)",
    appends: "writes into the global history",
    queues: "writes into the global latest",
    counts: "writes into the global totals",
    keeps: "writes into the global record",
    numpy_s: "np.histogram is not supported",
    methods: ".tolist of a symbolic array",
    converts: "TypeError",
    at_a_mask: "elements at a mask",
    counted: "np.bincount is not supported",
    generates: "returns a value of type builtins.generator",
    of_a_set: "returns a value of type builtins.frozenset",
    complex_numbers: "complex",
}


def as_lists(result: Any) -> Any:
    if isinstance(result, type(generates(x))):
        return [part.tolist() for part in result]
    return result.tolist() if hasattr(result, "tolist") else repr(result)


@pytest.fixture(autouse=True)
def _forget() -> None:
    history.clear()
    latest.clear()
    totals["calls"], record.last = 0, None


@pytest.mark.parametrize("function", REFUSED, ids=lambda function: function.__name__)
def test_it_runs_with_one_warning_that_says_why(function: Callable[..., Any]) -> None:
    kernel = op.kernel(function)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        got = [as_lists(kernel(x)) for _ in range(3)]
    _forget.__wrapped__()  # type: ignore[attr-defined]
    assert got == [as_lists(function(x.copy())) for _ in range(3)]
    (warning,) = caught
    text = str(warning.message)
    assert re.match(rf"{function.__name__}: .*{REFUSED[function]}", text), text
    assert re.search(rf"{re.escape(__file__)}, line \d+\)\. It runs operation by operation\.$", text), text
    assert warning.filename == __file__


@pytest.mark.parametrize("function", REFUSED, ids=lambda function: function.__name__)
def test_asked_for_by_name_it_is_an_error_of_the_same_words(function: Callable[..., Any]) -> None:
    kernel = op.kernel(function)
    with op.use_backend("numba"):
        for _ in range(2):
            with pytest.raises((TypeError, AttributeError), match=REFUSED[function]) as error:
                kernel(x)
            assert re.search(
                rf"^{function.__name__}: .*{re.escape(__file__)}, line \d+\)\.$", str(error.value)
            )
    with pytest.warns(RuntimeWarning, match=REFUSED[function]):
        kernel(x)
    with op.use_backend("numba"), pytest.raises((TypeError, AttributeError)):
        kernel(x)


def test_what_a_kernel_wrote_while_it_was_traced_is_taken_back() -> None:
    for function in (appends, counts, keeps):
        with op.use_backend("numba"), pytest.raises(TypeError):
            op.kernel(function)(x)
    assert history == []
    assert totals["calls"] == 0
    assert record.last is None
    with pytest.warns(RuntimeWarning):
        op.kernel(appends)(x)
    assert [part.tolist() for part in history] == [[2, 4, 8]]


def test_a_list_or_dict_among_the_arguments_is_changed_as_it_is_without_a_kernel() -> None:
    def fills(tree: Any, v: Any) -> Any:
        tree["new"] = v * 2
        tree["list"].append(v)
        return tree["new"]

    for backend in ("auto", "numpy"):
        tree: dict[str, Any] = {"list": []}
        with op.use_backend(backend), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert op.kernel(fills)(tree, x) is tree["new"]
        assert tree["new"].tolist() == [2, 4, 8]
        assert tree["list"][0] is x


class WrongError(Exception):
    """An error of the user's."""


def raises(v: Any) -> Any:
    raise WrongError("of mine")


def divides(v: Any) -> Any:
    return v * (1 // 0)


def misspelt(v: Any) -> Any:
    return v + undefined  # type: ignore[name-defined]  # noqa: F821


def does_not_broadcast(v: Any) -> Any:
    return v + np.ones(5)


def wrong_call(v: Any) -> Any:
    return op.sgd_step(v, v, -1.0)


@pytest.mark.parametrize("backend", ["auto", "numba", "numpy"])
@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (raises, WrongError, "^of mine$"),
        (divides, ZeroDivisionError, "division"),
        (misspelt, NameError, "'undefined'"),
        (does_not_broadcast, ValueError, "broadcast"),
        (wrong_call, ValueError, "^sgd_step: lr is -1.0; expected"),
    ],
)
def test_the_user_s_mistake_is_the_user_s_error(function: Any, kind: Any, words: str, backend: str) -> None:
    with op.use_backend(backend), pytest.raises(kind, match=words) as error:
        op.kernel(function)(x)
    assert error.value.__context__ is None or error.value.__suppress_context__


def test_dtypes_without_loops_run_without_a_warning() -> None:
    kernel = op.kernel(lambda v: v * 2 + 1)
    for dtype in (np.float16, np.longdouble, np.complex64, np.int32, np.bool_):
        given = np.ones(3, dtype)
        got = kernel(given)
        np.testing.assert_array_equal(got, given * 2 + 1)
        assert got.dtype == (given * 2 + 1).dtype


@dataclasses.dataclass(frozen=True)
class Result:
    value: Any
    parts: list[Any]
    name: str = "a"


class Pair(NamedTuple):
    first: Any
    second: Any


def test_results_may_be_dataclasses_and_whatever_else_has_branches() -> None:
    def many(v: Any) -> Any:
        return Result(v * 2, [v, None, "text", 1.5, True, v.dtype]), Pair(v, {"a": (v,)})

    with op.use_backend("numba"):
        result, pair = op.kernel(many)(x)
        again, _ = op.kernel(many)(x)
    assert isinstance(result, Result)
    assert result.value.tolist() == [2, 4, 8]
    assert result.parts[1:] == [None, "text", 1.5, True, np.dtype("float64")]
    assert isinstance(pair, Pair)
    assert pair.second["a"][0].tolist() == [1, 2, 4]
    assert again is not result


def test_long_chains_of_operations_are_compiled() -> None:
    def chain(v: Any, length: int = 120) -> Any:
        for n in range(length):
            v = 0.5 * v + n
        return v

    def of_rows(v: Any) -> Any:
        return op.softmax_cross_entropy_with_grad(chain(v, 40), np.arange(3))

    rows = np.ones((3, 40)) * np.arange(40)
    with op.use_backend("numba"):
        np.testing.assert_allclose(op.kernel(chain)(x), chain(x), rtol=1e-15)
        loss, grad = op.kernel(of_rows)(rows)
    expected_loss, expected_grad = op.softmax_cross_entropy_with_grad(chain(rows, 40), np.arange(3))
    assert loss == pytest.approx(expected_loss)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-12)


def test_an_array_of_a_trace_that_is_over_says_so() -> None:
    kept: queue.SimpleQueue[Any] = queue.SimpleQueue()  # which no trace looks into

    def keeps_it(v: Any) -> Any:
        kept.put(v * 2)
        return v

    with op.use_backend("numba"):
        op.kernel(keeps_it)(x)
    array = kept.get()
    for use in (lambda: array + 1, lambda: 2 * array, lambda: bool(array > 0), lambda: op.relu(array)):
        with pytest.raises(TypeError, match="used after its trace"):
            use()


@functools.lru_cache
def table(n: int) -> Any:
    """What is kept from call to call, by a number."""
    return np.arange(n, dtype=float)


NUMBERS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "division": (lambda v, n: v * (1 / n), [2, 0, 3, 0.5, 0.0]),
    "floor division": (lambda v, n: v * (7 // (n - 3)) + 7 % n, [2, 3, 5, 0]),
    "large": (lambda v, n: v * (n * n) + v * (n**3), [3, 2**40, -(2**33), 5]),
    "keys": (lambda v, n: v * {1: 2.0, 2: 3.0}.get(n, 4.0), [1, 2, 3, 2.0, 2.5]),
    "members": (lambda v, n: v if n in {1, 2.5} else -v, [1, 2, 2.5, 1]),
    "cached": (lambda v, n: v + table(n)[-1], [3, 5, 3]),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.filterwarnings("ignore:.*was traced 8 times")
def test_numbers_are_those_of_python(name: str) -> None:
    function, numbers = NUMBERS[name]
    kernel = op.kernel(function)
    for number in numbers:
        try:
            expected = function(x, number)
        except ZeroDivisionError:
            for backend in ("auto", "numba"):
                with op.use_backend(backend), pytest.raises(ZeroDivisionError):
                    kernel(x, number)
        else:
            np.testing.assert_array_equal(kernel(x, number), expected)


def test_numbers_of_python_may_be_used_with_math() -> None:
    kernel = op.kernel(lambda v, n: v * math.exp(n) + math.pi)
    with op.use_backend("numba"):
        np.testing.assert_array_equal(kernel(x, 0.5), x * math.exp(0.5) + math.pi)
