"""MPI, through mpi4py: the processes of a job, messages between them, and the end of the job on an error."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy

# The variables in which launchers of MPICH and its descendants, and of Open MPI, set the number of processes.
SIZE_VARIABLES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")

# Elements per message; older MPIs count in 32 bits.
MAX_MESSAGE = 2**30

# Between two tests whether a message has arrived.
POLL_SECONDS = 2e-4


class Job:
    """The processes that one `mpiexec` started, seen from one of them."""

    def __init__(self, *, cuda_aware: bool, timeout: float) -> None:
        self._mpi = mpi = _load()
        # Own communicators, so that our messages do not match the user's; and one for data, one for control.
        self._data, self._control = mpi.COMM_WORLD.Dup(), mpi.COMM_WORLD.Dup()
        self.rank: int = self._data.Get_rank()
        self.size: int = self._data.Get_size()
        _require_the_launchers_mpi(mpi, self.size)
        node = mpi.COMM_WORLD.Split_type(mpi.COMM_TYPE_SHARED)
        self.local_rank: int = node.Get_rank()
        node.Free()
        self._cuda_aware, self._timeout = cuda_aware, timeout
        _watch(self)

    @property
    def processor_name(self) -> str:
        name: str = self._mpi.Get_processor_name()
        return name

    def sum_in_place(self, buffer: Any) -> None:
        """Replace `buffer`, on each rank, by its sum over all ranks."""
        host = self._addressable(buffer)
        for message in _messages(host):
            self._data.Allreduce(self._mpi.IN_PLACE, message)
        if host is not buffer:
            buffer.set(host)

    def broadcast_in_place(self, buffer: Any, root: int) -> None:
        """Replace `buffer`, on each rank, by that of rank `root`."""
        host = self._addressable(buffer)
        # As bytes, because MPI does not know every dtype.
        for message in _messages(host.view(numpy.uint8)):
            self._data.Bcast(message, root)
        if host is not buffer:
            buffer.set(host)

    def _addressable(self, buffer: Any) -> Any:
        """`buffer`, or a copy on the host if it is in device memory and the MPI cannot access that."""
        if isinstance(buffer, numpy.ndarray):
            return buffer
        if not self._cuda_aware:
            return buffer.get()
        # MPI does not know streams: wait until the buffer is filled.
        sys.modules["cupy"].cuda.get_current_stream().synchronize()
        return buffer

    def broadcast_objects(self, objects: list[Any], root: int) -> list[Any]:
        """The list of Python objects of rank `root`."""
        sent: list[Any] = self._control.bcast(objects, root)
        return sent

    def gather_objects(self, mine: Any) -> list[Any]:
        """The Python objects of all ranks, on all ranks."""
        gathered: list[Any] = self._control.allgather(mine)
        return gathered

    def gather_digests(self, digest: bytes, function: str) -> list[bytes]:
        """The digests of all ranks, on all ranks.

        raises: TimeoutError if a rank does not send its digest in time
        """
        everyone = numpy.empty((self.size, len(digest)), numpy.uint8)
        request = self._control.Iallgather(numpy.frombuffer(digest, numpy.uint8), everyone)
        deadline = time.monotonic() + self._timeout
        while not request.Test():
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{function}: rank {self.rank} waited {self._timeout:g} s for the same call on another "
                    "rank; expected the same calls with the same shapes and dtypes on all ranks. Look for a "
                    "branch that depends on the rank, or pass a longer timeout to initialize."
                )
            time.sleep(POLL_SECONDS)
        return [row.tobytes() for row in everyone]

    def abort(self, why: str = "") -> None:
        """End all processes of the job at once."""
        if why:
            print(f"rank {self.rank} of {self.size} {why}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(0.5)  # the launcher drops output that it has not read when the job ends
        self._mpi.COMM_WORLD.Abort(1)

    def close(self) -> None:
        """Free the communicators; all ranks call it."""
        _unwatch(self)
        for communicator in (self._data, self._control):
            communicator.Free()


def _load() -> Any:
    """The module mpi4py.MPI; importing it initialises MPI."""
    install = "pip install 'onepass[mpi]', and install an MPI: that of the system, or pip install mpich"
    try:
        return importlib.import_module("mpi4py.MPI")
    except ModuleNotFoundError as error:
        raise RuntimeError(f"initialize: mpi4py is not installed ({error}). {install}.") from None
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RuntimeError(f"initialize: mpi4py finds no MPI here ({reason}). {install}.") from error


def _require_the_launchers_mpi(mpi: Any, size: int) -> None:
    """Raise if the launcher of another MPI started this job: each process would be a job of its own."""
    launched = next((os.environ[name] for name in SIZE_VARIABLES if name in os.environ), "1")
    if size == 1 and launched not in ("", "1"):
        library = mpi.Get_library_version().splitlines()[0].split(",")[0].strip("\0 ")
        raise RuntimeError(
            f"initialize: the launcher started {launched} processes, and this process is connected to none "
            f"of them; expected the mpiexec of the MPI that mpi4py uses, {library}. Start the job with that "
            f"mpiexec; the one of a wheel is in {os.path.dirname(sys.executable)}."
        )


def _messages(flat: Any) -> Iterator[Any]:
    for start in range(0, flat.shape[0], MAX_MESSAGE):
        yield flat[start : start + MAX_MESSAGE]


_watching: list[Job] = []
_hook_before = sys.excepthook


def _watch(job: Job) -> None:
    """Let an uncaught exception end the whole job: otherwise the other ranks wait for ever."""
    global _hook_before
    if job.size == 1:
        return
    if not _watching:
        process, _hook_before = os.getpid(), sys.excepthook

        def end_the_job(
            kind: type[BaseException], error: BaseException, traceback: TracebackType | None
        ) -> None:
            ours = os.getpid() == process  # a forked child is not a rank
            if ours:
                print(f"rank {job.rank} of {job.size} failed and ends the job:", file=sys.stderr)
            _hook_before(kind, error, traceback)
            if ours:
                job.abort()

        sys.excepthook = end_the_job
    _watching.append(job)


def _unwatch(job: Job) -> None:
    if job in _watching:
        _watching.remove(job)
        if not _watching:
            sys.excepthook = _hook_before
