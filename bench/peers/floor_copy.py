"""Floor: every argument read and every result written once, by all threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from ..floors import copy_of
from ..workloads import Data, Workload

TITLE = "copy"
COPIES_OF_LOGITS = 0.0  # it does not form the logits of a head, and nothing says that a peer must


def missing() -> str:
    return ""


def version() -> str:
    return numpy.__version__


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    return copy_of(workload.least_bytes)
