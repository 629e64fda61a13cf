"""The text of a program in the CPU's dialect: a plan becomes one Python function that Numba compiles.

Takes a Plan; gives the source of a module. The function runs the part of one worker in one stage:
`program(stage, worker, workers, table, scalars)`. Stage s of the plan is number 2 s, and number 2 s + 1
combines the sums of its workers; the results that are single numbers come last. `table` holds sizes and
addresses. `scalars` is the scalar buffer, and `integers` the same memory as integers.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..codegen.plan import Plan
from ..codegen.stages import Role, role
from ..codegen.text import Lines
from ..codegen.totals import is_kept_wide
from ..ir.attributes import Transposes
from ..ir.dtypes import BOOL, FLOAT32
from ..ir.graph import Axis, Node
from ..ir.nest import BlockLoop, Buffer, BufferKind, LoopNest, MatMul, Stage
from ..ir.operations import Op
from . import dialect, totals
from .dialect import kept_number, number_from, number_to, read, wide, written
from .render_nest import NestRenderer

HEADER = """\
import math

from math import inf, nan

from numba import bool_, cfunc, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64
from onepass.backends.cpu.runtime.blas import gemm
from onepass.backends.cpu.runtime.pointers import *
from onepass.backends.cpu.runtime.threads import PROGRAM
from onepass.backends.cpu.runtime.vector_intrinsics import *
from onepass.backends.cpu.runtime.vector_math import *


