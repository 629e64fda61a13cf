"""`out=`: results in arrays of the caller's, the same values to the bit, whatever is given."""

from __future__ import annotations

import importlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from array_trees import assert_same, of_dtype
from onepass.backends.common.trees import leaves, map_leaves
from onepass.backends.cpu.runtime import memory
from out_arrays import (
    CALLS,
    COLUMNS,
    LABELS,
    LAYERS,
    ROWS,
    Array,
    X,
    Y,
    assert_taken,
    in_place,
    random,
    swap,
    unwritten,
)
from selection import exhaustively, needing

import onepass as op


@pytest.mark.parametrize("dtype", [exhaustively("float32"), "float64"])
@pytest.mark.parametrize("name", CALLS)
def test_results_are_in_the_arrays_given(name: str, dtype: str, backend: str) -> None:
    function, args = CALLS[name]
    expected = of_dtype(function(*of_dtype(args, dtype)), dtype)
    out = unwritten(expected)
    for _ in range(2):
        mine = of_dtype(args, dtype)
        got = function(*mine, out=out)
        assert_taken(got, out)
        assert_same(got, expected)
        if name != "donated":
            assert_same(mine, of_dtype(args, dtype))
        map_leaves(lambda leaf: leaf.fill(3) if isinstance(leaf, np.ndarray) else None, out)


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "Fortran": lambda a: np.asfortranarray(a),
    "every other": lambda a: np.zeros((2 * ROWS, 3 * COLUMNS), a.dtype)[::2, 1::3],
    "backwards": lambda a: np.empty_like(a)[::-1, ::-1],
    "not aligned": lambda a: np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape),
    "a subclass": lambda a: np.empty_like(a).view(np.recarray),
    "read in from a file": lambda a: np.memmap("memory", a.dtype, "w+", shape=a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_of_any_layout_takes_a_result(
    layout: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = LAYOUTS[layout](X)
    assert op.relu(X, out=out) is out
    np.testing.assert_array_equal(out, op.relu(X))
    gradient = LAYOUTS[layout](X)
    loss, got = op.softmax_cross_entropy_with_grad(X, LABELS, out=[None, gradient])
    expected_loss, expected = op.softmax_cross_entropy_with_grad(X, LABELS)
    assert got is gradient
    assert loss == expected_loss
    np.testing.assert_array_equal(gradient, expected)


def test_none_asks_for_a_fresh_array(backend: str) -> None:
    expected = op.mlp_loss_and_grads(LAYERS, X, LABELS % 5)
    bias = np.empty(50)
    for out in (None, (None, None), (None, [None, (None, None)]), (None, [(None, bias), None])):
        got = op.mlp_loss_and_grads(LAYERS, X, LABELS % 5, out=out)
        assert_same(got, expected)
        assert (got[1][0][1] is bias) == (
            out is not None and isinstance(out[1], list) and out[1][0] is not None
        )
        assert not any(
            np.shares_memory(part, bias) for part in leaves(got) if part is not None and part is not bias
        )


def test_a_number_goes_into_an_array_of_no_dimensions(backend: str) -> None:
    loss, values = np.zeros((), np.float32), X.astype(np.float32)
    got = op.softmax_cross_entropy(values, LABELS, out=loss)
    assert got is loss
    assert loss[()] == op.softmax_cross_entropy(values, LABELS)

    @op.kernel
    def half(x: Any, lr: float, count: int) -> Any:
        return x * lr, 0.5 * lr, count + 1

    rate, count = np.zeros(()), np.zeros((), np.int64)
    assert half(X, 3.0, 4, out=(None, rate, count))[1:] == (rate, count)
    assert (rate[()], count[()]) == (1.5, 5)
    # A number in a number's place is no destination, and asks for none.
    assert half(X, 3.0, 4, out=(None, 7.0, 7))[1:] == (1.5, 5)
    assert op.l2_penalty(X, 0.5, out=np.float64(3)) == op.l2_penalty(X, 0.5)


def test_an_optimiser_steps_in_its_own_memory(backend: str) -> None:
    params, grads = {"a": [X.copy()], "b": (Y[0].copy(), None)}, {"a": [Y], "b": (X[1], None)}
    state = op.adam_init(params)
    assert not np.shares_memory(state["exp_avg"]["a"][0], state["exp_avg_sq"]["a"][0])
    fresh, fresh_state = params, state
    mine, mine_state = of_dtype((params, state), "float64")
    for step in range(1, 4):
        fresh, fresh_state = op.adam_step(fresh, grads, fresh_state)
        got, got_state = op.adam_step(mine, grads, mine_state, out=(mine, mine_state))
        assert_taken((got, {**got_state, "step": None}), (mine, {**mine_state, "step": None}))
        assert got_state["step"] == step
        mine_state = got_state
        assert_same((got, got_state), (fresh, fresh_state))


def test_nothing_is_allocated() -> None:
    x = random.standard_normal((512, 1024))
    out, weight = np.empty_like(x), random.standard_normal((1024, 512))
    given = op.mlp_loss_and_grads([(weight, None)], x, LABELS.repeat(100)[:512])[1]
    moving = np.zeros_like(weight)
    total = np.zeros(())
    calls: list[Callable[[], Any]] = [
        lambda: op.relu(x, out=out),
        lambda: op.relu(out, out=out),
        lambda: op.mlp_loss_and_grads([(weight, None)], x, LABELS.repeat(100)[:512], out=(None, given)),
        lambda: op.sgd_step(weight, given[0][0], 0.1, out=weight),
        lambda: in_place(weight, moving, out=(None, None, total)),
    ]
    for call in calls:
        call()
        memory.release()
        call()
        # Nothing was put there but the workspace of the call.
        assert sum(map(len, memory._pool.values())) <= 1
        tracemalloc.start()
        call()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 60_000


def test_shapes_and_orders_that_the_compiler_changes(backend: str) -> None:
    """Transposed results, dimensions of 1, the same array twice, no rows, three dimensions."""
    shapes = op.kernel(
        lambda x: (x.T + 1, (x * 2)[None, :, None, :], array_namespace(x).sum(x, axis=1)[:, None])
    )
    turned = op.kernel(lambda x: ((x + 1).T, array_namespace(x).exp(x)))
    twice = op.kernel(lambda x: (lambda y: (y, y, y.T))(x + 1))
    cube = np.broadcast_to(X, (3, ROWS, COLUMNS)) + 0
    for function, x in (
        (shapes, X),
        (shapes, X[:0]),
        (turned, X),
        (twice, X),
        (op.relu, cube),
        (op.softmax, cube),
    ):
        expected = of_dtype(function(x), "float64")
        out = unwritten(expected)
        got = function(x, out=out)
        assert_taken(got, out)
        assert_same(got, expected)
        if isinstance(out, tuple):
            for number, part in enumerate(out):
                one = [None] * len(out)
                one[number] = np.zeros_like(part)
                got = list(function(x, out=one))
                assert got[number] is one[number]
                got[number][...] = 3
                assert_same(got[:number] + got[number + 1 :], expected[:number] + expected[number + 1 :])


def test_half_precision_is_rounded_into_its_array() -> None:
    half = X.astype(np.float16)
    out = np.zeros_like(half)
    assert op.softmax(half, out=out) is out
    np.testing.assert_array_equal(out, op.softmax(half))
    with pytest.raises(TypeError, match=r"softmax: out is a numpy float32 .* expected a numpy float16 array"):
        op.softmax(half, out=X.astype(np.float32))


def of_library(name: str) -> tuple[Any, Callable[[Array], Any], Callable[[Any], Array]]:
    """The library, and how arrays get there and back."""
    library = importlib.import_module(name)
    return library, lambda array: library.asarray(array.copy()), lambda array: np.from_dlpack(array)


@pytest.mark.parametrize("name", ["array_api_strict", needing("torch")])
def test_arrays_of_other_libraries_take_results(name: str) -> None:
    library, to, back = of_library(name)
    x, y, gradient, loss = to(X), to(Y), to(0 * X), library.asarray(0.0, dtype=library.float64)
    expected = op.softmax_cross_entropy_with_grad(x, to(LABELS))
    got = op.softmax_cross_entropy_with_grad(x, to(LABELS), out=(loss, gradient))
    assert got[0] is loss
    assert got[1] is gradient
    assert float(loss) == float(expected[0])
    np.testing.assert_array_equal(back(gradient), back(expected[1]))
    assert op.relu(x, out=x) is x
    np.testing.assert_array_equal(back(x), np.maximum(X, 0))
    x = to(X)
    first, second = swap(x, y, out=(x, y))
    assert (first is x, second is y) == (True, True)
    np.testing.assert_array_equal(back(x), Y)
    np.testing.assert_array_equal(back(y), X)
    memory = to(np.vstack([X, Y]))
    identity = op.kernel(lambda x: x)
    identity(memory[:ROWS, :], out=memory[1 : ROWS + 1, :])
    np.testing.assert_array_equal(back(memory)[1 : ROWS + 1], X)
    for out, error, message in (
        (memory, ValueError, r"relu: out has shape \(12, 40\); expected \(6, 40\)"),
        (
            X,
            TypeError,
            rf"relu: out is a numpy float64 array of .*; expected an? {name} float64 array of shape",
        ),
        (library.asarray(X, dtype=library.float32), TypeError, rf"relu: out is an? {name} float32 array"),
        (0.0, TypeError, r"relu: out is 0\.0; expected an?"),
    ):
        with pytest.raises(error, match=message):
            op.relu(x, out=out)
    with pytest.raises(ValueError, match=r"swap: out\[0\] and out\[1\] share memory"):
        swap(x, y, out=(memory[:ROWS, :], memory[1 : ROWS + 1, :]))


def test_arrays_on_another_device_are_refused() -> None:
    strict, to, _ = of_library("array_api_strict")
    elsewhere = strict.asarray(X, device=strict.Device("device1"))
    with pytest.raises(ValueError, match=r"relu: out is on .*device1.*; expected .*CPU_DEVICE"):
        op.relu(to(X), out=elsewhere)
    fresh = strict.asarray(0 * X, device=strict.Device("device1"))
    assert op.relu(elsewhere, out=fresh) is fresh
    np.testing.assert_array_equal(np.asarray(fresh.to_device(strict.Device("CPU_DEVICE"))), np.maximum(X, 0))


@pytest.mark.needs(name="jax")
def test_jax_s_arrays_cannot_be_written() -> None:
    jax = importlib.import_module("jax")
    with jax.enable_x64(True):
        x = jax.numpy.asarray(X)
        with pytest.raises(TypeError, match=r"jax.* arrays of that library cannot be written; expected None"):
            op.relu(x, out=x)
        np.testing.assert_array_equal(np.asarray(op.relu(x, out=None)), np.maximum(X, 0))
