"""Bits of whole kernels: the same again, row by row for any number of threads, in every thread and child."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import training
from array_trees import bits, map_arrays, of_dtype
from onepass.backends.common.trees import leaves
from onepass.backends.cpu.program import CpuProgram, Form
from onepass.backends.cpu.runtime import threads
from onepass.backends.cpu.runtime.entry import Field
from selection import exhaustively
from test_threads import finish, in_forked_child, start

import onepass as op

Array = np.ndarray[Any, Any]
random = np.random.default_rng(20261122)


def normal(*shape: int) -> Array:
    return random.standard_normal(shape)


def classes(rows: int, columns: int) -> Array:
    return random.integers(0, columns, rows)


# Rows that make no whole number of blocks; few columns are computed side by side, and more one by one.
WIDE, FEW = normal(2999, 61), normal(20_011, 5)
POSITIVE, SOFT = np.abs(normal(2999, 61)) % 1, op.kernels.softmax(normal(2999, 61))
LAYERS_OF = [(0.1 * normal(61, 50), normal(50)), (0.2 * normal(50, 40), None)]
PER_ROW: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "softmax": (op.softmax, (WIDE,), {}),
    "softmax of few": (op.softmax, (FEW,), {}),
    "log_softmax": (op.log_softmax, (WIDE,), {}),
    "softmax_backward": (op.softmax_backward, (WIDE, SOFT), {}),
    "sigmoid": (op.sigmoid, (normal(9001, 61),), {}),
    "tanh": (op.tanh, (normal(9001, 61),), {}),
    "relu": (op.relu, (normal(29_999, 61),), {}),
    "tanh_backward": (op.tanh_backward, (normal(29_999, 61), normal(29_999, 61)), {}),
    **{
        f"{name} {columns}": (getattr(op, name), (scores, classes(*scores.shape)), {"reduction": "none"})
        for name in ("softmax_cross_entropy", "softmax_cross_entropy_with_grad", "multiclass_hinge_with_grad")
        for columns, scores in (("wide", WIDE), ("few", FEW))
    },
    "soft labels": (op.softmax_cross_entropy_with_grad, (WIDE, SOFT), {"reduction": "none"}),
    "nll_loss": (op.nll_loss_with_grad, (WIDE, SOFT), {"reduction": "none"}),
    "weights": (
        op.softmax_cross_entropy_with_grad,
        (WIDE, classes(*WIDE.shape)),
        {"reduction": "none", "class_weight": POSITIVE[0], "label_smoothing": 0.1, "ignore_index": 3},
    ),
    "binary_cross_entropy_with_logits": (
        op.binary_cross_entropy_with_logits_with_grad,
        (WIDE, POSITIVE),
        {"reduction": "none"},
    ),
    "binary_cross_entropy": (op.binary_cross_entropy_with_grad, (SOFT, POSITIVE), {"reduction": "none"}),
    "mean_squared_error": (
        op.mean_squared_error_with_grad,
        (normal(29_999, 61), normal(29_999, 61)),
        {"reduction": "none"},
    ),
    "linear": (op.linear, (WIDE, normal(61, 300), normal(300)), {}),
    "mlp_forward": (op.mlp_forward, (LAYERS_OF, WIDE), {}),
    "mlp_forward with tanh": (op.mlp_forward, (LAYERS_OF, WIDE), {"activation": "tanh"}),
}
# Their values are sums over rows as well, which depend on the shares; their gradients do not.
GRADIENTS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    f"gradient of {name} {columns}": (getattr(op, f"{name}_with_grad"), (scores, classes(*scores.shape)), {})
    for name in ("softmax_cross_entropy", "multiclass_hinge")
    for columns, scores in (("wide", WIDE), ("few", FEW))
}
SUMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "train_step": (op.kernel(training.train_step), (LAYERS_OF, WIDE, classes(2999, 40), 0.1), {}),
    "linear_backward": (op.linear_backward, (normal(2999, 40), WIDE, normal(61, 40)), {}),
    "softmax_cross_entropy": (op.softmax_cross_entropy, (FEW, classes(*FEW.shape)), {}),
    "softmax over rows": (op.softmax, (WIDE,), {"axis": 0}),
    "l2_penalty": (op.l2_penalty, (normal(999, 999), 0.1), {}),
}
ALL = {**PER_ROW, **GRADIENTS, **SUMS}
# Compiled in every run, in float32: each kind of loop and of sum, of many columns and of few.
IN_EVERY_RUN = (
    "softmax",
    "softmax of few",
    "sigmoid",
    "relu",
    "softmax_cross_entropy_with_grad wide",
    "softmax_cross_entropy_with_grad few",
    "multiclass_hinge_with_grad wide",
    "soft labels",
    "weights",
    "linear",
    "mlp_forward",
    "gradient of softmax_cross_entropy wide",
    *SUMS,
)


def named(*names: str) -> pytest.MarkDecorator:
    """Calls by name, in both dtypes."""
    return pytest.mark.parametrize(
        ("name", "dtype"),
        [
            exhaustively(name, dtype, when=dtype == "float64" or name not in IN_EVERY_RUN)
            for dtype in ("float32", "float64")
            for name in names
        ],
    )


@contextmanager
def counted() -> Iterator[list[int]]:
    """The most workers of a stage, for every call that has run stages on several threads."""
    actual: Any = CpuProgram._run
    ran: list[int] = []

    def run(self: CpuProgram, ready: Form, *call: Any) -> Any:
        result = actual(self, ready, *call)
        if ready.is_shared:
            assert threads.worker_count() == 1 or threads._found is not None, "no thread was asked for"
            count, first = ready.words[Field.STAGES : Field.STAGES + 2]
            ran.append(int(ready.words[first : first + 3 * count].reshape(-1, 3)[:, 1].max()))
        return result

    CpuProgram._run = run  # type: ignore[method-assign]
    try:
        yield ran
    finally:
        CpuProgram._run = actual  # type: ignore[method-assign]


@pytest.fixture
def parallel() -> Iterator[list[int]]:
    """As `counted`, for calls that have two workers where nothing else is said."""
    threads.limit_workers(2)
    try:
        with counted() as ran:
            yield ran
    finally:
        threads.limit_workers(None)


def shifted(tree: Any, offset: int) -> Any:
    """A copy whose arrays begin so many elements after a multiple of 64 bytes."""

    def place(array: Array) -> Array:
        memory = np.empty(array.size + 64, array.dtype)
        start = -memory.ctypes.data % 64 // array.itemsize + offset
        memory[start : start + array.size] = array.reshape(-1)
        return memory[start : start + array.size].reshape(array.shape)

    return map_arrays(place, tree)


@named(*ALL)
def test_the_same_call_gives_the_same_bits(name: str, dtype: str, parallel: list[int]) -> None:
    function, args, kwargs = ALL[name]
    with op.use_backend("numba"):
        expected = bits(function(*of_dtype(args, dtype), **of_dtype(kwargs, dtype)))
        assert parallel == [2]
        # Wherever the arrays are, in new memory or in memory that has been used.
        for offset in (0, 1, 3, 7):
            mine = shifted(of_dtype((args, kwargs), dtype), offset)
            assert bits(function(*mine[0], **mine[1])) == expected
            again = function(*mine[0], **mine[1])
            assert bits(again) == expected
            if "out" not in inspect.signature(function).parameters:
                assert bits(function(*mine[0], **mine[1], out=again)) == expected
    assert set(parallel) == {2}
    assert len(parallel) >= 9


@named(*PER_ROW, *GRADIENTS)
def test_a_row_s_bits_do_not_depend_on_the_threads(name: str, dtype: str, parallel: list[int]) -> None:
    function, args, kwargs = {**PER_ROW, **GRADIENTS}[name]
    args, kwargs = of_dtype((args, kwargs), dtype)
    found = {}
    with op.use_backend("numba"):
        for count in (1, 2, 3, 7):
            threads.limit_workers(count)
            found[count] = function(*args, **kwargs)
            if count <= 2:
                assert parallel == [2] * (count - 1)
        assert parallel[:2] == [2, 3]
        assert parallel[2] > 3  # as many as there are blocks for
        whole = slice(1, None) if name in GRADIENTS else slice(None)
        for count in (2, 3, 7):
            assert bits(found[count])[whole] == bits(found[1])[whole], count
    # As it is written, to rounding: bits that are the same and wrong would be no use.
    with op.use_backend("numpy"):
        written = function(*args, **kwargs)
    tolerance = {"float32": 2e-5, "float64": 4e-14}[dtype]
    for mine, theirs in zip(leaves(found[2]), leaves(written), strict=True):
        scale = max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * scale)


def test_a_row_s_bits_do_not_depend_on_its_place() -> None:
    """Compiled loops have a body of vectors and a remainder of single rows; both must round alike."""
    random = np.random.default_rng(0)
    logits, labels = random.integers(-2048, 2049, (33, 5)) / 64, random.integers(0, 5, 33)
    whole = op.softmax_cross_entropy_with_grad(logits, labels, reduction="none")
    for rows in (9, 10, 12, 17, 25, 28):
        part = op.softmax_cross_entropy_with_grad(logits[:rows], labels[:rows], reduction="none")
        for got, right in zip(part, whole, strict=True):
            assert got.tobytes() == right[:rows].tobytes()


def test_a_row_s_bits_do_not_depend_on_the_other_rows() -> None:
    """Of a batch that is a part of the other, and begins where that has a block's beginning."""
    labels = classes(*WIDE.shape)
    with op.use_backend("numba"):
        whole = op.softmax_cross_entropy_with_grad(WIDE, labels, reduction="none")
        for rows in (1, 2, 17, 1000):
            part = op.softmax_cross_entropy_with_grad(WIDE[-rows:], labels[-rows:], reduction="none")
            assert bits(part) == bits((whole[0][-rows:], whole[1][-rows:]))


