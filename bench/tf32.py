"""What the columns called TF32 have in common: the work they do and how far their results may differ.

TF32 is float32 whose factors are rounded to 10 bits before they are multiplied; sums are in float32. Every
library has a switch of its own for it, and a process of its own, so that the other columns stay in float32.
"""

from __future__ import annotations

from .peers import OtherWorkError
from .workloads import Workload

SUFFIX = " TF32"

# The largest difference from the baseline, relative to the largest value of each result. Where the rounding
# turns the sign of an activation, a whole term of a gradient comes or goes: 0.04 in a step of 1024 rows.
TOLERANCES = {"linear head": 1e-2, "training step": 0.1}


def require(workload: Workload) -> None:
    """Raise OtherWorkError for work in which TF32 plays no part, or whose results say nothing afterwards."""
    if workload.kind == "cross-entropy":
        raise OtherWorkError("it has no products")
    if workload.dtype != "float32":
        raise OtherWorkError(f"its products are of {workload.dtype}")
    if workload.optimizer == "adam":
        raise OtherWorkError("Adam makes whole steps of the rounding of small gradients")
    if workload.batches > 1:
        raise OtherWorkError("the rounding adds up over an epoch, so that results cannot be compared")


def tolerance(workload: Workload) -> float:
    return TOLERANCES[workload.kind]
