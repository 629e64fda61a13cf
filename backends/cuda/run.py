"""One run of a GPU program: everything launched in its order, on arrays that are there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..codegen.fusion import Product
from ..codegen.plan import Memory, Plan
from ..codegen.stages import kind
from ..ir.attributes import MatMul
from ..ir.dtypes import numpy_dtype
from ..ir.graph import Node, base
from ..trace.indices import reports
from .device import Device, Launch
from .launch_shapes import FLAT_THREADS, flat
from .render import FINISH_THREADS
from .render_values import CudaKernel
from .stages import PhaseStages, RowKernel, Stages

_ALIGNMENT = 256


def multiplies(plan: Plan) -> bool:
    """Whether there are products of matrices in a plan."""
    steps = (step for body in plan.bodies for step in body.steps)
    return bool(plan.schedule.whole) or any(isinstance(step, Product) for step in steps)


@dataclass(frozen=True, slots=True)
class Operand:
    """A value that a product reads or writes.

    shape: with its dimensions of 1, and the rows of a block where its memory has no others
    rows:  the dimension that is the rows of its phase; None where there is none
    """

    memory: Memory
    shape: tuple[int, ...]
    rows: int | None


class Variant:
    """Stages, compiled, and how the one piece of memory that they keep to themselves is divided."""

    def __init__(self, stages: Stages, device: Device) -> None:
        self.stages, self.device = stages, device
        self.source = stages.source()
        names = [kernel.name for kernel in stages.kernels()]
        self.loaded = device.load(self.source, names) if names else {}
        plan = stages.plan
        printer = stages.printer
        self.reports = reports(plan.kernel, printer.flags)
        numbers = printer.numbers + len(printer.flags)
        sizes = {"numbers": 8 * (numbers if printer.flags else len(plan.scalars) + len(plan.number_sums))}
        sizes |= stages.parts()
        if multiplies(plan):
            sizes["products"] = device.product_bytes
        own = plan.of_kind("whole", "block")
        sizes |= {memory.name: math.prod(stages.shape(memory)) * memory.itemsize for memory in own}
        self.offsets: dict[str, int] = {}
        self.bytes = 0
        for name, size in sizes.items():
            self.offsets[name] = self.bytes
            self.bytes += -(-size // _ALIGNMENT) * _ALIGNMENT
        # What kernels are called with in every call.
        self.words: dict[str, int] = {name: axis.size for axis, name in plan.axes.items()}
        self.words |= {f"pieces{node.number}": count for node, count in stages.pieces.items()}
        self.words |= stages.parts_of_flat
        self._operands: dict[tuple[Node, int], Operand] = {}

    def operand(self, seen: Node, number: int) -> Operand:
        """A value as a product of the phase of this number sees it."""
        key = seen, number
        found = self._operands.get(key)
        return found if found is not None else self._operands.setdefault(key, self._operand(seen, number))

    def _operand(self, seen: Node, number: int) -> Operand:
        plan = self.stages.plan
        memory = plan.where(base(seen), number)
        assert memory is not None, f"{seen} is not in memory"
        shape, axes = list(seen.sizes()), [axis and axis.find() for axis in seen.shape]
        if memory.kind == "block":
            shape[next(i for i, axis in enumerate(axes) if axis)] = self.stages.shape(memory)[0]
        of_phase = plan.bodies[number].phase.axis.find() if plan.bodies else None
        rows = axes.index(of_phase) if of_phase in axes else None
        return Operand(memory, tuple(shape), rows)

    def flags(self, workspace: Any) -> Any:
        """The int64 words that are set where an index was outside, in the order of their slots."""
        printer = self.stages.printer
        start = self.offsets["numbers"] + 8 * printer.numbers
        return workspace[start : start + 8 * len(printer.flags)].view("int64")

    def begin(self, workspace: int, scalars: Sequence[int | float]) -> None:
        """Put the scalars of a call where its kernels find them."""
        if self.stages.begin:
            kernel = self.loaded[self.stages.begin.name]
            self.device.launch(kernel, Launch(1, 1), [workspace + self.offsets["numbers"], *scalars])


class Run:
    """The launches of one call; they can be repeated as long as its arrays are where they are."""

    def __init__(
        self, variant: Variant, arrays: dict[Memory, Any], outputs: Sequence[Any], workspace: Any
    ) -> None:
        device = variant.device
        self.variant, self.device, self.plan = variant, device, variant.stages.plan
        self.words = {memory.name: device.address(array) for memory, array in arrays.items()}
        self.words |= {f"o{i}": device.address(array) for i, array in enumerate(outputs)}
        start = device.address(workspace) if workspace is not None else 0
        self.words |= {name: start + offset for name, offset in variant.offsets.items()}
        self.words |= variant.words
        self.arrays, self.workspace = arrays, workspace
        self.wide: dict[Memory, Any] = {}  # float32 copies of halves, which products take and make

    def __call__(self) -> None:
        stages = self.variant.stages
        for section in stages.sections:
            for node in section.whole:
                a, b = (self._matrix(self.variant.operand(source, 0)) for source in node.inputs)
                self._product(node, 0, a, b, self._matrix(self.variant.operand(node, 0)))
            for phase in section.phases:
                self._phase(phase)
            if section.flat:
                kernel, grid = section.flat
                self._launch(kernel, Launch(grid, FLAT_THREADS, flat(1).shared))
            if section.finish:
                kernel, grid = section.finish
                self._launch(kernel, Launch(grid, FINISH_THREADS, 8 * FINISH_THREADS))
        if stages.outputs:
            self._launch(stages.outputs, Launch(1, 1))

    def _launch(self, kernel: CudaKernel, launch: Launch) -> None:
        if launch.grid:
            arguments = [self.words[parameter] for parameter in kernel.parameters]
            self.device.launch(self.variant.loaded[kernel.name], launch, arguments)

    def _phase(self, phase: PhaseStages) -> None:
        number = next(i for i, body in enumerate(self.plan.bodies) if body is phase.body)
        # Where there are no rows, sums that are products have to be zero all the same.
        for row0 in range(0, phase.rows, phase.block) or [0]:
            rows = min(phase.block, phase.rows - row0)
            self.words |= {"row0": row0, "rows": rows, "first": int(row0 == 0)}
            for step in phase.steps:
                if isinstance(step, RowKernel):
                    shape = step.geometry
                    grid = step.grid if rows else 0
                    self._launch(step.kernel, Launch(grid, shape.threads, shape.shared, shape.cluster))
                else:
                    self._product_of_rows(step, number, row0, rows)

    def _product_of_rows(self, step: Product, number: int, row0: int, rows: int) -> None:
        node, operand = step.node, self.variant.operand
        a, b, out = (operand(value, number) for value in (*node.inputs, node))
        if kind(node) == "sum":
            factors = self._rows(a, row0, rows), self._rows(b, row0, rows)
            self._product(node, number, *factors, self._matrix(out), accumulate=row0 > 0)
        else:
            self._product(
                node, number, self._rows(a, row0, rows), self._matrix(b), self._rows(out, row0, rows)
            )

    def _product(
        self, node: Node, number: int, a: Any, b: Any, out: Any, *, accumulate: bool = False
    ) -> None:
        turned = node.attribute_as(MatMul)
        self.device.product(
            a,
            b,
            out,
            transpose_a=turned.transpose_a,
            transpose_b=turned.transpose_b,
            accumulate=accumulate,
            workspace=self.words["products"],
        )
        if self.wide:
            memory = self.variant.operand(node, number).memory
            if memory in self.wide:
                self.arrays[memory][...] = self.wide[memory]

    def _array(self, memory: Memory) -> Any:
        """What is held in a memory; products find float32 in place of halves."""
        array = self.arrays.get(memory)
        if array is None:
            offset, shape = self.variant.offsets[memory.name], self.variant.stages.shape(memory)
            own = self.workspace[offset : offset + math.prod(shape) * memory.itemsize]
            array = self.arrays[memory] = own.view(numpy_dtype(memory.dtype)).reshape(shape)
        if not memory.half:
            return array
        if memory not in self.wide:
            self.wide[memory] = array.astype(numpy_dtype(memory.dtype))
        return self.wide[memory]

    def _matrix(self, operand: Operand) -> Any:
        """All of a value."""
        array = self._array(operand.memory)
        return array if array.shape == operand.shape else array.reshape(operand.shape)

    def _rows(self, operand: Operand, row0: int, rows: int) -> Any:
        """The rows of one block of it; a buffer of a block has no others."""
        array, dimension = self._matrix(operand), operand.rows
        assert dimension is not None
        if rows == operand.shape[dimension]:
            return array
        first = 0 if operand.memory.kind == "block" else row0
        return array[first : first + rows] if dimension == 0 else array[:, first : first + rows]
