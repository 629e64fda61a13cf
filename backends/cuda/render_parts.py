"""The part of the GPU's printer for sums over the rows: every block, or group of threads, leaves a part."""

from __future__ import annotations

from ..codegen.scopes import Scope
from ..ir.dtypes import BOOL, FLOAT32, DType
from ..ir.graph import Node
from ..ir.operations import Op
from . import dialect
from .launch_shapes import WARP
from .render_values import CudaValuePrinter

# A group joins the rows of so many turns in registers before it joins them to its part.
ROWS_OF_PART = 64


class PartPrinter(CudaValuePrinter):
    """Prints how a loop adds up over its rows; another kernel adds up the parts."""

    def start_sums(self) -> None:
        assert self.loop is not None
        top = self.top
        if self._in_registers():
            top.add("[[maybe_unused]] int turns = 0;")
            top.add("bool is_new = first;  // the group's part")
        for node in self.loop.sums:
            start = dialect.start(node.operation, self._total(node))
            if not node.axes:
                top.add(f"{dialect.TYPES[self._total(node)]} s{node.number} = {start};")
            elif self._is_in_registers(node):
                top.add(f"{dialect.TYPES[node.dtype]} s{node.number}[ITEMS][VECTOR];")
                top.lines.append("#pragma unroll")
                top.add("for (int item = 0; item < ITEMS; ++item)")
                top.lines.append("#pragma unroll")
                top.add(f"    for (int v = 0; v < VECTOR; ++v) s{node.number}[item][v] = {start};")
            else:
                (axis,) = node.axes
                parts, n = self.plan.partial[node].name, self.length(axis)
                top.add("if (first)")
                top.add(f"    for (long long column = lane; column < {n}; column += LANES)")
                nothing = dialect.written(start, node.dtype)
                top.add(f"        {parts}[part * {n} + column] = {nothing};")
                # Another thread may go on with the column.
                top.add("group.meet();")

    def _total(self, node: Node) -> DType:
        """The dtype in which a sum is added up."""
        return node.dtype if node.axes else dialect.wide(node.dtype)

    def _is_in_registers(self, node: Node) -> bool:
        return node.axes == (self.main,) and self.geometry.items > 0 and not self.geometry.flat

    def add_to_sum(self, node: Node, scope: Scope, condition: str) -> None:
        value = self.value(node.inputs[0], scope)
        if not node.axes:
            total = self._total(node)
            value = value if total == BOOL else f"({dialect.TYPES[total]})({value})"
            step = f"s{node.number} = {dialect.join(node.operation, total, f's{node.number}', value)};"
        elif self._is_in_registers(node):
            place = f"s{node.number}[item][v]"
            step = f"{place} = {dialect.join(node.operation, node.dtype, place, value)};"
        else:
            (axis,) = node.axes
            place = f"{self.plan.partial[node].name}[part * {self.length(axis)} + {self.index(axis, scope)}]"
            text = dialect.join(node.operation, node.dtype, dialect.read(place, node.dtype), value)
            step = f"{place} = {dialect.written(text, node.dtype)};"
        scope.add(f"if ({condition}) {step}" if condition else step)

    def move_sums(self, row: Scope) -> None:
        """After every so many rows, join what the registers have to the group's part, and begin anew.

        A float32 that has taken up thousands of rows takes in little of each further one.
        """
        if any(node.operation is Op.SUM and node.dtype == FLOAT32 for node in self._in_registers()):
            row.add(f"if (++turns == {ROWS_OF_PART}) {{")
            inside = Scope(row.indent + 1, row.lines)
            self._leave_registers(inside, again=True)
            inside.add("turns = 0;")
            inside.add("is_new = false;")
            row.add("}")

    def _in_registers(self) -> list[Node]:
        assert self.loop is not None
        return [node for node in self.loop.sums if self._is_in_registers(node)]

    def _leave_registers(self, end: Scope, *, again: bool = False) -> None:
        for node in self._in_registers():
            parts, n = self.plan.partial[node].name, self.length(self.main)
            own, place = f"s{node.number}[item][v]", f"{parts}[part * {n} + column0 + v]"
            joined = dialect.join(node.operation, node.dtype, dialect.read(place, node.dtype), own)
            left = f"{place} = {dialect.written(f'is_new ? {own} : {joined}', node.dtype)};"
            end.lines.append("#pragma unroll")
            end.add("for (int item = 0; item < ITEMS; ++item) {")
            end.add("    const int column0 = (item * LANES + lane) * VECTOR;")
            end.add(f"    if (column0 < {n})")
            end.lines.append("#pragma unroll")
            start = dialect.start(node.operation, node.dtype)
            end.add("        for (int v = 0; v < VECTOR; ++v)" + (" {" if again else ""))
            end.add(f"            {left}")
            if again:
                end.add(f"            {own} = {start};")
                end.add("        }")
            end.add("}")

    def end_sums(self, end: Scope) -> None:
        """Leave this block's numbers, and this group's rows, for the kernel that adds them up."""
        assert self.loop is not None
        numbers = [node for node in self.loop.sums if not node.axes]
        self._leave_registers(end)
        if numbers:
            if self.geometry.group > WARP:
                end.add("__syncthreads();  // the shared memory is free again")
            end.add(f"Group<{self.geometry.threads}, 1> block;")
        for node in numbers:
            end.add(f"s{node.number} = block.combine(s{node.number}, {dialect.functor(node.operation)}());")
        if numbers:
            end.add("if (threadIdx.x == 0) {")
            for node in numbers:
                place = f"q{node.number}[{'part' if self.geometry.flat else 'blockIdx.x'}]"
                total = self._total(node)
                joined = dialect.join(node.operation, total, dialect.read(place, total), f"s{node.number}")
                value = dialect.written(f"first ? s{node.number} : {joined}", total)
                end.add(f"    {place} = {value};")
            end.add("}")
