"""Plots of a run: time and floor by size, memory by number of classes, and time as a multiple of the floor.

A peer has the same colour and marker in every plot. onepass has a thick line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from .peers import is_tf32
from .table import Run, duration, floor, median, peers_of, quartiles, size
from .workloads import TIMES

# The palette of Okabe and Ito, which is safe for colour blindness.
COLOURS = {
    "onepass_numba": "#D55E00",
    "onepass_numpy": "#E69F00",
    "onepass_cupy": "#CC79A7",
    "numpy_seeds": "#000000",
    "jax_jit": "#009E73",
    "torch_eager": "#56B4E9",
    "torch_compile": "#0072B2",
    "sklearn_mlp": "#999933",
    "jax_jit_gpu": "#009E73",
    "torch_eager_gpu": "#56B4E9",
    "torch_compile_gpu": "#0072B2",
    "liger_gpu": "#999933",
}
OTHER_COLOUR = "#882255"
MARKS = "osD^vP*X<>"
FLOOR_COLOUR = "#BBBBBB"


def draw(run: Run, folder: Path) -> list[Path]:
    """Write all plots that the run has data for."""
    drawn = [
        _time_against_size(
            run, folder / "cross-entropy.png", "cross-entropy", "Cross-entropy and its gradient", "classes"
        ),
        _time_against_size(run, folder / "training-step.png", "ReLU step", "One training step", "layers"),
        _head(run, folder / "linear-head.png"),
        _overview(run, folder / "overview.png"),
    ]
    return [path for path in drawn if path is not None]


def _chosen(run: Run, title: str) -> list[Any]:
    return [w for w in run["workloads"] if w["title"] == title and w["dtype"] == "float32"]


def _time_against_size(run: Run, path: Path, title: str, heading: str, across: str) -> Path | None:
    """Shapes are evenly spaced, ordered by number of operations; several have the same size."""
    workloads = sorted(_chosen(run, title), key=lambda w: w["operations"])
    if not workloads:
        return None
    figure, axes = plt.subplots(figsize=(10.5, 5), layout="constrained")
    _lines(axes, run, workloads, list(range(len(workloads))), median, error_bars=True)
    _draw_floor(axes, workloads, list(range(len(workloads))))
    axes.set_xticks(range(len(workloads)), [_shape(w) for w in workloads], fontsize=9)
    axes.set_xlim(-0.3, len(workloads) - 0.7)
    axes.set_xlabel(f"rows {TIMES} {across}: more work to the right")
    _finish_time(axes)
    axes.set_title(f"{heading}: time of a call, {workloads[0]['dtype']}", loc="left", fontweight="bold")
    figure.legend(frameon=False, loc="outside right upper")
    return _save(figure, path)


def _head(run: Run, path: Path) -> Path | None:
    """Time and memory by number of classes, for heads with the same shape of x."""
    workloads = [w for w in _chosen(run, "linear head") if list(w["shape"])[:2] == [4096, 512]]
    if not workloads:
        return None
    classes = [w["shape"][-1] for w in workloads]
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
    _lines(left, run, workloads, classes, median, error_bars=True)
    _draw_floor(left, workloads, classes)
    _finish_time(left)
    left.set_title("Time of a call", loc="left", fontweight="bold")
    _lines(right, run, workloads, classes, lambda entry: (entry or {}).get("memory"), error_bars=False)
    logits = [4 * w["shape"][0] * w["shape"][-1] for w in workloads]
    results = [4 * (w["shape"][0] * w["shape"][1] + w["shape"][1] * w["shape"][2]) for w in workloads]
    right.plot(classes, logits, color="#666666", linestyle=":", label="one copy of the logits")
    right.fill_between(classes, results, color=FLOOR_COLOUR, alpha=0.5, label="the results themselves")
    right.set_yscale("log")
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: size(value)))
    right.yaxis.set_minor_formatter(NullFormatter())
    right.set_title("Peak memory beyond the inputs", loc="left", fontweight="bold")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(classes))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("classes")
        axes.grid(axis="y", color="#EEEEEE")
        axes.spines[["top", "right"]].set_visible(False)
    # Both plots have the same peers.
    known = dict(zip(*reversed(left.get_legend_handles_labels()), strict=True))
    known |= dict(zip(*reversed(right.get_legend_handles_labels()), strict=True))
    figure.legend(known.values(), known.keys(), frameon=False, fontsize=9, loc="outside right upper")
    figure.suptitle(
        f"Linear head and cross-entropy, loss and both gradients: 4096{TIMES}512 → classes, float32"
    )
    return _save(figure, path)


def _overview(run: Run, path: Path) -> Path | None:
    """One row for each workload: the time of each peer as a multiple of the floor."""
    workloads = [w for w in run["workloads"] if floor(w) is not None][::-1]
    if not workloads:
        return None
    figure, axes = plt.subplots(figsize=(10, 1.6 + 0.36 * len(workloads)), layout="constrained")
    for place, name, title in _places(run):
        points = [
            (seconds / least[0], row)
            for row, w in enumerate(workloads)
            if (seconds := median(w["peers"].get(name))) is not None
            and (least := floor(w, tf32=is_tf32(name))) is not None
        ]
        if points:
            style = _style(name, place)
            style |= {"linewidth": 0, "linestyle": "none"}
            axes.plot(*zip(*points, strict=True), label=title, **style)
    axes.axvline(1, color="#888888", linewidth=2)
    axes.axvspan(axes.get_xlim()[0] if axes.get_xlim()[0] < 1 else 0.8, 1, color=FLOOR_COLOUR, alpha=0.4)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 30, 100, 300, 1000, 10000]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{TIMES}"))
    axes.xaxis.set_minor_locator(NullLocator())
    names = [f"{w['name']}   floor {duration((floor(w) or (0.0, ''))[0])}" for w in workloads]
    axes.set_yticks(range(len(workloads)), names, fontsize=9)
    axes.grid(axis="both", color="#EEEEEE")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("time of a call as a multiple of the floor: further left is faster")
    figure.legend(ncols=4, frameon=False, loc="outside upper center", fontsize=9)
    return _save(figure, path)


def _places(run: Run) -> Iterable[tuple[int, str, str]]:
    return ((place, name, title) for place, (name, title) in enumerate(peers_of(run).items()))


def _colour(name: str) -> str:
    """A TF32 peer has the colour of the same peer in float32, and a library one colour in all tables."""
    usual = name.removesuffix("_grad").replace("_tf32_gpu", "" if name.startswith("onepass") else "_gpu")
    return COLOURS.get(usual, OTHER_COLOUR)


def _style(name: str, place: int) -> dict[str, Any]:
    ours = name.startswith("onepass")
    return {
        "color": _colour(name),
        "linestyle": "--" if is_tf32(name) else "-",
        "marker": MARKS[place % len(MARKS)],
        "markersize": 9 if ours else 6,
        "linewidth": 2.8 if ours else 1.3,
        "zorder": 4 if ours else 3,
    }


def _lines(
    axes: Any,
    run: Run,
    workloads: list[Any],
    where: list[int],
    value_of: Callable[[Any], float | None],
    *,
    error_bars: bool,
) -> None:
    """One line for each peer. The bars are quartiles."""
    for place, name, title in _places(run):
        found = [(x, w["peers"].get(name)) for x, w in zip(where, workloads, strict=True)]
        points = [(x, value, entry) for x, entry in found if (value := value_of(entry)) is not None]
        if not points:
            continue
        axes.plot([p[0] for p in points], [p[1] for p in points], label=title, **_style(name, place))
        if error_bars:
            for x, _, entry in points:
                low, high = quartiles(entry)
                axes.plot([x, x], [low, high], color=_colour(name), linewidth=1)


def _draw_floor(axes: Any, workloads: list[Any], where: list[int]) -> None:
    """Shade the area below the floor."""
    points = [(x, least[0]) for x, w in zip(where, workloads, strict=True) if (least := floor(w)) is not None]
    if not points:
        return
    axes.set_yscale("log")
    xs, ys = zip(*points, strict=True)
    bottom = axes.get_ylim()[0]
    lowest = min(bottom, min(ys) / 2)
    axes.fill_between(xs, ys, lowest, color=FLOOR_COLOUR, alpha=0.5, linewidth=0)
    axes.plot(xs, ys, color="#888888", linestyle="--", label="floor: copy or products alone")
    axes.set_ylim(bottom=lowest)


def _finish_time(axes: Any) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color="#EEEEEE")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _shape(workload: Any) -> str:
    rows, *widths = workload["shape"]
    if workload["kind"] == "cross-entropy":
        return f"{rows}{TIMES}{widths[0]}"
    return f"{rows}{TIMES}\n" + "→".join(map(str, widths))


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=90, pil_kwargs={"optimize": True})
    plt.close(figure)
    return path
