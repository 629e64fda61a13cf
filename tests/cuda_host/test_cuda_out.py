"""`out=` of GPU programs, on the host: written where it lies, with the checks and the values of the CPU's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import host_cuda
import numpy as np
import pytest
from array_api_compat import array_namespace
from onepass.backends.common.trees import leaves
from onepass.backends.cuda.arrays import overlapping
from onepass.backends.cuda.program import CudaProgram
from out_arrays import (
    COLUMNS,
    KERNELS,
    LABELS,
    LAYERS,
    ROWS,
    VIEWS,
    Array,
    X,
    Y,
    any_view,
    assert_same,
    assert_taken,
    donated,
    in_place,
    of_dtype,
    random,
    statistics,
    swap,
    unwritten,
)
from pooled_device import PooledDevice

import onepass as op
from onepass import compilation
from onepass.out import OutArgument

pytestmark = pytest.mark.skipif(host_cuda.why_not() is not None, reason=str(host_cuda.why_not()))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> PooledDevice:
    """What kernels that are made now compile NumPy's arrays for."""
    device = PooledDevice()

    def program(function: Callable[..., Any], name: str, *call: Any) -> CudaProgram:
        return CudaProgram(function, name, *call, device=device)

    monkeypatch.setattr(compilation, "compile_for_cpu", program)
    return device


def anew(function: Any) -> Any:
    """The same kernel, which has no programs yet."""
    return op.kernel(inspect.unwrap(function), donate=getattr(function, "donate", ()))


def large(device: PooledDevice) -> list[Any]:
    """Shapes of arrays that were asked for; what a program keeps to itself is bytes."""
    return [shape for shape, dtype in device.made if dtype != "uint8"]


CALLS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "relu": (op.relu, (X,)),
    "softmax_cross_entropy_with_grad": (op.softmax_cross_entropy_with_grad, (X, LABELS)),
    "mlp_loss_and_grads": (op.mlp_loss_and_grads, (LAYERS, X, LABELS % 5)),
    "statistics": (statistics, (X, Y)),
    "swap": (swap, (X, Y)),
    "donated": (donated, (X, Y)),
}


@pytest.mark.parametrize("name", CALLS)
def test_results_are_in_the_arrays_given_and_no_memory_is_taken(name: str, device: PooledDevice) -> None:
    function, args = CALLS[name]
    with op.use_backend("numpy"):
        expected = of_dtype(function(*of_dtype(args, "float64")), "float64")
    kernel = anew(function)
    plain = of_dtype(kernel(*of_dtype(args, "float64")), "float64")
    for mine, right in zip(leaves(plain), leaves(expected), strict=True):
        assert (mine is None) == (right is None)
        if right is not None:
            np.testing.assert_allclose(mine, right, rtol=1e-11, atol=1e-13)
    assert large(device)
    out = unwritten(plain)
    # A result over donated memory is copied from there into the array that was given for it.
    for _ in range(3):
        device.made.clear()
        mine = of_dtype(args, "float64")
        got = kernel(*mine, out=out)
        assert_taken(got, out)
        assert_same(got, plain)
        assert not large(device)
        if name != "donated":
            assert_same(mine, of_dtype(args, "float64"))
        for array in leaves(out):
            if array is not None:
                array.fill(3)


def test_an_array_in_another_order_is_copied_into(device: PooledDevice) -> None:
    relu = anew(op.relu)
    expected = np.maximum(X, 0)
    for out in (
        np.asfortranarray(X),
        np.zeros((2 * ROWS, 3 * COLUMNS))[::2, 1::3],
        np.empty_like(X)[::-1],
        np.zeros(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape),
    ):
        out[...] = 7
        assert relu(X, out=out) is out
        np.testing.assert_array_equal(out, expected)
        assert (ROWS, COLUMNS) in large(device)
        device.made.clear()


