"""docs/compiler.md: its Python runs, and the output that it shows is what the compiler gives."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "compiler.md"


def blocks(language: str) -> list[str]:
    """The fenced blocks of the page whose first line is ```language."""
    return re.findall(rf"```{re.escape(language)}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names that the page's Python defines."""
    pytest.importorskip("numba")
    script = tmp_path_factory.mktemp("docs") / "page.py"
    script.write_text("\n".join(blocks("python")), encoding="utf-8")
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
    [("text graph", "text"), ("text plan", "text"), ("python numba", "source"), ("cpp cuda", "cuda")],
)
def test_the_output_of_the_page_is_the_compiler_s(names: dict[str, Any], language: str, part: str) -> None:
    lines = iter(line.strip() for line in getattr(names["explanation"], part).splitlines())
    shown = blocks(language)
    assert shown, f"no block {language} on the page"
    for line in "".join(shown).splitlines():
        # Comments are the page's own, or depend on the device.
        if line.strip() != "..." and not line.strip().startswith(("# ", "//")):
            assert line.strip() in lines, f"not in the {part}, or not in this order: {line}"
