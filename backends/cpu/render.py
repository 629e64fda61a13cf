"""The printer of the CPU's dialect: a plan becomes the text of one Python function that Numba compiles.

The function runs one share of one section: `program(section, share, shares, table, numbers)`. `table` holds
sizes and addresses, `numbers` the call's scalars, the shares' sums, and the results that are single numbers.
"""

from __future__ import annotations

from ..codegen.cost import LANES
from ..codegen.fusion import Body, Product
from ..codegen.plan import Memory
from ..codegen.scopes import Scope
from ..codegen.stages import kind
from ..codegen.totals import is_kept_wide, total_of
from ..ir.attributes import MatMul
from ..ir.dtypes import BOOL, FLOAT32, UINT8, DType
from ..ir.graph import Node, base
from ..ir.operations import Op
from . import dialect, totals
from .dialect import kept_number, number_from, number_to, read, wide, written
from .render_rows import RowPrinter

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
def program(section, share, shares, table, numbers):
"""


class Printer(RowPrinter):
    """Prints one plan."""

    def pointers(self) -> list[Memory]:
        """The arrays whose addresses stand in the table, in its order."""
        kinds = self.plan.of_kind("argument", "result", "whole", "partial", "total", "block", "row", "lane")
        return [memory for memory in kinds if not self.is_on_stack(memory)]

    def is_on_stack(self, memory: Memory) -> bool:
        """Whether it is so small: one number for each row of those side by side."""
        return memory.kind == "lane" and not memory.axes

    def source(self) -> str:
        sections = Scope(1, [])
        for section in range(self.plan.schedule.sections):
            self.section(section, sections)
        self.last_section(sections)
        self.slots = {memory: i for i, memory in enumerate(self.pointers())}
        top = Scope(1, [])
        top.add("use_widest_vectors()")
        top.add("whole = int64_at(address_of(numbers))")
        literal = {self.plan.axes[axis.find()]: axis.size for axis in self.short}
        for position, name in enumerate([*self.sizes, "sgemm", "dgemm"]):
            top.add(f"{name} = {literal.get(name, f'table[{position}]')}")
        first = len(self.sizes) + 2
        for memory, slot in self.slots.items():
            axes = ", ".join(self.plan.axes[axis.find()] for axis in memory.axes)
            top.add(f"{memory.name} = {_stored(memory)}_at(table[{first + slot}])  # {memory.kind} ({axes})")
        for slot in self.flags.values():
            top.add(f"{dialect.flag(slot)} = int64(0)")
            sections.add(f"if {dialect.flag(slot)} != 0:")
            sections.add(f"    whole[{slot}] = int64(1)")
        return HEADER + "\n".join(top.lines + sections.lines) + "\n"

    def section(self, number: int, top: Scope) -> None:
        top.add(f"if section == {2 * number}:")
        inside = Scope(2, [])
        phases: list[str] = []
        for position, body in enumerate(self.plan.bodies):
            if body.phase.section == number:
                self.phase(position, body, Scope(2, phases, inside, names=inside.names))
        for node, section in self.plan.schedule.whole.items():
            if section == number:
                scope = Scope(2, phases, inside, names=inside.names)
                scope.add("if share == 0:")
                self.whole_product(node, Scope(3, phases, scope))
        top.lines += inside.lines + (phases or ["        pass"])
        sums = [node for body in self.plan.bodies if body.phase.section == number for node in body.phase.sums]
        if sums:
            top.add(f"if section == {2 * number + 1}:")
            self.combine(sums, Scope(2, top.lines))

    def combine(self, sums: list[Node], scope: Scope) -> None:
        """The shares' parts of every sum, added to the first share's in their order."""
        for node in sums:
            if node in self.sum_slot:
                slot = self.sum_slot[node]
                scope.add("if share == 0:")
                scope.add("    for other in range(1, shares):")
                dtype = BOOL if node.dtype == BOOL else wide(node.dtype)
                own, others = number_from(dtype, str(slot)), number_from(dtype, f"{slot} + other")
                part = number_to(dtype, dialect.join(node.operation, dtype, own, others))
                scope.add(f"        {kept_number(dtype, str(slot))} = {part}")
                continue
            whole, parts = self.plan.place[node].name, self.plan.partial[node].name
            size = self.size_of(node)
            operation = Op.SUM if node.operation is Op.MATMUL else node.operation
            scope.add(f"size = {size}")
            scope.add("for other in range(shares - 1):")
            scope.add("    for element in range(size * share // shares, size * (share + 1) // shares):")
            own, other = f"{whole}[element]", f"{parts}[other * size + element]"
            part = dialect.join(operation, node.dtype, read(own, node.dtype), read(other, node.dtype))
            scope.add(f"        {whole}[element] = {written(part, node.dtype)}")

    def last_section(self, top: Scope) -> None:
        top.add(f"if section == {2 * self.plan.schedule.sections}:")
        scope = Scope(2, [])
        for node, slot in self.output_slot.items():
            value = number_to(node.dtype, self.value(node, scope))
            scope.add(f"{kept_number(node.dtype, str(slot))} = {value}")
        top.lines += scope.lines or ["        pass"]

    def size_of(self, node: Node) -> str:
        return " * ".join(self.plan.axes[axis] for axis in node.axes) or "1"

    def phase(self, number: int, body: Body, scope: Scope) -> None:
        self.number, self.body = number, body
        phase = body.phase
        n, rows = self.plan.axes[phase.axis.find()], f"rows{number}"
        scope.add(f"# phase {number}: the rows of {n}, in blocks of {rows}")
        scope.add(f"blocks = ({n} + {rows} - 1) // {rows}")
        scope.add("first, last = blocks * share // shares, blocks * (share + 1) // shares")
        scratch = len(scope.lines)
        for node in phase.sums:
            self.start_of_sum(node, scope)
        scope.add("for block in range(first, last):")
        inside = Scope(scope.indent + 1, scope.lines, scope.parent)
        inside.add(f"row0 = block * {rows}")
        inside.add(f"rows = min({rows}, {n} - row0)")
        for step in body.steps:
            if isinstance(step, Product):
                self.product(step.node, inside)
            else:
                self.row_loop(step, inside)
        for node in phase.sums:
            if is_kept_wide(node):
                totals.end(node, self.size_of(node), scope)
            if node in self.sum_slot:
                place = kept_number(node.dtype, f"{self.sum_slot[node]} + share")
                scope.add(f"{place} = {number_to(node.dtype, f's{node.number}')}")
        own = Scope(scope.indent, [])
        for memory in self.plan.of_kind("total", "block", "row", "lane"):
            if memory.phase == number and self.is_on_stack(memory):
                own.add(f"{memory.name} = stack_of_{_stored(memory)}({LANES})")
            elif memory.phase == number:
                own.add(f"{memory.name} = offset({memory.name}, share * {self.scratch_length(memory, rows)})")
        scope.lines[scratch:scratch] = own.lines
        self.body = None

    def scratch_length(self, memory: Memory, rows: str) -> str:
        """Elements a share has of a scratch array; a block's first axis counts the rows of a block."""
        axes = [self.plan.axes[axis] for axis in memory.axes]
        if memory.kind == "block":
            axes[0] = rows
        return " * ".join(([str(LANES)] if memory.kind == "lane" else []) + axes) or "1"

    def start_of_sum(self, node: Node, scope: Scope) -> None:
        if node in self.sum_slot:
            scope.add(f"s{node.number} = {self.start_of_number(node)}")
            return
        whole, parts = self.plan.place[node].name, self.plan.partial[node].name
        size = self.size_of(node)
        scope.add(f"s{node.number} = {whole}")
        scope.add("if share > 0:")
        scope.add(f"    s{node.number} = offset({parts}, (share - 1) * {size})")
        operation = Op.SUM if node.operation is Op.MATMUL else node.operation
        if is_kept_wide(node):
            self.plan.add(total_of(node, self.number))
            totals.start(node, size, scope)
        if node.operation is Op.MATMUL:
            # Its first block overwrites what is there.
            scope.add("if first == last:")
            scope = Scope(scope.indent + 1, scope.lines)
        scope.add(f"for element in range({size}):")
        nothing = written(dialect.start(operation, node.dtype), node.dtype)
        scope.add(f"    s{node.number}[element] = {nothing}")

    def start_of_number(self, node: Node) -> str:
        if node.dtype == BOOL:
            return dialect.start(node.operation, BOOL)
        return dialect.start(node.operation, wide(node.dtype))

    def whole_product(self, node: Node, scope: Scope) -> None:
        a, b = node.inputs
        self.gemm(node, scope, self.address(base(a)), self.address(base(b)), self.plan.place[node].name, "0")

    def address(self, node: Node, row: str = "0") -> str:
        """The pointer to a row of a value that a product reads or writes."""
        memory = self.plan.where(node, self.number)
        assert memory is not None, f"{node} is not in memory"
        if memory.kind == "block" or row == "0":
            return memory.name
        lengths = [self.plan.axes[axis] for axis in node.axes[1:]]
        return f"offset({memory.name}, {' * '.join([row, *lengths])})"

    def product(self, node: Node, scope: Scope) -> None:
        a, b = (base(source) for source in node.inputs)
        if kind(node) == "sum":
            if is_kept_wide(node):
                totals.before_block(node, self.size_of(node), scope)
            beta = f"0.0 if {totals.is_first_block(node)} else 1.0"
            self.gemm(node, scope, self.address(a, "row0"), self.address(b, "row0"), f"s{node.number}", beta)
        else:
            self.gemm(node, scope, self.address(a, "row0"), self.address(b), self.address(node, "row0"), "0")

    def gemm(self, node: Node, scope: Scope, a: str, b: str, c: str, beta: str) -> None:
        turned = node.attribute_as(MatMul)
        left, right = node.inputs
        a_rows, a_columns = self.length(left.shape[0]), self.length(left.shape[1])
        b_rows, b_columns = self.length(right.shape[0]), self.length(right.shape[1])
        if self.body is not None:
            if kind(node) == "sum":
                a_rows = b_rows = "rows"
            else:
                a_rows = "rows"
        rows, inner = (a_columns, a_rows) if turned.transpose_a else (a_rows, a_columns)
        columns = b_rows if turned.transpose_b else b_columns
        routine = "sgemm" if node.dtype == FLOAT32 else "dgemm"
        scope.add(
            f"gemm({routine}, {int(turned.transpose_a)}, {int(turned.transpose_b)}, "
            f"{rows}, {columns}, {inner}, {a}, {a_columns}, {b}, {b_columns}, "
            f"{node.dtype}({beta}), {c}, {columns})"
        )


def _stored(memory: Memory) -> DType:
    """The dtype of its elements in memory, where a bool is a byte."""
    return UINT8 if memory.dtype == BOOL else memory.dtype
