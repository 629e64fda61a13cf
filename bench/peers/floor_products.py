"""Floor: the matrix products of the workload in NumPy's BLAS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from ..floors import products_of
from ..workloads import Data, Workload
from . import OtherWorkError

TITLE = "products"
COPIES_OF_LOGITS = 1.0


def missing() -> str:
    return ""


def version() -> str:
    return numpy.__version__


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    call = products_of(workload, data)
    if call is None:
        raise OtherWorkError("it has no products")
    return call
