"""What a GPU program does in which order, for arrays of given sizes: products, kernels of nests, sums.

Takes a Plan and the properties of a device; gives its kernels with their launch shapes, a `StageLaunches` for
each stage. A cross-entropy is one stage: the kernel of its nest, then the one that adds up the blocks'
losses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..codegen.plan import Plan
from ..ir.graph import Axis, Node
from ..ir.nest import BlockLoop, Buffer, BufferKind, Keep, Load, LoopNest, MatMul, Store
from . import launch_shapes, render
from .kernel import CudaKernel
from .launch_shapes import LaunchShape
from .prelude import PRELUDE
from .render import FINISH_COLUMNS

# Block buffers that would take more than a 64th of the device's memory, and more than this, are made for one
# block of rows after the other. Products of few rows read a weight anew too often: on an H100 those of a head
# of 131,072 classes take 4.5 ms in blocks of 512 rows, 3.0 in blocks of 2048, and 2.7 as a whole.
LEAST_BLOCK_BUDGET, SHARE_OF_MEMORY = 256 << 20, 64
# What groups leave of the sums over the rows they had takes no more than this: fewer groups then.
PARTS_BUDGET = 64 << 20
ROWS_OF_BLOCK = 64  # a multiple of every vector, and of what a product likes


@dataclass(frozen=True)
class NestKernel:
    """A nest over the rows of one block, or of all of them."""

    kernel: CudaKernel
    shape: LaunchShape
    grid: int  # for a whole block of rows


@dataclass(frozen=True)
class BlockLoopLaunches:
    """One block loop: what is done with each of its blocks."""

    loop: BlockLoop
    rows: int
    block: int
    steps: tuple[MatMul | NestKernel, ...]


@dataclass(frozen=True)
class StageLaunches:
    """What runs after one another: none of it needs what follows.

    products: those that have no rows
    loops:    with products, or with rows and columns
    flat:     one kernel for all loops over numbers, and its grid
    finish:   the kernel that completes the sums, and its grid
    """

    products: tuple[MatMul, ...]
    loops: tuple[BlockLoopLaunches, ...]
    flat: tuple[CudaKernel, int] | None
    finish: tuple[CudaKernel, int] | None


@dataclass(frozen=True)
class DeviceProperties:
    """What launch shapes depend on.

    capability: compute capability, 90 for 9.0
    clusters:   the largest clusters that are resident at once
    aligned:    whether all arrays begin at multiples of 16 bytes
    memory:     bytes of the device
    """

    capability: int
    processors: int
    clusters: int
    aligned: bool
    memory: int

    @property
    def block_budget(self) -> int:
        """Bytes that the buffers of a block of rows may take."""
        return max(LEAST_BLOCK_BUDGET, self.memory // SHARE_OF_MEMORY)


class Launches:
    """A plan as kernels of certain shapes.

    pieces:        of every sum, the parts that are left of it
    parts_of_flat: of every loop of a flat kernel, its blocks
    blocks:        of every block loop, its rows at once
    """

    def __init__(self, plan: Plan, device: DeviceProperties, *, budget: int | None = None) -> None:
        self.plan, self.device = plan, device
        self.budget = device.block_budget if budget is None else budget
        self.pieces: dict[Node, int] = {}
        self.parts_of_flat: dict[str, int] = {}
        self.blocks = [self._block(loop) for loop in plan.loops]
        self.begin = render.begin(plan)
        self.leaves_outputs = bool(plan.slots.outputs)
        self.stages = [self._stage(number) for number in range(len(plan.stages))]
        self.outputs = render.outputs(plan) if self.leaves_outputs else None

    def size(self, axes: tuple[Axis, ...]) -> int:
        return math.prod(axis.find().size for axis in axes)

    def kernels(self) -> Iterator[CudaKernel]:
        """All of them, in the order in which they run."""
        if self.begin:
            yield self.begin
        for stage in self.stages:
            for loop in stage.loops:
                yield from (step.kernel for step in loop.steps if isinstance(step, NestKernel))
            yield from (kernel for kernel, _ in filter(None, (stage.flat, stage.finish)))
        if self.outputs:
            yield self.outputs

    def source(self) -> str:
        """The text of the program."""
        return "\n".join([PRELUDE, *(kernel.text for kernel in self.kernels())])

    def shape(self, buffer: Buffer) -> tuple[int, ...]:
        """The shape of an array of the program's own; a block buffer has the block's rows."""
        sizes = tuple(axis.find().size for axis in buffer.axes)
        return (self.blocks[buffer.loop], *sizes[1:]) if buffer.kind is BufferKind.BLOCK else sizes

    def parts(self) -> dict[str, int]:
        """The bytes of what is left of every sum for the kernel that completes it, by name."""
        found: dict[str, int] = {}
        for node, pieces in self.pieces.items():
            if node.axes:
                name = self.plan.partial[node].name
                found[name] = pieces * self.size(node.axes) * node.dtype.itemsize
            else:
                found[f"q{node.number}"] = pieces * 8
        return found

    def _stage(self, number: int) -> StageLaunches:
        plan, stage = self.plan, self.plan.stages[number]
        flat = [loop for loop in stage.loops if _is_flat(loop)]
        loops = tuple(self._block_loop(loop) for loop in stage.loops if loop not in flat)
        sums = render.sums_of(plan, number)
        # The first stage that can also leaves the results that are single numbers.
        outputs = bool(sums) and self.leaves_outputs and render.can_finish_with(plan, number)
        self.leaves_outputs = self.leaves_outputs and not outputs
        all_flat = self._flat(number, flat) if flat else None
        finish = render.finish(plan, number, outputs=outputs) if sums else None
        columns = sum(-(-self.size(node.axes) // FINISH_COLUMNS) for node in sums if node.axes)
        grid = columns + int(outputs or any(not node.axes for node in sums))
        return StageLaunches(stage.products, loops, all_flat, (finish, grid) if finish else None)

    def _flat(self, stage: int, loops: list[BlockLoop]) -> tuple[CudaKernel, int]:
        shapes = []
        for loop in loops:
            (nest,) = loop.steps
            assert isinstance(nest, LoopNest)
            shape = self.shape_of(nest)
            grid = self._grid(loop.axis.size, nest, shape)
            self.parts_of_flat[f"parts{loop.number}"] = grid
            self.pieces.update(dict.fromkeys(nest.sums, grid))
            shapes.append((loop, shape))
        grid = sum(self.parts_of_flat[f"parts{loop.number}"] for loop in loops)
        return render.flat_kernel(self.plan, stage, shapes), grid

    def _block_loop(self, loop: BlockLoop) -> BlockLoopLaunches:
        block = self.blocks[loop.number]
        steps = tuple(
            step if isinstance(step, MatMul) else self._nest(loop, position, step, block)
            for position, step in enumerate(loop.steps)
        )
        return BlockLoopLaunches(loop, loop.axis.size, block, steps)

    def _block(self, loop: BlockLoop) -> int:
        """Rows that the products and nests of a block loop take at once: as many in every block."""
        rows = loop.axis.size
        own = [buffer for buffer in self.plan.of_kind(BufferKind.BLOCK) if buffer.loop == loop.number]
        row_bytes = sum(self.size(buffer.axes[1:]) * buffer.itemsize for buffer in own)
        if rows * row_bytes <= self.budget:
            return max(1, rows)
        fitting = max(1, self.budget // row_bytes // ROWS_OF_BLOCK)
        blocks = -(-rows // (fitting * ROWS_OF_BLOCK))
        return min(rows, -(-rows // (blocks * ROWS_OF_BLOCK)) * ROWS_OF_BLOCK)

    def _nest(self, loop: BlockLoop, position: int, nest: LoopNest, block: int) -> NestKernel:
        shape = self.shape_of(nest)
        kernel = render.nest_kernel(self.plan, loop, position, shape)
        grid = self._grid(min(block, loop.axis.size), nest, shape)
        part_bytes = max(
            (self.size(node.axes) * node.dtype.itemsize for node in nest.sums if node.axes),
            default=0,
        )
        if part_bytes:
            most = max(1, PARTS_BUDGET // (part_bytes * shape.rows)) * shape.cluster
            grid = min(grid, most)
        for node in nest.sums:
            self.pieces[node] = grid // shape.cluster * shape.rows if node.axes else grid
        return NestKernel(kernel, shape, grid)

    def _grid(self, rows: int, nest: LoopNest, shape: LaunchShape) -> int:
        device = self.device
        return launch_shapes.blocks(rows, shape, device.processors, device.clusters, sums=bool(nest.sums))

    def shape_of(self, nest: LoopNest) -> LaunchShape:
        """How the threads share the rows of a nest."""
        vector = _vector(nest) if self.device.aligned else 1
        if not nest.axes():
            return launch_shapes.flat(vector)
        return launch_shapes.for_rows(nest.main.size, _registers(nest), vector, self.device.capability)


def _is_flat(loop: BlockLoop) -> bool:
    """Whether a block loop is a loop over numbers and nothing else."""
    (step, *more) = loop.steps
    return isinstance(step, LoopNest) and not more and not step.axes()


def _registers(nest: LoopNest) -> float:
    """What an element of everything takes that a nest keeps in registers."""
    loads = {item.value: item.buffer for item in nest.items() if isinstance(item, Load)}
    kept = [item.kept for item in nest.items() if isinstance(item, Keep)]
    # A half is kept as it was loaded. A number of 8 bytes takes two registers, and what it is computed with
    # as many.
    halves = [value for value in kept if value in loads and loads[value].half]
    nodes = [value.node for value in kept if value not in halves] + [
        n for n in nest.sums if n.axes == (nest.main,)
    ]
    return 0.5 * len(halves) + sum(3 if node.dtype.itemsize == 8 else 1 for node in nodes)


def _vector(nest: LoopNest) -> int:
    """Elements of 16 bytes, of the widest floats; fewer where they do not divide the columns."""
    buffers = {item.buffer for item in nest.items() if isinstance(item, Load | Store)}
    widths = [buffer.itemsize for buffer in buffers if nest.main in buffer.axes]
    vector = launch_shapes.VECTOR_BYTES // max([2, *widths])
    while nest.main.size % vector:
        vector //= 2
    return vector
