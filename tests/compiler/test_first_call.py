"""A first call: text and machine code grow with the number of different loops, not with layers or arrays."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from onepass.backends.cpu.llvm import machine_code
from onepass.backends.cpu.llvm.cache import load
from onepass.backends.cpu.llvm.names import NAMES
from onepass.backends.cpu.llvm.translate import translate
from onepass.backends.cpu.render import routines
from onepass.backends.cpu.runtime import threads
from onepass.backends.cpu.text import CpuText

import onepass as op


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    return np.zeros(shape, dtype)


def step(params: Any, x: Any, labels: Any, lr: float) -> Any:
    loss, grads = op.mlp_loss_and_grads(params, x, labels, l2=0.1)
    return loss, op.sgd_step(params, grads, lr)


def network(layers: int, width: int = 64) -> tuple[Any, ...]:
    widths = [784, *[width] * (layers - 1), 10]
    params = [(zeros(a, b), zeros(b)) for a, b in itertools.pairwise(widths)]
    return params, zeros(128, 784), zeros(128, dtype=np.int64), 0.1


def adam(arrays: int) -> tuple[Any, ...]:
    params = [zeros(10 + i, 7) for i in range(arrays)]
    return params, params, op.adam_init(params), 1e-3


def functions(text: CpuText) -> list[str]:
    """The names of the functions of a text, without their numbers."""
    return [re.sub(r"\d+$", "", name) for name in re.findall(r"^def (\w+)\(", text.source, re.MULTILINE)]


def test_all_arrays_of_an_optimiser_are_one_loop() -> None:
    found = [functions(CpuText(op.adam_step.__wrapped__, "adam_step", adam(n), {})) for n in (2, 160)]
    assert found[0] == found[1]
    assert found[1].count("loop") == 1


def test_a_loop_of_another_dtype_is_one_more_instance_of_it() -> None:
    random = np.random.default_rng(0)
    mixed = [random.standard_normal((10, 7)).astype(np.float32), zeros(3) + 1, random.standard_normal(8)]
    text = CpuText(op.sgd_step.__wrapped__, "sgd_step", (mixed, mixed, 0.1), {})
    assert functions(text).count("loop") == 1
    module = translate(f"{text.source}\n\n{routines()}", {"program": (threads.PROGRAM, "p")}, NAMES)
    assert len(re.findall(r"^define internal void @loop0", module, re.MULTILINE)) == 2
    with op.use_backend("numba"):
        for got, given in zip(op.sgd_step(mixed, mixed, 0.1), mixed, strict=True):
            assert got.dtype == given.dtype
            np.testing.assert_allclose(got, given * 0.9, rtol=1e-6)


def test_all_layers_of_a_width_are_the_same_loops() -> None:
    few, many = (functions(CpuText(step, "step", network(layers), {})) for layers in (6, 50))
    assert few == many
    assert len(many) < 40


def test_equal_loops_are_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Machine code of 40 layers is that of 10, and calls of it."""
    monkeypatch.setenv("ONEPASS_CACHE_DIR", str(tmp_path))
    sizes = []
    compiled = machine_code.machine_code

    def measured(text: str) -> bytes:
        code = compiled(text)
        sizes.append((text.count("\ndefine"), len(code)))
        return code

    monkeypatch.setattr(machine_code, "machine_code", measured)
    for layers in (10, 40):
        text = CpuText(step, f"step_of_{layers}_layers", network(layers, 32), {})
        load(f"{text.source}\n\n{routines()}", "program", threads.PROGRAM, "step")
    (few, small), (many, large) = sizes
    assert few == many
    assert large < 3 * small


@pytest.mark.parametrize("rows", [2, 7, 500])
def test_another_batch_size_has_the_same_text(rows: int) -> None:
    texts = []
    for count in (rows, rows + 13):
        params, _, _, lr = network(3)
        texts.append(
            CpuText(step, "step", (params, zeros(count, 784), zeros(count, dtype=np.int64), lr), {}).source
        )
    assert texts[0] == texts[1]


def test_loops_that_differ_in_one_statement_are_two() -> None:
    def both(x: Any, y: Any) -> Any:
        return x * 2 + 1, y * 2 - 1

    text = CpuText(both, "both", (zeros(30), zeros(40)), {})
    assert functions(text).count("loop") == 2
    same = CpuText(lambda x, y: (x * 2 + 1, y * 2 + 1), "same", (zeros(30), zeros(40)), {})
    assert functions(same).count("loop") == 1


def test_values_of_shared_loops_are_right() -> None:
    """Each call of a function gets its own buffers, lengths and numbers."""
    random = np.random.default_rng(0)
    widths = [20, 16, 16, 16, 16, 5]
    params = [
        (random.standard_normal((a, b)), random.standard_normal(b)) for a, b in itertools.pairwise(widths)
    ]
    x, labels = random.standard_normal((300, 20)), random.integers(0, 5, 300)
    with op.use_backend("numba"):
        loss, found = op.kernel(step)(params, x, labels, 0.1)
    with op.use_backend("numpy"):
        expected_loss, expected = op.kernel(step)(params, x, labels, 0.1)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    for (weight, bias), (expected_weight, expected_bias) in zip(found, expected, strict=True):
        np.testing.assert_allclose(weight, expected_weight, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(bias, expected_bias, rtol=1e-9, atol=1e-12)
