"""The text of sums over rows: every block, or group of threads, leaves a part, which another kernel adds up.

Takes the sums of a nest; gives the lines at the start of its kernel, after each row, and at its end. A group
joins rows in registers, or in its part in memory where the columns are not those of its registers.
"""

from __future__ import annotations

from ..codegen.plan import Plan
from ..codegen.text import Lines
from ..ir.dtypes import BOOL, FLOAT32, DType
from ..ir.graph import Axis, Node
from ..ir.nest import LoopNest
from ..ir.operations import Op
from . import dialect
from .kernel import UsedNames
from .launch_shapes import WARP, LaunchShape

# A group joins so many rows in registers before it joins them to its part.
ROWS_OF_PART = 64


class SumRenderer:
    """Renders the sums of one nest."""

    def __init__(self, plan: Plan, nest: LoopNest, shape: LaunchShape, main: Axis, names: UsedNames) -> None:
        self.plan, self.nest, self.shape, self.main = plan, nest, shape, main
        self.names, self.uses = names, names.uses
        self.registers = [node for node in nest.sums if self.is_in_registers(node)]

    def is_in_registers(self, node: Node) -> bool:
        return node.axes == (self.main,) and self.shape.items > 0 and not self.shape.flat

    def total(self, node: Node) -> DType:
        """The dtype in which a sum is added up."""
        return node.dtype if node.axes else dialect.wide(node.dtype)

    def start(self, top: Lines) -> None:
        """Declare what the sums are added up in."""
        if self.registers:
            top.add("[[maybe_unused]] int iterations = 0;")
            top.add(f"bool is_new = {self.uses('first')};  // the group's part")
        for node in self.nest.sums:
            start = dialect.start(node.operation, self.total(node))
            c = dialect.TYPES[self.total(node)]
            if not node.axes:
                top.add(f"{c} s{node.number} = {start};")
            elif node in self.registers:
                top.add(f"{c} s{node.number}[{self.uses('ITEMS')}][{self.uses('VECTOR')}];")
                top.add("#pragma unroll", "for (int item = 0; item < ITEMS; ++item)")
                top.add(
                    "#pragma unroll",
                    f"    for (int v = 0; v < VECTOR; ++v) s{node.number}[item][v] = {start};",
                )
            else:
                self.start_in_memory(node, start, top)

    def start_in_memory(self, node: Node, start: str, top: Lines) -> None:
        (axis,) = node.axes
        parts, n = self.uses(self.plan.partial[node].name), self.names.length(axis)
        top.add(f"if ({self.uses('first')})")
        top.add(
            f"    for (long long column = {self.uses('lane')}; column < {n}; column += {self.uses('LANES')})"
        )
        top.add(
            f"        {parts}[{self.uses('part')} * {n} + column] = {dialect.written(start, node.dtype)};"
        )
        # Another thread may go on with the column.
        top.add("group.meet();")

    def add(self, node: Node, value: str, index: str, condition: str, lines: Lines) -> None:
        """Add a value.

        index: of the column
        """
        if not node.axes:
            total = self.total(node)
            value = value if total == BOOL else f"({dialect.TYPES[total]})({value})"
            step = f"s{node.number} = {dialect.join(node.operation, total, f's{node.number}', value)};"
        elif node in self.registers:
            place = f"s{node.number}[item][v]"
            step = f"{place} = {dialect.join(node.operation, node.dtype, place, value)};"
        else:
            (axis,) = node.axes
            parts = self.uses(self.plan.partial[node].name)
            place = f"{parts}[{self.uses('part')} * {self.names.length(axis)} + {index}]"
            text = dialect.join(node.operation, node.dtype, dialect.read(place, node.dtype), value)
            step = f"{place} = {dialect.written(text, node.dtype)};"
        lines.add(f"if ({condition}) {step}" if condition else step)

    def fold(self, row: Lines) -> None:
        """After every so many rows, join what the registers have to the group's part, and begin anew.

        A float32 that has taken up thousands of rows takes in little of each further one.
        """
        if any(node.operation is Op.SUM and node.dtype == FLOAT32 for node in self.registers):
            row.add(f"if (++iterations == {ROWS_OF_PART}) {{")
            inside = row.deeper()
            self.leave_registers(inside, again=True)
            inside.add("iterations = 0;", "is_new = false;")
            row.add("}")

    def leave_registers(self, end: Lines, *, again: bool = False) -> None:
        """Join the registers to the group's part; `again`, and start them anew."""
        for node in self.registers:
            parts, n = self.uses(self.plan.partial[node].name), self.names.length(self.main)
            own, place = f"s{node.number}[item][v]", f"{parts}[{self.uses('part')} * {n} + column0 + v]"
            joined = dialect.join(node.operation, node.dtype, dialect.read(place, node.dtype), own)
            left = f"{place} = {dialect.written(f'is_new ? {own} : {joined}', node.dtype)};"
            end.add("#pragma unroll", f"for (int item = 0; item < {self.uses('ITEMS')}; ++item) {{")
            place = f"(item * {self.uses('LANES')} + {self.uses('lane')}) * {self.uses('VECTOR')}"
            end.add(f"    const int column0 = {place};")
            end.add(f"    if (column0 < {n})")
            end.add("#pragma unroll", "        for (int v = 0; v < VECTOR; ++v)" + (" {" if again else ""))
            end.add(f"            {left}")
            if again:
                end.add(f"            {own} = {dialect.start(node.operation, node.dtype)};", "        }")
            end.add("}")

    def end(self, end: Lines) -> None:
        """Leave this block's numbers, and this group's rows, for the kernel that adds them up."""
        numbers = [node for node in self.nest.sums if not node.axes]
        self.leave_registers(end)
        if not numbers:
            return
        if self.shape.group > WARP:
            end.add("__syncthreads();  // the shared memory is free again")
        end.add(f"Group<{self.shape.threads}, 1> block;")
        for node in numbers:
            end.add(f"s{node.number} = block.combine(s{node.number}, {dialect.functor(node.operation)}());")
        end.add("if (threadIdx.x == 0) {")
        for node in numbers:
            part = self.uses("part") if self.shape.flat else "blockIdx.x"
            place, total = f"{self.uses(f'q{node.number}')}[{part}]", self.total(node)
            joined = dialect.join(node.operation, total, dialect.read(place, total), f"s{node.number}")
            value = dialect.written(f"{self.uses('first')} ? s{node.number} : {joined}", total)
            end.add(f"    {place} = {value};")
        end.add("}")
