"""How matrix products are computed: the values of every way, and the same bits for any number of workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_trees import bits
from onepass.backends.codegen import cost
from onepass.backends.codegen.lower import lower
from onepass.backends.codegen.plan import Plan
from onepass.backends.codegen.stages import is_by_result
from onepass.backends.common.trees import leaves, map_leaves
from onepass.backends.cpu.runtime import threads
from onepass.backends.cpu.target import CPU
from onepass.backends.cpu.text import CpuText
from onepass.backends.ir.nest import BufferKind, MatMul, ProductWay
from selection import exhaustively

import onepass as op

Array = np.ndarray[Any, Any]
random = np.random.default_rng(20261127)
CLOSE = {"float32": 2e-5, "float64": 1e-12}


def normal(*shape: int, dtype: Any = "float32") -> Array:
    return random.standard_normal(shape).astype(dtype)


def of_shares(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Have every stage in so many shares, where it has as many blocks."""
    monkeypatch.setattr(threads, "worker_count", lambda: count)
    monkeypatch.setattr(cost, "WORTH_A_WORKER_NS", 1)


def products(plan: Plan) -> list[MatMul]:
    return [step for loop in plan.loops for step in loop.steps if isinstance(step, MatMul)]


def by_result(function: Callable[..., Any], *args: Any) -> list[tuple[int, ...]]:
    """The shapes of the products that are computed by rows of their result."""
    plan = lower(function, "kernel", args, {}, target=CPU).plan
    return [product.node.sizes() for product in products(plan) if is_by_result(product.node)]


def right(function: Callable[..., Any], *args: Any) -> list[Array]:
    wide = map_leaves(lambda a: a.astype(np.float64) if a.dtype.kind == "f" else a, args)
    return [np.asarray(found) for found in leaves(function(*wide))]


