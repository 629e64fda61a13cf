"""The times of a GPU day as Markdown, for bench/README.md: `python -m bench.gpu_day.table TIMES.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..workloads import TIMES

OURS, COPY = "cross-entropy ", "copy of the same bytes "
OTHERS = ("torch eager", "torch.compile", "Liger")
PRECISIONS = ("float32", "float32 TF32", "bfloat16")
PRODUCTS = ("step ", "Adam step ", "head ", "torch product ")

Entries = Mapping[str, Any]


def markdown(times: Mapping[str, Any]) -> str:
    """Two tables: cross-entropies with a copy of the same bytes, and workloads of matrix products."""
    good = {name.strip(): entry for name, entry in times.items() if "failed" not in entry}
    tables = [list(_cross_entropies(good)), list(_products(good))]
    return "\n\n".join("\n".join(table) for table in tables if len(table) > 2)


def _cross_entropies(times: Entries) -> Iterator[str]:
    others = [name for name in OTHERS if any(key.startswith(f"{name} {OURS}") for key in times)]
    yield _row(["cross-entropy and gradient", "onepass", "copy", "ratio", "onepass TB/s", *others, "host"])
    yield _row(["---", *["---:"] * (5 + len(others))])
    for name, entry in times.items():
        if name.startswith(OURS):
            what = name.removeprefix(OURS)
            copy = times.get(COPY + what)
            yield _row(
                [
                    _pretty(what),
                    _duration(entry["cold_us"]),
                    _duration(copy["cold_us"]) if copy else "",
                    f"{entry['cold_us'] / copy['cold_us']:.2f}" if copy else "",
                    f"{entry['TBps_cold']:.2f}",
                    *(_duration(times.get(f"{other} {name}", {}).get("cold_us")) for other in others),
                    _duration(entry["host_us"]),
                ]
            )


def _products(times: Entries) -> Iterator[str]:
    yield _row(["workload", *(f"{name.replace('float32 TF32', 'TF32')} (TFLOP/s)" for name in PRECISIONS)])
    yield _row(["---", *["---:"] * len(PRECISIONS)])
    work = [_split(name)[0] for name in times if name.startswith(PRODUCTS)]
    for name in dict.fromkeys(work):
        cells = (times.get(f"{name} {precision}") for precision in PRECISIONS)
        yield _row([_pretty(name), *map(_rate_cell, cells)])


def _rate_cell(entry: Any) -> str:
    if entry is None:
        return ""
    return f"{_duration(entry['back_to_back_us'])} ({entry['TFLOPs']:.1f})"


def _split(name: str) -> tuple[str, str]:
    """The workload and the precision in the name of an entry."""
    precision = max((p for p in PRECISIONS if name.endswith(p)), key=len)
    return name.removesuffix(precision).rstrip(), precision


def _pretty(name: str) -> str:
    return name.replace("->", "→").replace("x", TIMES)


def _duration(microseconds: float | None) -> str:
    if microseconds is None:
        return ""
    if microseconds >= 1000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds:.3g} µs"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text())))
