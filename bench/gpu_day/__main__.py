"""The driver: `python -m bench.gpu_day [STEP...]`."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import time
from collections.abc import Sequence

from . import places, summary
from .runner import Log, run
from .steps import NAMES, STEPS, Step

# Time reserved for the summary, and the minimum time to start a step with.
RESERVED_SECONDS, LEAST_SECONDS = 8, 8


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status is 1 if a step failed or had no time."""
    names = _parser().parse_args(arguments).steps or list(NAMES)
    limit = float(os.environ.get("GPU_DAY_SECONDS", "480"))
    started = time.monotonic()
    where = places.chosen()
    environment = places.prepare(where)
    (where.output / "failed.txt").unlink(missing_ok=True)
    say = Log(where.output / "log.txt")
    say(_device())
    say(places.versions(where.site))
    outcomes: list[str] = []
    good = True
    for step in STEPS:
        if step.name in names:
            left = limit - (time.monotonic() - started) - RESERVED_SECONDS
            outcome, ok = _one(step, min(step.seconds, left), environment, say, time.monotonic() - started)
            outcomes.append(outcome)
            good = good and ok
    say(f"\n===== summary after {time.monotonic() - started:.0f} s")
    for line in (*outcomes, *summary.lines(where.output)):
        say(line)
    say.close()
    return 0 if good else 1


def _one(step: Step, seconds: float, environment: dict[str, str], say: Log, now: float) -> tuple[str, bool]:
    """Run a step. Returns a line for the summary, and whether the step passed."""
    if seconds < LEAST_SECONDS:
        return f"{step.name}: skipped, no time left", False
    say(f"\n===== {step.name} (at {now:.0f} s, limit {seconds:.0f} s)")
    start = time.monotonic()
    environment = {**environment, "GPU_DAY_STEP_SECONDS": str(seconds)}
    status = run(step.command(), seconds, environment, places.ROOT, say)
    return f"{step.name}: exit status {status}, {time.monotonic() - start:.0f} s", status == 0


def _device() -> str:
    if shutil.which("nvidia-smi") is None:
        return "nvidia-smi is not on the PATH"
    wanted = "name,driver_version,memory.total,clocks.sm,clocks.mem"
    command = ["nvidia-smi", f"--query-gpu={wanted}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip()


def _parser() -> argparse.ArgumentParser:
    description = "Smoke, tests, times, bench, sanitizer, profile and launch shapes on this machine's GPU."
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_day", description=description)
    # With `choices` argparse would reject an empty list.
    parser.add_argument(
        "steps", nargs="*", type=_step, metavar="STEP", help=f"of {' '.join(NAMES)}; all by default"
    )
    return parser


def _step(name: str) -> str:
    if name not in NAMES:
        raise argparse.ArgumentTypeError(f"got {name}; expected one of {', '.join(NAMES)}")
    return name


if __name__ == "__main__":
    raise SystemExit(main())
