"""Data-parallel training over processes and machines: `communicator = op.distributed.initialize()`.

Every rank computes the gradients of its share of the rows, and all ranks take the same step:

    communicator = op.distributed.initialize()
    params = communicator.broadcast(params)
    for x, labels in batches:
        mine = communicator.share(len(x))
        loss, grads = op.mlp_loss_and_grads(params, x[mine], labels[mine])
        loss, grads = communicator.all_reduce_mean((loss, grads), len(x[mine]))
        params = op.sgd_step(params, grads, lr)

Start it with `mpiexec -n 4 python train.py`. NumPy arrays are sent by MPI, CuPy arrays by NCCL.
"""

from .backends import Communicator, initialize

__all__ = ["Communicator", "initialize"]
