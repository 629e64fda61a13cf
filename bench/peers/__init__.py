"""What is measured, one file each: found by their names, so that a new file is a new column.

A peer is a module with

    TITLE               its name in the table
    COPIES_OF_LOGITS    how many arrays of (N, K) it holds at once: a workload that cannot fit is left out
    missing()           why it cannot run here, "" where it can; ImportError at import says it as well
    version()           of the library
    prepare(workload, data)
                        a function without arguments that does the work once and returns its results,
                        computed and not promised: (loss, grad) of a cross-entropy, (loss, grad_x,
                        grad_weight) of a head, (loss, [(weight, bias), ...]) of a training step, which
                        carries its parameters on. Raises OtherWorkError for what it does not do.

and, where the host's clock and memory do not do,

    time_calls(call, count, workload)
                        the seconds of `count` calls
    wait()              for what the last call has promised; results of `prepare` may then be promises
    memory              an object with `resident`, `start_peak` and `peak`, as `bench.memory` has them
    device()            the name of what it runs on
    tolerance(workload) how far its results may be from the baseline's, where that is more than usual

What `prepare` returns may have a method `restore()`, which puts the inputs back where the work writes into
them.

A name that ends in "_gpu" is of the table on a GPU, as is onepass_cupy, and all others of the processor's.
A peer whose name ends in "_tf32_gpu" multiplies float32 in TF32, everybody else in float32.

Nothing but the peer's own process imports it.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

# The hand-written one first: ratios are to it, and the others are checked against it.
BASELINE = "numpy_seeds"
GPU_BASELINE = "torch_eager_gpu"
FLOORS = ("floor_copy", "floor_products", "floor_copy_gpu", "floor_products_gpu", "floor_products_tf32_gpu")


class OtherWorkError(Exception):
    """The peer does not do this workload; its message says why."""


def is_tf32(name: str) -> bool:
    """Whether the peer's products of float32 are in TF32."""
    return name.endswith("_tf32_gpu")


def found(*, gpu: bool = False) -> list[str]:
    """The names of one table: the baseline, onepass, the others, those again in TF32, and the floors last."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    names = [name for name in names if name.endswith("_gpu") == gpu or name == "onepass_cupy"]
    baseline = GPU_BASELINE if gpu else BASELINE

    def place(name: str) -> tuple[bool, bool, bool, bool, str]:
        return name in FLOORS, is_tf32(name), name != baseline, not name.startswith("onepass"), name

    return sorted(names, key=place)


def load(name: str) -> Any:
    """The module of a peer; raises ImportError where its library is not installed."""
    return importlib.import_module(f"{__name__}.{name}")
