"""`python -m onepass`: the report of this installation, and `bench`, how fast it is here."""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from . import report
from .backends import chosen_backend

BENCH = """\
Measure how fast onepass is here: cross-entropies with their gradient, training steps, and a linear head with
its loss, for NumPy arrays of float32. Each is compared with NumPy code written by hand, and with a lower
bound of the time. It takes about 25 seconds. The table goes to stdout, the progress to stderr. Other programs
that run at the same time make all figures worse."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m onepass",
        description="Without a command: print versions and backends, and check that all backends that work "
        "here agree.",
    )
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    bench = commands.add_parser("bench", help="measure how fast onepass is here", description=BENCH)
    bench.add_argument("--quick", action="store_true", help="only the small workloads, in a few seconds")
    bench.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        help="time for the samples of each workload, at least three samples (default: %(default)s)",
    )
    bench.add_argument("--json", type=Path, metavar="PATH", help="also write the times, in seconds, as JSON")
    bench.add_argument("--plot", type=Path, metavar="PATH", help="also draw a plot, such as speed.png")
    options = parser.parse_args(arguments)
    if options.command is None:
        return report.main()
    if refusal := _refusal(options):
        bench.error(refusal)
    return _bench(options)


def _refusal(options: argparse.Namespace) -> str:
    """What would fail after the measurement, said before it; empty if nothing does."""
    if chosen_backend() == "cupy":
        return "bench measures NumPy arrays; got the backend 'cupy'. Unset ONEPASS_BACKEND."
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        return "--plot needs matplotlib. Install it with: pip install matplotlib"
    for name in ("json", "plot"):
        path = getattr(options, name)
        if path and not path.absolute().parent.is_dir():
            return f"--{name}: got {path}; expected a path in a folder that exists."
    return ""


def _bench(options: argparse.Namespace) -> int:
    """The exit status is 1 if a result differs from NumPy's."""
    from .speed import measure_speed
    from .speed_views import as_json, draw

    table = measure_speed(quick=options.quick, seconds=options.seconds, progress=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a file or pipe may have an encoding without arrows
    print(table)
    if options.json:
        options.json.write_text(json.dumps(as_json(table), indent=1), encoding="utf-8")
    if options.plot:
        draw(table, options.plot)
    return 0 if all(row.agrees for row in table.rows) else 1
