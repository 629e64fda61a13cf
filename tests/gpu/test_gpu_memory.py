"""Memory of a GPU: donated, given for results, flat, in blocks of rows, and beyond 32-bit counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpu_programs import head, network, plain_step, step
from on_gpu import assert_close, bits, to_gpu

import onepass as op
from onepass import kernels

pytestmark = pytest.mark.gpu

# Of the intermediates of a kernel, what is held at a time; the rows are taken in blocks.
BLOCK_BYTES = 256 << 20  # of a block of rows; more on a GPU of much memory


def test_donated_memory_is_taken_and_nothing_else(cupy: Any) -> None:
    params, x, labels = network()
    given, data = to_gpu(cupy, params), to_gpu(cupy, (x, labels))
    expected = plain_step(params, x, labels, 0.1)
    addresses = [array.data.ptr for pair in given for array in pair]
    before = bits(cupy, data)
    result = step(given, *data, 0.1)
    assert_close(cupy, result, expected, "float64", 1e-12)
    assert [array.data.ptr for pair in result[1] for array in pair] == addresses
    assert bits(cupy, data) == before

    @op.kernel(donate="a")
    def shifted(a: Any, b: Any) -> Any:
        return a + 2 * b

    memory = cupy.arange(1000.0)
    np.testing.assert_array_equal(
        shifted(memory[:-1], memory[1:]).get(), np.arange(999.0) + 2 * np.arange(1, 1000)
    )
    np.testing.assert_array_equal(memory[1:].get(), np.arange(1, 1000.0))


def test_out_is_written(cupy: Any) -> None:
    logits, labels = cupy.ones((64, 100), "float32"), cupy.zeros(64, int)
    taken = cupy.empty((64, 100), "float32")
    expected = bits(cupy, op.softmax_cross_entropy_with_grad(logits, labels))
    for _ in range(4):
        taken.fill(5)
        result = op.softmax_cross_entropy_with_grad(logits, labels, out=(None, taken))
        assert result[1] is taken
        assert bits(cupy, result) == expected


def test_out_takes_no_memory(cupy: Any) -> None:
    logits, labels = cupy.ones((4096, 8192), "float32"), cupy.zeros(4096, int)
    loss, taken = op.softmax_cross_entropy_with_grad(logits, labels)
    pool = cupy.cuda.MemoryPool()
    with cupy.cuda.using_allocator(pool.malloc):
        for _ in range(4):
            result = op.softmax_cross_entropy_with_grad(logits, labels, out=(loss, taken))
            assert [result[0] is loss, result[1] is taken] == [True, True]
            op.relu(taken, out=taken)
        assert pool.total_bytes() < taken.nbytes / 16, "memory was taken, although all of it was given"
    np.testing.assert_allclose(float(loss), np.log(8192), rtol=1e-5)


def test_memory_stays_flat(cupy: Any) -> None:
    pool = cupy.get_default_memory_pool()
    params, x, labels = to_gpu(cupy, network(), "float32")
    held: set[tuple[int, int]] = set()
    for turn in range(60):
        loss, params = step(params, x, labels, 0.01 + turn / 1000)
        op.softmax_cross_entropy_with_grad(x, labels[:300] % 2)
        if turn >= 10:
            held.add((pool.used_bytes(), pool.total_bytes()))
    assert np.isfinite(float(loss))
    assert len(held) == 1, f"bytes used and held: {sorted(held)}"


def test_a_large_head_goes_by_blocks_of_rows(cupy: Any) -> None:
    free, memory = cupy.cuda.runtime.memGetInfo()
    block_bytes = max(BLOCK_BYTES, memory // 64)
    width, classes = 64, 70_001
    rows = 4 * block_bytes // (4 * classes) + 5
    logits_bytes = 4 * rows * classes
    if free < 8 * logits_bytes:
        pytest.skip(f"needs {8 * logits_bytes / 2**30:.0f} GiB of the GPU's memory")
    x = cupy.random.default_rng(1).standard_normal((rows, width), dtype="float32")
    weight = cupy.random.default_rng(2).standard_normal((width, classes), dtype="float32") / 8
    labels = cupy.arange(rows) * 17 % classes
    pool = cupy.cuda.MemoryPool()
    with cupy.cuda.using_allocator(pool.malloc):
        result = head(x, weight, labels)
        # The results and a block, and half as much again for what the pool rounds up.
        most = 1.5 * (4 * (x.size + weight.size) + block_bytes)
        assert most < logits_bytes
        assert pool.total_bytes() < most
        again = head(x, weight, labels)
        assert bits(cupy, again) == bits(cupy, result)
    wide_x, wide_weight = x.astype("float64"), weight.astype("float64")
    scores = wide_x @ wide_weight
    probs = cupy.exp(scores - scores.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    loss = -cupy.log(probs[cupy.arange(rows), labels]).mean()
    probs[cupy.arange(rows), labels] -= 1
    probs /= rows
    for got, expected in zip(result, (loss, probs @ wide_weight.T, wide_x.T @ probs), strict=True):
        error = float(abs(got - expected).max() / abs(expected).max())
        assert error < 3e-4


def test_more_than_two_to_the_31_elements(cupy: Any) -> None:
    rows, columns = (1 << 21) + 1, 1024
    free, _ = cupy.cuda.runtime.memGetInfo()
    if free < 3 * 4 * rows * columns:
        pytest.skip(f"needs {12 * rows * columns / 2**30:.0f} GiB of the GPU's memory")
    x = cupy.empty((rows, columns), "float32")
    x.fill(-1)
    last = np.random.default_rng(1).standard_normal((2, columns), dtype=np.float32)
    x[-2:] = cupy.asarray(last)
    result = op.softmax(x)
    np.testing.assert_allclose(result[-2:].get(), kernels.softmax(last), rtol=1e-5)
    np.testing.assert_allclose(result[:2].get(), 1 / columns, rtol=1e-6)
    # Rows that a wrapped index would have written to.
    np.testing.assert_allclose(result[rows // 2 - 1 : rows // 2 + 2].get(), 1 / columns, rtol=1e-6)
    del result
    np.testing.assert_array_equal(op.relu(x)[-2:].get(), np.maximum(last, 0))
    total = float(op.l1_penalty(x, 1.0))
    assert total == pytest.approx((rows - 2) * columns + float(np.abs(last).sum()), rel=1e-5)
