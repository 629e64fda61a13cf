"""The peers, one file each. They are found by file name: a new file is a new column of the table.

A peer is a module with

    TITLE               the name in the table
    COPIES_OF_LOGITS    the number of (N, K) arrays in memory at once; workloads that do not fit are left out
    missing()           the reason why the peer does not work here, or ""; an ImportError is a reason too
    version()           the version of the library
    prepare(workload, data)
                        returns a function without arguments that does the work once and returns computed
                        results: (loss, grad) of a cross-entropy, (loss, grad_x, grad_weight) of a head,
                        (loss, [(weight, bias), ...]) of a training step, which starts from the parameters
                        of the last call, (loss, gradients, ...) of a user-written loss. Raises
                        OtherWorkError for a workload that it does not do.

Optional, for peers on a device:

    time_calls(call, count, workload)
                        the seconds of `count` calls
    wait()              wait for the results of the last call; then calls may return before they are computed
    memory              an object with the functions `resident`, `start_peak` and `peak` of `bench.memory`
    device()            the name of the device
    tolerance(workload) the tolerance of the results, if it is not the usual one

If a call overwrites its inputs, the function returned by `prepare` has a method `restore()`, which restores
them.

Peers of the GPU table are those whose name ends in "_gpu", and onepass_cupy. A peer whose name ends in
"_tf32_gpu" computes float32 products in TF32, all others in float32. Peers of the table of derivatives, whose
workloads are user-written losses, are those whose name ends in "_grad".

Only the process of a peer imports the peer.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

# Ratios are relative to the baseline, and the results of the other peers are compared with it.
BASELINE = "numpy_seeds"
GPU_BASELINE = "torch_eager_gpu"
# In the table of derivatives ratios are relative to onepass. Results are compared with PyTorch eager.
DERIVATIVES_BASELINE, DERIVATIVES_REFERENCE = "onepass_numba_grad", "torch_eager_grad"
FLOORS = ("floor_copy", "floor_products", "floor_copy_gpu", "floor_products_gpu", "floor_products_tf32_gpu")


class OtherWorkError(Exception):
    """The peer does not do this workload. The message gives the reason."""


def is_tf32(name: str) -> bool:
    """Whether the float32 products of the peer are in TF32."""
    return name.endswith("_tf32_gpu")


def found(*, gpu: bool = False, derivatives: bool = False) -> list[str]:
    """The names of one table, in its order: the reference of the results, onepass, others, TF32, floors."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    baseline = GPU_BASELINE if gpu else DERIVATIVES_REFERENCE if derivatives else BASELINE

    def is_in_table(name: str) -> bool:
        if name == "onepass_cupy":
            return not derivatives
        is_floor = derivatives and name in FLOORS
        return name.endswith("_gpu") == gpu and (name.endswith("_grad") == derivatives or is_floor)

    def place(name: str) -> tuple[bool, bool, bool, bool, str]:
        return name in FLOORS, is_tf32(name), name != baseline, not name.startswith("onepass"), name

    return sorted(filter(is_in_table, names), key=place)


def load(name: str) -> Any:
    """Import the module of a peer. Raises ImportError if its library is not installed."""
    return importlib.import_module(f"{__name__}.{name}")
