"""The communicator of data-parallel training: each rank computes on its rows, and gradients are averaged."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable
from itertools import zip_longest
from numbers import Integral, Real
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias

import numpy

from ..common.trees import leaves, named_leaves
from .mpi import Job
from .nccl import NCCL, require_nccl
from .packing import (
    Buffers,
    Layout,
    described,
    layout_of,
    library_module,
    like,
    rebuild,
    require_sendable,
    spec_of_leaf,
    views,
)

EngineName: TypeAlias = Literal["auto", "mpi", "nccl"]

LIBRARIES = {"auto": ("numpy", "cupy"), "mpi": ("numpy", "cupy"), "nccl": ("cupy",)}

# A limit on memory for programs with new trees in every call. Ranks agree on each tree, so all ranks drop
# their layouts in the same call.
MAX_LAYOUTS = 256

SAME_SPECS = (
    "expected the same structure, shapes and dtypes on all ranks. Only the values may differ between ranks."
)
SAME_BITS = (
    "expected the same bits on all ranks. Broadcast the parameters before the first step, and pass averaged "
    "gradients and the same scalars to every update."
)


class Engine(Protocol):
    """Sends flat buffers between the ranks."""

    def sum_in_place(self, buffer: Any) -> None:
        """Replace `buffer`, on each rank, by its sum over all ranks."""

    def broadcast_in_place(self, buffer: Any, root: int) -> None:
        """Replace `buffer`, on each rank, by that of rank `root`."""


def initialize(
    engine: EngineName = "auto", *, cuda_aware: bool = False, timeout: float = 600.0
) -> Communicator:
    """Join the processes that `mpiexec -n 4 python train.py` started; all of them call it.

    engine:     "auto" sends NumPy arrays by MPI and CuPy arrays by NCCL; "mpi" sends both by MPI, CuPy arrays
                through the memory of the host; "nccl" takes CuPy arrays only
    cuda_aware: whether the MPI takes device memory, so that CuPy arrays need no copy to the host. An MPI that
                does not would crash
    timeout:    seconds that a rank waits for the others when shapes and dtypes, or bits, are compared
    returns:    the communicator of this process; without mpiexec, one of a single process
    raises:     RuntimeError if mpi4py, an MPI or NCCL is missing, or if the launcher belongs to another MPI;
                ValueError for an unknown engine

    In a job of several processes, an exception that a rank does not catch is printed with the rank and ends
    the whole job, until the communicator is closed. Python's hook for uncaught exceptions does not see
    `sys.exit`: if a single rank may call it, write `with initialize() as communicator:`.
    """
    if engine not in LIBRARIES:
        raise ValueError(
            f"initialize: engine is {engine!r}; expected one of {', '.join(map(repr, LIBRARIES))}."
        )
    if engine == "nccl":
        require_nccl()
    return Communicator(Job(cuda_aware=cuda_aware, timeout=timeout), engine)


class Communicator:
    """The connection of this process to the others of the job. `initialize` makes it.

    rank:       the number of this process, 0 <= rank < size
    size:       the number of processes
    local_rank: the number of this process among those on the same machine, for choosing a GPU

    All ranks call the same methods in the same order, with trees (arrays, and lists, tuples and dicts of
    them) of the same structure, shapes and dtypes. These are compared between the ranks in the first call;
    later calls only send the arrays.
    """

    def __init__(self, job: Job, engine: EngineName) -> None:
        self.rank, self.size, self.local_rank = job.rank, job.size, job.local_rank
        self._job, self._engine = job, engine
        self._nccl: NCCL | None = None
        self._buffers = Buffers()
        self._layouts: dict[Hashable, Layout] = {}

    def __repr__(self) -> str:
        return f"<Communicator: rank {self.rank} of {self.size}, engine {self._engine!r}>"

    def __enter__(self) -> Communicator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self.size > 1 and isinstance(error, SystemExit) and error.code not in (None, 0):
            self._job.abort(f"called sys.exit: {error.code}")

    def share(self, rows: int) -> slice:
        """The rows of this rank, as a slice: x[communicator.share(len(x))].

        The shares are in the order of the ranks and differ by at most one row. With fewer rows than ranks
        some shares are empty.
        """
        if not _is_whole(rows):
            raise ValueError(f"share: rows is {rows!r}; expected the number of rows, an integer >= 0.")
        return slice(int(rows) * self.rank // self.size, int(rows) * (self.rank + 1) // self.size)

    def broadcast(self, params: Any, root: int = 0) -> Any:
        """Send the `params` of rank `root` to all ranks.

        params:  a tree of arrays, numbers, strings and None, with the same structure, shapes and dtypes on
                 all ranks
        returns: new arrays in the structure of `params`
        raises:  ValueError on all ranks if structures, shapes or dtypes differ; TypeError for a leaf that
                 cannot be sent
        """
        if not _is_whole(root) or root >= self.size:
            raise ValueError(f"broadcast: root is {root!r}; expected a rank, 0 <= root < {self.size}.")
        held = leaves(params)
        layout = self._layout("broadcast", "params", params, held)
        buffers = {key: self._buffers.take(key, size) for key, size in layout.sizes.items()}
        results = list(held)
        if any(segment is None for segment in layout.segments):
            others = [None if segment else leaf for leaf, segment in zip(held, layout.segments, strict=True)]
            results = self._job.broadcast_objects(others, int(root))
        if self.rank == root:
            for leaf, place, _ in views(held, layout, buffers):
                place[...] = leaf
        for key, buffer in buffers.items():
            self._engine_of(key[0]).broadcast_in_place(buffer, int(root))
        sent = iter([like(leaf, place.copy()) for leaf, place, _ in views(held, layout, buffers)])
        return rebuild(
            params,
            [
                next(sent) if segment else other
                for other, segment in zip(results, layout.segments, strict=True)
            ],
        )

    def all_reduce_mean(self, grads: Any, rows: float = 1) -> Any:
        """The mean of `grads` over all ranks, weighted by the rows that each rank's are the mean of.

        sum_r rows_r grads_r / sum_r rows_r

        If the `grads` of a rank are means over its rows, the result is the mean over all rows. It takes one
        message for each dtype. Include the loss: loss, grads = communicator.all_reduce_mean((loss, grads),
        len(x)).

        grads:   a tree of real arrays, floats and None, with the same shapes and dtypes on all ranks
        rows:    the number that the mean of this rank was divided by, >= 0: its rows, or with class weights
                 or ignored labels the sum of the weights. With 0 the `grads` of this rank are ignored, even
                 if they are NaN. The result is NaN if all ranks have 0
        returns: new arrays in the structure of `grads`, with the same bits on all ranks; float16 is summed in
                 float32
        raises:  ValueError on all ranks if structures, shapes or dtypes differ; TypeError for a leaf that is
                 not real
        """
        if not _is_weight(rows):
            raise ValueError(f"all_reduce_mean: rows is {rows!r}; expected a number >= 0.")
        held = leaves(grads)
        layout = self._layout("all_reduce_mean", "grads", grads, held)
        # The last element is for the rows, so that they need no extra message.
        buffers = {key: self._buffers.take(key, size + 1) for key, size in layout.sizes.items()}
        with numpy.errstate(all="ignore"):
            self._pack(held, layout, buffers, float(rows))
            for key, buffer in buffers.items():
                self._engine_of(key[0]).sum_in_place(buffer)
            means = iter(self._unpack(held, layout, buffers))
        return rebuild(grads, [next(means) if segment else None for segment in layout.segments])

    def _pack(self, held: list[Any], layout: Layout, buffers: dict[Any, Any], rows: float) -> None:
        # A single rank needs no weight, and x * 3 / 3 is not always x.
        weight = min(rows, 1.0) if self.size == 1 else rows
        for buffer in buffers.values():
            buffer[-1:] = weight
        for leaf, place, segment in views(held, layout, buffers):
            if weight == 0:
                place[...] = 0  # the mean over no rows may be NaN
            else:
                library, dtype = segment.key
                library_module(library).multiply(leaf, weight, out=place, dtype=dtype)

    def _unpack(self, held: list[Any], layout: Layout, buffers: dict[Any, Any]) -> list[Any]:
        means = []
        for leaf, place, segment in views(held, layout, buffers):
            library = library_module(segment.key[0])
            mean = library.empty(segment.shape, dtype=segment.dtype)
            library.divide(place, buffers[segment.key][-1], out=mean, casting="same_kind")
            means.append(like(leaf, mean))
        return means

    def check_equal(self, params: Any) -> None:
        """Raise a ValueError on all ranks unless `params` has the same bits on all ranks.

        It reads all of `params` and sends 32 bytes. Call it now and then, not in every step.
        """
        bits = [(path, _bits(leaf)) for path, leaf in named_leaves(params, "params")]
        self._require_same("check_equal", bits, SAME_BITS)

    def close(self) -> None:
        """Close the communicator, on all ranks. A later exception ends only the process that raised it."""
        self._nccl = None
        self._job.close()

    def _layout(self, function: str, argument: str, tree: Any, held: list[Any]) -> Layout:
        """The layout of the buffers; for new shapes and dtypes, after comparing them between the ranks."""
        key = function, tuple(map(spec_of_leaf, held))
        layout = self._layouts.get(key)
        if layout is None:
            # Compare first: an error of one rank only is then raised on all ranks.
            self._require_same(function, described(tree, argument), SAME_SPECS)
            reduces = function == "all_reduce_mean"
            require_sendable(function, argument, tree, libraries=LIBRARIES[self._engine], only_real=reduces)
            if len(self._layouts) >= MAX_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[key] = layout_of(held, halves_wide=reduces)
        return layout

    def _require_same(self, function: str, mine: list[tuple[str, str]], expected: str) -> None:
        if self.size == 1:
            return
        digest = hashlib.sha256(repr((function, mine)).encode()).digest()
        if len(set(self._job.gather_digests(digest, function))) > 1:
            raise ValueError(_difference(self._job.gather_objects((function, mine)), expected))

    def _engine_of(self, library: str) -> Engine:
        if library != "cupy" or self._engine == "mpi":
            return self._job
        if self._nccl is None:
            # Not earlier: at the first CuPy array the user has chosen the GPU.
            self._nccl = NCCL(self._job)
        return self._nccl


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= 0


def _is_weight(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and 0 <= float(value) < math.inf


def _bits(leaf: Any) -> str:
    """The spec of a leaf and a digest of its bytes."""
    spec = spec_of_leaf(leaf)
    if isinstance(spec, str):
        return f"{spec}: {leaf!r}"
    host = leaf.get() if hasattr(leaf, "get") else leaf
    digest = hashlib.blake2b(numpy.ascontiguousarray(host).view(numpy.uint8).data, digest_size=8)
    return f"{spec} with the digest {digest.hexdigest()}"


def _difference(everyone: list[tuple[str, list[tuple[str, str]]]], expected: str) -> str:
    """An error message with the first difference between rank 0 and the first rank that differs."""
    function, first = everyone[0]
    rank = next(rank for rank, theirs in enumerate(everyone) if theirs != everyone[0])
    other_function, other = everyone[rank]
    if other_function != function:
        return (
            f"{function}: rank 0 called {function} and rank {rank} called {other_function}; expected the "
            "same calls in the same order on all ranks. Look for a branch that depends on the rank."
        )
    for mine, theirs in zip_longest(first, other):
        if mine != theirs:
            break
    if mine is not None and theirs is not None and mine[0] == theirs[0]:
        return f"{function}: {mine[0]} is {mine[1]} on rank 0 and {theirs[1]} on rank {rank}; {expected}"
    has = [f"{leaf[0]}, {leaf[1]}," if leaf else "nothing more" for leaf in (mine, theirs)]
    return f"{function}: rank 0 has {has[0]} where rank {rank} has {has[1]}; {expected}".replace(",;", ";")
