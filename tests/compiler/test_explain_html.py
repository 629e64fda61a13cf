"""What a notebook shows of `op.explain`: the figures and lines of the text, escaped, as well-formed HTML."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_calls import CALLS, network, normal
from html_text import Page, read
from onepass.backends.codegen.outline import ProgramOutline, in_bytes, in_words
from onepass.backends.common import notebook

import onepass as op


def sorts(x: Any) -> Any:
    return np.sum(np.sort(np.exp(x), axis=1) * 2, axis=0)


CASES = {**CALLS, "sorts, in parts": (sorts, (normal(30, 40),))}


@pytest.mark.parametrize("name", CASES)
def test_a_notebook_shows_every_line_of_the_text(name: str) -> None:
    function, args = CASES[name]
    explanation = op.explain(function, *args)
    page = read(explanation._repr_html_())
    lines = explanation.text.splitlines()
    nodes = [line.strip() for line in lines if line.strip().startswith("v") and " = " in line]
    loops = [line.strip() for line in lines if line.strip().startswith(("loop over", "row:", "block loop"))]
    steps = [line.strip() for line in lines if line.strip().startswith(("stage", "matmul", "nest over"))]
    assert nodes
    assert loops
    assert page.has_in_order(loops)
    assert page.has_in_order(steps)
    assert page.has_in_order(nodes)
    assert page.has_in_order(explanation.source.splitlines())
    assert page.has_in_order(explanation.cuda.splitlines())


@pytest.mark.parametrize("name", CASES)
def test_the_figures_are_those_of_the_text(name: str) -> None:
    function, args = CASES[name]
    explanation = op.explain(function, *args)
    page = read(explanation._repr_html_())
    programs = [outline for outline in explanation.outlines if isinstance(outline, ProgramOutline)]
    assert sum(outline.bytes_moved for outline in programs) == explanation.bytes_moved
    assert sum(outline.operations for outline in programs) == explanation.operations
    for outline in programs:
        moved, held = in_bytes(outline.bytes_moved), in_bytes(outline.bytes_held)
        operations, once = in_words(outline.operations), in_bytes(outline.bytes_of_arrays)
        assert f"{moved} moved by loops, {operations} operations, {held} of workspace" in explanation.text
        assert f"arguments and results, each once: {once}" in explanation.text
        for title, figure in (
            ("moved by loops", moved),
            ("arguments and results, each once", once),
            ("operations", operations),
            ("workspace", held),
        ):
            assert [title, figure] in [row[:2] for row in page.rows]
        for buffer in outline.buffers:
            assert f"  {buffer}\n" in f"{explanation.text}\n"
            row = [buffer.name, buffer.kind, buffer.dtype, f"({buffer.shape})", in_bytes(buffer.size)]
            assert row in [cells[:5] for cells in page.rows]


def test_arguments_and_results_are_counted_once() -> None:
    (softmax,) = op.explain(op.softmax, normal(96, 40)).outlines
    assert isinstance(softmax, ProgramOutline)
    assert softmax.bytes_of_arrays == 2 * 96 * 40 * 4
    function, args = CALLS["train_step"]
    (step,) = op.explain(function, *args).outlines
    assert isinstance(step, ProgramOutline)
    params, x, labels = args[:3]
    weights = sum(array.nbytes for layer in params for array in layer)
    assert step.bytes_of_arrays == 2 * weights + x.nbytes + labels.nbytes  # read, and written in place


def test_names_and_texts_are_escaped() -> None:
    def named(x: Any) -> Any:
        return x + 1

    named.__name__ = "<script>alert('&')</script>"
    html = op.explain(named, normal(4, 5))._repr_html_()
    page = read(html)
    assert "<script" not in html
    assert page.tags.isdisjoint({"script", "link", "iframe", "img"})
    assert page.has_in_order(["<script>alert('&')</script>: n0 = 20"])


def test_a_page_is_short_where_a_text_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "MOST_LINES", 10)
    explanation = op.explain(op.softmax, normal(96, 40))
    page = read(explanation._repr_html_())
    lines = explanation.source.splitlines()
    assert page.has_in_order([*lines[:10], f"{len(lines) - 10} more lines: print(explanation.source)"])
    assert not page.has_in_order(lines)


def test_a_long_plan_begins_folded() -> None:
    labels = np.zeros(64, int)
    short = op.explain(op.mlp_loss_and_grads, network(20, 20, 5), normal(64, 20), labels)
    assert "<details open><summary>block loop 0" in short._repr_html_()
    deep = op.explain(op.mlp_loss_and_grads, network(*[20] * 20, 5), normal(64, 20), labels)
    html = deep._repr_html_()
    assert "<details open><summary>block loop" not in html
    assert "<details><summary>block loop 0" in html
    axes = deep.text.splitlines()[0].removeprefix("mlp_loss_and_grads: ")
    assert read(html).has_in_order(["mlp_loss_and_grads", f"{len(axes.split(', '))} axes", axes])


def test_the_style_stays_inside_of_its_element() -> None:
    page: Page = read(op.explain(op.softmax, normal(96, 40))._repr_html_())
    selectors = [rule.partition("{")[0] for rule in page.style.split("}") if rule.strip()]
    assert selectors
    assert all(part.strip().startswith(".onepass") for rule in selectors for part in rule.split(","))
    # In a dark notebook text is light: only greys that show on both, and the text's own colour.
    assert "#" not in page.style
    assert "color-scheme" not in page.style
