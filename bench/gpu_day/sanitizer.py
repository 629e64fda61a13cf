"""compute-sanitizer on a few kernels: accesses, races, barriers."""

from __future__ import annotations

import os
from pathlib import Path

from . import tools

CHECKERS = ("memcheck", "racecheck", "synccheck")
# The blocks of clusters have two barriers each in shared memory, more than synccheck tracks by default.
OPTIONS = {"synccheck": ["--num-cuda-barriers", "65536"]}
# The exit status if the tool found errors; it differs from those of the program.
FOUND = 9
KEPT_LINES = 40
TELLING = (
    "ERROR SUMMARY",
    "RACECHECK SUMMARY",
    "Invalid",
    "hazard",
    "Barrier",
    "interrupted",
    "Error:",
    "Adam",
)


def main() -> None:
    sanitizer = tools.found("compute-sanitizer")
    if sanitizer is None:
        raise SystemExit("compute-sanitizer was not found. Install the CUDA toolkit.")
    seconds = tools.seconds_each(len(CHECKERS))
    report, wrong = [], []
    for checker in CHECKERS:
        options = ["--tool", checker, "--error-exitcode", str(FOUND), "--print-limit", "20"]
        options += OPTIONS.get(checker, [])
        status, text = tools.run([sanitizer, *options, *tools.FEW], seconds)
        lines = text.splitlines()[-KEPT_LINES:]
        report += [f"--- {checker}: exit status {status}", *lines]
        Path(os.environ["OUT"], "sanitizer.txt").write_text("\n".join(report) + "\n")
        print(f"--- {checker}: exit status {status}")
        print(*(line for line in lines if any(word in line for word in TELLING)), sep="\n", flush=True)
        wrong += [checker] * (status != 0)
    raise SystemExit(f"errors found by: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
