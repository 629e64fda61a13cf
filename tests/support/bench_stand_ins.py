"""What the tests of the benchmarks on a GPU share: small workloads, a peer, and a run as JSON has it."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bench.workloads import Workload  # noqa: E402

STEP = Workload("step", "training step", (8, 5, 4, 3))
LOSS = Workload("loss", "cross-entropy", (8, 3))
HEAD = Workload("head", "linear head", (8, 5, 30))


class Peer(types.SimpleNamespace):
    """A peer whose results are promised, with a device's memory and clock."""

    TITLE, COPIES_OF_LOGITS = "promises", 0.0

    def __init__(self, missing: str = "") -> None:
        super().__init__(__name__="bench.peers.promises", memory=self, said=missing, timed=[])
        self.computed = True

    def version(self) -> str:
        return "1"

    def missing(self) -> str:
        return self.said

    def device(self) -> str:
        assert not self.said, "asked for a device that is not there"
        return "a GPU"

    def prepare(self, workload: Workload, data: Any) -> Callable[[], Any]:
        def call() -> Any:
            self.computed = False
            return np.ones(3), np.ones((2, 2))

        return call

    def wait(self) -> None:
        self.computed = True

    def time_calls(self, call: Any, count: int, workload: Workload) -> float:
        self.timed.append((count, workload))
        return 0.5 * count

    def resident(self) -> int:
        return 100

    def start_peak(self) -> None:
        pass

    def peak(self) -> int:
        assert self.computed, "measured before the device had done the work"
        return 700


def entry(title: str, *samples: float, memory: int | None = None) -> dict[str, Any]:
    times = {"samples": list(samples), "page_faults": [0.0], "first_call": 1.0, "error": 0.0}
    return {"title": title, "version": "", "memory": memory, "left_out": "", "wrong": False, **times}


def run_of(others: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    others = others or {}
    workload = {
        "name": "loss 8",
        "operations": 8e6,
        "least_bytes": 3e9,
        "peers": {
            "torch_eager_gpu": entry("PyTorch eager", 0.004, 0.004, memory=2 << 30),
            "onepass_cupy": entry("onepass cupy", 0.002, 0.002, memory=10**8),
            "floor_copy_gpu": entry("copy", 0.001, 0.001),
            "floor_products_gpu": entry("products", 0.0005, 0.0005),
            **others,
        },
    }
    return {"machine": {"GPU": "a GPU"}, "missing": {"JAX jit": "no GPU"}, "workloads": [workload], **options}
