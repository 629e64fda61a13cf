"""A few workloads of `python -m bench --gpu`, the most important first, until the time is up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from ..workloads import TIMES
from .places import ROOT

# Part of the workload's name, and the peers. Floors are always included.
RUNS = (
    ("linear regression", "torch_eager_gpu,onepass_cupy"),
    ("sigmoid + Adam", "torch_eager_gpu,onepass_cupy"),
    (f"8192{TIMES}256→131072", "torch_eager_gpu,onepass_cupy,onepass_cupy_tf32_gpu"),
    (f"cross-entropy 4096{TIMES}8192", "torch_eager_gpu,onepass_cupy,liger_gpu,torch_compile_gpu"),
    (
        f"step 1024{TIMES}784→1024→10",
        "torch_eager_gpu,onepass_cupy,torch_eager_tf32_gpu,onepass_cupy_tf32_gpu",
    ),
    (f"cross-entropy 256{TIMES}131072", "torch_eager_gpu,onepass_cupy,liger_gpu"),
    (f"step 300{TIMES}2→100→3", "torch_eager_gpu,onepass_cupy,jax_jit_gpu"),
)
# A run with torch.compile or Triton takes more than 60 seconds; a step with two peers took 36.
SECONDS_A_RUN = 100.0


def command(only: str, peers: str, output: Path) -> list[str]:
    options = ["--gpu", "--only", only, "--peers", peers, "--sweeps", "5", "--seconds", "1"]
    return [sys.executable, "-m", "bench", *options, "--output", str(output)]


def main() -> None:
    deadline = time.monotonic() + float(os.environ["GPU_DAY_STEP_SECONDS"])
    folder = Path(os.environ["GPU_DAY_SCRATCH"], "bench")
    shutil.rmtree(folder, ignore_errors=True)
    wrong = False
    for number, (only, peers) in enumerate(RUNS):
        seconds = min(SECONDS_A_RUN, deadline - time.monotonic() - 5)
        if seconds < 15:
            print(f"{only}: skipped, no time left")
            continue
        wrong |= _run(command(only, peers, folder / str(number)), seconds)
        collect(folder, Path(os.environ["OUT"], "bench.json"))
    raise SystemExit(wrong)


def _run(command: list[str], seconds: float) -> bool:
    """Run a command. Returns whether it failed."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"{command}: stopped after {seconds:.0f} s")
        return True
    lines = done.stdout.splitlines()
    print(*(line for line in lines if not line.startswith("plot")), sep="\n", flush=True)
    return done.returncode != 0


def collect(folder: Path, path: Path) -> None:
    """Write the results of all runs so far to one file. Print the last lines of the peers' logs."""
    runs = [json.loads(found.read_text()) for found in sorted(folder.glob("*/results.json"))]
    path.write_text(json.dumps(runs, indent=1))
    newest = max(folder.glob("*"), default=folder)
    for log in sorted(newest.glob("*.log")):
        for line in log.read_text(errors="replace").splitlines()[-3:]:
            print(f"{log.name}: {line}")


if __name__ == "__main__":
    main()
