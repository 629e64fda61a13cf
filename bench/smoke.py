"""Check the results of every workload at small sizes, without timing. Fast enough for a test run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .measure import Report
from .process import Worker, WorkerDiedError
from .workloads import WORKLOADS


def smoke(indices: list[int], names: list[str], output: Path, scratch: Path, report: Report) -> list[str]:
    """Compare the results of the peers `names` with the first that does the workload: one line per error."""
    wrong: list[str] = []
    for name in names:
        worker = Worker(name, output, scratch)
        try:
            wrong += _one_peer(worker, indices, scratch, report)
        except WorkerDiedError as death:
            wrong.append(f"{name}: {death}")
        finally:
            worker.stop()
    return wrong


def _one_peer(worker: Worker, indices: list[int], scratch: Path, report: Report) -> list[str]:
    wrong: list[str] = []
    hello = worker.ask("hello")
    if hello["missing"]:
        return wrong
    for index in indices:
        name = WORKLOADS[index].smoke().name
        report(f"{hello['title']}: {name}")
        answer = _run(worker, index, scratch / f"results{index}.npz")
        if "failed" in answer:
            wrong.append(f"{hello['title']}, {name}: {answer['failed']}")
        elif not answer.get("agrees", True):
            wrong.append(f"{hello['title']}, {name}: differs from the baseline by {answer['error']:.1e}")
    return wrong


def _run(worker: Worker, index: int, results: Path) -> Any:
    """The answer of the check, or of the first command that failed."""
    for do, arguments in (
        ("prepare", {"workload": index, "smoke": True}),
        ("first_call", {}),
        ("check", {"results": str(results), "compare": results.exists()}),
    ):
        answer = worker.ask(do, **arguments)
        if "failed" in answer or "left_out" in answer:
            break
    return answer
