"""The text of emitted CUDA: one kernel written down, what it depends on, and indices of 64 bits."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from cuda_programs import Call, Form, emitted
from host_cuda import HostModule, guarded_copy
from onepass.backends.cuda.prelude import PRELUDE

import onepass as op


def array(dtype: Any, *shape: int) -> np.ndarray:
    """Numbers that nobody reads, in no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def cross_entropy(rows: int, columns: int = 1000) -> Call:
    return Call(op.softmax_cross_entropy_with_grad, (array("float32", rows, columns), array("int64", rows)))


def mlp(rows: int) -> Call:
    layers = [(array("float32", 20, 50), array("float32", 50)), (array("float32", 50, 40), None)]
    return Call(op.mlp_loss_and_grads, (layers, array("float32", rows, 20), array("int64", rows)))


def text_of(call: Call, form: Form | None = None, *, capability: int = 90) -> str:
    return "\n".join(kernel.text for kernel in emitted(call, capability, form).kernels())


def test_the_source_is_the_prelude_and_the_kernels() -> None:
    stages = emitted(cross_entropy(4096), 90)
    assert stages.source() == "\n".join([PRELUDE, *(kernel.text for kernel in stages.kernels())])
    assert "#include" not in stages.source()


@pytest.mark.parametrize("make", [cross_entropy, mlp])
def test_the_text_is_the_same_for_every_number_of_rows(make: Any) -> None:
    assert len({emitted(make(rows), 90).source() for rows in (2, 3, 64, 4096, 1_000_003, 1 << 33)}) == 1


@pytest.mark.parametrize("make", [cross_entropy, mlp])
def test_the_text_is_the_same_every_time(make: Any) -> None:
    assert len({emitted(make(64), 90).source() for _ in range(3)}) == 1


def test_what_a_device_can_do_and_columns_do_make_a_difference() -> None:
    long = cross_entropy(64, 131072)
    assert "__cluster_dims__(8, 1, 1)" in text_of(long, capability=90)
    assert "__cluster_dims__" not in text_of(long, capability=80)
    assert "constexpr int GROUP = 4;" in text_of(cross_entropy(64, 16))
    assert "constexpr int GROUP = 512;" in text_of(cross_entropy(64, 8192))


FORMS = {
    "usual": None,
    "lanes": Form(64, 4),
    "streaming": Form(64, 64, streaming=True),
    "cluster_streaming": Form(64, 64, 2, streaming=True),
    "blocks": Form(64, 64, streaming=True, blocks=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_no_index_has_32_bits_that_may_need_more(form: str) -> None:
    short = {"lane", "item", "v", "other", "iterations"}  # the last begins anew every 64
    for call in (cross_entropy(1 << 33), mlp(1 << 33), Call(op.relu, (array("float64", 1 << 20, 1 << 13),))):
        stages = emitted(call, 90, FORMS[form])
        for kernel in stages.kernels():
            found = set(re.findall(r"\b(?:int|unsigned) (\w+)\b", kernel.text))
            if "constexpr int ITEMS" in kernel.text:  # a row in registers is not that long
                found -= {"column", "column0"}
                found = {name for name in found if not re.fullmatch(r"v\d+_(column|place)", name)}
            sizes = {"GROUP", "ITEMS", "VECTOR", "CLUSTER", "ROWS", "LANES"}
            assert found - short - sizes == set(), kernel.name
            # Every number that the host passes is one of 64 bits, or a double.
            declared = kernel.text.split(f" {kernel.name}(")[1].split(") {")[0]
            for parameter in declared.split(","):
                assert re.search(r"\*|long long|double", parameter), f"{kernel.name}: {parameter}"


@pytest.mark.needs(name="g++")
@pytest.mark.parametrize("form", ["usual", "lanes", "streaming"])
def test_rows_beyond_the_reach_of_32_bits(form: str) -> None:
    """The last rows of arrays of which nothing else is there: an index that is cut off faults."""
    columns, rows, row0 = 40, 3, (1 << 32) + 5
    x = guarded_copy(np.random.default_rng(0).standard_normal((rows, columns)).astype("float32"))
    out = guarded_copy(np.zeros_like(x))
    (kernel,) = emitted(
        Call(op.softmax, (array("float32", row0 + rows, columns),)), 90, FORMS[form]
    ).kernels()
    module = HostModule("\n".join([PRELUDE, kernel.text]), [kernel.name])
    # Where the arrays would begin, if all the rows before these were there.
    before = row0 * columns * x.itemsize
    words = {"row0": row0, "rows": rows, "first": 1, "n0": row0 + rows, "n1": columns}
    words |= {"x0": x.ctypes.data - before, "r0": out.ctypes.data - before}
    threads = int(kernel.text.split("__launch_bounds__(")[1].split(")")[0].split(",")[0])
    given = [words[parameter] for parameter in kernel.parameters]
    module.launch(kernel.name, 2, threads, given, shared=2 * 8 * (threads // 32))
    exp = np.exp(x - x.max(axis=1, keepdims=True))
    np.testing.assert_allclose(out, exp / exp.sum(axis=1, keepdims=True), rtol=1e-5)
