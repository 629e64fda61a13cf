"""`out=` where memory is shared: with arguments, donated ones, constants, other results and threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from array_trees import assert_same, of_dtype
from onepass.backends.common.trees import leaves
from out_arrays import (
    COLUMNS,
    KERNELS,
    LABELS,
    ROWS,
    VIEWS,
    X,
    Y,
    any_view,
    donated,
    in_place,
    random,
    swap,
)

import onepass as op

OVERWRITING: dict[str, Callable[..., Any]] = {
    "relu": op.relu,
    "softmax": op.softmax,
    "softmax over rows": lambda x, **named: op.softmax(x, axis=0, **named),
    "centred": op.kernel(lambda x: x - array_namespace(x).mean(x, axis=0)),
    "gradient": lambda x, out: op.softmax_cross_entropy_with_grad(x, LABELS, out=(None, out))[1],
    "product": op.kernel(lambda x: (x @ x.T) @ x),
    "itself": op.kernel(lambda x: x),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", OVERWRITING)
def test_an_argument_s_memory_may_take_the_result(name: str, view: str, backend: str) -> None:
    argument, out = VIEWS[view](random.standard_normal((2 * ROWS + 1, COLUMNS)))
    expected = OVERWRITING[name](argument.copy(), out=np.zeros_like(X))
    assert OVERWRITING[name](argument, out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_an_array_of_the_kernel_s_own_may_take_the_result(backend: str) -> None:
    own = Y.copy()
    double = op.kernel(lambda x: {"sum": x + own, "own": own, "difference": x - own})
    beside = op.kernel(lambda x: (x * 2, own))
    before = beside(X, out=(own, None))[1]
    np.testing.assert_array_equal(before, Y)
    own[...] = Y
    for name in ("sum", "difference"):
        expected = of_dtype(double(X), "float64")
        got = double(X, out={"sum": None, "own": None, "difference": None, name: own})
        assert got[name] is own
        for key in {"sum", "difference", "own"} - {name}:
            np.testing.assert_array_equal(got[key], expected[key])
        np.testing.assert_array_equal(own, expected[name])


def test_two_results_in_one_memory_are_an_error(backend: str) -> None:
    crossed = op.kernel(swap.__wrapped__)  # which has seen no other arrays
    whole = np.zeros((ROWS + 1, COLUMNS))
    wide = np.zeros((ROWS, 2 * COLUMNS))
    x, y, same = X.copy(), Y.copy(), X.copy()
    for first, second in (
        (same, same),
        (whole[:ROWS], whole[:ROWS]),
        (whole[:ROWS], whole[1:]),
        (whole[:ROWS], whole[1:][::-1]),
        (wide[:, :COLUMNS], wide[:, 1 : COLUMNS + 1]),
        (x, x),
        (x, x[:]),
        (x, x[::-1]),
    ):
        before = first.copy(), second.copy()
        with pytest.raises(
            ValueError, match=r"swap: out\[0\] and out\[1\] share memory; expected arrays that do not overlap"
        ):
            crossed(x, y, out=(first, second))
        assert_same((first, second), before)
        assert_same(crossed(x, y, out=(np.zeros_like(x), np.zeros_like(x))), (y, x))
    first, second = wide[:, ::2], wide[:, 1::2]
    assert_same(crossed(x, y, out=(first, second)), (Y, X))
    assert_same(crossed(x, y, out=(x, y)), (Y, X))


@pytest.mark.parametrize("function", [donated, in_place], ids=lambda function: function.__name__)
def test_donated_memory_and_given_memory_go_together(function: Any) -> None:
    expected = of_dtype(function(X.copy(), Y.copy()), "float64")
    buffer = np.zeros((ROWS + 1, COLUMNS))
    total = np.zeros(())
    for out_of in (
        lambda x, y: (None, None, total),
        lambda x, y: (x, y, None),
        lambda x, y: (y, x, None),
        lambda x, y: (None, x, None),
        lambda x, y: (y, None, None),
        lambda x, y: (None, x[::-1], None),
        lambda x, y: (y[::-1], None, total),
        lambda x, y: (x, y[::-1], None),
        lambda x, y: (x[::-1], y, None),
        lambda x, y: (None, x.reshape(-1)[::-1].reshape(x.shape), None),
        lambda x, y: (buffer[1:], None, None),
        lambda x, y: (buffer[:ROWS].T.reshape(COLUMNS, ROWS).T, x, total),
    ):
        x, y = X.copy(), Y.copy()
        out = out_of(x, y)
        got = function(x, y, out=out)
        assert_same(got, expected)
        for mine, given in zip(got, out, strict=True):
            assert given is None or mine is given
        assert not np.shares_memory(got[0], got[1])
    # A row on: the memory of `x` is part of what takes the second result, and would be the first one's.
    buffer[:ROWS], y = X, Y.copy()
    assert_same(function(buffer[:ROWS], y, out=(None, buffer[1:], None)), expected)


@pytest.mark.parametrize("seed", range(20))
def test_any_memory_gives_the_right_values_or_an_error(seed: int, backend: str) -> None:
    generator, errors = np.random.default_rng(seed), 0
    function = KERNELS[seed % 4]
    for _ in range(30):
        memory = [generator.standard_normal(2 * ROWS * COLUMNS + 60) for _ in range(2)]
        a, b, first, second = (any_view(memory[generator.integers(2)], generator) for _ in range(4))
        a = first if generator.integers(4) == 0 else a
        b = second if generator.integers(4) == 0 else b
        out = [(first, [second]), (None, [second]), (first, [None])][generator.integers(3)]
        expected = of_dtype(function(a.copy(), b.copy()), "float64")
        if all(leaf is not None for leaf in leaves(out)) and np.shares_memory(first, second):
            errors += 1
            with pytest.raises(ValueError, match=r"out\[0\] and out\[1\]\[0\] share memory"):
                function(a, b, out=out)
        else:
            got = function(a, b, out=out)
            assert_same(got, expected)
            assert [m is g or g is None for m, g in zip(leaves(got), leaves(out), strict=True)] == [True] * 2
    assert errors > 0


def test_threads_write_into_their_own(backend: str) -> None:
    shared = random.standard_normal((1000, COLUMNS))
    labels = random.integers(0, COLUMNS, 1000)
    expected = op.softmax_cross_entropy_with_grad(shared, labels)

    def work(number: int) -> bool:
        loss, gradient = np.zeros(()), np.zeros_like(shared)
        with op.use_backend(backend):
            for turn in range(50):
                out = gradient if (turn + number) % 3 else gradient[::-1]
                op.softmax_cross_entropy_with_grad(shared, labels, out=(loss, out))
                if loss[()] != expected[0] or not np.array_equal(out, expected[1]):
                    return False
                gradient[...] = number
        return True

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))
