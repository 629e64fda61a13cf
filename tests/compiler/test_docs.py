"""docs/compiler.md: its Python runs, and the output that it shows is what the compiler gives."""

from __future__ import annotations

import runpy
from typing import Any

import numpy as np
import pytest
from golden_calls import network, normal
from onepass.backends.cpu.functions import Function
from pages import ROOT, blocks

import onepass as op

PAGE = ROOT / "docs" / "compiler.md"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names that the page's Python defines."""
    script = tmp_path_factory.mktemp("docs") / "page.py"
    script.write_text("\n".join(blocks(PAGE, "python")), encoding="utf-8")
    return runpy.run_path(str(script))


def test_the_formula_of_the_page_is_the_kernel(names: dict[str, Any]) -> None:
    op, logits, labels = names["op"], names["logits"], names["labels"]
    loss, grad = names["cross_entropy_with_grad"](logits, labels)
    expected_loss, expected_grad = op.kernels.softmax_cross_entropy_with_grad(logits, labels)
    assert grad.dtype == logits.dtype
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    ("language", "part"),
    [
        ("text graph", "text"),
        ("text plan", "text"),
        ("python cpu", "source"),
        ("cpp cuda", "cuda"),
        ("llvm", "ir"),
    ],
)
def test_the_output_of_the_page_is_the_compiler_s(names: dict[str, Any], language: str, part: str) -> None:
    output = names["ir"] if part == "ir" else getattr(names["explanation"], part)
    lines = iter(line.strip() for line in output.splitlines())
    shown = blocks(PAGE, language)
    assert shown, f"no block {language} on the page"
    for line in "".join(shown).splitlines():
        # Comments are the page's own, or depend on the device.
        if line.strip() != "..." and not line.strip().startswith(("# ", "//")):
            assert line.strip() in lines, f"not in the {part}, or not in this order: {line}"


def test_the_nest_of_the_page_is_written_once_for_two_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    text = Function.text

    def kept(function: Function) -> str:
        written.append(text(function))
        return written[-1]

    monkeypatch.setattr(Function, "text", kept)
    # With so many rows no gradient is computed by rows of its result, and no layer's output is stored.
    labels = np.zeros(2048, np.int64)
    explanation = op.explain(op.mlp_loss_and_grads, network(784, 300, 200, 50), normal(2048, 784), labels)
    assert written.count(*blocks(PAGE, "python nest")) >= 2
    (calls,) = blocks(PAGE, "python network")
    lines = explanation.source.splitlines()
    assert [line for line in lines if line.startswith("        nest0(")] == calls.splitlines()