# Events, each in a process of its own that has two threads.

NAMES = ["softmax", "softmax_cross_entropy_with_grad wide", "mlp_forward", "linear_backward", "train_step"]


def called(name: str) -> Any:
    function, args, kwargs = ALL[name]
    return function(*args, **kwargs)


def require_right(answers: dict[str, list[Any]] | None = None, count: int = 2) -> dict[str, list[Any]]:
    """The bits of `answers`; or, where there are none yet, values as NumPy has them.

    NumPy multiplies no matrices beside a fork: in the child, the lock of its OpenBLAS is never free again.
    """
    threads.limit_workers(count)
    found = {}
    for name in NAMES:
        result = called(name)
        found[name] = bits(result)
        if answers is not None:
            continue
        with op.use_backend("numpy"):
            written = called(name)
        for mine, theirs in zip(leaves(result), leaves(written), strict=True):
            if theirs is not None:
                np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)
    assert answers is None or found == answers
    return found


def require_right_on_threads(answers: dict[str, list[Any]] | None = None) -> dict[str, list[Any]]:
    """As `require_right`, with every call on two threads."""
    with counted() as ran:
        found = require_right(answers)
    assert ran == [2] * len(NAMES)
    return found


def several_threads_call_at_once() -> None:
    answers = require_right_on_threads()
    with ThreadPoolExecutor(5) as pool:
        for call in [pool.submit(lambda: [require_right(answers) for _ in range(3)]) for _ in range(5)]:
            call.result()


