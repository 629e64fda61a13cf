"""The last rank fails in a way of the command line's choice, while the others wait for it."""

from __future__ import annotations

import sys

import numpy as np

from onepass.distributed import initialize

with initialize(timeout=1.0) as communicator:
    last = communicator.rank == communicator.size - 1
    communicator.all_reduce_mean(np.ones(3))
    if last and sys.argv[2] == "raise":
        raise ZeroDivisionError("no rows on this machine")
    if last and sys.argv[2] == "exit":
        sys.exit("no data on this machine")
    if sys.argv[2] == "mismatch":
        communicator.all_reduce_mean([np.ones(4, np.float32 if last else np.float64)])
    # A form that the others do not know, at a later step.
    communicator.all_reduce_mean(np.ones(4 if last and sys.argv[2] == "late" else 3))
    if last and sys.argv[2] in ("raise after", "closed"):
        if sys.argv[2] == "closed":
            communicator.close()
        raise ZeroDivisionError("late")
    if sys.argv[2] == "raise after":
        communicator.all_reduce_mean(np.ones(3))
    if sys.argv[2] == "closed" and not last:
        communicator.close()
        sys.exit(0)
