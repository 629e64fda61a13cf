"""Emitted CUDA through NVRTC: no warnings, no spills, registers for all threads, on every generation."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import nvrtc_compiler as nvrtc
import pytest
from cuda_programs import Call, emitted
from selection import exhaustively

import onepass as op

REGISTERS = 65536  # of a processor, for the threads of a block at the least
CHOSEN_SPILLS = 48  # bytes a thread
ROWS = 256


def array(dtype: Any, *shape: int) -> np.ndarray:
    """Numbers that nobody reads, in no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def cross_entropy(columns: int, dtype: Any, **options: Any) -> Call:
    args = (array(dtype, ROWS, columns), array("int64", ROWS))
    return Call(op.softmax_cross_entropy_with_grad, args, options)


def of_logits(function: Any, columns: int, dtype: Any) -> Call:
    return Call(function, (array(dtype, ROWS, columns),))


def hinge(columns: int, dtype: Any) -> Call:
    return Call(op.multiclass_hinge_with_grad, (array(dtype, ROWS, columns), array("int64", ROWS)))


def binary_cross_entropy(columns: int, dtype: Any) -> Call:
    args = (array(dtype, ROWS, columns), array(dtype, ROWS, columns))
    return Call(op.binary_cross_entropy_with_logits_with_grad, args, {"pos_weight": array(dtype, columns)})


def adam_step(columns: int, dtype: Any) -> Call:
    params = [array(dtype, ROWS, columns), array(dtype, columns)]
    return Call(op.adam_step, (params, params, op.kernels.adam_init(params)), {"lr": 0.1})


def mlp(columns: int, dtype: Any) -> Call:
    layers = [(array(dtype, 20, 100), array(dtype, 100)), (array(dtype, 100, columns), array(dtype, columns))]
    return Call(op.mlp_loss_and_grads, (layers, array(dtype, ROWS, 20), array("int64", ROWS)), {"l2": 0.1})


KERNELS: dict[str, Any] = {
    "cross_entropy": cross_entropy,
    "cross_entropy_smoothing": functools.partial(cross_entropy, label_smoothing=0.1),
    "softmax": functools.partial(of_logits, op.softmax),
    "relu": functools.partial(of_logits, op.relu),
    "adam_step": adam_step,
    "mlp": mlp,
    "hinge": hinge,
    "binary_cross_entropy": binary_cross_entropy,
}
# For few lanes, a block, the largest one, a cluster, and more; 1001 is a multiple of no vector.
COLUMNS = [10, 1000, 1001, 8192, 16384, 131072, 1_000_000]
DTYPES = ["float32", "float64", "float16", "bfloat16"]
ALL = [(k, n, d, a) for k in KERNELS for n in COLUMNS for d in DTYPES for a in nvrtc.ARCHITECTURES]


def is_default(place: int, name: str, columns: int, dtype: str, architecture: int) -> bool:
    """The kernel for which the emitter is made, and one in 37 of the others."""
    usual = name == "cross_entropy" and dtype in ("float32", "bfloat16") and architecture == 90
    return usual or place % 37 == 0


@pytest.mark.parametrize(
    ("name", "columns", "dtype", "architecture"),
    [exhaustively(*given, when=not is_default(place, *given)) for place, given in enumerate(ALL)],
)
def test_a_program_fits_the_processor(name: str, columns: int, dtype: str, architecture: int) -> None:
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed").bfloat16
    stages = emitted(KERNELS[name](columns, dtype), architecture)
    report = nvrtc.compile_for(stages.source(), architecture)
    assert report.warnings == ""
    texts = {kernel.name: kernel.text for kernel in stages.kernels()}
    threads = {name: _threads(text) for name, text in texts.items()}
    assert report.registers.keys() == threads.keys()
    for kernel, registers in report.registers.items():
        # They are handed out to warps in steps of eight.
        taken = -(-registers // 8) * 8 * threads[kernel]
        assert taken <= REGISTERS, kernel
        # Where there are more, the compiler may give up a few, so that more threads fit. A row that is read
        # anew in every turn has nothing of it in registers, and no smaller choice.
        none_left = taken + 8 * threads[kernel] > REGISTERS
        most = 0 if none_left and "ITEMS" in texts[kernel] else CHOSEN_SPILLS
        assert report.spill_bytes[kernel] <= most, kernel
        assert report.stack_bytes[kernel] <= most, kernel
    beside = report.stack_bytes.keys() - threads.keys()  # functions that are called, such as pow
    assert all(report.spill_bytes[function] == 0 for function in beside)


def _threads(text: str) -> int:
    return int(text.split("__launch_bounds__(")[1].split(")")[0].split(",")[0])


def test_the_default_run_compiles_few() -> None:
    assert sum(is_default(place, *given) for place, given in enumerate(ALL)) <= 48
