"""A device that is the host: CUDA kernels run in fibers, NumPy arrays are its memory, with guards around."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from host_cuda import HostModule, check_guards, guarded, guarded_copy
from onepass.backends.cuda.device import Gemm, Launch


class HostDevice:
    """Executes programs for their numbers and their synchronisation; it says nothing about a real device.

    schedule: the order in which threads run
    aligned:  whether vectors of 16 bytes can be loaded from its arrays
    """

    product_bytes, memory = 1000, 1 << 30

    def __init__(
        self, capability: int = 90, processors: int = 3, schedule: str = "forward", aligned: bool = True
    ) -> None:
        self.capability, self.processors = capability, processors
        self.clusters = processors // 2  # of one processor none: a single cluster takes all rows
        self.schedule, self.aligned = schedule, aligned
        self.launches: list[tuple[str, Launch]] = []
        self.sources: list[str] = []

    def load(self, source: str, names: Sequence[str]) -> Mapping[str, Any]:
        self.sources.append(source)
        module = HostModule(source, names)
        return {name: (module, name) for name in names}

    def launch(self, kernel: Any, launch: Launch, arguments: Sequence[int | float]) -> None:
        module, name = kernel
        self.launches.append((name, launch))
        module.launch(
            name,
            launch.grid,
            launch.threads,
            arguments,
            shared=launch.shared,
            cluster=launch.cluster,
            schedule=self.schedule,
            seed=len(self.launches),
        )
        check_guards()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return guarded(shape, dtype, self._offset(dtype))

    def workspace(self, size: int) -> Any:
        return self.empty((size,), np.dtype("uint8"))

    def plain(self, array: Any, dtype: np.dtype[Any], strides: tuple[int, ...] | None = None) -> Any:
        return guarded_copy(np.asarray(array, dtype), self._offset(dtype))

    def _offset(self, dtype: np.dtype[Any]) -> int:
        return 0 if self.aligned or dtype == np.uint8 else dtype.itemsize

    def address(self, array: Any) -> int:
        return int(array.ctypes.data)

    def product(self, gemm: Gemm, workspace: int) -> None:
        # Whatever else lies there is lost, as it would be to cuBLAS.
        ctypes.memset(workspace, 0xFF, self.product_bytes)
        a, b = (x.astype(np.float32) if x.itemsize == 2 else x for x in (gemm.a, gemm.b))
        made = (a.T if gemm.transpose_a else a) @ (b.T if gemm.transpose_b else b)
        gemm.out[...] = gemm.out + made if gemm.accumulate else made

    def precision(self) -> Hashable:
        return None

    def is_capturing(self) -> bool:
        return False

    def graph(self, run: Callable[[], None]) -> Callable[[], None] | None:
        return None
