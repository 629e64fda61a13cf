"""Sums of float32 over many rows lose no digits, however the rows are shared out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from onepass.backends.codegen import cost as work
from onepass.backends.codegen import totals
from onepass.backends.common.trees import leaves
from onepass.backends.cpu import render
from onepass.backends.cpu import totals as emitted_totals
from onepass.backends.cpu.program import CpuProgram
from onepass.backends.cpu.runtime import threads
from onepass.backends.cpu.text import CpuText
from onepass.backends.ir.nest import BufferKind
from selection import exhaustively

import onepass as op

Array = np.ndarray[Any, Any]
random = np.random.default_rng(20261126)

# A sum rounded once is off by 6e-8 at most; parts of 64 rows, each rounded as often, come to little more.
CLOSE = 5e-7


@op.kernel
def mean_of_rows(x: Any) -> Any:
    return array_namespace(x).mean(x, axis=0)


@op.kernel
def mean_of_columns(x: Any) -> Any:
    return array_namespace(x).mean(x, axis=1)


@op.kernel
def mean_of_all(x: Any) -> Any:
    return array_namespace(x).mean(x)


@op.kernel
def product_of_rows(x: Any, g: Any) -> Any:
    return x.T @ g


@op.kernel
def centred_square(x: Any) -> Any:
    xp = array_namespace(x)
    centred = x - xp.mean(x, axis=0)
    return xp.sum(centred * centred, axis=0)


def of_shares(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Have every section in so many shares, where it has as many blocks."""
    monkeypatch.setattr(threads, "worker_count", lambda: count)
    monkeypatch.setattr(work, "WORTH_A_WORKER_NS", 1)


def relative_error(got: Any, expected: Any) -> float:
    assert np.shape(got) == np.shape(expected)
    return float(np.max(np.abs(np.asarray(got, np.float64) - expected) / np.abs(expected)))


def temperatures(*shape: int) -> Array:
    return 250 + 70 * random.random(shape, dtype=np.float32)


def equal_numbers(*shape: int) -> Array:
    """What rounds in the same direction in every row."""
    return np.full(shape, 290.3, np.float32)


