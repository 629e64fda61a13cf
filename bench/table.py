"""The results of a run as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import Any

from onepass.speed_views import duration as duration

from .peers import BASELINE, DERIVATIVES_BASELINE, FLOORS, GPU_BASELINE, is_tf32

# A run as written to JSON: {"machine": {...}, "workloads": [{"name": ..., "peers": {peer: entry}}]}.
Run = Any


def median(entry: Any) -> float | None:
    """Seconds per call, or None if the peer has no times."""
    return statistics.median(entry["samples"]) if entry and entry["samples"] else None


def quartiles(entry: Any) -> tuple[float, float]:
    """The lower and the upper quartile."""
    low, _, high = statistics.quantiles(entry["samples"], n=4, method="inclusive")
    return low, high


def floor(workload: Any, *, tf32: bool = False) -> tuple[float, str] | None:
    """The lower bound of the time, and its kind, "copy" or "products": the larger of the two.

    tf32: whether the products are in TF32
    """
    names = [name for name in FLOORS if _floor_kind(name) == "copy" or is_tf32(name) == tf32]
    found = [(median(workload["peers"].get(name)), _floor_kind(name)) for name in names]
    return max(((seconds, name) for seconds, name in found if seconds is not None), default=None)


def _floor_kind(name: str) -> str:
    return name.removeprefix("floor_").removesuffix("_gpu").removesuffix("_tf32")


def copy_rate(workload: Any) -> float | None:
    """Bytes per second of the copy, which reads one half and writes the other."""
    seconds = median(workload["peers"].get("floor_copy_gpu") or workload["peers"].get("floor_copy"))
    return workload["least_bytes"] / seconds if seconds else None


def peers_of(run: Run) -> dict[str, str]:
    """The columns of the table: titles by name, without floors."""
    return {
        name: entry["title"]
        for workload in run["workloads"]
        for name, entry in workload["peers"].items()
        if name not in FLOORS
    }


def markdown(run: Run) -> str:
    """The whole report."""
    parts = [
        *(f"- {what}: {value}" for what, value in run["machine"].items()),
        "",
        "## Time",
        "",
        f"Median time of a call. In brackets the ratio to {_title(run, _baseline(run))}; below 1 is faster.",
        "The floor is the larger of a copy of the same bytes and the same products. **Bold**: the fastest"
        + (", in float32 and in TF32." if run.get("gpu") else "."),
        "",
        *_times(run),
        "",
        "## Times the floor",
        "",
        *_times_floor(run),
        "",
        "## Peak memory",
        "",
        *(["Device memory, for heads only."] if run.get("gpu") else []),
        "The high-water mark of the second call, without libraries and inputs. Results are included.",
        "",
        *_memory(run),
        "",
        "## First call",
        "",
        "With tracing and compilation, without the import of the library.",
        "",
        *_first_calls(run),
        "",
        "## Details",
        "",
        *_details(run),
    ]
    return "\n".join([*parts, *_left_out(run)]) + "\n"


def _times(run: Run) -> Iterable[str]:
    peers = peers_of(run)
    # On a GPU the rate of the copy shows how close the floor is to the limit of the device.
    more = ["TF32 floor", "rate of the copy"] if run.get("gpu") else []
    yield from _header(["workload", *peers.values(), "floor", *more])
    for workload in run["workloads"]:
        base = median(workload["peers"].get(_baseline(run)))
        times = {name: median(workload["peers"].get(name)) for name in peers}
        best = {tf32: _fastest(times, tf32=tf32) for tf32 in (False, True)}
        cells = []
        for name, seconds in times.items():
            if seconds is None:
                cells.append("")
                continue
            text = f"**{duration(seconds)}**" if seconds == best[is_tf32(name)] else duration(seconds)
            cells.append(text + (f" ({seconds / base:.2f})" if base is not None else ""))
        cells.append(_floor_cell(floor(workload)))
        if more:
            has_tf32 = any(is_tf32(name) and times[name] is not None for name in times)
            cells.append(_floor_cell(floor(workload, tf32=True)) if has_tf32 else "")
            a_second = copy_rate(workload)
            cells.append(f"{size(a_second)}/s" if a_second is not None else "")
        yield _row([workload["name"], *cells])


def _fastest(times: dict[str, float | None], *, tf32: bool) -> float | None:
    return min((t for name, t in times.items() if t is not None and is_tf32(name) == tf32), default=None)


def _floor_cell(least: tuple[float, str] | None) -> str:
    return f"{duration(least[0])} {least[1]}" if least else ""


def _times_floor(run: Run) -> Iterable[str]:
    def cell(workload: Any, name: str) -> str:
        seconds, least = median(workload["peers"].get(name)), floor(workload, tf32=is_tf32(name))
        return f"{seconds / least[0]:.1f}" if seconds is not None and least else ""

    return _by_peer(run, cell)


def _memory(run: Run) -> Iterable[str]:
    def cell(workload: Any, name: str) -> str:
        entry = workload["peers"].get(name)
        return size(entry["memory"]) if entry and entry["memory"] is not None else ""

    return _by_peer(run, cell)


def _first_calls(run: Run) -> Iterable[str]:
    def cell(workload: Any, name: str) -> str:
        entry = workload["peers"].get(name)
        return duration(entry["first_call"]) if entry and entry["first_call"] is not None else ""

    return _by_peer(run, cell)


def _by_peer(run: Run, cell: Callable[[Any, str], str]) -> Iterable[str]:
    """cell: the text for a workload and the name of a peer"""
    peers = peers_of(run)
    yield from _header(["workload", *peers.values()])
    for workload in run["workloads"]:
        yield _row([workload["name"], *(cell(workload, name) for name in peers)])


def _details(run: Run) -> Iterable[str]:
    yield from _header(
        ["workload", "peer", "median", "quartiles", "samples", "page faults", "GFLOP/s", "GB/s", "difference"]
    )
    for workload in run["workloads"]:
        for name, entry in workload["peers"].items():
            seconds = median(entry)
            if seconds is None:
                continue
            operations, moved = (
                workload["operations"] / seconds / 1e9,
                workload["least_bytes"] / seconds / 1e9,
            )
            low, high = quartiles(entry)
            yield _row(
                [
                    workload["name"],
                    entry["title"],
                    duration(seconds),
                    f"{duration(low)} to {duration(high)}",
                    str(len(entry["samples"])),
                    f"{statistics.median(entry.get('page_faults') or [0]):.0f}",
                    f"{operations:.3g}" if name not in FLOORS or _floor_kind(name) != "copy" else "",
                    f"{moved:.3g}" if name not in FLOORS or _floor_kind(name) != "products" else "",
                    f"{entry['error']:.0e}" if entry["error"] is not None else "",
                ]
            )


def _left_out(run: Run) -> Iterable[str]:
    """Peers that are not installed, then workloads that were left out, one line for each reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for workload in run["workloads"]:
        for name, entry in workload["peers"].items():
            if entry["left_out"] and name not in FLOORS:
                reasons.setdefault((entry["title"], entry["left_out"]), []).append(workload["name"])
    if reasons or run["missing"]:
        yield from ("", "## Left out", "")
    yield from (f"- {title}: {reason}" for title, reason in run["missing"].items())
    for (title, reason), names in reasons.items():
        yield f"- {title}: {reason} ({'; '.join(names)})"


def size(count: float) -> str:
    """Bytes, in the unit that fits."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{_three_digits(count / scale)} {unit}"
    return "< 1 MB"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _baseline(run: Run) -> str:
    if run.get("derivatives"):
        return DERIVATIVES_BASELINE
    return GPU_BASELINE if run.get("gpu") else BASELINE


def _title(run: Run, name: str) -> str:
    return peers_of(run).get(name, "the baseline")


def _header(cells: list[str]) -> Iterable[str]:
    yield _row(cells)
    yield _row(["---"] + ["---:"] * (len(cells) - 1))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
