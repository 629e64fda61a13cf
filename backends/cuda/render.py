"""The printer of the GPU's dialect: a plan becomes CUDA kernels.

Every loop over rows is one; they stand in the modules below this one. Here is what adds up the parts that
they leave of their sums, and what makes single numbers.
"""

from __future__ import annotations

from ..codegen.scopes import Scope
from ..codegen.stages import kind
from ..ir.dtypes import BOOL
from ..ir.graph import Node, base
from ..ir.operations import Op
from . import dialect
from .render_loops import LoopPrinter
from .render_values import CudaKernel, without_unused

FINISH_THREADS = 256
# Of a sum with columns, so many columns are added up by a block, each by several threads.
FINISH_COLUMNS = 32


class CudaPrinter(LoopPrinter):
    """Prints all kernels of one plan."""

    def begin(self) -> CudaKernel | None:
        """Puts the call's scalars among the numbers: they change, and a recorded graph does not."""
        if not self.plan.scalars:
            return None
        declared, lines = ["double* numbers"], []
        for slot, (leaf, dtype) in enumerate(self.plan.scalar_dtypes.items()):
            declared.append(f"const {'double' if dtype.is_float else 'long long'} a{leaf}")
            lines.append(f"    {dialect.kept_number(dtype, str(slot))} = a{leaf};")
        head = "// The scalars of the call.\n" + 'extern "C" __global__ void __launch_bounds__(1) begin('
        text = f"{head}{', '.join(declared)}) {{\n" + "\n".join(lines) + "\n}\n"
        return CudaKernel("begin", text, ("numbers", *(f"a{leaf}" for leaf in self.plan.scalars)))

    def finish(self, section: int, *, outputs: bool) -> CudaKernel:
        """Adds up what the blocks and groups of a section have left, always in the same order."""
        self.body, self.loop, self.used = None, None, {}
        sums = self.sums_of(section)
        numbers = [node for node in sums if not node.axes]
        top = Scope(1, [])
        if len(numbers) < len(sums):
            top.add("long long block = blockIdx.x;")
        for node in sums:
            if node.axes:
                self.finish_columns(node, top)
        if numbers or outputs:
            top.add(f"Group<{FINISH_THREADS}, 1> group;")
        for node in numbers:
            self.finish_number(node, top)
        if outputs:
            top.add("if (threadIdx.x == 0) {  // who has put the numbers where they are read")
            self.print_outputs(Scope(2, top.lines))
            top.add("}")
        return self.finished(
            f"finish{section}",
            without_unused(top.lines),
            str(FINISH_THREADS),
            f"// The sums of section {section}.",
        )

    def outputs(self) -> CudaKernel:
        """The results that are single numbers."""
        self.body, self.loop, self.used = None, None, {}
        top = Scope(1, [])
        self.print_outputs(top)
        return self.finished("outputs", without_unused(top.lines), "1", "// Results that are single numbers.")

    def sums_of(self, section: int) -> list[Node]:
        """The sums over rows of a section, but for products, which are complete when they are done."""
        return [
            node
            for body in self.plan.bodies
            if body.phase.section == section
            for node in body.phase.sums
            if node.operation is not Op.MATMUL
        ]

    def print_outputs(self, scope: Scope) -> None:
        for position, node in enumerate(self.plan.number_outputs):
            value = dialect.written(self.value(node, scope), self.plan.held_number(node))
            scope.add(f"*o{position} = {value};")

    def finish_columns(self, node: Node, top: Scope) -> None:
        """A block adds up the parts of 32 columns, eight threads a column."""
        n, parts = self.length(node.axes[0]), self.plan.partial[node].name
        whole, pieces = self.plan.place[node].name, f"pieces{node.number}"
        total = dialect.wide(node.dtype)
        c = dialect.TYPES[total]
        threads, columns = FINISH_THREADS, FINISH_COLUMNS
        own = dialect.read(f"{parts}[piece * {n} + column]", node.dtype)
        own = own if total == BOOL else f"({c})({own})"
        rounded = "total" if total == node.dtype else f"({dialect.TYPES[node.dtype]})(total)"
        result = dialect.written(rounded, self.plan.place[node].held)
        top.add(f"if (block < ({n} + {columns - 1}) / {columns}) {{")
        inside = Scope(top.indent + 1, top.lines)
        inside.add(f"{c}* const totals = reinterpret_cast<{c}*>(shared_bytes);")
        inside.add(f"const long long column = block * {columns} + threadIdx.x % {columns};")
        inside.add(f"{c} total = {dialect.start(node.operation, total)};")
        inside.add(f"if (column < {n})")
        inside.add(
            f"    for (long long piece = threadIdx.x / {columns}; piece < {pieces}; "
            f"piece += {threads // columns})"
        )
        inside.add(f"        total = {dialect.join(node.operation, total, 'total', own)};")
        inside.add("totals[threadIdx.x] = total;")
        inside.add("__syncthreads();")
        inside.add(f"if (threadIdx.x < {columns} && column < {n}) {{")
        inside.add(f"    for (int other = threadIdx.x + {columns}; other < {threads}; other += {columns})")
        inside.add(f"        total = {dialect.join(node.operation, total, 'total', 'totals[other]')};")
        inside.add(f"    {whole}[column] = {result};")
        inside.add("}")
        inside.add("return;")
        top.add("}")
        top.add(f"block -= ({n} + {columns - 1}) / {columns};")

    def finish_number(self, node: Node, top: Scope) -> None:
        total = dialect.wide(node.dtype)
        name, pieces = f"s{node.number}", f"pieces{node.number}"
        top.add(f"{dialect.TYPES[total]} {name} = {dialect.start(node.operation, total)};")
        top.add(f"for (long long piece = threadIdx.x; piece < {pieces}; piece += {FINISH_THREADS})")
        own = dialect.read(f"q{node.number}[piece]", total)
        top.add(f"    {name} = {dialect.join(node.operation, total, name, own)};")
        top.add(f"{name} = group.combine({name}, {dialect.functor(node.operation)}());")
        slot = str(self.sum_slot[node])
        rounded = name if total == node.dtype else f"({dialect.TYPES[node.dtype]})({name})"
        top.add(
            f"if (threadIdx.x == 0) {dialect.kept_number(node.dtype, slot)} = "
            f"{dialect.number_to(node.dtype, rounded)};"
        )

    def can_finish_with(self, section: int) -> bool:
        """Whether the kernel that completes a section's sums knows all that the single numbers need."""
        schedule = self.plan.schedule
        # Other blocks complete the sums that have columns, and a loop may leave rows later than it could.
        late = {
            node
            for phase in schedule.phases
            for node in [*phase.sums, *phase.kept]
            if phase.section > section or (phase.section == section and kind(node) == "sum" and node.axes)
        }
        stack = list(self.plan.number_outputs)
        if any(kind(node) not in ("number", "sum") for node in stack):
            return False
        while stack:
            node = base(stack.pop())
            if node in late or schedule.when[node] > section + 1:
                return False
            if kind(node) == "number":
                stack += node.inputs
        return True
