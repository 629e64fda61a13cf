"""Every rank sends and receives parameters, trains on its share, and looks for a bit that differs."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from onepass.backends.common.trees import leaves
from report import report

import onepass as op
from onepass.distributed import initialize

communicator = initialize()
rank, size = communicator.rank, communicator.size


def of_rank(rank: int) -> dict[str, Any]:
    """Everything that a state of training may hold, with the rank in all of it."""
    readonly = np.arange(4.0) + rank
    readonly.flags.writeable = False
    return {
        "step": 2**70 + rank,
        "name": f"rank {rank}",
        "done": rank % 2 == 0,
        "rate": 0.1 * rank,
        "nothing": None,
        "arrays": [
            np.float16([rank, np.nan]),
            np.full((2, 3), rank, ">f8"),
            np.arange(24.0).reshape(4, 6)[::2, ::-1].T + rank,
            readonly,
            np.array(rank, np.int8),
            np.float32(rank),
            np.array([True, rank % 2 == 0]),
            np.zeros((0, 3)),
            np.full(2, rank, np.complex64),
            np.uint64(2**63 + rank),
        ],
    }


wrong = []
kept = communicator.broadcast({"of rank 0": np.full(4, rank, np.int8)})
for root in range(size):
    mine = of_rank(rank)
    got, expected = communicator.broadcast(mine, root), of_rank(root)
    for found, wanted, own in zip(leaves(got), leaves(expected), leaves(mine), strict=True):
        # Big-endian arrays come back in the order of this machine, the same numbers.
        same = type(found) is type(wanted) and np.shape(found) == np.shape(wanted)
        if isinstance(wanted, np.ndarray):
            same = same and found.dtype == wanted.dtype.newbyteorder("=") and found is not own
            same = same and found.tobytes() == wanted.astype(found.dtype).tobytes() and found.flags.writeable
        elif not (same and found == wanted):
            same = False
        if not same:
            wrong.append(f"root {root}: {found!r}, expected {wanted!r}")

if kept["of rank 0"].any():
    wrong.append("a result was a view of a buffer that later calls wrote into")

random = np.random.default_rng(rank)  # other weights on every rank, until they are sent
params = [
    (random.standard_normal((6, 9)).astype("f4"), random.standard_normal(9).astype("f4")),
    (random.standard_normal((9, 4)).astype("f4"), random.standard_normal(4).astype("f4")),
]
differ = ""
try:
    communicator.check_equal(params)
except ValueError as error:
    differ = str(error)
params = communicator.broadcast(params)
state = op.adam_init(params)
data = np.random.default_rng(3)
for _ in range(40):
    x, labels = data.standard_normal((17, 6)).astype("f4"), data.integers(0, 4, 17)
    mine = communicator.share(17)
    loss, grads = op.mlp_loss_and_grads(params, x[mine], labels[mine])
    loss, grads = communicator.all_reduce_mean((loss, grads), len(x[mine]))
    params, state = op.adam_step(params, grads, state, 1e-2)
    communicator.check_equal((params, state))
digest = hashlib.sha256(b"".join(leaf.tobytes() for leaf in leaves((params, state["exp_avg"])))).hexdigest()

one_bit = ""
if rank == size - 1:
    params[1][1].view(np.uint32)[2] ^= 1
try:
    communicator.check_equal({"weights": params})
except ValueError as error:
    one_bit = str(error)
report(communicator, wrong=wrong, differ=differ, digest=digest, one_bit=one_bit)
