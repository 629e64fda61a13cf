"""NCCL, through `cupyx.distributed`, for CuPy arrays. MPI connects the ranks. Not tested on a GPU yet."""

from __future__ import annotations

import importlib
from typing import Any

import numpy

from .mpi import Job


class NCCL:
    """One GPU per rank. Sums and copies are enqueued in the current stream; the host does not wait."""

    def __init__(self, job: Job) -> None:
        """Connect all ranks; each uses its current GPU."""
        cupy = require_nccl()
        _require_a_gpu_each(job, cupy)
        distributed = importlib.import_module("cupyx.distributed")
        self._group = distributed.init_process_group(job.size, job.rank, use_mpi=True)

    def sum_in_place(self, buffer: Any) -> None:
        """Replace `buffer`, on each rank, by its sum over all ranks."""
        self._group.all_reduce(buffer, buffer, "sum")

    def broadcast_in_place(self, buffer: Any, root: int) -> None:
        """Replace `buffer`, on each rank, by that of rank `root`."""
        # As bytes, because NCCL does not know every dtype.
        self._group.broadcast(buffer.view(numpy.uint8), root)


def require_nccl() -> Any:
    """CuPy with NCCL; a RuntimeError that says what to install if it is missing."""
    try:
        cupy = importlib.import_module("cupy")
        nccl = importlib.import_module("cupy.cuda.nccl")
    except ImportError as error:
        missing = f"CuPy is not installed ({error})"
    else:
        if nccl.available:
            return cupy
        missing = "CuPy finds no NCCL"
    raise RuntimeError(
        f"initialize: {missing}. pip install 'onepass[nccl12]' or 'onepass[nccl13]'; or pass engine='mpi', "
        "which sends CuPy arrays through the memory of the host."
    )


def _require_a_gpu_each(job: Job, cupy: Any) -> None:
    """Raise on all ranks if two of them use the same GPU; the error of NCCL does not name it."""
    places = job.gather_objects((job.processor_name, cupy.cuda.Device().pci_bus_id))
    for rank, place in enumerate(places):
        first = places.index(place)
        if first != rank:
            raise ValueError(
                f"initialize: ranks {first} and {rank} both use the GPU {place[1]} of {place[0]}; expected "
                "one GPU per rank. Choose it before making arrays: "
                "cupy.cuda.Device(communicator.local_rank).use()"
            )
