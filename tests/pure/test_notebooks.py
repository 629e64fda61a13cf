"""What a notebook shows of results: the figures of their text in tables, escaped, pass and fail in words."""

from __future__ import annotations

import pickle

import pytest
from html_text import read
from onepass.backends.common import notebook
from onepass.backends.registry import Backend

import onepass as op
from onepass.gradient_check import ArgumentCheck, GradientCheck

PASSED, FAILED = ArgumentCheck("x", 3.21e-9, 12, 0), ArgumentCheck("params[0]['<b>']", 0.5, 20, 3)


def test_a_gradient_check_has_a_row_for_each_argument() -> None:
    check = GradientCheck((PASSED, FAILED), rtol=1e-5)
    page = read(check._repr_html_())
    head, *rows = page.rows
    assert head == ["argument", "result", "relative error", "differences", "more at a kink"]
    assert rows == [
        ["x", "passed", "3.2e-09", "12", "0"],
        ["params[0]['<b>']", "failed", "5.0e-01", "20", "3"],
    ]
    assert "b" not in page.tags
    for row in rows:
        assert f"{row[0]:16}  relative error {row[2]} over {row[3]} differences" in str(check)
    assert page.has_in_order(["gradients: failed at rtol 1e-05"])
    assert str(check).endswith("failed at rtol 1e-05")


def test_a_gradient_check_that_passes_says_so() -> None:
    page = read(GradientCheck((PASSED,), rtol=1e-5)._repr_html_())
    assert page.has_in_order(["gradients: passed at rtol 1e-05", "passed"])
    assert "failed" not in " ".join(page.lines)


def test_backends_are_a_table() -> None:
    found = op.backends()
    page = read(found._repr_html_())  # type: ignore[attr-defined]
    assert [row[0] for row in page.rows[1:]] == list(found)
    for backend, row in zip(found.values(), page.rows[1:], strict=True):
        assert row[2:] == (["yes", backend.runs] if backend.usable else ["no", backend.why_not])
        assert not backend.version or row[1].endswith(backend.version)
        assert read(backend._repr_html_()).rows == [page.rows[0], row]


def test_backends_are_a_dict_still() -> None:
    found = op.backends()
    assert isinstance(found, dict)
    assert found == dict(found)
    assert repr(found) == repr(dict(found))
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_reason_is_escaped() -> None:
    html = Backend("cupy", False, "CuPy arrays", None, "<script>1 & 2</script>")._repr_html_()
    assert "<script" not in html
    assert read(html).rows[1] == ["cupy", "none", "no", "<script>1 & 2</script>"]


@pytest.mark.parametrize("value", ["<i>", "&lt;", "'\"", 3, "é"])
def test_text_is_read_as_it_was(value: object) -> None:
    pieces = [
        notebook.paragraph(value),
        notebook.items([value]),
        notebook.fold(value),
        notebook.strong(value),
    ]
    for piece in pieces:
        page = read(notebook.page(piece))
        assert page.lines == [str(value)]
        assert "i" not in page.tags


@pytest.mark.parametrize(("share", "width"), [(0.5, "3.00em"), (-1.0, "0.00em"), (7.0, "6.00em")])
def test_bars_have_one_scale(share: float, width: str) -> None:
    assert f"width:{width}" in notebook.bar(share)
