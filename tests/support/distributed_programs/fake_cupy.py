"""Enough of CuPy to see where its arrays go, on a host: no GPU, and no word about what a GPU would do."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from mpi4py import MPI
from onepass.backends.common import libraries

calls: list[str] = []


class ndarray:  # noqa: N801
    """Memory that nobody reads but by `get`, as it would be on a device."""

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory
        self.dtype, self.shape = memory.dtype, memory.shape

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def reshape(self, shape: Any) -> ndarray:
        return ndarray(self._memory.reshape(shape))

    def view(self, dtype: Any) -> ndarray:
        return ndarray(self._memory.view(dtype))

    def copy(self) -> ndarray:
        return ndarray(self._memory.copy())

    def __getitem__(self, index: Any) -> ndarray:
        return ndarray(np.asarray(self._memory[index]))

    def __setitem__(self, index: Any, value: Any) -> None:
        self._memory[index] = value._memory if isinstance(value, ndarray) else float(value)

    def get(self) -> np.ndarray:
        calls.append("get")
        return self._memory.copy()

    def set(self, host: np.ndarray) -> None:
        calls.append("set")
        self._memory[...] = host


class Group:
    """What `cupyx.distributed.init_process_group` returns, with MPI in NCCL's place."""

    def all_reduce(self, source: ndarray, target: ndarray, op: str) -> None:
        assert source._memory.flags.c_contiguous
        assert op == "sum"
        calls.append(f"all_reduce {source.dtype}")
        target._memory[...] = MPI.COMM_WORLD.allreduce(source._memory)

    def broadcast(self, array: ndarray, root: int) -> None:
        assert array._memory.flags.c_contiguous
        calls.append(f"broadcast {array.dtype}")
        array._memory[...] = MPI.COMM_WORLD.bcast(array._memory, root)


def init_process_group(n_devices: int, rank: int, *, use_mpi: bool) -> Group:
    assert use_mpi
    assert (n_devices, rank) == (MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank)
    calls.append("init_process_group")
    return Group()


def asarray(values: Any, dtype: Any = None) -> ndarray:
    return ndarray(np.array(values, dtype))


def empty(shape: Any, dtype: Any) -> ndarray:
    return ndarray(np.full(shape, 77, dtype))


def multiply(a: ndarray, factor: float, *, out: ndarray, dtype: Any) -> None:
    assert isinstance(factor, float)
    np.multiply(a._memory, factor, out=out._memory, dtype=dtype)


def divide(a: ndarray, b: ndarray, *, out: ndarray, casting: Any) -> None:
    np.divide(a._memory, b._memory, out=out._memory, casting=casting)


def install(*, one_gpu_each: bool = True, nccl: bool = True) -> None:
    """Put it where `import cupy` finds it."""
    gpu = f"GPU {MPI.COMM_WORLD.rank}" if one_gpu_each else "GPU 0"
    cupy, cuda, distributed = ModuleType("cupy"), ModuleType("cupy.cuda"), ModuleType("cupyx.distributed")
    module = ModuleType("cupy.cuda.nccl")
    module.__dict__.update(available=nccl)
    stream = SimpleNamespace(synchronize=lambda: calls.append("synchronize"))
    cuda.__dict__.update(
        nccl=module,
        Device=lambda: SimpleNamespace(pci_bus_id=gpu),
        get_current_stream=lambda: stream,
    )
    cupy.__dict__.update(
        cuda=cuda, ndarray=ndarray, empty=empty, multiply=multiply, divide=divide, asarray=asarray
    )
    distributed.__dict__.update(init_process_group=init_process_group)
    modules = (cupy, cuda, module, ModuleType("cupyx"), distributed)
    sys.modules.update({module.__name__: module for module in modules})
    libraries._library_of_type[ndarray] = "cupy"
    for name in ("float16", "float32", "float64"):
        libraries._kind_of_dtype[ndarray, np.dtype(name)] = "real floating"
        libraries._halves[ndarray, np.dtype(name)] = name == "float16"