def test_numbers_are_written_into_arrays_of_no_dimensions(device: PooledDevice) -> None:
    @op.kernel
    def half(x: Any, lr: float, count: int) -> Any:
        total = array_namespace(x).sum(x)
        return x * lr, 0.5 * lr, count + 1, total, [total]

    rate, count, total, again = np.zeros(()), np.zeros((), np.int64), np.zeros(()), np.zeros(())
    got = half(X, 3.0, 4, out=(None, rate, count, total, [again]))
    assert [got[1] is rate, got[2] is count, got[3] is total, got[4][0] is again] == [True] * 4
    assert (rate[()], count[()]) == (1.5, 5)
    np.testing.assert_allclose([total, again], X.sum(), rtol=1e-12)
    # A number in a number's place asks for a fresh one.
    fresh = half(X, 3.0, 4, out=(None, 7.0, 7, total, None))
    assert (float(fresh[1]), int(fresh[2]), fresh[3] is total) == (1.5, 5, True)


def test_an_optimiser_steps_in_its_own_memory(device: PooledDevice) -> None:
    step = anew(op.adam_step)
    params, grads = {"a": X.copy(), "b": Y[0].copy()}, {"a": Y, "b": X[1]}
    state = op.adam_init(params)
    fresh, fresh_state = of_dtype((params, state), "float64")
    for number in range(1, 4):
        device.made.clear()
        got, got_state = step(params, grads, state, out=(params, state))
        assert not [shape for shape in large(device) if shape]
        assert_taken(got, params)
        with op.use_backend("numpy"):
            fresh, fresh_state = op.adam_step(fresh, grads, fresh_state)
        assert int(got_state["step"]) == number
        for mine, right in zip(leaves((got, got_state)), leaves((fresh, fresh_state)), strict=True):
            np.testing.assert_allclose(mine, right, rtol=1e-11)
        state = {**got_state, "step": number}


OVERWRITING: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: array_namespace(x).maximum(x, 0 * x),
    "softmax": op.softmax,
    "centred": lambda x: x - array_namespace(x).mean(x, axis=0),
    "gradient": lambda x: op.softmax_cross_entropy_with_grad(x, LABELS)[1],
    "product": lambda x: (x @ x.T) @ x,
    "itself": lambda x: x,
}


