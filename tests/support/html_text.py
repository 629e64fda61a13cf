"""The HTML of a result as a reader sees it: lines of text and rows of tables. Malformed HTML is an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

# What begins and ends a line.
BLOCKS = {"div", "p", "li", "ol", "ul", "pre", "details", "summary", "table", "tr", "td", "th", "style"}
# Elements without an end.
VOID = {"br", "hr", "img", "input", "link", "meta"}


@dataclass
class Page:
    """A page.

    lines: the visible text, unfolded
    rows:  the cells of each row of all tables
    style: the text of the style sheet
    """

    lines: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    style: str = ""

    def has_in_order(self, lines: Sequence[str]) -> bool:
        """Whether all lines are on the page, in this order, with others between."""
        mine = iter(self.lines)
        return all(any(line.strip() == wanted.strip() for line in mine) for wanted in lines if wanted.strip())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.open: list[str] = []
        self.line = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs), f"a script in {tag}"
        if tag in BLOCKS:
            self._end_line()
        if tag == "tr":
            self.page.rows.append([])
        if tag in ("td", "th"):
            self.page.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag, f"</{tag}> ends another element"
        if tag in BLOCKS:
            self._end_line()

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            self.page.style += data
            return
        if self.open and self.page.rows and {"td", "th"} & set(self.open):
            self.page.rows[-1][-1] += data
        *whole, last = (self.line + data).split("\n")
        self.page.lines += [line for line in whole if line.strip()]
        self.line = last

    def _end_line(self) -> None:
        if self.line.strip():
            self.page.lines.append(self.line)
        self.line = ""


def read(html: str) -> Page:
    """Read a page; raises AssertionError if an element is not closed where it should be."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open, f"not closed: {reader.open}"
    return reader.page