def require_values(
    function: Callable[..., Any], args: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The values of NumPy in float64, and the same bits for any number of workers."""
    expected = right(function, *args)
    found = []
    for count in (1, 2, 3, 5):
        of_shares(monkeypatch, count)
        with op.use_backend("numba"):
            got = leaves(op.kernel(function)(*args))
        for mine, value in zip(got, expected, strict=True):
            scale = max(float(np.max(np.abs(value), initial=0.0)), 1.0)
            np.testing.assert_allclose(mine, value, rtol=0, atol=CLOSE[mine.dtype.name] * scale)
        found.append(bits(got))
    assert all(other == found[0] for other in found)


# Products over rows that are computed by rows of their result


def gradient(x: Any, g: Any, weight: Any) -> Any:
    return x.T @ g


def update(x: Any, g: Any, weight: Any) -> Any:
    return weight - 0.5 * (x.T @ (2 * g))


def accumulated(x: Any, g: Any, weight: Any) -> Any:
    gradient = x.T @ np.tanh(g)
    return weight + gradient, gradient.T


def of_computed_rows(x: Any, g: Any, weight: Any) -> Any:
    hidden = np.maximum(x @ weight, 0)
    return weight + x.T @ (hidden * g), hidden


def of_two_computed_factors(x: Any, g: Any, weight: Any) -> Any:
    return np.tanh(x).T @ np.tanh(g)


GRADIENTS = (gradient, update, accumulated, of_computed_rows, of_two_computed_factors)
SIZES = [(128, 200, 100), (2, 128, 64), (65, 301, 67), (90, 784, 96), (7, 1000, 130)]


@pytest.mark.parametrize("function", GRADIENTS, ids=lambda function: function.__name__)
@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [
        exhaustively(sizes, dtype, when=dtype == "float64" and sizes not in SIZES[:2])
        for sizes in SIZES
        for dtype in ("float32", "float64")
    ],
)
def test_a_product_by_result(
    function: Callable[..., Any], sizes: tuple[int, int, int], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, d, k = sizes
    args = normal(n, d, dtype=dtype), normal(n, k, dtype=dtype), normal(d, k, dtype=dtype)
    assert by_result(function, *args) == [(d, k)]
    if function is of_computed_rows:
        monkeypatch.setitem(CLOSE, "float32", 1e-4)  # rounded twice
    require_values(function, args, monkeypatch)


@pytest.mark.parametrize("function", GRADIENTS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("layout", ["transposed", "sliced", "other step"])
def test_a_product_by_result_of_strided_arrays(
    function: Callable[..., Any], layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def laid(array: Array) -> Array:
        rows, columns = array.shape
        if layout == "transposed":
            return np.asfortranarray(array)
        memory = np.full((2 * rows, 2 * columns), np.nan, array.dtype)
        view = memory[:rows, 3 : 3 + columns] if layout == "sliced" else memory[::2, ::2]
        view[...] = array
        return view

    args = (laid(normal(130, 200)), laid(normal(130, 100)), laid(normal(200, 100)))
    if function is of_computed_rows:
        monkeypatch.setitem(CLOSE, "float32", 1e-4)
    require_values(function, args, monkeypatch)


def test_a_product_by_result_of_no_rows() -> None:
    args = normal(0, 200), normal(0, 100), normal(200, 100)
    with op.use_backend("numba"):
        np.testing.assert_array_equal(op.kernel(gradient)(*args), np.zeros((200, 100)))
        np.testing.assert_array_equal(op.kernel(update)(*args), args[2])


def test_an_update_overwrites_the_donated_weight() -> None:
    x, g, weight = normal(130, 200), normal(130, 100), normal(200, 100)
    (expected,) = right(update, x, g, weight)
    with op.use_backend("numba"):
        got = op.kernel(update, donate="weight")(x, g, weight)
    assert np.shares_memory(got, weight)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


def test_a_weight_is_not_overwritten_while_others_need_it() -> None:
    """The product reads rows of its second factor that another block would have overwritten."""

    def kernel(x: Any, g: Any) -> Any:
        return g + x.T @ g

    x, g = normal(200, 200), normal(200, 100)
    (expected,) = right(kernel, x, g)
    with op.use_backend("numba"):
        got = op.kernel(kernel, donate="g")(x, g)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


def held(function: Callable[..., Any], *args: Any, workers: int = 2) -> int:
    text = CpuText(function, "kernel", args, {})
    kinds = (BufferKind.ARGUMENT, BufferKind.RESULT)
    return sum(
        text.sizes.length(buffer, workers) * buffer.itemsize
        for buffer in text.plan.buffers
        if buffer.kind not in kinds
    )


def test_memory_does_not_grow_with_the_rows() -> None:
    """Where many rows would have to be stored, a product over rows is added up over blocks."""

    def bytes_of(rows: int) -> int:
        return held(accumulated, normal(rows, 256), normal(rows, 128), normal(256, 128))

    weight = 256 * 128 * 4
    assert all(bytes_of(rows) <= 8 * weight for rows in (128, 512, 1024, 4096, 20_000, 100_000))
    assert bytes_of(100_000) <= bytes_of(50_000) + 2 * weight
    assert by_result(accumulated, normal(4096, 256), normal(4096, 128), normal(256, 128)) == []
    # Arguments are in memory anyway, up to as many rows as float32 adds up.
    assert by_result(gradient, normal(4096, 256), normal(4096, 128), 0) == [(256, 128)]
    assert by_result(gradient, normal(4097, 256), normal(4097, 128), 0) == []


def test_the_choice_depends_on_sizes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    args = normal(130, 200), normal(130, 100), normal(200, 100)
    texts = set()
    for count in (1, 2, 3, 16):
        of_shares(monkeypatch, count)
        text = CpuText(update, "kernel", args, {})
        texts.add((text.source, *(work.block for work in text.sizes.loops)))
    assert len(texts) == 1


# Products with a dimension of a few numbers


def of_rows(x: Any, w: Any) -> Any:
    return x @ w


def of_rows_transposed(x: Any, w: Any) -> Any:
    return x @ w.T


def over_rows(x: Any, g: Any) -> Any:
    return x.T @ g


def narrow_calls(
    n: int, few: int, wide: int
) -> list[tuple[Callable[..., Any], tuple[int, int], tuple[int, int]]]:
    """Functions, and the shapes of their arguments."""
    return [
        (of_rows, (n, few), (few, wide)),
        (of_rows_transposed, (n, few), (wide, few)),
        (of_rows, (n, wide), (wide, few)),
        (of_rows_transposed, (n, wide), (few, wide)),
        (over_rows, (n, wide), (n, few)),
        (over_rows, (n, few), (n, wide)),
    ]


def ways(function: Callable[..., Any], *args: Any) -> list[ProductWay]:
    plan = lower(function, "kernel", args, {}, target=CPU).plan
    return [product.way for product in products(plan)]


NARROW_SIZES = [
    *((1, 3, 100), (3, 2, 16), (70, 1, 300), (70, 3, 300), (131, 4, 17), (1030, 4, 259)),
    *((3, 5, 256), (131, 10, 2100), (1030, 7, 263)),
]


@pytest.mark.parametrize("call", range(6))
@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [
        exhaustively(sizes, dtype, when=dtype == "float64" and sizes not in NARROW_SIZES[::2])
        for sizes in NARROW_SIZES
        for dtype in ("float32", "float64")
    ],
)
def test_a_narrow_product(
    sizes: tuple[int, int, int], call: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, *shapes = narrow_calls(*sizes)[call]
    args = tuple(normal(*shape, dtype=dtype) for shape in shapes)
    if sizes[0] > 1 and not (sizes[1] == 1 and call < 2):  # one term is no sum
        assert all(way is not ProductWay.BLAS for way in ways(function, *args))
    (expected,) = right(function, *args)
    tolerance = CLOSE[dtype] * max(1.0, float(np.max(np.abs(expected))))
    for count in (1, 2, 3):
        of_shares(monkeypatch, count)
        with op.use_backend("numba"):
            got = op.kernel(function)(*args)
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("call", range(4))
@pytest.mark.parametrize("few", [1, 3, 4, 9])
def test_the_bits_of_a_row_depend_on_nothing_else(
    call: int, few: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on the number of workers, nor on how many rows there are and which of them it is."""
    function, first, second = narrow_calls(1027, few, 263)[call]
    x, w = normal(*first, dtype=dtype), normal(*second, dtype=dtype)
    with op.use_backend("numba"):
        kernel = op.kernel(function)
        whole = kernel(x, w)
        for start, stop in ((0, 2), (3, 6), (5, 12), (1, 1027), (1000, 1027)):
            assert bits(kernel(x[start:stop], w)) == bits(whole[start:stop])
        for count in (2, 3, 5):
            of_shares(monkeypatch, count)
            assert bits(op.kernel(function)(x, w)) == bits(whole)


@pytest.mark.parametrize("call", range(6))
@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2]])
def test_a_narrow_product_of_strided_arrays(call: int, layout: Callable[[Array], Array]) -> None:
    function, *shapes = narrow_calls(70, 3, 100)[call]
    args = tuple(normal(*shape) for shape in shapes)
    (expected,) = right(function, *args)
    padded = [np.full((rows, columns + 5), np.nan, np.float32) for rows, columns in shapes]
    for memory, array in zip(padded, args, strict=True):
        memory[:, 2:-3] = array
    with op.use_backend("numba"):
        for given in (tuple(map(layout, args)), [memory[:, 2:-3] for memory in padded]):
            np.testing.assert_allclose(op.kernel(function)(*given), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("few", "wide", "is_loops"),
    [(4, 15, False), (4, 16, True), (5, 255, False), (5, 256, True), (10, 256, True), (11, 2000, False)],
)
def test_products_that_are_loops(few: int, wide: int, is_loops: bool) -> None:
    for function, *shapes in narrow_calls(300, few, wide):
        (way,) = ways(function, *(normal(*shape) for shape in shapes))
        assert (way is not ProductWay.BLAS) == is_loops


def test_a_narrow_product_of_no_rows_and_of_nothing_finite() -> None:
    for function, *shapes in narrow_calls(0, 3, 100):
        x, w = (normal(*shape) for shape in shapes)
        with op.use_backend("numba"):
            np.testing.assert_array_equal(op.kernel(function)(x, w), function(x, w))
    for function, *shapes in narrow_calls(9, 3, 100):
        x, w = (normal(*shape) for shape in shapes)
        x[5, 1], w[2, 2] = np.inf, np.nan
        with op.use_backend("numba"), np.errstate(invalid="ignore"):
            got, expected = op.kernel(function)(x, w), function(x, w)
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))


def test_a_narrow_product_over_many_rows_is_added_up_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal numbers, which round in the same direction in every row."""
    x, g = np.full((1_000_003, 16), 290.3, np.float32), np.full((1_000_003, 2), 290.3, np.float32)
    assert ways(over_rows, x, g) == [ProductWay.FEW_COLUMNS]
    expected = 1_000_003 * np.float64(np.float32(290.3)) ** 2
    for count in (1, 3):
        of_shares(monkeypatch, count)
        with op.use_backend("numba"):
            got = op.kernel(over_rows)(x, g)
        assert np.max(np.abs(got / expected - 1)) < 1e-6
