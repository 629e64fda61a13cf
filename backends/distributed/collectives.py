"""The communicator of data-parallel training: every rank computes on its rows, the gradients are averaged."""

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
    form_of_leaf,
    layout_of,
    library_module,
    like,
    rebuilt,
    require_travels,
    views,
)

EngineName: TypeAlias = Literal["auto", "mpi", "nccl"]

LIBRARIES = {"auto": ("numpy", "cupy"), "mpi": ("numpy", "cupy"), "nccl": ("cupy",)}

# A program whose trees are new at every call must not fill the memory. Ranks agree on every one of them, so
# all forget at the same call.
MOST_LAYOUTS = 256

SAME_FORM = (
    "expected the same structure, shapes and dtypes on all ranks. Make the arrays alike; only their "
    "numbers may differ between ranks."
)
SAME_BITS = (
    "expected the same bits on all ranks. Broadcast the parameters before the first step, and give every "
    "update the averaged gradients and the same numbers."
)


class Engine(Protocol):
    """What moves a flat buffer between the ranks."""

    def sum_in_place(self, buffer: Any) -> None:
        """The sum over all ranks, in every rank's `buffer`."""

    def broadcast_in_place(self, buffer: Any, root: int) -> None:
        """The root's `buffer`, in every rank's."""


def initialize(
    engine: EngineName = "auto", *, cuda_aware: bool = False, timeout: float = 600.0
) -> Communicator:
    """Join the processes that `mpiexec -n 4 python train.py` started; all of them call it.

    engine:     "auto": NumPy arrays travel by MPI, CuPy arrays by NCCL; "mpi": both by MPI, CuPy arrays
                through the memory of the host; "nccl": CuPy arrays alone
    cuda_aware: the MPI takes device memory, so that CuPy arrays need not go through the host. An MPI of which
                that is not true crashes.
    timeout:    seconds that a rank waits for the others where forms or bits are compared
    returns:    the communicator of this process; without mpiexec, that of a job of one
    raises:     RuntimeError where mpi4py, an MPI or NCCL is missing, or the launcher is of another MPI;
                ValueError for an unknown engine

    While the communicator lives, in a job of more than one process, an exception that a rank does not catch
    is printed with the rank and ends the whole job. Python does not say when a process leaves by `sys.exit`;
    where one rank alone may do that, write `with initialize() as communicator:`.
    """
    if engine not in LIBRARIES:
        raise ValueError(
            f"initialize: engine is {engine!r}; expected one of {', '.join(map(repr, LIBRARIES))}."
        )
    if engine == "nccl":
        require_nccl()
    return Communicator(Job(cuda_aware=cuda_aware, timeout=timeout), engine)


