"""`python -m bench.scaling`: the time of a data-parallel step by number of processes.

Each number of ranks is one job, `mpiexec -n RANKS python -m bench.scaling --worker FILE`. scaling_model.py
estimates the times on other networks.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy

import onepass as op

from . import machine
from .floors import processors
from .process import ROOT
from .scaling_model import page
from .workloads import LEARNING_RATES, WORKLOADS, make_data

SHAPE = (1024, 784, 1024, 10)
WORKLOAD = next(w for w in WORKLOADS if w.shape == SHAPE and w.dtype == "float32")
RATE = LEARNING_RATES[WORKLOAD.optimizer]
THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "ONEPASS_THREADS")
ONE_THREAD = dict.fromkeys(THREADS, "1")
LEAST_STEPS, WARM_STEPS = 5, 2
JOB_SECONDS = 600.0


@op.kernel
def loss_and_grads(params: Any, x: Any, labels: Any) -> Any:
    """Loss and gradients of the rows of a rank."""
    return op.mlp_loss_and_grads(params, x, labels, l2=WORKLOAD.l2)


@op.kernel(donate="params")
def update(params: Any, grads: Any) -> Any:
    """The update, which is the same on all ranks."""
    return op.sgd_step(params, grads, RATE)


@op.kernel(donate="params")
def whole_step(params: Any, x: Any, labels: Any) -> Any:
    """The step of a single process."""
    loss, grads = op.mlp_loss_and_grads(params, x, labels, l2=WORKLOAD.l2)
    return loss, op.sgd_step(params, grads, RATE)


def main() -> None:
    """Measure, and write SCALING.md."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scaling", description=(__doc__ or "").splitlines()[0]
    )
    here = ",".join(str(ranks) for ranks in (1, 2, 4, 8, 16, 32, 64) if ranks <= processors())
    parser.add_argument("--ranks", default=here, metavar="A,B", help="numbers of ranks; 1 is always included")
    parser.add_argument("--seconds", type=float, default=6.0, help="time for each number of ranks and rows")
    parser.add_argument("--output", type=Path, default=Path("bench-results"), metavar="DIR")
    parser.add_argument("--redraw", type=Path, metavar="FILE", help="write the page of an earlier run again")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.seconds)
        return
    options.output.mkdir(parents=True, exist_ok=True)
    run = json.loads(options.redraw.read_text()) if options.redraw else measure(options)
    (options.output / "scaling.json").write_text(json.dumps(run, indent=1))
    (options.output / "SCALING.md").write_text(page(run))
    print(page(run))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run all jobs, one after the other."""
    facts = machine.describe()
    params = [(d * k, k) for d, k in WORKLOAD.layers]
    item = make_data(WORKLOAD.smoke()).x.itemsize
    run: dict[str, Any] = {
        "workload": WORKLOAD.name.removeprefix(f"{WORKLOAD.title} "),
        "dtype": WORKLOAD.dtype,
        "rows": WORKLOAD.rows,
        "operations": WORKLOAD.operations,
        "gradient_bytes": item * sum(map(sum, params)),
        "first_layer_bytes": item * sum(params[0]),
        "processors": processors(),
        "machine": {
            "date": facts["date"],
            "processor": f"{facts['processor'].partition(' logical')[0]} logical processors",
            "system": facts["system"],
            "versions": facts["versions"],
        },
        "results": [],
    }
    for ranks in sorted({1, *map(int, options.ranks.split(","))}):
        print(f"{ranks} ranks", file=sys.stderr, flush=True)
        answer = run_job(ranks, options.seconds)
        run["machine"] |= {"MPI": " ".join(answer["mpi"].split()), "kernels": answer["kernels"]}
        run["results"] += answer["results"]
        if ranks == 2:
            run["overlap"] = answer["overlap"]
    return run


def run_job(ranks: int, seconds: float) -> Any:
    """Run one job and return the measurements of its ranks."""
    beside = Path(sys.executable).parent / "mpiexec"
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        raise SystemExit("bench.scaling: mpiexec was not found. Run pip install 'onepass[mpi]' mpich.")
    with tempfile.TemporaryDirectory(prefix="onepass-scaling-") as folder:
        file = Path(folder, "answer.json")
        command = [mpiexec, "-n", str(ranks), sys.executable, "-m", "bench.scaling"]
        subprocess.run(
            [*command, "--worker", str(file), "--seconds", str(seconds)],
            check=True,
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD},
            timeout=JOB_SECONDS,
        )
        return json.loads(file.read_text())


def work(file: Path, seconds: float) -> None:
    """The work of one rank. Rank 0 writes the answer to `file`."""
    from mpi4py import MPI

    from onepass.distributed import initialize

    results = []
    with initialize() as communicator:
        size = communicator.size
        # First the same rows for every rank, then the same rows in total.
        for rows in dict.fromkeys((WORKLOAD.rows * size, WORKLOAD.rows)):
            data = make_data(WORKLOAD)
            each = communicator.share(rows)
            count = each.stop - each.start
            x, labels = data.x[:count], data.labels[:count]
            times = _time_steps(communicator, data.params, x, labels, seconds)
            # The step of the slowest rank, because the others wait for it in the collective.
            everyone = MPI.COMM_WORLD.allgather(times)
            results.append(
                {
                    "ranks": size,
                    "rows_each": rows / size,
                    "step": max(each["step"] for each in everyone),
                    "collective": statistics.mean(each["collective"] for each in everyone),
                    "alone": max(each["alone"] for each in everyone),
                    "plain": times["plain"],
                    "steps": times["steps"],
                }
            )
        overlap = _overlap(communicator, data, seconds)
        if communicator.rank == 0:
            answer = {
                "mpi": MPI.Get_library_version().strip("\0").splitlines()[0].split(",")[0],
                "kernels": f"the {_backend()} backend",
                "results": results,
                "overlap": overlap,
            }
            file.write_text(json.dumps(answer))


def _backend() -> str:
    return os.environ.get("ONEPASS_BACKEND") or ("numba" if op.backends()["numba"].usable else "numpy")


def _time_steps(communicator: Any, params: Any, x: Any, labels: Any, seconds: float) -> dict[str, float]:
    """Medians of a step and its parts on this rank."""
    params = communicator.broadcast(params)
    steps, collectives = [], []

    def step() -> None:
        nonlocal params
        start = time.perf_counter()
        loss, grads = loss_and_grads(params, x, labels)
        before = time.perf_counter()
        loss, grads = communicator.all_reduce_mean((loss, grads), len(x))
        after = time.perf_counter()
        params = update(params, grads)
        steps.append(time.perf_counter() - start)
        collectives.append(after - before)

    # The step of a single process, measured only if this is the only rank. It takes turns with the step,
    # because the memory that the C library keeps changes over time.
    plain: list[float] = []
    held = communicator.broadcast(params)

    def by_itself() -> None:
        nonlocal held
        start = time.perf_counter()
        held = whole_step(held, x, labels)[1]
        plain.append(time.perf_counter() - start)

    count = _enough(communicator, step, seconds / 2)
    steps.clear()
    collectives.clear()
    for _ in range(count):
        step()
        if communicator.size == 1:
            by_itself()
    _, grads = loss_and_grads(params, x, labels)
    alone = _median(lambda: communicator.all_reduce_mean(grads, len(x)), communicator, seconds / 4)
    communicator.check_equal(params)
    return {
        "step": statistics.median(steps),
        "collective": statistics.median(collectives),
        "alone": alone,
        "plain": statistics.median(plain) if plain else math.nan,
        "steps": count,
    }


def _overlap(communicator: Any, data: Any, seconds: float) -> dict[str, float]:
    """Medians of the message alone, of compute followed by the message, and of both at the same time."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    buffer = numpy.ones(sum(d * k + k for d, k in WORKLOAD.layers), data.x.dtype)
    x, labels = data.x[: WORKLOAD.rows], data.labels[: WORKLOAD.rows]

    def message() -> None:
        world.Allreduce(MPI.IN_PLACE, buffer)

    def in_turn() -> None:
        loss_and_grads(data.params, x, labels)
        message()

    def at_once() -> None:
        request = world.Iallreduce(MPI.IN_PLACE, buffer)
        loss_and_grads(data.params, x, labels)
        request.Wait()

    calls = {"message": message, "in turn": in_turn, "at once": at_once}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_enough(communicator, in_turn, seconds / 4)):
        for name, call in calls.items():
            world.Barrier()
            buffer.fill(1.0)
            start = time.perf_counter()
            call()
            samples[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in samples.items()}


def _enough(communicator: Any, call: Callable[[], Any], seconds: float) -> int:
    """The number of calls that take so many seconds, the same on all ranks."""
    for _ in range(WARM_STEPS):
        call()
    start = time.perf_counter()
    call()
    count = max(LEAST_STEPS, int(seconds / (time.perf_counter() - start)))
    return int(communicator.broadcast(count))


def _median(call: Callable[[], Any], communicator: Any, seconds: float) -> float:
    samples = []
    for _ in range(_enough(communicator, call, seconds)):
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)


if __name__ == "__main__":
    main()