@pytest.mark.parametrize("name", OVERWRITING)
def test_an_argument_s_memory_may_take_the_result(name: str, device: PooledDevice) -> None:
    kernel = anew(OVERWRITING[name])
    for view in VIEWS.values():
        argument, out = view(random.standard_normal((2 * ROWS + 1, COLUMNS)))
        expected = kernel(argument.copy(), out=np.zeros_like(X))
        assert kernel(argument, out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_results_in_one_memory_are_an_error(device: PooledDevice) -> None:
    kernel = anew(swap)
    whole = np.zeros((ROWS + 1, COLUMNS))
    for first, second in ((X.copy(),) * 2, (whole[:ROWS], whole[1:]), (whole[:ROWS], whole[1:][::-1])):
        before = first.copy(), second.copy()
        with pytest.raises(
            ValueError, match=r": out\[0\] and out\[1\] share memory; expected arrays that do not overlap"
        ):
            kernel(X, Y, out=(first, second))
        assert_same((first, second), before)
    x, y = X.copy(), Y.copy()
    assert_same(kernel(x, y, out=(x, y)), (Y, X))


@pytest.mark.parametrize("function", [donated, in_place], ids=lambda function: function.__name__)
def test_donated_memory_and_given_memory_go_together(function: Any, device: PooledDevice) -> None:
    kernel = anew(function)
    expected = of_dtype(kernel(X.copy(), Y.copy()), "float64")
    buffer, total = np.zeros((ROWS + 1, COLUMNS)), np.zeros(())
    for out_of in (
        lambda x, y: (None, None, total),
        lambda x, y: (x, y, None),
        lambda x, y: (y, x, None),
        lambda x, y: (None, x, None),
        lambda x, y: (None, x[::-1], None),
        lambda x, y: (y[::-1], None, total),
        lambda x, y: (buffer[1:], None, None),
    ):
        x, y = X.copy(), Y.copy()
        out = out_of(x, y)
        got = kernel(x, y, out=out)
        assert_same(got, expected)
        assert all(given is None or mine is given for mine, given in zip(got, out, strict=True))
        assert not np.shares_memory(got[0], got[1])
    buffer[:ROWS], y = X, Y.copy()
    assert_same(kernel(buffer[:ROWS], y, out=(None, buffer[1:], None)), expected)


@pytest.mark.parametrize("number", range(len(KERNELS)))
def test_any_memory_gives_the_right_values_or_an_error(number: int, device: PooledDevice) -> None:
    generator, kernel, errors = np.random.default_rng(number), anew(KERNELS[number]), 0
    for _ in range(60):
        memory = [generator.standard_normal(2 * ROWS * COLUMNS + 60) for _ in range(2)]
        a, b, first, second = (any_view(memory[generator.integers(2)], generator) for _ in range(4))
        a = first if generator.integers(4) == 0 else a
        b = second if generator.integers(4) == 0 else b
        out = [(first, [second]), (None, [second]), (first, [None])][generator.integers(3)]
        expected = of_dtype(kernel(a.copy(), b.copy()), "float64")
        if all(leaf is not None for leaf in leaves(out)) and np.shares_memory(first, second):
            errors += 1
            with pytest.raises(ValueError, match=r"out\[0\] and out\[1\]\[0\] share memory"):
                kernel(a, b, out=out)
        else:
            got = kernel(a, b, out=out)
            assert_same(got, expected)
            assert all(g is None or m is g for m, g in zip(leaves(got), leaves(out), strict=True))
    assert errors > 0


REFUSED: list[tuple[type[Exception], str, Array]] = [
    (ValueError, r"relu: out has shape \(40, 6\); expected \(6, 40\)", X.T),
    (ValueError, r"relu: out is read-only", np.broadcast_to(X[0], X.shape)),
    (TypeError, r"relu: out is a numpy float32 array .* expected a numpy float64 array", X.astype("f4")),
    (ValueError, r"relu: elements of out share memory", np.lib.stride_tricks.as_strided(Y, X.shape, (8, 8))),
]


@pytest.mark.parametrize(("error", "message", "out"), REFUSED, ids=[message for _, message, _ in REFUSED])
def test_an_array_that_does_not_fit_is_refused(
    error: type[Exception], message: str, out: Array, device: PooledDevice
) -> None:
    before = np.array(out)
    kernel = anew(op.relu)
    kernel(X, out=np.empty_like(X))
    with pytest.raises(error, match=message):
        kernel(X, out=out)
    np.testing.assert_array_equal(out, before)


def test_a_result_returned_twice_is_two_arrays(device: PooledDevice) -> None:
    def twice(x: Any) -> Any:
        y, total = x + 1, array_namespace(x).sum(x)
        return y, y, y.T, total, total, total[None, None]

    with op.use_backend("numpy"):
        expected = op.kernel(twice)(X)
    kernel = op.kernel(twice)
    for out in (None, (None, np.zeros_like(X), None, None, None, np.zeros((1, 1)))):
        got = list(kernel(X, out=out))
        for number, part in enumerate(got):
            np.testing.assert_allclose(part, expected[number], rtol=1e-12)
            assert not any(np.shares_memory(part, other) for other in got[:number])


def test_halves_are_written_where_they_lie(device: PooledDevice) -> None:
    x = X.astype(np.float16)
    program = CudaProgram(inspect.unwrap(op.softmax), "softmax", (x,), {}, device=device)
    assert program.out_specs.dtype == np.float16
    expected = program([x])
    out = np.zeros_like(x)
    device.made.clear()
    got = program([x], OutArgument(out).match("softmax", "numpy", program.out_specs, program.out_orders))
    assert got is out
    np.testing.assert_array_equal(out, expected)
    assert not large(device)


def test_an_array_of_the_kernel_s_own_may_take_the_result(device: PooledDevice) -> None:
    own = Y.copy()
    beside = op.kernel(lambda x: (x * 2, own, array_namespace(x).sum(x)))
    for out in ((own, None, None), (None, None, own[0, 0, ...])):
        own[...] = Y
        got = beside(X, out=out)
        np.testing.assert_array_equal(got[0], 2 * X)
        np.testing.assert_array_equal(got[1], Y)
        np.testing.assert_allclose(got[2], X.sum(), rtol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_what_has_memory_in_common_is_found(seed: int) -> None:
    generator = np.random.default_rng(seed)
    for _ in range(50):
        starts, sizes = generator.integers(60, size=6), generator.integers(20, size=6)
        places = [set(range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]
        expected = {
            one
            for one, place in enumerate(places)
            if any(place & other for number, other in enumerate(places) if number != one)
        }
        assert overlapping(zip(starts.tolist(), sizes.tolist(), range(6), strict=True)) == expected
