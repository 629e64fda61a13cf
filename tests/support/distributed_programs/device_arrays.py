"""Every rank averages and sends arrays of a CuPy that is not one, by MPI and by what stands for NCCL."""

from __future__ import annotations

from typing import Any

import fake_cupy
import numpy as np
from onepass.backends.distributed.mpi import Job
from report import report

from onepass.distributed import initialize

fake_cupy.install()
findings: dict[str, Any] = {}


def used() -> list[str]:
    """What was called since this was asked last."""
    calls, fake_cupy.calls[:] = list(fake_cupy.calls), []
    return calls


for engine in ("auto", "nccl", "mpi"):
    communicator = initialize(engine)
    rank = communicator.rank
    tree = {
        "weight": fake_cupy.asarray([[1.0 + rank, 2.0, 3.0 * rank]], np.float32),
        "bias": fake_cupy.asarray([60000.0, rank], np.float16),
        "nothing": None,
        "wide": fake_cupy.asarray(4.0 * rank, np.float64),
    }
    used()
    first = communicator.all_reduce_mean(tree, rank)  # rank 0 has no rows
    calls_first = used()
    again = communicator.all_reduce_mean(tree, 1 + rank)
    calls_again = used()
    sent = communicator.broadcast(tree, root=communicator.size - 1)
    calls_sent = used()
    findings[engine] = {
        "calls": [calls_first, calls_again, calls_sent],
        "values": [
            {name: leaf if leaf is None else leaf.get().tolist() for name, leaf in result.items()}
            for result in (first, again, sent)
        ],
        "dtypes": [str(leaf.dtype) for leaf in again.values() if leaf is not None],
    }
    try:
        communicator.all_reduce_mean([np.ones(2)])
        findings[engine]["numpy"] = "taken"
    except TypeError as error:
        findings[engine]["numpy"] = str(error)
    used()
    communicator.check_equal(first)
    findings[engine]["check"] = used()

# An MPI that takes device memory gets it as it is, once what fills it is over.
aware = Job(cuda_aware=True, timeout=9.0)
buffer = fake_cupy.asarray([1.0])
used()
assert aware._addressable(buffer) is buffer
findings["aware"] = used()

fake_cupy.install(one_gpu_each=False)
try:
    initialize("nccl").all_reduce_mean(fake_cupy.asarray([1.0]))
except ValueError as error:
    findings["one GPU"] = str(error)
fake_cupy.install(nccl=False)
try:
    initialize("nccl")
except RuntimeError as error:
    findings["no NCCL"] = str(error)
report(initialize("mpi"), **findings)
