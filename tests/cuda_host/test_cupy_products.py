"""Products of CuPy's arrays, on a stand-in that multiplies as cuBLAS does; nothing here runs on a GPU."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy
import pytest
from half_dtypes import HALVES
from onepass.backends.cuda import cupy_device
from onepass.backends.cuda.device import Gemm
from recorded_cupy import Array, Recorder, installed
from selection import needing

import onepass as op

SPACE = 0x7F00_0000_0000  # an address that nothing here looks at


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorder:
    return installed(monkeypatch, tmp_path)


def _matrix(rows: int, columns: int, dtype: str, seed: int) -> Any:
    """A matrix between NaNs, which a product that reads or writes beyond it meets."""
    memory = numpy.full(rows * columns + 512, numpy.nan, dtype)
    matrix = memory[256 : 256 + rows * columns].reshape(rows, columns).view(Array)
    matrix[...] = numpy.random.default_rng(seed).normal(size=(rows, columns))
    return matrix


@pytest.mark.parametrize("by_cupy", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", *HALVES])
@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
def test_products(
    recorder: Recorder, transpose_a: bool, transpose_b: bool, accumulate: bool, dtype: str, by_cupy: bool
) -> None:
    if by_cupy:
        del recorder.cublas.cublasGemmEx_64
    device = cupy_device.current_device()
    for rows, columns, inner in itertools.product((0, 1, 3), (0, 1, 5), (0, 1, 4)):
        a = _matrix(*((inner, rows) if transpose_a else (rows, inner)), dtype, 1)
        b = _matrix(*((columns, inner) if transpose_b else (inner, columns)), dtype, 2)
        # Halves are added up in float32.
        is_half = dtype in ("float16", "bfloat16")
        out = _matrix(rows, columns, "float32" if is_half and accumulate else dtype, 3)
        before = numpy.array(out) if accumulate else numpy.zeros_like(out)
        if not accumulate:
            out[...] = numpy.nan
        recorder.cublas.precisions.clear()
        device.product(Gemm(a, b, out, transpose_a, transpose_b, accumulate), SPACE)
        a, b = (x.astype("float32") if is_half else x for x in (a, b))
        expected = before + (a.T if transpose_a else a) @ (b.T if transpose_b else b)
        exact, rtol = numpy.asarray(expected, out.dtype), 1e-13 if dtype == "float64" else 1e-5
        kind = "float32" if is_half else dtype
        numpy.testing.assert_allclose(out.astype(kind), exact.astype(kind), rtol=rtol, atol=1e-6)
        memory = out
        while memory.base is not None:
            memory = memory.base
        assert numpy.isnan(memory[:256]).all()
        assert numpy.isnan(memory[256 + out.size :]).all()
        assert len(recorder.cublas.precisions) == (min(rows, columns, inner) > 0)


def _multiply(recorder: Recorder, dtype: str) -> None:
    a, out = _matrix(2, 2, dtype, 1), _matrix(2, 2, dtype, 2)
    device = cupy_device.current_device()
    device.product(Gemm(a, a, out, transpose_b=True), SPACE)


@pytest.mark.parametrize(
    ("dtype", "chosen", "precision"),
    [("float32", 1, 68), ("float32", 2, 69), ("float32", 7, 77), ("float64", 1, 70), ("float64", 2, 71)],
)
def test_products_are_as_precise_as_cupys(
    recorder: Recorder, dtype: str, chosen: int, precision: int
) -> None:
    recorder.compute_type = chosen
    _multiply(recorder, dtype)
    assert recorder.cublas.precisions == [precision]


@pytest.mark.parametrize("of_cupy", [1, 2, 7])
@pytest.mark.parametrize(
    ("dtype", "chosen", "precisions"),
    [
        ("float32", "highest", {1: 68, 2: 69, 7: 68}),
        ("float32", "high", {1: 77, 2: 77, 7: 77}),
        ("float32", "medium", {1: 75, 2: 75, 7: 75}),
        ("float64", "medium", {1: 70, 2: 71, 7: 70}),
        ("float16", "highest", {1: 68, 2: 69, 7: 68}),
        needing("ml_dtypes", "bfloat16", "medium", {1: 68, 2: 69, 7: 68}),
    ],
)
def test_a_chosen_precision_comes_before_that_of_cupy(
    recorder: Recorder, dtype: str, chosen: str, precisions: dict[int, int], of_cupy: int
) -> None:
    recorder.compute_type = of_cupy
    with op.use_precision(chosen):
        _multiply(recorder, dtype)
    assert recorder.cublas.precisions == [precisions[of_cupy]]


@pytest.mark.parametrize(
    ("dtype", "chosen", "precision"),
    [
        ("float32", 1, 77),
        ("float32", 2, 69),
        ("float64", 1, 70),
        ("float16", 1, 68),
        needing("ml_dtypes", "bfloat16", 7, 68),
    ],
)
def test_eleven_bits_are_enough_for_what_is_rounded_to_them(
    recorder: Recorder, dtype: str, chosen: int, precision: int
) -> None:
    recorder.compute_type = chosen
    a = _matrix(2, 2, dtype, 1)
    gemm = Gemm(a, a, _matrix(2, 2, "float64" if dtype == "float64" else "float32", 2), of_eleven_bits=True)
    cupy_device.current_device().product(gemm, SPACE)
    assert recorder.cublas.precisions == [precision]


def test_products_use_the_current_stream(recorder: Recorder) -> None:
    _multiply(recorder, "float32")
    with recorder.stream() as stream:
        _multiply(recorder, "float32")
    assert recorder.cublas.streams == [0, stream.ptr]


def test_a_failing_product_is_an_error(recorder: Recorder) -> None:
    recorder.cublas.status = 13
    with pytest.raises(RuntimeError, match="13"):
        _multiply(recorder, "float32")


def test_every_product_has_its_workspace_whoever_else_uses_the_handle(recorder: Recorder) -> None:
    sizes = {}
    for recorder.device, recorder.capability in enumerate(("75", "89", "90", "100")):
        for _ in range(2):
            _multiply(recorder, "float32")
            assert recorder.cublas.workspace is not None
            address, sizes[recorder.capability] = recorder.cublas.workspace
            assert address == SPACE
            recorder.cublas.cublasSetStream_v2(recorder.handle, 0)  # as CuPy's own products do
    assert sizes == {"75": 4 << 20, "89": 4 << 20, "90": 32 << 20, "100": 32 << 20}


def test_a_workspace_that_is_refused_is_an_error(recorder: Recorder) -> None:
    a = _matrix(2, 2, "float32", 1)
    with pytest.raises(RuntimeError, match="7"):
        cupy_device.current_device().product(Gemm(a, a, a.copy()), SPACE + 8)


def test_the_precision_is_that_of_cupy_for_both_dtypes(recorder: Recorder) -> None:
    device = cupy_device.current_device()
    before = device.precision()
    recorder.compute_type = 7
    assert device.precision() != before
    recorder.compute_type = 1
    assert device.precision() == before
    # A recorded graph is for one precision.
    with op.use_precision("high"):
        high = device.precision()
        with op.use_precision("highest"):
            assert len({high, before, device.precision()}) == 3
    assert device.precision() == before