class Communicator:
    """This process among those that train together. `initialize` makes it.

    rank:       which of them this is, 0 <= rank < size
    size:       how many they are
    local_rank: which of those on this machine this is, to choose a GPU by

    All ranks call the same methods in the same order with trees (arrays, and lists, tuples and dicts of them)
    of one form. The first call of a form compares it between the ranks; later ones cost nothing but the
    message.
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
            self._job.abort(f"leaves by sys.exit: {error.code}")

    def share(self, rows: int) -> slice:
        """The rows of this rank, out of `rows`: x[communicator.share(len(x))].

        The shares lie in the order of the ranks and differ by one row at most; with fewer rows than ranks
        some are empty.
        """
        if not _is_whole(rows):
            raise ValueError(f"share: rows is {rows!r}; expected the number of rows, an integer >= 0.")
        return slice(int(rows) * self.rank // self.size, int(rows) * (self.rank + 1) // self.size)

    def broadcast(self, params: Any, root: int = 0) -> Any:
        """The `params` of rank `root`, on all ranks.

        params:  arrays, numbers, strings and None in one structure, with shapes and dtypes the same on all
                 ranks
        returns: new arrays in the structure of `params`
        raises:  ValueError on all ranks where forms differ, TypeError for what cannot be sent
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
        return rebuilt(
            params,
            [
                next(sent) if segment else other
                for other, segment in zip(results, layout.segments, strict=True)
            ],
        )

    def all_reduce_mean(self, grads: Any, rows: float = 1) -> Any:
        """The mean of `grads` over all ranks, weighted by the rows that each rank's are the mean of.

        sum_r rows_r grads_r / sum_r rows_r

        which for means over a rank's rows is the mean over all rows. It costs one message for each dtype; a
        loss may come along: loss, grads = communicator.all_reduce_mean((loss, grads), len(x)).

        grads:   real arrays, floats and None, of the same shapes and dtypes on all ranks
        rows:    what this rank's mean was divided by, >= 0: its rows, or with class weights or ignored labels
                 the sum of the weights that counted. With 0 its `grads` do not count, whatever they hold; NaN
                 where all ranks have 0
        returns: new arrays in the structure of `grads`, the same bits on all ranks, float16 summed in float32
        raises:  ValueError on all ranks where forms differ, TypeError for what is not real
        """
        if not _is_weight(rows):
            raise ValueError(f"all_reduce_mean: rows is {rows!r}; expected a number >= 0.")
        held = leaves(grads)
        layout = self._layout("all_reduce_mean", "grads", grads, held)
        # The last element is for the rows, so that they need no message of their own.
        buffers = {key: self._buffers.take(key, size + 1) for key, size in layout.sizes.items()}
        with numpy.errstate(all="ignore"):
            self._pack(held, layout, buffers, float(rows))
            for key, buffer in buffers.items():
                self._engine_of(key[0]).sum_in_place(buffer)
            means = iter(self._unpack(held, layout, buffers))
        return rebuilt(grads, [next(means) if segment else None for segment in layout.segments])

    def _pack(self, held: list[Any], layout: Layout, buffers: dict[Any, Any], rows: float) -> None:
        # Alone, a mean needs no weight, and times three divided by three is not always the same number.
        weight = min(rows, 1.0) if self.size == 1 else rows
        for buffer in buffers.values():
            buffer[-1:] = weight
        for leaf, place, segment in views(held, layout, buffers):
            if weight == 0:
                place[...] = 0  # the mean of no rows may be NaN
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
        """Raise a ValueError on all ranks unless `params` has the same bits on all of them.

        It reads all of `params` and sends 32 bytes: something for every so many steps.
        """
        bits = [(path, _bits(leaf)) for path, leaf in named_leaves(params, "params")]
        self._require_same("check_equal", bits, SAME_BITS)

    def close(self) -> None:
        """Leave, on all ranks together. From here an exception ends the process that raised it alone."""
        self._nccl = None
        self._job.close()

    def _layout(self, function: str, argument: str, tree: Any, held: list[Any]) -> Layout:
        """Where the leaves lie in the buffers; of a new form, compared with the other ranks' first."""
        key = function, tuple(map(form_of_leaf, held))
        layout = self._layouts.get(key)
        if layout is None:
            # What is wrong on one rank alone is found here, and named on all.
            self._require_same(function, described(tree, argument), SAME_FORM)
            reduces = function == "all_reduce_mean"
            require_travels(function, argument, tree, libraries=LIBRARIES[self._engine], only_real=reduces)
            if len(self._layouts) >= MOST_LAYOUTS:
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
            # Not before there is a CuPy array: by then the user has chosen the GPU.
            self._nccl = NCCL(self._job)
        return self._nccl


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= 0


def _is_weight(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and 0 <= float(value) < math.inf


def _bits(leaf: Any) -> str:
    """What a leaf is, and a digest of its bytes."""
    form = form_of_leaf(leaf)
    if isinstance(form, str):
        return f"{form}: {leaf!r}"
    host = leaf.get() if hasattr(leaf, "get") else leaf
    digest = hashlib.blake2b(numpy.ascontiguousarray(host).view(numpy.uint8).data, digest_size=8)
    return f"{form} with the digest {digest.hexdigest()}"


def _difference(everyone: list[tuple[str, list[tuple[str, str]]]], expected: str) -> str:
    """The first difference between rank 0 and the first rank that has one, for an error message."""
    function, first = everyone[0]
    rank = next(rank for rank, theirs in enumerate(everyone) if theirs != everyone[0])
    other_function, other = everyone[rank]
    if other_function != function:
        return (
            f"{function}: rank 0 calls {function} and rank {rank} calls {other_function}; expected the same "
            "calls in the same order on all ranks. Look for a branch that depends on the rank."
        )
    for mine, theirs in zip_longest(first, other):
        if mine != theirs:
            break
    if mine is not None and theirs is not None and mine[0] == theirs[0]:
        return f"{function}: {mine[0]} is {mine[1]} on rank 0 and {theirs[1]} on rank {rank}; {expected}"
    has = [f"{leaf[0]}, {leaf[1]}," if leaf else "nothing more" for leaf in (mine, theirs)]
    return f"{function}: rank 0 has {has[0]} where rank {rank} has {has[1]}; {expected}".replace(",;", ";")
