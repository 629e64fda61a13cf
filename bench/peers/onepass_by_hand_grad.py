"""The gradients that onepass has written by hand, with the backend "numba"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onepass as op

from ..workloads import L2, Data, Workload, arguments_of
from . import OtherWorkError, onepass_numba, onepass_numpy

TITLE = "onepass by hand"
COPIES_OF_LOGITS = onepass_numba.COPIES_OF_LOGITS

version = onepass_numba.version
missing = onepass_numba.missing


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    arguments, _ = arguments_of(workload, data)
    if workload.title == "MLP":
        return onepass_numpy.on_backend("numba", lambda: op.mlp_loss_and_grads(*arguments, l2=L2))
    if workload.title == "head":
        return onepass_numpy.on_backend("numba", lambda: onepass_numpy.linear_head(*arguments))
    raise OtherWorkError("onepass has no gradient for it that is written by hand")
