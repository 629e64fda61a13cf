"""The project's docstrings as reStructuredText, for the API pages.

A docstring is plain text, which `help` shows as it is. This extension of Sphinx translates

    name: text           to a field: a parameter, or what the function returns, raises and is taken from
    `name`               to a link where the site has that name, otherwise to code
    a = b                to a literal block, in which a formula keeps its lines; indented lines as well
    - item               to a list
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

INDENT = " " * 4
HEADINGS = ("returns", "raises", "source")
FIELD = re.compile(r"([*\w]+(?:, [*\w]+)*):\s+(\S.*)")
# No sentence: it would end with a full stop.
FORMULA = re.compile(r"\S.* = .*[^.:]")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx when the extension is loaded."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _translate)
    return {"parallel_read_safe": True}


def _translate(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = list(as_rst("\n".join(lines), _parameters(obj)))


def _parameters(obj: Any) -> set[str]:
    try:
        return set(inspect.signature(obj).parameters)
    except (TypeError, ValueError):  # has none
        return set()


def as_rst(docstring: str, parameters: Collection[str] = ()) -> Iterator[str]:
    """The lines of reStructuredText for a docstring without common indentation.

    parameters: names of parameters; `raises` and `returns` may be such names
    """
    parameters = set(parameters)
    paragraphs = docstring.strip("\n").split("\n\n")
    for is_indented, group in groupby(paragraphs, lambda paragraph: paragraph.startswith(INDENT)):
        # A block with empty lines in it is one block.
        for paragraph in ["\n\n".join(group)] if is_indented else group:
            yield from _paragraph(paragraph.split("\n"), parameters)
            yield ""


def _paragraph(lines: list[str], parameters: set[str]) -> Iterator[str]:
    if lines[0].startswith(INDENT):
        yield from ("::", "", *lines)
    elif FIELD.fullmatch(lines[0]):
        yield from _fields(lines, parameters)
    elif all(map(FORMULA.fullmatch, lines)):
        yield from ("::", "", *(INDENT + line for line in lines))
    else:
        yield from _text("\n".join(lines)).split("\n")


def _fields(lines: list[str], parameters: set[str]) -> Iterator[str]:
    """A field begins at a name and goes on in indented lines. Each parameter has one field, the first."""
    starts = [i for i, line in enumerate(lines) if FIELD.fullmatch(line)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        found = FIELD.fullmatch(lines[start])
        assert found is not None
        names, first = found.groups()
        text = _text(" ".join([first, *map(str.strip, lines[start + 1 : end])]))
        for name in names.split(", "):
            is_heading = name in HEADINGS and name not in parameters
            parameters.discard(name)
            kind = name if is_heading else f"param {_plain(name)}"
            yield f":{kind}: {text}"


def _text(text: str) -> str:
    """Text in which only what stands in backticks has a meaning."""
    parts = text.split("`")
    return "".join(_code(part) if i % 2 else _plain(part) for i, part in enumerate(parts))


def _code(text: str) -> str:
    text = " ".join(text.split())
    return f":py:obj:`{text}`" if re.fullmatch(r"[\w.]+", text) else f"``{text}``"


def _plain(text: str) -> str:
    return re.sub(r"[\\*|]|_(?!\w)", r"\\\g<0>", text)
