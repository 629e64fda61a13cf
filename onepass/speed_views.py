"""A SpeedTable as text, HTML, JSON and a plot."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from .backends import notebook
from .floors import processors
from .speed import BUSY, TIMES, Measured, SpeedTable

HEAD = ("workload", "NumPy by hand", "onepass", "speedup", "lower bound", "first call")

NOTES = (
    "Median time of a call in float32. Speedup: NumPy by hand divided by onepass.",
    "Lower bound: a copy of the same bytes, or the same matrix products in NumPy; the longer of the two.",
    "First call of onepass: with tracing, and compiling or loading machine code from disk.",
)


def _cells(row: Measured) -> list[str]:
    """The cells of a row, in the order of HEAD."""
    wrong = "" if row.agrees else f"; WRONG by {row.error:.0e}"
    return [
        row.workload.name,
        duration(row.numpy),
        duration(row.onepass),
        f"{speedup(row)}{wrong}",
        f"{duration(row.floor.seconds)} {row.floor.kind}",
        duration(row.first_call),
    ]


def speedup(row: Measured) -> str:
    """How many times as fast as NumPy by hand."""
    ratio = row.numpy / row.onepass
    return f"{ratio:.{1 if ratio < 10 else 0}f}{TIMES}"


def _remarks(table: SpeedTable) -> list[str]:
    """What a reader must know about this run."""
    remarks = [f"Left out: {name}: {why}." for name, why in table.left_out.items()]
    if table.others > BUSY * processors():
        remarks.append(
            f"Other programs used {table.others:.1f} of {processors()} processors meanwhile. Matrix "
            "products on several threads suffer most from that. Measure again when nothing else runs."
        )
    return remarks


def as_text(table: SpeedTable) -> str:
    """For a terminal."""
    cells = [list(HEAD), *map(_cells, table.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [f"{title}: {value}" for title, value in table.machine.items()]
    lines.append("")
    for name, *others in cells:
        aligned = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([f"{name:{widths[0]}}", *aligned]))
    return "\n".join([*lines, "", *NOTES, *_remarks(table)])


def as_html(table: SpeedTable) -> str:
    """For a notebook. Bars are times relative to the longest of the row."""
    rows = []
    for row in table.rows:
        name, numpy, onepass, *others = _cells(row)
        longest = max(row.numpy, row.onepass)
        bars = [
            notebook.Html(notebook.text(cell) + notebook.bar(seconds / longest))
            for cell, seconds in ((numpy, row.numpy), (onepass, row.onepass))
        ]
        rows.append([name, *bars, *others])
    return notebook.page(
        *(notebook.paragraph(f"{title}: {value}") for title, value in table.machine.items()),
        notebook.table(HEAD, rows, numbers=[3, 4, 5]),
        notebook.paragraph(" ".join(NOTES)),
        notebook.items(_remarks(table)),
    )


def as_json(table: SpeedTable) -> dict[str, Any]:
    """For `json.dump`: times in seconds."""
    rows = [
        {
            "name": row.workload.name,
            "kind": row.workload.kind,
            "shape": list(row.workload.shape),
            "numpy": row.numpy,
            "onepass": row.onepass,
            "speedup": row.numpy / row.onepass,
            "floor": row.floor.seconds,
            "floor_kind": row.floor.kind,
            "first_call": row.first_call,
            "error": row.error,
            "samples": row.samples,
        }
        for row in table.rows
    ]
    return {
        "machine": table.machine,
        "processors_of_others": table.others,
        "workloads": rows,
        "left_out": table.left_out,
    }


def draw(table: SpeedTable, path: Path) -> None:
    """Write a plot of the times as multiples of the lower bound; needs matplotlib."""
    figure_module: Any = importlib.import_module("matplotlib.figure")
    ticker: Any = importlib.import_module("matplotlib.ticker")
    figure = figure_module.Figure(figsize=(9, 1.8 + 0.5 * len(table.rows)), layout="constrained")
    axes = figure.subplots()
    rows = table.rows[::-1]
    for y, row in enumerate(rows):
        least = row.floor.seconds
        axes.plot([row.onepass / least, row.numpy / least], [y, y], color="#BBBBBB", linewidth=2, zorder=1)
        axes.annotate(
            f"{duration(row.onepass)}, speedup {speedup(row)}",
            *((row.onepass / least, y), (0, 8)),
            textcoords="offset points",
            fontsize=9,
        )
    # The palette of Okabe and Ito, which is safe for colour blindness.
    for label, colour, marker, seconds in (
        ("onepass", "#D55E00", "o", [row.onepass for row in rows]),
        ("NumPy by hand", "#000000", "s", [row.numpy for row in rows]),
    ):
        multiples = [value / row.floor.seconds for value, row in zip(seconds, rows, strict=True)]
        axes.scatter(multiples, range(len(rows)), color=colour, marker=marker, s=60, label=label, zorder=2)
    axes.axvline(1, color="#888888", linestyle="--", zorder=0, label="lower bound")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}{TIMES}"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_yticks(range(len(rows)), [row.workload.name for row in rows])
    axes.set_ylim(-0.5, len(rows) - 0.2)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("time of a call as a multiple of the lower bound: further left is faster")
    figure.legend(ncols=3, frameon=False, loc="outside upper center")
    figure.savefig(path, dpi=100)


def duration(seconds: float) -> str:
    """Three digits, in the unit that fits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{_three_digits(seconds / scale)} {unit}"
    return f"{_three_digits(seconds / 1e-9)} ns"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
