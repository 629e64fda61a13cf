"""Floor: a copy that reads every argument once and writes every result once, with all threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from ..floors import copy_of
from ..workloads import Data, Workload

TITLE = "copy"
COPIES_OF_LOGITS = 0.0  # the logits of a head are neither arguments nor results


def missing() -> str:
    return ""


def version() -> str:
    return numpy.__version__


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    return copy_of(workload.least_bytes)
