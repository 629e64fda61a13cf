"""Measure one workload: check the results of all peers, then time them in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import awake, memory, peers
from .process import Worker, WorkerDiedError
from .workloads import WORKLOADS, Workload

# The minimum duration of a sample, which is a batch of calls. It makes the cost of the clock negligible.
LEAST_SECONDS = 0.04
# The threads of an idle process spin for a while before they sleep. The next sample starts after that.
PAUSE_SECONDS = 0.05
# The minimum number of samples; SLOW_SAMPLES if a call takes longer than SLOW_SECONDS.
LEAST_SAMPLES, SLOW_SAMPLES, SLOW_SECONDS = 3, 2, 4.0
# Calls longer than this have no warm-up before each sample.
WARM_UP_SECONDS = 1.0
# The fraction of the available memory that a peer may use. What it needs is an estimate.
USABLE_MEMORY = 0.9

Report = Callable[[str], None]


def warm_up_of(seconds: float, count: int) -> int:
    """How many calls come before a sample of `count` calls that take so long each: half as many.

    One at least: other peers have used the caches, and threads sleep. Neither matters in a call of more than
    a second.
    """
    return 0 if seconds > WARM_UP_SECONDS else max(1, count // 2)


@dataclass
class Options:
    """Options of the command line."""

    output: Path
    scratch: Path
    sweeps: int
    seconds: float  # for the samples of one peer on one workload


@dataclass
class Entry:
    """One peer on one workload."""

    title: str
    version: str = ""
    samples: list[float] = field(default_factory=list)  # seconds a call
    page_faults: list[float] = field(default_factory=list)  # per call, for every sample
    first_call: float | None = None  # seconds, with tracing and compilation
    memory: int | None = None  # bytes at the high-water mark, beyond libraries and inputs
    error: float | None = None  # the largest relative difference from the baseline
    threads: list[str] = field(default_factory=list)
    left_out: str = ""  # why there are no times
    wrong: bool = False  # whether the reason is a failure


def measure(index: int, names: list[str], options: Options, report: Report) -> dict[str, Entry]:
    """The entries of the peers `names`, in this order. All of them are installed."""
    entries: dict[str, Entry] = {}
    results = options.scratch / f"results{index}.npz"
    for group in groups(WORKLOADS[index], names):
        turns = _Turns(index, options, report, results)
        try:
            turns.start(group)
            turns.prepare()
            turns.first_calls()
            turns.check()
            with awake.processors():
                turns.sweep()
        finally:
            turns.stop()
        entries |= turns.entries
    results.unlink(missing_ok=True)
    return {name: entries[name] for name in names}


def groups(workload: Workload, names: list[str]) -> list[list[str]]:
    """Groups of peers that take turns. The arrays of a group are in memory at the same time.

    On a GPU every peer has a context, a pool and memory for the flushes. Therefore the TF32 peers are a group
    of their own. For heads, which need many gigabytes in some libraries, every peer is a group of its own.
    """
    if not any(name.endswith("_gpu") for name in names):
        return [names]
    if workload.kind == "linear head":
        return [[name] for name in names]
    split = [[name for name in names if peers.is_tf32(name) == tf32] for tf32 in (False, True)]
    return [group for group in split if group]


class _Turns:
    """The peers of one workload. Each has its own process; one works at a time."""

    def __init__(self, index: int, options: Options, report: Report, results: Path) -> None:
        """results: the file with the results of the baseline, once it has run"""
        self.index, self.options, self.report, self.results = index, options, report, results
        self.workload = WORKLOADS[index]
        self.workers: dict[str, Worker] = {}
        self.entries: dict[str, Entry] = {}
        self.copies_of_logits: dict[str, float] = {}
        self.second_call: dict[str, float] = {}  # seconds

    def start(self, names: list[str]) -> None:
        self.report("importing")
        # In parallel, because nothing is timed yet.
        for name in names:
            self.workers[name] = Worker(name, self.options.output, self.options.scratch)
            self.workers[name].send("hello")
        for name, worker in list(self.workers.items()):
            self.entries[name] = Entry(name)
            try:
                hello = worker.receive()
            except WorkerDiedError as death:
                self._leave_out(name, str(death), wrong=True)
                continue
            self.entries[name] = Entry(hello["title"], hello["version"])
            self.copies_of_logits[name] = hello["copies_of_logits"]

    def prepare(self) -> None:
        for name in list(self.workers):
            need = self.copies_of_logits[name] * self.workload.logits_bytes + self.workload.least_bytes
            free = memory.available()
            if free is not None and need > USABLE_MEMORY * free:
                self._leave_out(
                    name,
                    f"needs about {need / 2**30:.0f} GiB, {USABLE_MEMORY * free / 2**30:.0f} GiB are usable",
                )
                continue
            answer = self._ask(name, "prepare", workload=self.index, smoke=False)
            if answer is not None:
                self.entries[name].threads = answer["threads"]

    def first_calls(self) -> None:
        for name in list(self.workers):
            time.sleep(PAUSE_SECONDS)
            answer = self._ask(name, "first_call")
            if answer is not None:
                self.entries[name].first_call = answer["seconds"]

    def check(self) -> None:
        for name in list(self.workers):
            answer = self._ask(name, "check", results=str(self.results), compare=self.results.exists())
            if answer is None:
                continue
            entry = self.entries[name]
            entry.memory, entry.error = answer["memory"], answer.get("error")
            self.second_call[name] = answer["seconds"]
            if not answer.get("agrees", True):
                self._leave_out(name, f"differs from the baseline by {answer['error']:.1e}", wrong=True)

    def sweep(self) -> None:
        counts: dict[str, int] = {}
        samples: dict[str, int] = {}
        warm_up: dict[str, int] = {}
        for name in list(self.workers):
            # A long call is a batch by itself.
            answer: Any = {"count": 1, "seconds": self.second_call[name]}
            if answer["seconds"] < 5 * LEAST_SECONDS:
                time.sleep(PAUSE_SECONDS)
                answer = self._ask(name, "calibrate", seconds=LEAST_SECONDS)
            if answer is not None:
                count, seconds = answer["count"], answer["seconds"]
                counts[name], warm_up[name] = count, warm_up_of(seconds / count, count)
                least = SLOW_SAMPLES if seconds > SLOW_SECONDS else LEAST_SAMPLES
                with_warm_up = seconds * (count + warm_up[name]) / count
                samples[name] = max(least, min(self.options.sweeps, int(self.options.seconds / with_warm_up)))
        for sweep in range(max(samples.values(), default=0)):
            due = [name for name in self.workers if sweep < samples[name]]
            first = sweep % len(due)
            for name in due[first:] + due[:first]:
                time.sleep(PAUSE_SECONDS)
                answer = self._ask(name, "sample", count=counts[name], warm_up=warm_up[name])
                if answer is not None:
                    self.entries[name].samples.append(answer["seconds"])
                    self.entries[name].page_faults.append(answer["page_faults"])

    def stop(self) -> None:
        for name in list(self.workers):
            self._drop(name)

    def _ask(self, name: str, do: str, **arguments: Any) -> Any:
        """The answer, or None if there is none; then the peer is left out."""
        self.report(f"{self.entries[name].title}: {do.replace('_', ' ')}")
        try:
            answer = self.workers[name].ask(do, **arguments)
        except WorkerDiedError as death:
            answer = {"failed": str(death)}
        if "failed" in answer:
            self._leave_out(name, answer["failed"], wrong=True)
        elif "left_out" in answer:
            self._leave_out(name, answer["left_out"])
        else:
            return answer
        return None

    def _leave_out(self, name: str, reason: str, *, wrong: bool = False) -> None:
        self.entries[name].left_out, self.entries[name].wrong = reason, wrong
        self.entries[name].samples = []
        self._drop(name)

    def _drop(self, name: str) -> None:
        self.workers.pop(name).stop()
