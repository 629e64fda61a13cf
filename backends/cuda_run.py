"""One run of a GPU program: everything launched in its order, on arrays that are there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .cuda_stages import PhaseStages, RowKernel, Stages
from .device import Device, Launch
from .emit_cuda import FINISH_THREADS
from .emit_cuda_values import CudaKernel
from .geometry import FLAT_THREADS, flat
from .graph import Node
from .indices import reports
from .loops import Product
from .plan import Memory
from .schedule import base, kind

_ALIGNMENT = 256


class Variant:
    """Stages, compiled, and how the one piece of memory that they keep to themselves is divided."""

    def __init__(self, stages: Stages, device: Device) -> None:
        self.stages, self.device = stages, device
        self.source = stages.source()
        names = [kernel.name for kernel in stages.kernels()]
        self.loaded = device.load(self.source, names) if names else {}
        plan = stages.plan
        printer = stages.printer
        sizes = {"numbers": 8 * (printer.numbers + len(printer.flags) + 1), **stages.parts()}
        self.reports = reports(plan.kernel, printer.flags)
        self.own = plan.of_kind("whole", "block")
        sizes |= {memory.name: math.prod(stages.shape(memory)) * memory.itemsize for memory in self.own}
        self.offsets: dict[str, int] = {}
        self.bytes = 0
        for name, size in sizes.items():
            self.offsets[name] = self.bytes
            self.bytes += -(-size // _ALIGNMENT) * _ALIGNMENT
        # What kernels are called with in every call.
        self.words: dict[str, int] = {name: axis.size for axis, name in plan.axes.items()}
        self.words |= {f"pieces{node.number}": count for node, count in stages.pieces.items()}
        self.words |= stages.parts_of_flat

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
        start = device.address(workspace)
        self.words |= {name: start + offset for name, offset in variant.offsets.items()}
        self.words |= variant.words
        self.arrays = dict(arrays)
        for memory in variant.own:
            offset, shape = variant.offsets[memory.name], variant.stages.shape(memory)
            own = workspace[offset : offset + math.prod(shape) * memory.itemsize]
            self.arrays[memory] = own.view(memory.dtype).reshape(shape)
        self.wide: dict[Memory, Any] = {}  # float32 copies of halves, which products take and make

    def __call__(self) -> None:
        stages = self.variant.stages
        for section in stages.sections:
            for node in section.whole:
                a, b = (self._matrix(source, 0) for source in node.inputs)
                self._product(node, 0, a, b, self._matrix(node, 0))
            for phase in section.phases:
                self._phase(phase)
            if section.flat:
                kernel, grid = section.flat
                self._launch(kernel, Launch(grid, FLAT_THREADS, flat(1).shared), self.words)
            if section.finish:
                kernel, grid = section.finish
                self._launch(kernel, Launch(grid, FINISH_THREADS, 8 * FINISH_THREADS), self.words)
        if stages.outputs:
            self._launch(stages.outputs, Launch(1, 1), self.words)

    def _launch(self, kernel: CudaKernel, launch: Launch, words: dict[str, int]) -> None:
        if launch.grid:
            arguments = [words[parameter] for parameter in kernel.parameters]
            self.device.launch(self.variant.loaded[kernel.name], launch, arguments)

    def _phase(self, phase: PhaseStages) -> None:
        number = self.plan.bodies.index(phase.body)
        # Where there are no rows, sums that are products have to be zero all the same.
        for row0 in range(0, phase.rows, phase.block) or [0]:
            rows = min(phase.block, phase.rows - row0)
            words = {**self.words, "row0": row0, "rows": rows, "first": int(row0 == 0)}
            for step in phase.steps:
                if isinstance(step, RowKernel):
                    shape = step.geometry
                    grid = step.grid if rows else 0
                    self._launch(step.kernel, Launch(grid, shape.threads, shape.shared, shape.cluster), words)
                else:
                    self._product_of_rows(step, number, row0, rows)

    def _product_of_rows(self, step: Product, number: int, row0: int, rows: int) -> None:
        node = step.node
        a = self._rows(node.inputs[0], number, row0, rows)
        if kind(node) == "sum":
            b = self._rows(node.inputs[1], number, row0, rows)
            self._product(node, number, a, b, self._matrix(node, number), accumulate=row0 > 0)
        else:
            b = self._matrix(node.inputs[1], number)
            self._product(node, number, a, b, self._rows(node, number, row0, rows))

    def _product(
        self, node: Node, number: int, a: Any, b: Any, out: Any, *, accumulate: bool = False
    ) -> None:
        transpose_a, transpose_b = map(bool, node.attribute)
        self.device.product(
            a, b, out, transpose_a=transpose_a, transpose_b=transpose_b, accumulate=accumulate
        )
        memory = self.plan.where(node, number)
        if memory in self.wide:
            self.arrays[memory][...] = self.wide[memory]

    def _matrix(self, seen: Node, number: int) -> Any:
        """A value that a product reads or writes, with its dimensions of 1."""
        memory = self._memory(seen, number)
        shape = list(seen.sizes())
        if memory.kind == "block":
            shape[next(i for i, axis in enumerate(seen.shape) if axis is not None)] = len(self.arrays[memory])
        if memory.half and memory not in self.wide:
            self.wide[memory] = self.arrays[memory].astype(memory.dtype)
        return (self.wide if memory.half else self.arrays)[memory].reshape(shape)

    def _rows(self, seen: Node, number: int, row0: int, rows: int) -> Any:
        """The rows of one block of it; a buffer of a block has no others."""
        rows_axis = self.plan.bodies[number].phase.axis.find()
        dimension = next(
            i for i, axis in enumerate(seen.shape) if axis is not None and axis.find() is rows_axis
        )
        first = 0 if self._memory(seen, number).kind == "block" else row0
        array = self._matrix(seen, number)
        return array[first : first + rows] if dimension == 0 else array[:, first : first + rows]

    def _memory(self, seen: Node, number: int) -> Memory:
        memory = self.plan.where(base(seen), number)
        assert memory is not None, f"{seen} is not in memory"
        return memory