@cfunc(PROGRAM, cache=CACHE, error_model="numpy")
def program(stage, worker, workers, table, scalars):
"""


def sizes_in_table(plan: Plan) -> list[str]:
    """The names of the sizes that the table begins with: of the axes, and of the blocks of every loop."""
    return [*plan.axes.values(), *(f"rows{loop.number}" for loop in plan.loops)]


def pointers_in_table(plan: Plan) -> list[Buffer]:
    """The buffers whose addresses stand in the table, in its order, behind the sizes and the two products."""
    return [buffer for buffer in plan.buffers if not is_on_stack(buffer)]


def is_on_stack(buffer: Buffer) -> bool:
    """Whether a buffer is so small: one number for each row of a tile."""
    return buffer.kind is BufferKind.TILE and not buffer.axes


class Renderer:
    """Renders one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.statements = NestRenderer(plan)

    def source(self) -> str:
        """The module's text."""
        body = Lines(1)
        for number, stage in enumerate(self.plan.stages):
            self.stage(number, stage, body)
        self.outputs(body)
        top = Lines(1)
        self.table(top)
        for slot in self.flag_slots():
            top.add(f"{dialect.flag(slot)} = int64(0)")
            body.add(f"if {dialect.flag(slot)} != 0:")
            body.add(f"    integers[{slot}] = int64(1)")
        return HEADER + "\n".join(top.lines + body.lines) + "\n"

    def flag_slots(self) -> range:
        return range(self.plan.slots.count, self.plan.slots.count + len(self.plan.flags))

    def table(self, top: Lines) -> None:
        """What the table holds, under its names."""
        top.add("use_widest_vectors()")
        top.add("integers = int64_at(address_of(scalars))")
        sizes = [*sizes_in_table(self.plan), "sgemm", "dgemm"]
        literal = {self.plan.axes[axis]: axis.size for axis in self.short_axes()}
        for position, name in enumerate(sizes):
            top.add(f"{name} = {literal.get(name, f'table[{position}]')}")
        for position, buffer in enumerate(pointers_in_table(self.plan), len(sizes)):
            axes = ", ".join(self.plan.axes[axis] for axis in buffer.axes)
            top.add(f"{buffer.name} = {_stored(buffer)}_at(table[{position}])  # {buffer.kind} ({axes})")

    def short_axes(self) -> list[Axis]:
        """The axes of rows that are computed in tiles, whose sizes stand in the text."""
        nests = (step for loop in self.plan.loops for step in loop.steps if isinstance(step, LoopNest))
        return list(dict.fromkeys(axis for nest in nests if nest.tile for axis in nest.axes()))

    def stage(self, number: int, stage: Stage, lines: Lines) -> None:
        lines.add(f"if stage == {2 * number}:")
        inside = lines.deeper()
        before = len(lines.lines)
        self.statements.items(stage.prologue, inside)
        for loop in stage.loops:
            self.block_loop(loop, inside)
        for product in stage.products:
            inside.add("if worker == 0:")
            self.whole_product(product, inside.deeper())
        if len(lines.lines) == before:
            inside.add("pass")
        if stage.sums:
            lines.add(f"if stage == {2 * number + 1}:")
            self.combine(stage.sums, lines.deeper())

    def block_loop(self, loop: BlockLoop, lines: Lines) -> None:
        n, rows = self.plan.axes[loop.axis], f"rows{loop.number}"
        lines.add(f"# block loop {loop.number}: the rows of {n}, in blocks of {rows}")
        lines.add(f"blocks = ({n} + {rows} - 1) // {rows}")
        lines.add("first, last = blocks * worker // workers, blocks * (worker + 1) // workers")
        for buffer in self.plan.buffers:
            if buffer.loop == loop.number and buffer.kind in _OF_A_WORKER:
                self.scratch(buffer, rows, lines)
        for node in loop.sums:
            self.start_of_sum(node, lines)
        lines.add("for block in range(first, last):")
        inside = lines.deeper()
        inside.add(f"row0 = block * {rows}")
        inside.add(f"rows = min({rows}, {n} - row0)")
        for step in loop.steps:
            if isinstance(step, MatMul):
                self.product(step, loop, inside)
            else:
                self.statements.nest(step, inside)
        for node in loop.sums:
            if is_kept_wide(node):
                totals.end(node, self.size_of(node), lines)
            if node in self.plan.slots.sums:
                place = kept_number(node.dtype, f"{self.plan.slots.sums[node]} + worker")
                lines.add(f"{place} = {number_to(node.dtype, f's{node.number}')}")

    def scratch(self, buffer: Buffer, rows: str, lines: Lines) -> None:
        """A worker's part of a scratch buffer; a block's first axis counts the rows of a block."""
        if is_on_stack(buffer):
            lines.add(f"{buffer.name} = stack_of_{_stored(buffer)}({self.plan.target.tile})")
            return
        axes = [self.plan.axes[axis] for axis in buffer.axes]
        if buffer.kind is BufferKind.BLOCK:
            axes[0] = rows
        tile = [str(self.plan.target.tile)] if buffer.kind is BufferKind.TILE else []
        length = " * ".join(tile + axes) or "1"
        lines.add(f"{buffer.name} = offset({buffer.name}, worker * {length})")

    # Sums over rows

    def start_of_sum(self, node: Node, lines: Lines) -> None:
        if node in self.plan.slots.sums:
            dtype = BOOL if node.dtype == BOOL else wide(node.dtype)
            lines.add(f"s{node.number} = {dialect.start(node.operation, dtype)}")
            return
        whole, parts = self.plan.place[node].name, self.plan.partial[node].name
        size = self.size_of(node)
        lines.add(f"s{node.number} = {whole}")
        lines.add("if worker > 0:")
        lines.add(f"    s{node.number} = offset({parts}, (worker - 1) * {size})")
        if is_kept_wide(node):
            totals.start(node, size, lines)
        if node.operation is Op.MATMUL:
            # Its first block overwrites what is there.
            lines.add("if first == last:")
            lines = lines.deeper()
        lines.add(f"for element in range({size}):")
        nothing = written(dialect.start(_joined_by(node), node.dtype), node.dtype)
        lines.add(f"    s{node.number}[element] = {nothing}")

    def combine(self, sums: Sequence[Node], lines: Lines) -> None:
        """The workers' parts of every sum, added to the first worker's in their order."""
        for node in sums:
            if node in self.plan.slots.sums:
                self.combine_numbers(node, lines)
            else:
                self.combine_arrays(node, lines)

    def combine_numbers(self, node: Node, lines: Lines) -> None:
        slot = self.plan.slots.sums[node]
        lines.add("if worker == 0:")
        lines.add("    for other in range(1, workers):")
        dtype = BOOL if node.dtype == BOOL else wide(node.dtype)
        own, others = number_from(dtype, str(slot)), number_from(dtype, f"{slot} + other")
        part = number_to(dtype, dialect.join(node.operation, dtype, own, others))
        lines.add(f"        {kept_number(dtype, str(slot))} = {part}")

    def combine_arrays(self, node: Node, lines: Lines) -> None:
        whole, parts = self.plan.place[node].name, self.plan.partial[node].name
        lines.add(f"size = {self.size_of(node)}")
        lines.add("for other in range(workers - 1):")
        lines.add("    for element in range(size * worker // workers, size * (worker + 1) // workers):")
        own, other = f"{whole}[element]", f"{parts}[other * size + element]"
        part = dialect.join(_joined_by(node), node.dtype, read(own, node.dtype), read(other, node.dtype))
        lines.add(f"        {whole}[element] = {written(part, node.dtype)}")

    def outputs(self, lines: Lines) -> None:
        """The results that are single numbers, each into its slot."""
        lines.add(f"if stage == {2 * len(self.plan.stages)}:")
        inside = lines.deeper()
        before = len(lines.lines)
        self.statements.items(self.plan.scalar_outputs.body, inside)
        for node, operand in self.plan.scalar_outputs.values.items():
            value = number_to(node.dtype, self.statements.text.operand(operand))
            inside.add(f"{kept_number(node.dtype, str(self.plan.slots.outputs[node]))} = {value}")
        if len(lines.lines) == before:
            inside.add("pass")

    # Matrix products

    def whole_product(self, product: MatMul, lines: Lines) -> None:
        a, b = product.node.inputs
        rows = [self.statements.text.length(a.shape[0]), self.statements.text.length(b.shape[0])]
        self.gemm(product.node, lines, rows, [product.a.name, product.b.name, product.out.name], "0")

    def product(self, product: MatMul, loop: BlockLoop, lines: Lines) -> None:
        node = product.node
        a = self.address(product.a, "row0")
        if role(node) is Role.ROW:
            b, out = product.b.name, self.address(product.out, "row0")
            rows = ["rows", self.statements.text.length(node.inputs[1].shape[0])]
            self.gemm(node, lines, rows, [a, b, out], "0")
            return
        if is_kept_wide(node):
            totals.before_block(node, self.size_of(node), lines)
        beta = f"0.0 if {totals.is_first_block(node)} else 1.0"
        b, out = self.address(product.b, "row0"), f"s{node.number}"
        self.gemm(node, lines, ["rows", "rows"], [a, b, out], beta)

    def address(self, buffer: Buffer, row: str) -> str:
        """The pointer to a row of what a product reads or writes."""
        if buffer.kind is BufferKind.BLOCK:
            return buffer.name
        lengths = [self.plan.axes[axis] for axis in buffer.axes[1:]]
        return f"offset({buffer.name}, {' * '.join([row, *lengths])})"

    def gemm(self, node: Node, lines: Lines, first: list[str], buffers: list[str], beta: str) -> None:
        """The call of BLAS.

        first: the lengths of the operands' first dimensions
        """
        transpose_a, transpose_b = node.attribute_as(Transposes).transposed
        (a_rows, b_rows), (a, b, out) = first, buffers
        a_columns, b_columns = (self.statements.text.length(source.shape[1]) for source in node.inputs)
        rows, inner = (a_columns, a_rows) if transpose_a else (a_rows, a_columns)
        columns = b_rows if transpose_b else b_columns
        routine = "sgemm" if node.dtype == FLOAT32 else "dgemm"
        lines.add(
            f"gemm({routine}, {int(transpose_a)}, {int(transpose_b)}, {rows}, {columns}, {inner}, "
            f"{a}, {a_columns}, {b}, {b_columns}, {node.dtype}({beta}), {out}, {columns})"
        )

    def size_of(self, node: Node) -> str:
        return " * ".join(self.plan.axes[axis] for axis in node.axes) or "1"


# Scratch buffers that each worker has a part of.
_OF_A_WORKER = (BufferKind.TOTAL, BufferKind.BLOCK, BufferKind.ROW, BufferKind.TILE)


def _joined_by(node: Node) -> Op:
    """The operation that joins parts of a sum over rows."""
    return Op.SUM if node.operation is Op.MATMUL else node.operation


def _stored(buffer: Buffer) -> str:
    """The dtype of its elements in memory, where a bool is a byte."""
    return "uint8" if buffer.dtype == BOOL else buffer.dtype.name
