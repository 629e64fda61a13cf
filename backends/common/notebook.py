"""Pieces of the HTML that results show in a notebook: self-contained, without JavaScript, in any theme.

`page(table(["name", "error"], [["x", "1e-9"]]))` is one `<div class="onepass">` with its own style. All text
is escaped here: callers pass plain strings, and `Html` for what is HTML already. Text has the colour that the
notebook gives it, and lines are a grey that shows on white and on black.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# A notebook is a file that is kept. What is longer than this is shown up to here, and says so.
MOST_LINES = 1500
# Of the longest bar, in heights of the text.
BAR_WIDTH = 6

_STYLE = """\
.onepass{color:inherit;background:transparent;font-size:.92em;line-height:1.45;max-width:72em}
.onepass p{margin:.3em 0}
.onepass .scroll{overflow-x:auto}
.onepass table{border-collapse:collapse;margin:.3em 0;border:0;color:inherit;font-size:1em}
.onepass th,.onepass td{padding:.2em .9em .2em 0;text-align:left;vertical-align:top;border:0;
border-bottom:1px solid rgba(128,128,128,.35);color:inherit;white-space:nowrap;max-width:none}
.onepass th{font-weight:600;white-space:normal;vertical-align:bottom}
.onepass .wide{white-space:normal;min-width:9em}
.onepass .number{text-align:right;font-variant-numeric:tabular-nums}
.onepass details{margin:.25em 0;padding-left:.9em;border-left:2px solid rgba(128,128,128,.35)}
.onepass summary{cursor:pointer;margin-left:-.4em}
.onepass code,.onepass pre{font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;
font-size:.92em;color:inherit;background:transparent;padding:0;border:0}
.onepass pre{margin:.3em 0;max-height:32em;overflow:auto;white-space:pre;line-height:1.35}
.onepass ol,.onepass ul{margin:.2em 0;padding-left:1.6em}
.onepass li{margin:.1em 0;overflow-wrap:anywhere}
.onepass .bar{display:block;height:.3em;background:currentColor;opacity:.45}
"""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Html:
    """Escaped text, unless it is HTML already."""
    from html import escape  # only notebooks need it, and it takes 2 ms

    return value if isinstance(value, Html) else Html(escape(str(value)))


def page(*parts: Html) -> Html:
    """One result with its style. The rules of the style apply to this element only."""
    return Html(f'<div class="onepass"><style>{_STYLE}</style>{"".join(parts)}</div>')


def paragraph(*parts: object) -> Html:
    """A line of text."""
    return Html(f"<p>{''.join(map(text, parts))}</p>")


def strong(value: object) -> Html:
    """Emphasised text."""
    return Html(f"<strong>{text(value)}</strong>")


def code(value: object) -> Html:
    """Text of a program, in a line."""
    return Html(f"<code>{text(value)}</code>")


def items(values: Iterable[object], *, ordered: bool = False) -> Html:
    """A list; nothing if it is empty."""
    tag = "ol" if ordered else "ul"
    found = "".join(f"<li>{text(value)}</li>" for value in values)
    return Html(f"<{tag}>{found}</{tag}>" if found else "")


def table(head: Sequence[object], rows: Iterable[Sequence[object]], *, numbers: Iterable[int] = ()) -> Html:
    """A table that scrolls sideways where it is too wide.

    head:    titles of the columns; empty for none
    numbers: columns that are aligned to the right
    """
    right = frozenset(numbers)

    def row(tag: str, cells: Sequence[object]) -> str:
        kinds = ["number" if column in right else _kind(cell) for column, cell in enumerate(cells)]
        found = zip(kinds, map(text, cells), strict=True)
        return f"<tr>{''.join(f'<{tag} class={kind!r}>{cell}</{tag}>' for kind, cell in found)}</tr>"

    top = f"<thead>{row('th', head)}</thead>" if head else ""
    body = "".join(row("td", cells) for cells in rows)
    return Html(f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>')


def _kind(cell: object) -> str:
    """Sentences wrap; names and numbers do not."""
    return "wide" if not isinstance(cell, Html) and len(str(cell)) > 20 else "word"


def bar(share: float) -> Html:
    """A bar; share: its length, from 0 to 1. Bars of all columns have one scale."""
    return Html(f'<span class="bar" style="width:{BAR_WIDTH * min(max(share, 0.0), 1.0):.2f}em"></span>')


def fold(summary: object, *parts: Html, is_open: bool = False) -> Html:
    """Parts below a line that a click folds."""
    opened = " open" if is_open else ""
    return Html(f"<details{opened}><summary>{text(summary)}</summary>{''.join(parts)}</details>")


def listing(summary: object, lines: Sequence[str], rest: str) -> Html:
    """A folded text; rest: how to see all of it, where it has more than MOST_LINES"""
    shown = Html(f"<pre>{text(chr(10).join(lines[:MOST_LINES]))}</pre>")
    left = len(lines) - MOST_LINES
    more = [paragraph(f"{left:,} more lines: ", code(rest))] if left > 0 else []
    return fold(summary, shown, *more)
