"""Arguments that lie with gaps: read where they are, without a copy, with the values of contiguous ones."""

from __future__ import annotations

import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from onepass.backends.cpu.program import CpuProgram

import onepass as op

Array = np.ndarray[Any, Any]
ROWS, COLUMNS = 70, 50
random = np.random.default_rng(3)


def in_rows(x: Array) -> Array:
    """A slice of the columns of a wider matrix."""
    wide = np.full((x.shape[0], x.shape[1] + 7), 99, x.dtype)
    wide[:, 3:-4] = x
    return wide[:, 3:-4]


def every_other_row(x: Array) -> Array:
    wide = np.full((2 * x.shape[0], x.shape[1]), 99, x.dtype)
    wide[::2] = x
    return wide[::2]


def transposed(x: Array) -> Array:
    return np.ascontiguousarray(x.T).T


def slice_of_transposed(x: Array) -> Array:
    return in_rows(np.ascontiguousarray(x.T)).T


def read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


READ_IN_PLACE = [in_rows, every_other_row, transposed, slice_of_transposed, read_only, np.asfortranarray]


@op.kernel
def product(x: Any, w: Any) -> Any:
    return x @ w


@op.kernel
def product_of_transposed(x: Any, g: Any) -> Any:
    return x.T @ g, g @ g.T


@op.kernel
def scaled(x: Any, y: Any) -> Any:
    xp = array_namespace(x)
    return xp.exp(x - xp.max(x, axis=1, keepdims=True)) * y, xp.sum(x, axis=0), xp.sum(y)


@op.kernel
def looked_up(table: Any, index: Any) -> Any:
    return array_namespace(table).take_along_axis(table, index, axis=1) * 2, table * 3


@op.kernel
def both_ways(x: Any, w: Any) -> Any:
    """Rows of x in a loop, and all of x in products."""
    return x @ w - 1, x.T @ (x * 2), (x * 3) @ x.T


@op.kernel
def step(x: Any, w: Any, labels: Any) -> Any:
    loss, grad = op.softmax_cross_entropy_with_grad(x @ w, labels)
    return loss, x.T @ grad, grad @ w.T


def matrix(rows: int, columns: int, dtype: Any = np.float32) -> Array:
    return random.standard_normal((rows, columns)).astype(dtype)


CALLS: dict[str, tuple[Any, Callable[[Any], tuple[Any, ...]]]] = {
    "product": (product, lambda t: (matrix(ROWS, 40, t), matrix(40, COLUMNS, t))),
    "product_of_transposed": (product_of_transposed, lambda t: (matrix(ROWS, 9, t), matrix(ROWS, 8, t))),
    "scaled": (scaled, lambda t: (matrix(ROWS, COLUMNS, t), matrix(ROWS, COLUMNS, t))),
    "scaled, short rows": (scaled, lambda t: (matrix(ROWS, 3, t), matrix(ROWS, 3, t))),
    "looked_up": (looked_up, lambda t: (matrix(ROWS, COLUMNS, t), random.integers(0, COLUMNS, (ROWS, 1)))),
    "both_ways": (both_ways, lambda t: (matrix(ROWS, 20, t), matrix(20, COLUMNS, t))),
    "step": (step, lambda t: (matrix(ROWS, 20, t), matrix(20, 33, t), random.integers(0, 33, ROWS))),
    "linear_backward": (
        op.linear_backward,
        lambda t: (matrix(ROWS, 7, t), matrix(ROWS, 9, t), matrix(9, 7, t)),
    ),
    "softmax": (op.softmax, lambda t: (matrix(2000, 300, t),)),
    "bools": (
        op.kernel(lambda x, m: array_namespace(x).where(m, x, 0.0)),
        lambda t: (matrix(ROWS, COLUMNS, t), matrix(ROWS, COLUMNS) > 0),
    ),
}


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with op.use_backend("numba"):
        yield


@pytest.fixture
def nothing_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: CpuProgram, array: Any, position: int) -> Any:
        raise AssertionError(f"argument {position} is copied")

    monkeypatch.setattr(CpuProgram, "_plain", refuse)


def is_matrix(array: Array) -> bool:
    return array.ndim == 2 and min(array.shape) > 1


def assert_close(got: Any, expected: Any) -> None:
    got, expected = (value if isinstance(value, tuple) else (value,) for value in (got, expected))
    for one, other in zip(got, expected, strict=True):
        tolerance = 1e-5 if np.asarray(other).dtype == np.float32 else 1e-12
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.usefixtures("nothing_is_copied")
def test_every_argument_may_lie_with_gaps(name: str, dtype: Any) -> None:
    function, make = CALLS[name]
    given = make(dtype)
    expected = function(*given)
    for position, argument in enumerate(given):
        if not is_matrix(argument):
            continue
        for lay in READ_IN_PLACE:
            laid = lay(argument)
            before = laid.copy()
            assert_close(function(*given[:position], laid, *given[position + 1 :]), expected)
            np.testing.assert_array_equal(laid, before)
    for lay in READ_IN_PLACE:  # all of them at once
        assert_close(function(*(lay(a) if is_matrix(a) else a for a in given)), expected)


