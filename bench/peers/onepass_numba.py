"""onepass with the backend "numba", compiled for the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..workloads import Data, Workload
from . import onepass_numpy

TITLE = "onepass numba"
COPIES_OF_LOGITS = 0.0  # the logits of a head exist for one block at a time

version = onepass_numpy.version


def missing() -> str:
    return onepass_numpy.why_not("numba")


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    return onepass_numpy.on_backend("numba", onepass_numpy.work(workload, data))
