"""The process of one peer: `python -m bench.worker PEER`. Commands and answers are one line of JSON each.

Each peer has its own process, because two OpenMP runtimes on the same processors stall each other for
milliseconds.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

import numpy

from . import memory, peers
from .pools import thread_pools
from .workloads import WORKLOADS, Data, Workload, make_data

# Small workloads of another kind. A peer runs the first of them that it supports before the workload. This
# loads libraries and compilers and starts threads, so that the first call of the workload measures only its
# own tracing and compilation.
TINY_STEP = Workload("tiny step", "training step", (8, 6, 5, 4))
TINY_LOSS = Workload("tiny loss", "cross-entropy", (8, 3))
TINY_HEAD = Workload("tiny head", "linear head", (8, 6, 5))
TINY_MLP = Workload("MLP", "user loss", (8, 6, 5, 4))
TINY_FOCAL = Workload("focal loss", "user loss", (8, 3))
TINY_USER_HEAD = Workload("head", "user loss", (8, 6, 5))
TINY = {
    "cross-entropy": (TINY_STEP, TINY_HEAD),
    "training step": (TINY_LOSS, TINY_HEAD),
    "linear head": (TINY_STEP, TINY_LOSS),
    "user loss": (TINY_MLP, TINY_FOCAL, TINY_USER_HEAD),
}

# The words of the libraries for an exhausted device memory.
OUT_OF_MEMORY = ("OutOfMemoryError", "RESOURCE_EXHAUSTED")

CALLS_BEFORE_TIMING = 3
# Events resolve microseconds, so a short call needs fewer repetitions than with the clock of the host.
MOST_BY_EVENTS = 1000


class Session:
    """One peer and its current workload. Every public method is a command; its result is the answer."""

    def __init__(self, peer: Any) -> None:
        self.peer = peer
        self.memory: Any = getattr(peer, "memory", memory)
        self.workload: Workload = WORKLOADS[0]
        self.data: Data | None = None
        self.call: Callable[[], Any] = lambda: None
        self.resident_before: int | None = None

    def hello(self) -> Any:
        missing = self.peer.missing()
        return {
            "title": self.peer.TITLE,
            "version": self.peer.version(),
            "missing": missing,
            "copies_of_logits": self.peer.COPIES_OF_LOGITS,
            "device": self.peer.device() if hasattr(self.peer, "device") and not missing else "",
        }

    def prepare(self, workload: int, smoke: bool) -> Any:
        self.call = lambda: None
        self.workload = WORKLOADS[workload].smoke() if smoke else WORKLOADS[workload]
        if not smoke:
            self._do_something_else()
        self.data = make_data(self.workload)
        try:
            self.call = self.peer.prepare(self.workload, self.data)
        except peers.OtherWorkError as reason:
            return {"left_out": str(reason)}
        self.resident_before = self.memory.resident()
        return {"threads": _threads()}

    def _do_something_else(self) -> None:
        for tiny in TINY[self.workload.kind]:
            if tiny.title == self.workload.title:
                continue
            with contextlib.suppress(peers.OtherWorkError):
                self.peer.prepare(tiny, make_data(tiny))()
                self._wait()
                return

    def first_call(self) -> Any:
        start = time.perf_counter()
        self.call()
        self._wait()
        return {"seconds": time.perf_counter() - start}

    def check(self, results: str, compare: bool) -> Any:
        """The second call: write its results to the file `results`, or compare them; measure its memory."""
        if hasattr(self.call, "restore"):
            self.call.restore()
        self.memory.resident()
        self.memory.start_peak()
        start = time.perf_counter()
        result = self.call()
        self._wait()
        seconds = time.perf_counter() - start
        peak = self.memory.peak()
        beyond = None if peak is None or self.resident_before is None else peak - self.resident_before
        if self.memory is not memory and self.workload.kind != "linear head":
            beyond = None  # no library counts the memory of a recorded graph
        answer = {"seconds": seconds, "memory": beyond}
        if self.peer.__name__.rpartition(".")[2] in peers.FLOORS:
            return answer
        assert self.data is not None
        values = _comparable(self.workload, self.data, result)
        if not compare:
            numpy.savez(results, *values)
            return {**answer, "error": 0.0, "agrees": True}
        error = _largest_error(values, results)
        tolerance = self.workload.tolerance
        if hasattr(self.peer, "tolerance"):
            tolerance = self.peer.tolerance(self.workload)
        return {**answer, "error": error, "agrees": error <= tolerance}

    def calibrate(self, seconds: float) -> Any:
        """The number of calls that take at least `seconds`. The search is also a warm-up."""
        # Step counts of Adam change the signature in the first calls, which then trace the kernel again.
        for _ in range(CALLS_BEFORE_TIMING):
            self.call()
        self._wait()
        count = 1
        most = MOST_BY_EVENTS if hasattr(self.peer, "time_calls") else None
        while (taken := self._time(count)) < seconds and count != most:
            count = max(count + 1, round(count * min(10.0, 1.2 * seconds / max(taken, 1e-9))))
            count = min(count, most or count)
        return {"count": count, "seconds": taken}

    def sample(self, count: int, warm_up: int) -> Any:
        """Seconds and page faults per call, over `count` calls after `warm_up` others."""
        if warm_up:
            self._time(warm_up)
        faults = memory.page_faults()
        seconds = self._time(count)
        return {"seconds": seconds / count, "page_faults": (memory.page_faults() - faults) / count}

    def _wait(self) -> None:
        """Wait until the device has computed the results."""
        if hasattr(self.peer, "wait"):
            self.peer.wait()

    def _time(self, count: int) -> float:
        own_clock: Callable[[Any, int, Workload], float] | None = getattr(self.peer, "time_calls", None)
        if own_clock is not None:
            return own_clock(self.call, count, self.workload)
        call, calls = self.call, range(count)
        gc.collect()
        gc.disable()
        try:
            start = time.perf_counter()
            for _ in calls:
                call()
            return time.perf_counter() - start
        finally:
            gc.enable()


def _comparable(workload: Workload, data: Data, result: Any) -> list[Any]:
    """The results as NumPy arrays. For a training step: the loss, and the change of the parameters."""
    values = [_to_numpy(leaf) for leaf in _leaves(result)]
    if workload.kind != "training step":
        return values
    before = _leaves(data.params)
    return [values[0], *(after - start for after, start in zip(values[1:], before, strict=True))]


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, list | tuple):
        return [leaf for item in tree for leaf in _leaves(item)]
    return [tree]


def _to_numpy(leaf: Any) -> Any:
    if hasattr(leaf, "detach"):  # PyTorch
        return leaf.detach().cpu().numpy()
    return leaf.get() if hasattr(leaf, "get") else numpy.asarray(leaf)


def _largest_error(values: list[Any], results: str) -> float:
    """The largest difference of any result, relative to the largest value of that result."""
    worst = 0.0
    with numpy.load(results) as expected:
        for value, name in zip(values, expected.files, strict=True):
            wanted = expected[name]
            # A loss may come as a Python float.
            if value.shape != wanted.shape or (value.ndim and value.dtype != wanted.dtype):
                return float("inf")
            error = float(numpy.max(abs(value - wanted)) / max(numpy.max(abs(wanted)), 1e-30))
            # NaN counts as an infinite error.
            worst = max(worst, error if error == error else float("inf"))
    return worst


def _threads() -> list[str]:
    """The thread pools that the process has loaded."""
    return sorted(
        f"{pool['internal_api']} {pool['version'] or ''}".strip()
        + (f" ({pool['architecture']})" if "architecture" in pool else "")
        + f": {pool['num_threads']} threads"
        for pool in thread_pools()
    )


def serve(session: Session, commands: TextIO, answers: TextIO) -> None:
    for line in commands:
        command = json.loads(line)
        try:
            answer = getattr(session, command.pop("do"))(**command)
        except peers.OtherWorkError as reason:
            answer = {"left_out": str(reason)}
        except Exception as error:  # any error of a peer is an entry in the table
            answer = _failed(error)
        print(json.dumps(answer), file=answers, flush=True)


def _failed(error: Exception) -> dict[str, str]:
    """The answer for an exception. Too little device memory is not an error of the peer."""
    said = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    if any(word in said for word in OUT_OF_MEMORY):
        return {"left_out": f"the device's memory is too small: {said}"}
    return {"failed": said}


def main() -> None:
    # Libraries print to standard output as well; what is read there has to be answers alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    memory.die_first()
    name = sys.argv[1]
    try:
        session = Session(peers.load(name))
    except Exception as error:  # of a library that is there and finds no driver, whatever it raises
        why = (
            "not installed"
            if isinstance(error, ImportError)
            else f"cannot be imported: {type(error).__name__}"
        )
        answer = {
            "title": name,
            "version": "",
            "missing": f"{why}: {error}",
            "copies_of_logits": 0,
            "device": "",
        }
        sys.stdin.readline()
        print(json.dumps(answer), file=answers, flush=True)
        return
    serve(session, sys.stdin, answers)


if __name__ == "__main__":
    main()
