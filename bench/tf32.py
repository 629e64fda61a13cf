"""Common rules of the TF32 columns: which workloads they run, and the tolerance of their results.

TF32 products round float32 operands to 10 bits before the multiplication; sums are in float32. Every library
has its own option for it. TF32 peers run in their own processes, so that the other columns stay in float32.
"""

from __future__ import annotations

from .peers import OtherWorkError
from .workloads import Workload

SUFFIX = " TF32"

# The largest difference from the baseline, relative to the largest value of each result. If rounding changes
# the sign of an activation, a whole term of a gradient appears or vanishes: 0.04 in a step of 1024 rows.
TOLERANCES = {"linear head": 1e-2, "training step": 0.1}


def require(workload: Workload) -> None:
    """Raise OtherWorkError if TF32 has no effect on the workload, or its results cannot be compared."""
    if workload.kind == "cross-entropy":
        raise OtherWorkError("it has no products")
    if workload.dtype != "float32":
        raise OtherWorkError(f"its products are in {workload.dtype}")
    if workload.optimizer == "adam":
        raise OtherWorkError("Adam turns the rounding of small gradients into whole steps")
    if workload.batches > 1:
        raise OtherWorkError("rounding accumulates over an epoch, so results cannot be compared")


def tolerance(workload: Workload) -> float:
    return TOLERANCES[workload.kind]
