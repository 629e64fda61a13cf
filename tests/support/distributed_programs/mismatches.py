"""Every rank does what one of them does differently, and reports the error that it gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from report import report

from onepass.distributed import initialize

communicator = initialize()
odd = communicator.rank == communicator.size - 1
one = np.ones(3)
CASES: dict[str, Callable[[], Any]] = {
    "dtype": lambda: communicator.all_reduce_mean([(one, one.astype("f4" if odd else "f8"))]),
    "shape": lambda: communicator.all_reduce_mean({"w": np.ones((3, 2) if odd else (2, 3))}, 5),
    "bytes are as many": lambda: communicator.broadcast([np.ones(4, "i4") if odd else np.ones(2, "i8")]),
    "a leaf more": lambda: communicator.all_reduce_mean([one, one, one] if odd else [one, one]),
    "another key": lambda: communicator.broadcast({"b" if odd else "a": one}),
    "None": lambda: communicator.all_reduce_mean((one, None if odd else one)),
    "a list": lambda: communicator.broadcast([1, 2.0] if odd else [1, 2]),
    "another call": lambda: communicator.broadcast(one) if odd else communicator.all_reduce_mean(one),
    # After all those errors, the next step is as if nothing had happened.
    "agreement": lambda: communicator.all_reduce_mean(one * communicator.rank).tolist(),
}
errors = {}
for name, case in CASES.items():
    try:
        errors[name] = f"returned {case()}"
    except (TypeError, ValueError) as error:
        errors[name] = f"{type(error).__name__}: {error}"
report(communicator, errors=errors)
