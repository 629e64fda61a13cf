"""The pages of the site: their Python prints what they show, and the reference has every public name."""

from __future__ import annotations

import ast
import inspect
import re
import runpy
from collections.abc import Iterable
from pathlib import Path

import pytest
from docstrings import as_rst
from pages import ROOT, blocks

import onepass as op
import onepass.distributed

DOCS = ROOT / "docs"
PYTHON, OUTPUT, PART = "python", "text output", "text part"
# Pages for which something has to be installed.
NEEDS = {"pytorch": "torch", "sklearn": "sklearn"}


def run(page: Path, folder: Path) -> Path:
    """Run the Python of a page; the script that it was written to."""
    script = folder / "page.py"
    script.write_text("\n".join(blocks(page, PYTHON)), encoding="utf-8")
    runpy.run_path(str(script))
    return script


def pages_with_output() -> Iterable[object]:
    for page in [DOCS / "index.md", *sorted((DOCS / "guides").glob("*.md"))]:
        if blocks(page, OUTPUT):
            needed = NEEDS.get(page.stem)
            marks = [pytest.mark.needs(name=needed)] if needed else []
            yield pytest.param(page, marks=marks, id=page.stem)


@pytest.mark.parametrize("page", list(pages_with_output()))
def test_the_python_of_a_page_prints_what_it_shows(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = run(page, tmp_path)
    assert capsys.readouterr().out.replace(str(script), script.name) == "".join(blocks(page, OUTPUT))


def test_the_plan_that_a_page_explains_is_the_compiler_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = DOCS / "guides" / "explain.md"
    run(page, tmp_path)
    lines = iter(capsys.readouterr().out.splitlines())
    for line in "".join(blocks(page, PART)).splitlines():
        # The machine decides the number of workers, and each needs memory.
        if not re.search(r"\d workers?$|of workspace$", line):
            assert line in lines, f"not printed, or not in this order: {line}"


def test_the_start_page_has_the_lines_of_the_readme() -> None:
    (start,) = blocks(ROOT / "README.md", PYTHON)
    assert start in blocks(DOCS / "index.md", PYTHON)


def documented() -> set[str]:
    """The names on the pages of the reference."""
    names = set()
    for page in (DOCS / "api").glob("*.rst"):
        module = "onepass"
        for kind, name in re.findall(
            r"^\.\. (\w+):: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE
        ):
            if kind == "currentmodule":
                module = name
            elif kind in ("autofunction", "autoclass"):
                names.add(name if "." in name else f"{module}.{name}")
    return names


def offered(module: str) -> list[str]:
    """`__all__` of a module that need not be importable here."""
    tree = ast.parse((ROOT / "onepass" / module).read_text(encoding="utf-8"))
    (names,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return list(ast.literal_eval(names))


def test_the_reference_has_every_public_name() -> None:
    expected = {f"onepass.{name}" for name in op.__all__ if name != "distributed"}
    expected |= {f"onepass.distributed.{name}" for name in onepass.distributed.__all__}
    for module, file in (("torch", "torch.py"), ("sklearn", "sklearn/__init__.py")):
        expected |= {f"onepass.{module}.{name}" for name in offered(file)}
    assert documented() - {"onepass.backends.codegen.explain.Explanation"} == expected


def test_every_page_is_in_a_table_of_contents() -> None:
    for folder in (DOCS / "guides", DOCS / "api"):
        index = DOCS / "index.md" if folder.name == "guides" else folder / "index.rst"
        listed = index.read_text(encoding="utf-8").splitlines()
        prefix = "guides/" if folder.name == "guides" else "   "
        for page in folder.iterdir():
            assert page.stem == "index" or f"{prefix}{page.stem}" in listed, page


def test_the_links_of_the_pages_lead_to_files() -> None:
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("*/README.md")]
    for page in [*files, *DOCS.rglob("*.md")]:
        if "gallery" in page.parts or "_build" in page.parts:
            continue
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page, target)
            assert "gallery" not in target, f"{page}: {target} exists on the site only"


def test_docstrings_become_restructuredtext() -> None:
    docstring = """Sum of `x` and |y|, of a_ and `a + b`.

r = x + y
s = x - y

In general: text.

x, *ys: real, as for
        `relu`
returns: the sum
raises: TypeError

    op.total(x)

    op.total(x, y)

- one
- two*"""
    assert list(as_rst(docstring)) == [
        r"Sum of :py:obj:`x` and \|y\|, of a\_ and ``a + b``.",
        "",
        "::",
        "",
        "    r = x + y",
        "    s = x - y",
        "",
        "In general: text.",
        "",
        ":param x: real, as for :py:obj:`relu`",
        r":param \*ys: real, as for :py:obj:`relu`",
        ":returns: the sum",
        ":raises: TypeError",
        "",
        "::",
        "",
        "    op.total(x)",
        "",
        "    op.total(x, y)",
        "",
        "- one",
        r"- two\*",
        "",
    ]


def test_a_parameter_may_have_the_name_of_a_heading() -> None:
    fields = "raises: whether to raise\nraises: ValueError"
    assert list(as_rst(fields, {"raises"})) == [":param raises: whether to raise", ":raises: ValueError", ""]


def test_the_arguments_of_a_function_become_fields() -> None:
    lines = list(as_rst(inspect.getdoc(op.softmax_cross_entropy) or ""))
    assert ":param labels: (N,) integer, 0 <= label < K; or (N, K) real probabilities" in lines
    assert ':returns: scalar, or (N,) with reduction="none"; in nats' in lines
