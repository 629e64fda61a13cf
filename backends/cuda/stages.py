"""What a GPU program does in which order, for arrays of given sizes: products, loops over rows, sums."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..codegen.fusion import Body, Product, RowLoop
from ..codegen.plan import Memory, Plan
from ..ir.graph import Axis, Node, base
from . import launch_shapes as geometry
from .launch_shapes import Geometry
from .prelude import PRELUDE
from .render import FINISH_COLUMNS, CudaPrinter
from .render_values import CudaKernel, columns_of

# Buffers of a phase's rows that would take more than this are made for one block of rows after the other.
BLOCK_BUDGET = 256 << 20
# What groups leave of the sums over the rows they had takes no more than this: fewer groups then.
PARTS_BUDGET = 64 << 20
ROWS_OF_BLOCK = 64  # a multiple of every vector, and of what a product likes


@dataclass(frozen=True)
class RowKernel:
    """A loop over the rows of one block, or of all of them."""

    kernel: CudaKernel
    geometry: Geometry
    grid: int  # for a whole block of rows


@dataclass(frozen=True)
class PhaseStages:
    """One phase: what is done with each of its blocks."""

    body: Body
    rows: int
    block: int
    steps: tuple[Product | RowKernel, ...]


@dataclass(frozen=True)
class Section:
    """What runs after one another: none of it needs what follows.

    whole:  products that have no rows
    phases: with products, or with rows and columns
    flat:   one kernel for all loops over numbers, and its grid
    finish: the kernel that completes the sums, and its grid
    """

    whole: tuple[Node, ...]
    phases: tuple[PhaseStages, ...]
    flat: tuple[CudaKernel, int] | None
    finish: tuple[CudaKernel, int] | None


class Stages:
    """A plan as kernels of certain geometries."""

    def __init__(
        self,
        plan: Plan,
        *,
        capability: int,
        processors: int,
        clusters: int,
        aligned: bool,
        budget: int = BLOCK_BUDGET,
    ) -> None:
        self.plan, self.aligned, self.budget = plan, aligned, budget
        self.capability, self.processors, self.clusters = capability, processors, clusters
        self.printer = CudaPrinter(plan)
        self.pieces: dict[Node, int] = {}  # parts that are left of every sum
        self.parts_of_flat: dict[str, int] = {}  # blocks that every phase of a flat kernel has
        self.blocks = [self._block(body) for body in plan.bodies]
        self.begin = self.printer.begin()
        self.leaves_outputs = bool(plan.number_outputs)
        self.sections = [self._section(number) for number in range(plan.schedule.sections)]
        self.outputs = self.printer.outputs() if self.leaves_outputs else None

    def size(self, axes: tuple[Axis, ...]) -> int:
        return math.prod(axis.find().size for axis in axes)

    def kernels(self) -> Iterator[CudaKernel]:
        """All of them, in the order in which they run."""
        if self.begin:
            yield self.begin
        for section in self.sections:
            for phase in section.phases:
                yield from (step.kernel for step in phase.steps if isinstance(step, RowKernel))
            yield from (kernel for kernel, _ in filter(None, (section.flat, section.finish)))
        if self.outputs:
            yield self.outputs

    def source(self) -> str:
        """The text of the program."""
        return "\n".join([PRELUDE, *(kernel.text for kernel in self.kernels())])

    def shape(self, memory: Memory) -> tuple[int, ...]:
        """The shape of an array of the program's own; a buffer of a block has the block's rows."""
        sizes = tuple(axis.find().size for axis in memory.axes)
        return (self.blocks[memory.phase], *sizes[1:]) if memory.kind == "block" else sizes

    def parts(self) -> dict[str, int]:
        """The bytes of what is left of every sum for the kernel that completes it, by name."""
        found: dict[str, int] = {}
        for node, pieces in self.pieces.items():
            if node.axes:
                memory = self.plan.partial[node]
                found[memory.name] = pieces * self.size(node.axes) * node.dtype.itemsize
            else:
                found[f"q{node.number}"] = pieces * 8
        return found

    def _section(self, number: int) -> Section:
        plan = self.plan
        inside = [i for i, body in enumerate(plan.bodies) if body.phase.section == number]
        flat = [i for i in inside if self._is_flat(plan.bodies[i])]
        phases = tuple(self._phase(i, plan.bodies[i]) for i in inside if i not in flat)
        whole = tuple(node for node, section in plan.schedule.whole.items() if section == number)
        sums = self.printer.sums_of(number)
        # The first section that can also leaves the results that are single numbers.
        outputs = bool(sums) and self.leaves_outputs and self.printer.can_finish_with(number)
        self.leaves_outputs = self.leaves_outputs and not outputs
        all_flat = self._flat(number, flat) if flat else None
        finish = self.printer.finish(number, outputs=outputs) if sums else None
        columns = sum(-(-self.size(node.axes) // FINISH_COLUMNS) for node in sums if node.axes)
        has_numbers = any(not node.axes for node in sums)
        grid = columns + int(has_numbers or outputs)
        return Section(whole, phases, all_flat, (finish, grid) if finish else None)

    def _is_flat(self, body: Body) -> bool:
        """Whether a phase is a loop over numbers and nothing else."""
        (step, *more) = body.steps
        return isinstance(step, RowLoop) and not more and not columns_of(step, body)

    def _flat(self, section: int, numbers: list[int]) -> tuple[CudaKernel, int]:
        shapes = []
        for number in numbers:
            body = self.plan.bodies[number]
            (loop,) = body.steps
            assert isinstance(loop, RowLoop)
            shape = self.geometry_of(loop, body, number)
            rows = body.phase.axis.find().size
            grid = geometry.blocks(rows, shape, self.processors, self.clusters, sums=bool(loop.sums))
            self.parts_of_flat[f"parts{number}"] = grid
            self.pieces.update(dict.fromkeys(loop.sums, grid))
            shapes.append((number, shape))
        grid = sum(self.parts_of_flat[f"parts{number}"] for number in numbers)
        return self.printer.flat_kernel(section, shapes), grid

    def _phase(self, number: int, body: Body) -> PhaseStages:
        rows = body.phase.axis.find().size
        block = self.blocks[number]
        steps = tuple(
            step if isinstance(step, Product) else self._loop(number, position, step, body, block)
            for position, step in enumerate(body.steps)
        )
        return PhaseStages(body, rows, block, steps)

    def _block(self, body: Body) -> int:
        """Rows that the products and loops of a phase take at once."""
        rows = body.phase.axis.find().size
        number = self.plan.bodies.index(body)
        own = [memory for memory in self.plan.of_kind("block") if memory.phase == number]
        row_bytes = sum(self.size(memory.axes[1:]) * memory.itemsize for memory in own)
        if rows * row_bytes <= self.budget:
            return max(1, rows)
        fitting = self.budget // row_bytes // ROWS_OF_BLOCK * ROWS_OF_BLOCK
        return min(rows, max(ROWS_OF_BLOCK, fitting))

    def _loop(self, number: int, position: int, loop: RowLoop, body: Body, block: int) -> RowKernel:
        shape = self.geometry_of(loop, body, number)
        kernel = self.printer.kernel(number, position, shape)
        rows = min(block, body.phase.axis.find().size)
        grid = geometry.blocks(rows, shape, self.processors, self.clusters, sums=bool(loop.sums))
        part_bytes = max(
            (self.size(node.axes) * node.dtype.itemsize for node in loop.sums if node.axes),
            default=0,
        )
        if part_bytes:
            most = max(1, PARTS_BUDGET // (part_bytes * shape.rows)) * shape.cluster
            grid = min(grid, most)
        for node in loop.sums:
            self.pieces[node] = grid // shape.cluster * shape.rows if node.axes else grid
        return RowKernel(kernel, shape, grid)

    def geometry_of(self, loop: RowLoop, body: Body, number: int) -> Geometry:
        """How the threads share the rows of a loop."""
        axes = columns_of(loop, body)
        main = axes[0] if axes else body.phase.axis.find()
        vector = self._vector(loop, main, number) if self.aligned else 1
        if not axes:
            return geometry.flat(vector)
        self.printer.number, self.printer.body, self.printer.main = number, body, main
        kept = [*self.printer.kept_from_turn_to_turn(loop), *(n for n in loop.sums if n.axes == (main,))]
        registers = sum(self._registers(node, loop, number) for node in kept)
        return geometry.for_rows(main.size, registers, vector, self.capability)

    def _registers(self, node: Node, loop: RowLoop, number: int) -> float:
        """What an element of a value takes that is kept in registers."""
        memory = self.plan.where(node, number)
        if node not in loop.levels and memory is not None and memory.half:
            return 0.5  # as it was loaded
        # A number of 8 bytes takes two registers, and what it is computed with takes as many again.
        return 3 if node.dtype.itemsize == 8 else 1

    def _vector(self, loop: RowLoop, main: Axis, number: int) -> int:
        """Elements of 16 bytes, of the widest floats; fewer where they do not divide the columns."""
        nodes = {source for node in loop.levels for source in (node, *map(base, node.inputs))}
        there = [self.plan.where(node, number) for node in nodes if main in node.axes]
        widths = [memory.itemsize for memory in there if memory is not None]
        vector = geometry.VECTOR_BYTES // max([2, *widths])
        while main.size % vector:
            vector //= 2
        return vector