@pytest.mark.parametrize("numbers", [temperatures, equal_numbers], ids=lambda made: made.__name__)
@pytest.mark.parametrize(
    ("shape", "count"),
    [
        ((2_000_003, 2), 1),
        ((2_000_003, 2), 3),
        ((1_000_003, 33), 3),
        exhaustively((1_000_003, 33), 1),
        *(exhaustively(shape, count) for shape in [(1_000_003, 32), (300_007, 100)] for count in (1, 3)),
    ],
)
def test_a_mean_of_the_rows_is_rounded_once(
    shape: tuple[int, int], count: int, numbers: Callable[..., Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_shares(monkeypatch, count)
    x = numbers(*shape)
    with op.use_backend("numba"):
        assert relative_error(mean_of_rows(x), x.mean(axis=0, dtype=np.float64)) < CLOSE


@pytest.mark.parametrize("shape", [(3, 3_000_001), (3_000_001, 3), (1, 3_000_001), (3_000_001, 1)])
@pytest.mark.parametrize("numbers", [temperatures, equal_numbers], ids=lambda made: made.__name__)
def test_a_mean_of_all_and_of_long_rows(shape: tuple[int, int], numbers: Callable[..., Array]) -> None:
    x = numbers(*shape)
    with op.use_backend("numba"):
        assert relative_error(mean_of_all(x), x.mean(dtype=np.float64)) < CLOSE
        assert relative_error(mean_of_columns(x), x.mean(axis=1, dtype=np.float64)) < 2 * CLOSE


@pytest.mark.parametrize("numbers", [temperatures, equal_numbers], ids=lambda made: made.__name__)
@pytest.mark.parametrize("count", [1, 3])
def test_a_product_over_the_rows(
    count: int, numbers: Callable[..., Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_shares(monkeypatch, count)
    x, g = numbers(4_000_003, 3), numbers(4_000_003, 2)
    with op.use_backend("numba"):
        got = product_of_rows(x, g)
    assert relative_error(got, x.T.astype(np.float64) @ g.astype(np.float64)) < 2 * CLOSE


def test_what_is_computed_with_a_mean() -> None:
    x = temperatures(1_000_003, 3)
    with op.use_backend("numba"):
        got = centred_square(x)
    expected = np.square(x - x.mean(axis=0, dtype=np.float64)).sum(axis=0)
    assert relative_error(got, expected) < CLOSE


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("columns", [3, 50])
def test_no_part_of_a_sum_is_lost_or_added_twice(
    columns: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small whole numbers, whose sums are exact, in numbers of rows around the ends of parts and blocks."""
    of_shares(monkeypatch, count)
    for rows in (1, 2, 63, 64, 65, 127, 128, 129, 327, 328, 655, 656, 1023, 1024, 1025, 2048, 5000):
        x = random.integers(-8, 9, (rows, columns)).astype(np.float32)
        with op.use_backend("numba"):
            got = op.linear_backward(x, x, np.zeros((columns, columns), np.float32))
        for mine, right in zip(got, (0 * x, x.T @ x, x.sum(axis=0)), strict=True):
            np.testing.assert_array_equal(mine, right, err_msg=f"{rows} rows")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_block_of_a_product_is_lost_or_added_twice(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    of_shares(monkeypatch, count)
    for module in (totals, emitted_totals, render):  # for the size of buffers, and for the text
        monkeypatch.setattr(module, "BLOCKS_OF_PART", 2)
    monkeypatch.setattr(work, "WORTH_A_WORKER_NS", 0.01)  # rows for many blocks
    for rows in (64, 200, 256, 257, 512, 513, 767, 768, 769, 1024, 1500, 5000):
        x = random.integers(-8, 9, (rows, 5)).astype(np.float32)
        text = CpuText(lambda x: x.T @ x, "product", (x,), {})
        assert "d" in {memory.name[0] for memory in text.plan.of_kind(BufferKind.TOTAL)}
        program = CpuProgram(lambda x: x.T @ x, "product", (x,), {})
        for _ in range(2):  # in memory that is new, and in memory that has been used
            (got,) = leaves(program(leaves(((x,), {}))))
            np.testing.assert_array_equal(got, x.T @ x, err_msg=f"{rows} rows")


def test_a_product_has_no_total_beside_it_where_it_has_few_blocks() -> None:
    def held(rows: int) -> int:
        x = np.ones((rows, 64), np.float32)
        text = CpuText(lambda x: x.T @ x, "product", (x,), {})
        return sum(text.sizes.length(memory, 1) for memory in text.plan.of_kind(BufferKind.TOTAL))

    assert held(4096) == 0
    assert held(100_000) == 64 * 64


def test_an_infinity_or_nan_stays_in_its_column() -> None:
    x = np.ones((1000, 40), np.float32)
    x[[3, 500], [1, 1]], x[700, 2], x[[10, 900], [3, 3]] = np.inf, np.nan, (np.inf, -np.inf)
    x[:, 4] = 3e38
    x[500:, 4] *= -1
    with op.use_backend("numba"):
        got = mean_of_rows(x)
    assert got[1] == np.inf
    assert np.isnan(got[[2, 3]]).all()
    np.testing.assert_allclose(np.delete(got, [1, 2, 3, 4]), 1, rtol=1e-6)


@pytest.mark.parametrize("kernel", [op.relu, op.softmax])
def test_programs_without_workspace_run_on_threads(
    kernel: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    join = threads.join
    monkeypatch.setattr(threads, "join", lambda: asked.append(kernel) or join())
    x = random.standard_normal((3000, 70))
    with op.use_backend("numba"):
        of_shares(monkeypatch, 1)
        alone = kernel(x)
        assert not asked
        of_shares(monkeypatch, 2)
        shared = kernel(x)
    assert asked
    np.testing.assert_array_equal(shared, alone)