def test_no_memory_is_needed_for_them() -> None:
    logits, labels = matrix(1000, 1000), random.integers(0, 1000, 1000)
    out = np.empty_like(logits)
    for lay in READ_IN_PLACE:
        laid = lay(logits)
        for _ in range(2):
            op.softmax_cross_entropy_with_grad(laid, labels, out=(None, out))
        tracemalloc.start()
        op.softmax_cross_entropy_with_grad(laid, labels, out=(None, out))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < logits.nbytes / 8, lay.__name__


@pytest.mark.parametrize(
    "lay",
    [
        lambda x: np.ascontiguousarray(x[::-1])[::-1],
        lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
        lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
        lambda x: x.astype(x.dtype.newbyteorder()),
        lambda x: np.frombuffer(b"0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    ],
    ids=["reversed rows", "gaps both ways", "reversed both ways", "big-endian", "misaligned"],
)
def test_other_layouts_are_copied(lay: Callable[[Array], Array]) -> None:
    for name in ("product", "scaled", "step"):
        function, make = CALLS[name]
        given = make(np.float32)
        expected = function(*given)
        assert_close(function(lay(given[0]), *given[1:]), expected)
        assert_close(function(given[0], lay(given[1]), *given[2:]), expected)


def test_overlapping_rows_are_copied() -> None:
    windows = np.lib.stride_tricks.sliding_window_view(matrix(1, 60)[0], 11)
    same = np.broadcast_to(matrix(1, 11), (50, 11))
    for x in (windows, same):
        w = matrix(11, 8)
        assert_close(product(x, w), np.ascontiguousarray(x) @ w)


@pytest.mark.parametrize("lay", READ_IN_PLACE)
def test_a_donated_argument_is_left_alone_where_it_has_gaps(lay: Callable[[Array], Array]) -> None:
    @op.kernel(donate="x")
    def twice(x: Any, y: Any) -> Any:
        return x * 2 + y

    x, y = matrix(ROWS, COLUMNS), matrix(ROWS, COLUMNS)
    expected = x * 2 + y
    laid = lay(x)
    np.testing.assert_allclose(twice(laid, lay(y)), expected, rtol=1e-6)
    np.testing.assert_array_equal(laid, x)


@pytest.mark.parametrize("lay", READ_IN_PLACE)
def test_out_arrays_beside_them(lay: Callable[[Array], Array]) -> None:
    x, w = matrix(ROWS, 40), matrix(40, COLUMNS)
    out, wide = np.empty((ROWS, COLUMNS), np.float32), np.zeros((ROWS, 2 * COLUMNS), np.float32)
    assert product(lay(x), lay(w), out=out) is out
    np.testing.assert_allclose(out, x @ w, rtol=1e-4, atol=1e-5)
    product(lay(x), lay(w), out=wide[:, ::2])
    np.testing.assert_array_equal(wide[:, ::2], out)


def test_an_out_array_over_an_argument_with_gaps() -> None:
    """The result goes where another row of the argument still has to be read."""
    whole = matrix(ROWS, COLUMNS)
    fresh = whole.copy()
    expected = op.softmax(fresh[:, :40])
    op.softmax(whole[:, :40], out=whole[:, :40])
    np.testing.assert_array_equal(whole[:, :40], expected)
    np.testing.assert_array_equal(whole[:, 40:], fresh[:, 40:])


@pytest.mark.parametrize("start", [0, 2900, 3300, 3590])
def test_an_out_array_in_the_span_of_an_argument_with_gaps(start: int) -> None:
    """The argument reaches further than its elements would without gaps."""
    memory = random.standard_normal(8000).astype(np.float32)
    expected = op.softmax(memory[:3600].reshape(60, 60)[:, :40].copy())
    out = memory[start : start + 2400].reshape(60, 40)
    op.softmax(memory[:3600].reshape(60, 60)[:, :40], out=out)
    np.testing.assert_array_equal(out, expected)


def test_layouts_may_change_from_call_to_call() -> None:
    x, w = matrix(ROWS, 40), matrix(40, COLUMNS)
    expected = product(x, w)
    for _ in range(3):
        for first in READ_IN_PLACE:
            for second in READ_IN_PLACE:
                assert_close(product(first(x), second(w)), expected)


def test_strides_are_numbers_of_the_call() -> None:
    """Another stride needs no other program."""
    x, w = matrix(ROWS, 40), matrix(40, COLUMNS)
    expected = product(x, w)
    for gap in (1, 2, 5, 60):
        wide = np.zeros((ROWS, 40 + gap), np.float32)
        wide[:, :40] = x
        assert_close(product(wide[:, :40], w), expected)
        tall = np.zeros((COLUMNS, 40 + gap), np.float32)
        tall[:, :40] = w.T
        assert_close(product(x, tall[:, :40].T), expected)


def test_a_captured_array_may_lie_with_gaps() -> None:
    weight = {"w": matrix(40, COLUMNS)}

    @op.kernel
    def layer(x: Any) -> Any:
        return x @ weight["w"]

    x = matrix(ROWS, 40)
    expected = layer(x)
    for lay in READ_IN_PLACE:
        weight["w"] = lay(weight["w"])
        assert_close(layer(x), expected)


def test_an_out_array_in_the_gaps_of_an_argument() -> None:
    """The argument reaches further than the bytes of its elements."""
    whole, w = matrix(ROWS, 160), np.ascontiguousarray(np.eye(40, dtype=np.float32)[::-1])
    expected = product(whole[:, :40].copy(), w)
    for start in range(0, 3 * ROWS * 40, 997):
        memory = whole.copy()
        out = memory.reshape(-1)[start : start + ROWS * 40].reshape(ROWS, 40)
        assert product(memory[:, :40], w, out=out) is out
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("turned", [False, True])
def test_a_donated_argument_in_the_gaps_of_another_one(turned: bool) -> None:
    @op.kernel(donate="x")
    def step_of(x: Any, y: Any) -> Any:
        return x * 2 - y, array_namespace(y).sum(y, axis=0)

    size = 40
    for start in range(0, 3 * size * size, 997):
        memory = matrix(size, 4 * size)
        y = memory[:, :size].T if turned else memory[:, :size]
        x = memory.reshape(-1)[start : start + size * size].reshape(size, size)
        before, expected = y.copy(), step_of(x.copy(), y.copy())
        assert_close(step_of(x, y), expected)
        np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize("lay", READ_IN_PLACE)
def test_a_product_of_whole_arrays_after_a_loop_that_packs_rows(lay: Callable[[Array], Array]) -> None:
    """What a loop has packed are the rows of one block."""

    @op.kernel
    def centred(x: Any) -> Any:
        xp = array_namespace(x)
        return xp.mean(xp.exp(x), axis=0, keepdims=True) @ x.T

    x = matrix(5000, 33, np.float64)
    assert_close(centred(lay(x)), np.exp(x).mean(axis=0, keepdims=True) @ x.T)


def test_a_captured_array_with_gaps_is_not_kept_alive() -> None:
    weight = {"w": matrix(40, COLUMNS)}

    @op.kernel
    def layer(x: Any) -> Any:
        return x @ weight["w"]

    x = matrix(ROWS, 40)
    layer(x)
    weight["w"] = np.asfortranarray(weight["w"])
    expected, old = layer(x), weakref.ref(weight["w"])
    weight["w"] = weight["w"].copy()
    assert_close(layer(x), expected)
    assert old() is None


@pytest.mark.parametrize("lay", READ_IN_PLACE)
def test_a_matrix_with_gaps_beside_a_batch_of_matrices(lay: Callable[[Array], Array]) -> None:
    """Its rows and columns must be coalesced there, so it is copied."""

    @op.kernel
    def scaled_batch(batch: Any, x: Any) -> Any:
        return batch * x, array_namespace(x).sum(batch * x, axis=0)

    batch, x = matrix(4, ROWS * COLUMNS).reshape(4, ROWS, COLUMNS), matrix(ROWS, COLUMNS)
    for _ in range(2):
        assert_close(scaled_batch(batch, lay(x)), (batch * x, (batch * x).sum(axis=0)))
    out = np.empty_like(batch), np.empty_like(x)
    assert scaled_batch(batch, lay(x), out=out)[0] is out[0]
    assert_close(out, (batch * x, (batch * x).sum(axis=0)))


@pytest.mark.parametrize("lay", READ_IN_PLACE)
def test_a_donated_argument_that_only_a_packed_copy_leaves_free(lay: Callable[[Array], Array]) -> None:
    """Where x is contiguous, a second loop reads it late; packed rows are read in their block alone."""

    @op.kernel(donate="x")
    def rows_and_products(x: Any, w: Any) -> Any:
        xp = array_namespace(x)
        return xp.tanh(x) * 2, x @ w, xp.sum(x, axis=0), xp.exp(x) - xp.sum(xp.exp(x), axis=0)

    x, w = matrix(1100, 16, np.float64), matrix(16, 16, np.float64)
    given = lay(x)
    expected = np.tanh(x) * 2, x @ w, x.sum(axis=0), np.exp(x) - np.exp(x).sum(axis=0)
    for out in (None, (None, np.empty((1100, 16)), None, None)):
        assert_close(rows_and_products(given, lay(w), out=out), expected)
        np.testing.assert_array_equal(given, x)


@pytest.mark.parametrize("view", [lambda x: x[:, ::-1], lambda x: x[::-1], lambda x: x.T, lambda x: x])
def test_a_view_of_a_donated_argument_keeps_its_numbers(view: Callable[[Array], Array]) -> None:
    @op.kernel(donate="x")
    def step_of(x: Any, y: Any) -> Any:
        return x * 2 - y

    x = matrix(30, 30)
    y = view(x)
    before, expected = y.copy(), x * 2 - y
    assert_close(step_of(x, y), expected)
    np.testing.assert_array_equal(y, before)