def the_number_of_workers_changes_while_threads_call() -> None:
    answers = {count: require_right(count=count) for count in (1, 2, 3)}
    assert answers[1] != answers[2], "sums over rows show in their bits how many workers there were"
    ends = threading.Event()

    def work() -> None:
        for _ in range(40):
            for name in NAMES:
                assert bits(called(name)) in [answers[count][name] for count in answers]
        ends.set()

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(work) for _ in range(3)]
        while not ends.wait(0.003) and not any(call.done() for call in calls):
            threads.limit_workers(random.integers(1, 4))
        for call in calls:
            call.result()


def children_after_a_fork() -> None:
    answers = require_right_on_threads()

    def child() -> None:
        assert threads._found is None
        require_right_on_threads(answers)
        assert threads._found is not None
        in_forked_child(lambda: require_right_on_threads(answers))

    in_forked_child(child)
    with ThreadPoolExecutor(2) as pool:
        forked = [pool.submit(in_forked_child, child) for _ in range(4)]
        while not all(each.done() for each in forked):
            require_right(answers)
        for each in forked:
            each.result()
    require_right_on_threads(answers)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machine_code")


@pytest.mark.exhaustive
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "event",
    [several_threads_call_at_once, the_number_of_workers_changes_while_threads_call, children_after_a_fork],
    ids=lambda event: event.__name__,
)
def test_processes_give_the_same_bits(event: Callable[[], None], kept: Path) -> None:
    finish(start(f"import test_bits; test_bits.{event.__name__}()", kept))
