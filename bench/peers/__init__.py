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

and, where a wall clock does not do, time_calls(call, count) -> seconds of `count` calls.

Nothing but the peer's own process imports it.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

# The hand-written one first: ratios are to it, and the others are checked against it.
BASELINE = "numpy_seeds"
FLOORS = ("floor_copy", "floor_products")


class OtherWorkError(Exception):
    """The peer does not do this workload; its message says why."""


def found() -> list[str]:
    """The names of all peers: the baseline, onepass, the others, and the floors last."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]

    def place(name: str) -> tuple[bool, bool, bool, str]:
        return name in FLOORS, name != BASELINE, not name.startswith("onepass"), name

    return sorted(names, key=place)


def load(name: str) -> Any:
    """The module of a peer; raises ImportError where its library is not installed."""
    return importlib.import_module(f"{__name__}.{name}")
