"""`python -m bench`: measure all workloads with the libraries that are installed. See bench/README.md."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onepass.progress import bar as progress_bar

from . import machine, peers, table
from .measure import Options, measure
from .process import Worker, WorkerDiedError
from .smoke import smoke
from .workloads import WORKLOADS


def main() -> int:
    """The exit status is 1 if a peer failed or results differ."""
    arguments = _parser().parse_args()
    folder = "gpu" if arguments.gpu else "derivatives" if arguments.derivatives else ""
    arguments.output = arguments.output or Path("bench-results", folder)
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.redraw:
        run = json.loads(arguments.redraw.read_text())
        return _write(run, arguments.output, None)
    indices = [
        i
        for i, workload in enumerate(WORKLOADS)
        if arguments.only in workload.name and (workload.kind == "user loss") == arguments.derivatives
    ]
    if not indices:
        raise SystemExit(f"--only: got {arguments.only}; expected a part of a workload's name. See --list.")
    if arguments.list:
        print(*(WORKLOADS[index].name for index in indices), sep="\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="onepass-bench-") as scratch:
        all_names = peers.found(gpu=arguments.gpu, derivatives=arguments.derivatives)
        names, missing, devices = _installed(all_names, arguments.peers, arguments.output, Path(scratch))
        if arguments.gpu and not set(names) - set(peers.FLOORS):
            raise SystemExit("--gpu: no peer finds a GPU; the lines above give the reasons.")
        if arguments.smoke:
            return _smoke(indices, names, arguments.output, Path(scratch))
        options = Options(arguments.output, Path(scratch), arguments.sweeps, arguments.seconds)
        run = {"machine": machine.describe(), "missing": missing, "workloads": []}
        run |= {"gpu": arguments.gpu, "derivatives": arguments.derivatives}
        if arguments.gpu:
            run["machine"] |= {"GPU": "; ".join(devices), **machine.ON_A_GPU}
        _measure_all(indices, names, options, run)
    return _write(run, arguments.output, arguments.json)


def _measure_all(indices: list[int], names: list[str], options: Options, run: Any) -> None:
    """Add the entries of all workloads, and the versions of the peers, to `run`."""
    bar = progress_bar(indices, unit="workload")

    def report(text: str) -> None:
        # A log file does not need a line for every sample.
        bar.set_postfix_str(text, refresh=sys.stderr.isatty())

    for index in bar:
        workload = WORKLOADS[index]
        bar.set_description(workload.name)
        entries = measure(index, names, options, report)
        run["workloads"].append(
            {
                "name": workload.name,
                **asdict(workload),
                "operations": workload.operations,
                "least_bytes": workload.least_bytes,
                "peers": {name: asdict(entry) for name, entry in entries.items()},
            }
        )
        # An interrupted run keeps its results so far.
        (options.output / "results.json").write_text(json.dumps(run, indent=1))
    versions = {
        f"{entry['title']} {entry['version']}"
        for workload in run["workloads"]
        for name, entry in workload["peers"].items()
        if name not in peers.FLOORS and not name.startswith(("onepass", "numpy"))
    }
    run["machine"]["versions"] = ", ".join([run["machine"]["versions"], *sorted(versions)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only workloads with TEXT in their name")
    parser.add_argument(
        "--peers", default="", metavar="A,B", help=f"only these peers, of {', '.join(peers.found())}"
    )
    tables = parser.add_mutually_exclusive_group()
    tables.add_argument(
        "--gpu", action="store_true", help=f"the GPU table; peers: {', '.join(peers.found(gpu=True))}"
    )
    tables.add_argument(
        "--derivatives",
        action="store_true",
        help=f"gradients of user-written losses; peers: {', '.join(peers.found(derivatives=True))}",
    )
    parser.add_argument(
        "--sweeps", type=int, default=11, help="maximum number of samples for each workload and peer"
    )
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="time for the samples of each workload and peer"
    )
    parser.add_argument("--smoke", action="store_true", help="small sizes, results only, no timing")
    parser.add_argument("--list", action="store_true", help="print the names of the workloads")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="default: bench-results, or bench-results/gpu"
    )
    parser.add_argument(
        "--redraw", type=Path, metavar="FILE", help="write table and plots of an earlier run again"
    )
    return parser


def _installed(
    all_names: list[str], wanted: str, output: Path, scratch: Path
) -> tuple[list[str], dict[str, str], list[str]]:
    """Peers that work here, in the order of the table; reasons why others do not, by title; devices."""
    chosen = [name for name in wanted.split(",") if name]
    unknown = set(chosen) - set(all_names)
    if unknown:
        raise SystemExit(f"--peers: got {', '.join(sorted(unknown))}; expected names listed by --help")
    workers = []
    for name in all_names:
        is_needed = name in peers.FLOORS and (not peers.is_tf32(name) or any(map(peers.is_tf32, chosen)))
        if not chosen or name in chosen or is_needed:
            (output / f"{name}.log").unlink(missing_ok=True)
            workers.append(Worker(name, output, scratch))
            workers[-1].send("hello")
    here, missing, devices = [], {}, set[str]()
    for worker in workers:
        try:
            hello = worker.receive()
        except WorkerDiedError as death:
            hello = {"title": worker.peer, "missing": str(death)}
        worker.stop()
        if "failed" in hello:
            hello = {"title": worker.peer, "missing": hello["failed"]}
        if hello["missing"]:
            missing[hello["title"]] = hello["missing"]
            progress_bar.write(f"left out: {hello['title']}: {hello['missing']}")
        else:
            here.append(worker.peer)
            devices |= {hello["device"]} - {""}
    return here, missing, sorted(devices)


def _smoke(indices: list[int], names: list[str], output: Path, scratch: Path) -> int:
    compared = [name for name in names if name not in peers.FLOORS]
    # Several workloads become equal when their sizes are reduced.
    indices = list({WORKLOADS[index].smoke(): index for index in indices}.values())
    bar = progress_bar(total=len(indices) * len(compared), unit="workload")

    def report(text: str) -> None:
        bar.update()
        bar.set_postfix_str(text, refresh=False)

    wrong = smoke(indices, compared, output, scratch, report)
    bar.close()
    print(*wrong, sep="\n") if wrong else print(f"{len(indices)} workloads, {', '.join(compared)}: all agree")
    return 1 if wrong else 0


def _write(run: Any, output: Path, also: Path | None) -> int:
    """Write the table, the JSON and the plots. Return 1 if a peer failed."""
    text = table.markdown(run)
    (output / "results.md").write_text(text)
    for path in (output / "results.json", also):
        if path is not None:
            path.write_text(json.dumps(run, indent=1))
    print(text)
    try:
        from . import plots
    except ImportError as error:
        print(f"no plots: {error}; pip install matplotlib")
    else:
        print(*(f"plot: {path}" for path in plots.draw(run, output)), sep="\n")
    failed = [
        f"{entry['title']}, {workload['name']}: {entry['left_out']}"
        for workload in run["workloads"]
        for entry in workload["peers"].values()
        if entry["wrong"]
    ]
    print(*(f"FAILED: {line}" for line in failed), sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
