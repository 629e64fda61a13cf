"""Nsight Compute on the two large cross-entropies, in both dtypes."""

from __future__ import annotations

import os
from pathlib import Path

from . import tools

# The first row kernel of the program.
KERNEL = "rows0_0"
SECTIONS = (
    *("SpeedOfLight", "LaunchStats", "Occupancy"),
    *("WarpStateStats", "MemoryWorkloadAnalysis", "InstructionStats"),
)
TELLING = (
    *(KERNEL, "Duration", "DRAM Throughput", "Memory Throughput", "Compute (SM)", "Registers Per"),
    *("Executed Ipc Active", "Achieved Occ", "Waves", "Cluster"),
)
MOST_LINES = 60


def command(ncu: str) -> list[str]:
    sections = [word for section in SECTIONS for word in ("--section", section)]
    options = ["--clock-control", "none", "--target-processes", "all", "-k", f"regex:{KERNEL}", "-c", "4"]
    return [ncu, *options, *sections, *tools.FEW, "large"]


def main() -> None:
    ncu = tools.found("ncu")
    if ncu is None:
        raise SystemExit("ncu was not found. Install the CUDA toolkit or Nsight Compute.")
    status, text = tools.run(command(ncu), tools.seconds_each(1))
    Path(os.environ["OUT"], "ncu.txt").write_text(text)
    telling = [line for line in text.splitlines() if any(word in line for word in TELLING)]
    print(*telling[:MOST_LINES], sep="\n")
    raise SystemExit(status)


if __name__ == "__main__":
    main()
