"""What a program for a GPU needs of the machine that it runs on: the seam between the two."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy


class Launch(NamedTuple):
    """How a kernel is started.

    grid:    blocks, never 0 and a multiple of `cluster`
    threads: of a block
    shared:  bytes of shared memory a block, beside what the source fixes
    cluster: blocks that share a row, and read each other's shared memory; 1 where they do not, 8 at most. The
             source says so too (`__cluster_dims__`), for compute capability 9.0 and later only
    """

    grid: int
    threads: int
    shared: int = 0
    cluster: int = 1


@dataclass(frozen=True, slots=True)
class Gemm:
    """Matrices: out = a @ b, or out += a @ b, either factor transposed first; all in C order.

    All are float32 or all float64. Or both factors are of one half precision, and out is of that or float32;
    sums are float32. Any dimension may be 0. `out` is apart from both factors.

    of_eleven_bits: whether factors of float32 may be rounded to 11 bits, as float16 has them
    """

    a: Any
    b: Any
    out: Any
    transpose_a: bool = False
    transpose_b: bool = False
    accumulate: bool = False
    of_eleven_bits: bool = False


class Device(Protocol):
    """A device with the arrays of one library.

    Every method works on the stream that is current in the thread that calls it, and returns before the
    device has done the work; the device has to be the current one.
    """

    capability: int  # 90 for a compute capability of 9.0
    processors: int  # streaming multiprocessors
    product_bytes: int  # of memory that a product needs beside its operands
    memory: int  # bytes, of the whole device

    @property
    def clusters(self) -> int:
        """Clusters of 8 blocks that it holds at once, where each block takes all registers of a processor."""

    def load(self, source: str, names: Sequence[str]) -> Mapping[str, Any]:
        """Compile CUDA C++ and return its kernels by name; compiled once and found again afterwards.

        The source includes nothing. It is compiled as C++17, without fast mathematics, for this device.
        """

    def launch(self, kernel: Any, launch: Launch, arguments: Sequence[int | float]) -> None:
        """Start a kernel; every argument is 8 bytes: an address or a `long long`, or a double.

        arguments: `int` and `float` themselves; a bool or a number of NumPy's has another size
        """

    def empty(self, shape: tuple[int, ...], dtype: numpy.dtype[Any]) -> Any:
        """An array in C order of undefined content, at an address that 256 divides."""

    def workspace(self, size: int) -> Any:
        """An array of so many bytes or more, for one call: the next one on the stream may get the same."""

    def plain(self, array: Any, dtype: numpy.dtype[Any], strides: tuple[int, ...] | None = None) -> Any:
        """The array in C order, aligned, of this dtype; itself where it is so already.

        strides: of an array of its shape and this dtype in C order, if the caller knows them
        """

    def address(self, array: Any) -> int:
        """Where its first element is."""

    def product(self, gemm: Gemm, workspace: int) -> None:
        """Start a matrix product.

        workspace: the address of `product_bytes`, aligned to 256, that nothing else uses meanwhile; a
                   recorded graph uses the same memory whenever it is launched
        """

    def precision(self) -> Hashable:
        """How exactly products are computed at present; it becomes part of a recorded graph."""

    def is_capturing(self) -> bool:
        """Whether the caller records what is launched now: nothing is executed, and no graph can be made."""

    def graph(self, run: Callable[[], None]) -> Callable[[], None] | None:
        """What `run` launches, recorded to be launched again with the same addresses; None if it cannot be.

        run: has run before, so that all it needs is loaded, and allocates nothing. It is called once, to be
             recorded: nothing that it launches is executed then. Its arrays must outlive the graph
        """
