"""Results over donated arguments that are read at a label too; exponentials of what is never above 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from selection import exhaustively

import onepass as op

random = np.random.default_rng(20261121)
TOLERANCES = {"float32": 2e-6, "float64": 1e-12}
IN_DTYPES = pytest.mark.parametrize("dtype", ["float32", exhaustively("float64")])


@op.kernel(donate="logits")
def descent(logits: Any, labels: Any) -> Any:
    """The loss, and its gradient over the logits."""
    return op.softmax_cross_entropy_with_grad(logits, labels)


@op.kernel(donate="x")
def picked_late(x: Any, labels: Any) -> Any:
    """x is written in the first turn over a row, and its element at the label counts in the last."""
    xp = array_namespace(x)
    at_label = xp.take_along_axis(x, labels[:, None], axis=-1)[:, 0]
    spread = xp.sum(xp.exp(x - xp.max(x, axis=-1, keepdims=True)), axis=-1)
    return 2 * x, xp.sum(at_label * spread)


@op.kernel(donate="x")
def picked_for_columns(x: Any, labels: Any) -> Any:
    """The element at the label is needed for every column that is written, and by two results."""
    xp = array_namespace(x)
    at_label = xp.take_along_axis(x, labels[:, None], axis=-1)
    return x - at_label, xp.sum(x * at_label, axis=0)


@op.kernel
def head(x: Any, weight: Any, labels: Any) -> Any:
    """Logits that exist a block at a time, under their gradient."""
    loss, grad = op.softmax_cross_entropy_with_grad(x @ weight, labels)
    return loss, x.T @ grad, xp_sum(grad)


def xp_sum(grad: Any) -> Any:
    return array_namespace(grad).sum(grad, axis=0)


def rows(n: int, k: int, dtype: str) -> np.ndarray:
    x = 3 * random.standard_normal((n, k)).astype(dtype)
    x[0] = -500
    x[-1] += 1e4
    return x


@IN_DTYPES
@pytest.mark.parametrize("shape", [(130, 3), (200, 33), (70, 1000), (3, 5000)])
@pytest.mark.parametrize("kernel", [descent, picked_late, picked_for_columns], ids=lambda k: k.__name__)
def test_a_row_is_read_at_its_label_before_it_is_written_over(
    kernel: Any, shape: tuple[int, int], dtype: str
) -> None:
    x = rows(*shape, dtype)
    labels = random.integers(0, shape[1], shape[0])
    expected = kernel.__wrapped__(x.astype("float64"), labels)
    for got, exact in zip(kernel(x, labels), expected, strict=True):
        np.testing.assert_allclose(got, exact, rtol=0, atol=TOLERANCES[dtype] * np.abs(exact).max())


def test_the_gradient_takes_the_memory_of_donated_logits() -> None:
    for shape in [(130, 3), (70, 1000)]:
        x = rows(*shape, "float32")
        _, grad = descent(x, np.zeros(shape[0], int))
        assert np.shares_memory(grad, x)


@IN_DTYPES
def test_a_block_s_logits_lie_under_their_gradient(dtype: str) -> None:
    x, weight = (random.standard_normal(shape).astype(dtype) for shape in [(300, 20), (20, 700)])
    labels = random.integers(0, 700, 300)
    assert str(op.explain(head, x, weight, labels)).count(": block ") == 1
    expected = head.__wrapped__(x.astype("float64"), weight.astype("float64"), labels)
    for got, exact in zip(head(x, weight, labels), expected, strict=True):
        np.testing.assert_allclose(got, exact, rtol=0, atol=TOLERANCES[dtype] * np.abs(exact).max())


@op.kernel
def exponentials(x: Any) -> Any:
    """exp of what cannot be above 0, of its opposite, and of what only looks like it."""
    xp = array_namespace(x)
    largest = xp.max(x, axis=-1, keepdims=True)
    smallest = xp.min(x, axis=-1, keepdims=True)
    first = xp.max(2 * x, axis=-1, keepdims=True)
    return (
        xp.exp(x - largest),
        xp.exp(largest - x),
        xp.exp(x - smallest),
        xp.exp(2 * x - largest),
        xp.exp(x - first / 4),
        xp.exp(-xp.abs(x)),
        xp.exp(xp.abs(x)),
        xp.exp(x - xp.max(x)),
        xp.exp(x - xp.max(x, axis=0)),
    )


@IN_DTYPES
@pytest.mark.parametrize("shape", [(40, 5), (40, 40), (9, 300)])
def test_exponentials_on_both_sides_of_zero(shape: tuple[int, int], dtype: str) -> None:
    x = 8 * random.standard_normal(shape).astype(dtype)
    x[0, 0], x[1, 1] = -np.inf, np.nan
    with np.errstate(all="ignore"):
        expected = exponentials.__wrapped__(x.astype("float64"))
    for got, exact in zip(exponentials(x), expected, strict=True):
        limits = np.finfo(dtype)
        np.testing.assert_allclose(got, exact, rtol=40 * limits.eps, atol=4 * limits.smallest_subnormal)


def test_only_what_cannot_be_above_zero_has_the_shorter_exponential() -> None:
    source = op.explain(exponentials, np.zeros((9, 300), "float32")).source
    assert source.count("exp_nonpositive_float32(") == 4
    assert source.count("exp_float32(") == 5


def decay(weight: Any, x: Any, y: Any) -> Any:
    """A step from weight by x.T y, whose penalty is read by nests before and behind the product."""
    xp = array_namespace(weight)
    return xp.sum(weight * weight), weight - 0.1 * (x.T @ y + 0.5 * weight)


def with_first_row(weight: Any, x: Any, y: Any) -> Any:
    """The same, where each row meets the first one before the product, by an array of indices."""
    xp = array_namespace(weight)
    others = xp.take(weight, xp.astype(0 * x[0, :], xp.int64), axis=0)
    return xp.sum(weight * others), weight - 0.1 * (x.T @ y + 0.5 * weight)


def squares_behind(weight: Any, x: Any, y: Any) -> Any:
    """The step is stored by one nest; the rows of the old weight meet a product's result in another one."""
    xp = array_namespace(weight)
    new = weight - 0.1 * (x.T @ y + 0.5 * weight)
    return xp.sum(xp.max(new, axis=1) * xp.sum(weight * weight, axis=1)), new


