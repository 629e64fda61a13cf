"""One run of a GPU program: everything launched in its order, on arrays that are there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..codegen.half_products import is_of_eleven_bits
from ..codegen.stages import Role, role
from ..ir.attributes import Transposes
from ..ir.dtypes import numpy_dtype
from ..ir.graph import Axis, Node
from ..ir.nest import Buffer, BufferKind, MatMul
from ..trace.indices import reports
from .device import Device, Gemm, Launch
from .kernel import CudaKernel
from .launch_shapes import FLAT_THREADS, flat
from .launches import BlockLoopLaunches, Launches, NestKernel
from .render import FINISH_THREADS

_ALIGNMENT = 256


@dataclass(frozen=True, slots=True)
class Operand:
    """A matrix that a product reads or writes.

    shape: with its dimensions of 1, and the rows of a block where its buffer has no others
    rows:  the dimension that is the rows of its block loop; None where there is none
    """

    buffer: Buffer
    shape: tuple[int, ...]
    rows: int | None


class Variant:
    """Launches, compiled, and how the one piece of memory that they keep to themselves is divided."""

    def __init__(self, launches: Launches, device: Device) -> None:
        self.launches, self.device = launches, device
        self.source = launches.source()
        names = [kernel.name for kernel in launches.kernels()]
        self.loaded = device.load(self.source, names) if names else {}
        plan = launches.plan
        slots = plan.slots
        self.reports = reports(plan.kernel, plan.flags)
        # Results have arrays of their own, and so no slots, where there are no flags behind them.
        numbers = slots.count + len(plan.flags) if plan.flags else len(slots.arguments) + len(slots.sums)
        sizes = {"scalars": 8 * numbers, **launches.parts()}
        if plan.multiplies:
            sizes["products"] = device.product_bytes
        own = plan.of_kind(BufferKind.STAGE, BufferKind.BLOCK)
        sizes |= {buffer.name: math.prod(launches.shape(buffer)) * buffer.itemsize for buffer in own}
        self.offsets: dict[str, int] = {}
        self.bytes = 0
        for name, size in sizes.items():
            self.offsets[name] = self.bytes
            self.bytes += -(-size // _ALIGNMENT) * _ALIGNMENT
        # What kernels are called with in every call.
        self.words: dict[str, int] = {name: axis.size for axis, name in plan.axes.items()}
        self.words |= {f"pieces{node.number}": count for node, count in launches.pieces.items()}
        self.words |= launches.parts_of_flat
        self._operands: dict[tuple[Node, Buffer, Axis | None], Operand] = {}

    def operands(self, product: MatMul, rows: Axis | None) -> tuple[Operand, Operand, Operand]:
        """Both factors of a product, and itself.

        rows: of the block loop that it is in
        """
        a, b = product.node.inputs
        seen = ((a, product.a), (b, product.b), (product.node, product.out))
        first, second, out = (self._operand(node, buffer, rows) for node, buffer in seen)
        return first, second, out

    def _operand(self, node: Node, buffer: Buffer, of_loop: Axis | None) -> Operand:
        key = node, buffer, of_loop
        if key not in self._operands:
            shape, axes = list(node.sizes()), [axis and axis.find() for axis in node.shape]
            if buffer.kind is BufferKind.BLOCK:
                shape[next(i for i, axis in enumerate(axes) if axis)] = self.launches.shape(buffer)[0]
            rows = axes.index(of_loop) if of_loop in axes else None
            self._operands[key] = Operand(buffer, tuple(shape), rows)
        return self._operands[key]

    def flags(self, workspace: Any) -> Any:
        """The int64 words that are set where an index was outside, in the order of their slots."""
        plan = self.launches.plan
        start = self.offsets["scalars"] + 8 * plan.slots.count
        return workspace[start : start + 8 * len(plan.flags)].view("int64")

    def begin(self, place: int, scalars: Sequence[int | float]) -> None:
        """Put the scalars of a call where its kernels find them: at this address."""
        if self.launches.begin:
            kernel = self.loaded[self.launches.begin.name]
            self.device.launch(kernel, Launch(1, 1), [place, *scalars])


class Run:
    """The launches of one call; they can be repeated as long as its arrays are where they are.

    scalars: of the call, if they are the same in every call
    """

    def __init__(
        self,
        variant: Variant,
        arrays: dict[Buffer, Any],
        outputs: Sequence[Any],
        workspace: Any,
        scalars: Sequence[int | float] | None = None,
    ) -> None:
        device = variant.device
        self.variant, self.device, self.plan = variant, device, variant.launches.plan
        self.words = {buffer.name: device.address(array) for buffer, array in arrays.items()}
        self.words |= {f"o{i}": device.address(array) for i, array in enumerate(outputs)}
        start = device.address(workspace) if workspace is not None else 0
        self.words |= {name: start + offset for name, offset in variant.offsets.items()}
        self.words |= variant.words
        self.arrays, self.workspace, self.scalars = arrays, workspace, scalars

    def __call__(self) -> None:
        launches = self.variant.launches
        if self.scalars:
            self.variant.begin(self.words["scalars"], self.scalars)
        for stage in launches.stages:
            for product in stage.products:
                a, b, out = self.variant.operands(product, None)
                self._product(product, self._matrix(a), self._matrix(b), self._matrix(out))
            for loop in stage.loops:
                self._block_loop(loop)
            if stage.flat:
                kernel, grid = stage.flat
                self._launch(kernel, Launch(grid, FLAT_THREADS, flat(1).shared))
            if stage.finish:
                kernel, grid = stage.finish
                self._launch(kernel, Launch(grid, FINISH_THREADS, 8 * FINISH_THREADS))
        if launches.outputs:
            self._launch(launches.outputs, Launch(1, 1))

    def _launch(self, kernel: CudaKernel, launch: Launch) -> None:
        if launch.grid:
            arguments = [self.words[parameter] for parameter in kernel.parameters]
            self.device.launch(self.variant.loaded[kernel.name], launch, arguments)

    def _block_loop(self, loop: BlockLoopLaunches) -> None:
        # Where there are no rows, sums that are products have to be zero all the same.
        for row0 in range(0, loop.rows, loop.block) or [0]:
            rows = min(loop.block, loop.rows - row0)
            self.words |= {"row0": row0, "rows": rows, "first": int(row0 == 0)}
            for step in loop.steps:
                if isinstance(step, NestKernel):
                    shape = step.shape
                    grid = step.grid if rows else 0
                    self._launch(step.kernel, Launch(grid, shape.threads, shape.shared, shape.cluster))
                else:
                    self._product_of_rows(step, loop.loop.axis, row0, rows)

    def _product_of_rows(self, product: MatMul, axis: Axis, row0: int, rows: int) -> None:
        a, b, out = self.variant.operands(product, axis)
        first = self._rows(a, row0, rows)
        if role(product.node) is Role.SUM:
            self._product(product, first, self._rows(b, row0, rows), self._matrix(out), accumulate=row0 > 0)
        else:
            self._product(product, first, self._matrix(b), self._rows(out, row0, rows))

    def _product(self, product: MatMul, a: Any, b: Any, out: Any, *, accumulate: bool = False) -> None:
        transpose_a, transpose_b = product.node.attribute_as(Transposes).transposed
        of_eleven_bits = is_of_eleven_bits(product.node, self.plan.rounding)
        gemm = Gemm(a, b, out, transpose_a, transpose_b, accumulate, of_eleven_bits)
        self.device.product(gemm, self.words["products"])

    def _array(self, buffer: Buffer) -> Any:
        """What is held in a buffer."""
        array = self.arrays.get(buffer)
        if array is None:
            offset, shape = self.variant.offsets[buffer.name], self.variant.launches.shape(buffer)
            own = self.workspace[offset : offset + math.prod(shape) * buffer.itemsize]
            array = self.arrays[buffer] = own.view(numpy_dtype(buffer.held)).reshape(shape)
        return array

    def _matrix(self, operand: Operand) -> Any:
        """All of a value."""
        array = self._array(operand.buffer)
        return array if array.shape == operand.shape else array.reshape(operand.shape)

    def _rows(self, operand: Operand, row0: int, rows: int) -> Any:
        """The rows of one block of it; a buffer of a block has no others."""
        array, dimension = self._matrix(operand), operand.rows
        assert dimension is not None
        if rows == operand.shape[dimension]:
            return array
        first = 0 if operand.buffer.kind is BufferKind.BLOCK else row0
        return array[first : first + rows] if dimension == 0 else array[:, first : first + rows]