def test_a_weight_that_a_product_reads_as_well_is_not_overwritten() -> None:
    def step(weight: Any) -> Any:
        xp = array_namespace(weight)
        return xp.sum(weight * weight), weight - 0.1 * (weight @ weight + 0.5 * weight)

    weight = random.standard_normal((1400, 1400))  # several blocks of rows
    number, expected = step(weight)
    with op.use_backend("numba"):
        got_number, got = op.kernel(donate="weight")(step)(weight.copy())
    np.testing.assert_allclose(got_number, number, rtol=1e-12)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@IN_DTYPES
@pytest.mark.parametrize("step", [decay, with_first_row, squares_behind])
def test_a_weight_that_several_nests_read_is_overwritten_by_the_last(step: Any, dtype: str) -> None:
    weight, x, y = (
        random.standard_normal(shape).astype(dtype) for shape in [(1200, 70), (40, 1200), (40, 70)]
    )
    expected_number, expected = step(weight.astype("f8"), x.astype("f8"), y.astype("f8"))
    kernel = op.kernel(donate="weight")(step)
    with op.use_backend("numba"):
        donated = weight.copy()
        number, new = kernel(donated, x, y)
    if step is decay:
        assert np.shares_memory(new, donated)
    tolerance = 50 * TOLERANCES[dtype]
    np.testing.assert_allclose(number, expected_number, rtol=tolerance)
    np.testing.assert_allclose(new, expected, rtol=tolerance, atol=tolerance)
