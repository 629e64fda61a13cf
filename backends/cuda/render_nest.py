"""The text of loop nests in the GPU's dialect: a method for each kind of statement.

Takes a nest of a plan and a launch shape; gives the lines of one kernel, between its braces. Threads share a
row: a thread has ITEMS vectors of VECTOR columns of it. So a loop over the longest axis of a row becomes

    for item:                                        the thread's vectors
        load<VECTOR>(v0_here, x0_row + column0);     all loads of a vector at once
        for v: const float v2 = ...                  computes, an element after the other
        store<VECTOR>(r0_row + column0, v5_out);     all stores of a vector at once

and what a pass keeps for the next one stays in registers, `v3_kept[item][v]`. A loop over a shorter axis goes
from element to element. A nest without columns is one loop over numbers, of which a thread has a vector: it
is "flat".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..codegen.plan import Plan
from ..codegen.text import Lines
from ..ir import nest as ir
from ..ir.nest import BlockLoop, Buffer, BufferKind, Index, Item, LoopNest, Value
from . import dialect
from .kernel import Uses
from .launch_shapes import LaunchShape
from .render_statements import RENDER, Around, StatementRenderer
from .render_sums import SumRenderer


class NestRenderer(StatementRenderer):
    """Renders one nest as the inside of one kernel."""

    def __init__(self, plan: Plan, loop: BlockLoop, nest: LoopNest, shape: LaunchShape, uses: Uses) -> None:
        super().__init__(plan, uses)
        self.loop, self.nest, self.shape = loop, nest, shape
        self.main = nest.main
        self.sums = SumRenderer(plan, nest, shape, self.main, self.names)
        self.kept = {item.kept for item in nest.items() if isinstance(item, ir.Keep)}
        self.stored = {item.buffer for item in nest.items() if isinstance(item, ir.Store)}
        self.row = Lines(2)
        self.starts: list[str] = []  # what stands right before the next loop over columns
        self.declared: set[str] = set()  # in the row's lines
        self.kept_text: dict[Value, str] = {}  # how later loops read what is kept

    def kernel_lines(self) -> list[str]:
        """All lines between the kernel's braces."""
        prologue = self.plan.stages[self.loop.stage].prologue
        used = [value for item in self.nest.items() for value in ir.used(item)]
        top = Lines(1)
        self.items(ir.needed(prologue, used), Around(top))
        return self.flat(top) if self.shape.flat else self.rows(top)

    def items(self, items: Iterable[Item], around: Around) -> None:
        """Statements and loops, one after the other; stores of one thread for its row stand together."""
        single: list[ir.Store] = []
        for item in items:
            if isinstance(item, ir.Store) and not around.columns and not around.vector:
                single.append(item)
                continue
            self.store_singles(single, around)
            single = []
            _RENDER[type(item)](self, item, around)
        self.store_singles(single, around)

    # Kernels

    def rows(self, top: Lines) -> list[str]:
        """Threads of a group, a block or a cluster share a row."""
        use, shape = self.uses, self.shape
        self.items(self.nest.body, Around(self.row))
        self.sums.fold(self.row)
        start, end = Lines(1), Lines(1)
        self.sums.start(start)
        self.sums.end(end)
        clustered = shape.cluster > 1
        block = f"(blockIdx.x / {use('CLUSTER')})" if clustered else "blockIdx.x"
        grid = "(gridDim.x / CLUSTER)" if clustered else "gridDim.x"
        loop = self.loop_over_groups(block, grid) if shape.rows > 1 else self.loop_over_rows(grid)
        head = Lines(1)
        if use.has("part"):
            thread = f" * {use('ROWS')} + threadIdx.x / {use('GROUP')}" if shape.rows > 1 else ""
            head.add(f"const long long part = (long long){block}{thread};")
        return [
            *self.skeleton(clustered),
            *head.lines,
            *start.lines,
            *top.lines,
            *loop,
            *self.row.lines,
            "    }",
            *end.lines,
        ]

    def skeleton(self, clustered: bool) -> list[str]:
        """The constants of a kernel's shape, and the group of threads that share a row."""
        use, shape, lines = self.uses, self.shape, Lines(1)
        group = [f"[[maybe_unused]] Group<{use('GROUP')}, {use('CLUSTER')}> group;"]
        if use.has("lane"):
            own = "cluster_rank() * GROUP + threadIdx.x" if clustered else "threadIdx.x % GROUP"
            group.append(f"const int lane = {own};")
        sizes = {"GROUP": shape.group, "ITEMS": shape.items, "VECTOR": shape.vector}
        for name, number in {**sizes, "CLUSTER": shape.cluster, "ROWS": shape.rows}.items():
            if use.has(name):
                lines.add(f"constexpr int {name} = {number};")
        if use.has("LANES"):
            lines.add("constexpr int LANES = GROUP * CLUSTER;  // threads that share a row")
        lines.add(*group)
        return lines.lines

    def loop_over_rows(self, grid: str) -> list[str]:
        lines = [f"    for (long long i = {self.uses('part')}; i < {self.uses('rows')}; i += {grid}) {{"]
        return [*lines, *self.row_of_array()]

    def loop_over_groups(self, block: str, grid: str) -> list[str]:
        """All threads of a block make the same iterations."""
        use, row = self.uses, self.row_of_array()
        lines = Lines(1)
        lines.add(f"for (long long i0 = (long long){block} * {use('ROWS')}; i0 < {use('rows')};")
        lines.add(f"     i0 += (long long){grid} * ROWS) {{")
        lines.add("    // A group without a row of its own repeats the last one and stores nothing.")
        if use.has("i"):
            use("active")
        if use.has("active"):
            lines.add(f"    const bool active = i0 + threadIdx.x / {use('GROUP')} < rows;")
        if use.has("i"):
            lines.add("    const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;")
        return [*lines.lines, *row]

    def row_of_array(self) -> list[str]:
        if not self.uses.has("row"):
            return []
        return [f"        const long long row = {self.uses('row0')} + {self.uses('i')};"]

    def flat(self, top: Lines) -> list[str]:
        """A thread has a vector of the numbers at a time."""
        use = self.uses
        around = Around(Lines(3), vector=True)
        self.items(self.nest.body, around)
        start, end = Lines(1), Lines(1)
        self.sums.start(start)
        self.sums.end(end)
        head = Lines(1)
        head.add(
            f"constexpr int VECTOR = {self.shape.vector};", f"constexpr int GROUP = {self.shape.threads};"
        )
        loop = Lines(1)
        loop.add(f"for (long long i0 = ({use('part')} * GROUP + threadIdx.x) * VECTOR; i0 < {use('rows')};")
        loop.add(f"     i0 += {use('parts')} * GROUP * VECTOR) {{")
        loop.take(self.row.lines)
        inside = loop.deeper()
        inside.add(*around.loads, "#pragma unroll", "for (int v = 0; v < VECTOR; ++v) {")
        if use.has("row"):
            use("i")
        if use.has("i"):
            inside.add("    const long long i = i0 + v;")
        if use.has("row"):
            inside.add(f"    const long long row = {use('row0')} + i;")
        inside.take(around.lines.lines)
        inside.add("}", *around.stores)
        loop.add("}")
        return [*head.lines, *start.lines, *top.lines, *loop.lines, *end.lines]

    # Loops over columns

    def column_loop(self, loop: ir.Loop, around: Around) -> None:
        """A loop over an axis within a row, and what its reductions are combined to by the threads."""
        is_main = loop.axis is self.main
        inside = Around(Lines(5 if is_main else 3), vector=is_main, columns=True)
        kept = [
            f"{dialect.TYPES[v.node.dtype]} {self.kept_name(v)}[ITEMS][VECTOR];"
            for v in self.computed_and_kept(loop)
        ]
        self.items(loop.body, inside)
        self.row.add(*self.starts, *kept)
        self.starts = []
        if is_main:
            self.main_loop(inside)
        else:
            # The thread that writes a column is the one that reads it.
            n = self.names.length(loop.axis)
            first, step = self.uses("lane"), self.uses("LANES")
            self.row.add(f"for (long long column = {first}; column < {n}; column += {step}) {{")
            self.row.take(inside.lines.lines)
            self.row.add(*(f"    {text}" for text in inside.stores), "}")
        self.names.of.update(self.kept_text)
        for item in loop.body:
            if isinstance(item, ir.Reduce):
                name, join = self.names.of[item.value], dialect.functor(item.value.node.operation)
                self.row.add(f"{name} = group.combine({name}, {join}());")

    def computed_and_kept(self, loop: ir.Loop) -> list[Value]:
        """What is kept of a loop and not loaded."""
        loaded = {item.value for item in loop.body if isinstance(item, ir.Load) and self.is_vector(item)}
        return [item.kept for item in loop.body if isinstance(item, ir.Keep) and item.kept not in loaded]

    def main_loop(self, inside: Around) -> None:
        row, n, use = self.row, self.names.length(self.main), self.uses
        lanes, lane, vector = use("LANES"), use("lane"), use("VECTOR")
        if self.shape.items:
            over = [
                "#pragma unroll",
                f"for (int item = 0; item < {use('ITEMS')}; ++item) {{",
                f"    const int column0 = (item * {lanes} + {lane}) * {vector};",
                f"    if (column0 < {n}) {{",
            ]
        else:
            over = [
                f"for (long long column0 = (long long){lane} * {vector}; column0 < {n};",
                f"     column0 += {lanes} * {vector}) {{",
                "    {",
            ]
        if inside.first:
            # All of a thread's part of the row is asked for before any of it is waited for.
            row.add(*over, *(f"        {text}" for text in inside.first), "    }", "}")
        row.add(*over)
        deep = row.deeper(2)
        deep.add(*inside.loads)
        if inside.lines.lines:
            deep.add("#pragma unroll", "for (int v = 0; v < VECTOR; ++v) {")
            if inside.column:
                index = "int" if self.shape.items else "long long"
                deep.add(f"    const {index} column = column0 + v;")
            deep.take(inside.lines.lines)
            deep.add("}")
        if inside.stores and self.shape.rows > 1:
            deep.add(f"if ({use('active')}) {{", *(f"    {text}" for text in inside.stores), "}")
        else:
            deep.add(*inside.stores)
        row.add("    }", "}")

    # Statements

    def load(self, load: ir.Load, around: Around) -> None:
        if not (around.vector and self.is_vector(load)):
            super().load(load, around)
            return
        held = load.buffer.held
        is_kept = load.value in self.kept
        name = self.kept_name(load.value) if is_kept else f"v{load.value.node.number}_here"
        place = f"{name}[item]" if is_kept else name
        declaration = f"{dialect.stored_type(held)} {name}"
        self.uses("VECTOR")
        if is_kept:
            self.kept_text[load.value] = dialect.read(f"{place}[v]", held)
            self.row.add(f"{declaration}[{self.uses('ITEMS')}][VECTOR];")
        else:
            around.loads.append(f"{declaration}[VECTOR];")
        loads = around.first if is_kept else around.loads
        loads.append(f"load<VECTOR>({place}, {self.row_pointer(load.buffer)} + {self.vector_start});")
        self.define(load.value, dialect.read(f"{place}[v]", held), around)

    def label_test(self, test: ir.LabelTest, around: Around) -> None:
        """Whether the element of the thread's vector is the label's column.

        A comparison of every column's number in 64 bits would take four instructions more.
        """
        label = self.names.operand(test.label)
        column = f"{label}_column" if isinstance(test.label, Value) else f"v{test.value.node.number}_column"
        if column not in self.declared:
            self.declared.add(column)
            self.row.add(f"const int {column} = as_column({label});")
        place = column.replace("_column", "_place")
        here = f"const int {place} = {column} - {self.vector_start};"
        if here not in around.loads:
            around.loads.append(here)
        self.define(test.value, f"v == {place}", around)

    def start(self, start: ir.Start, around: Around) -> None:
        node = start.value.node
        name = self.names.of[start.value] = self.names.new(node)
        self.starts.append(
            f"{dialect.TYPES[node.dtype]} {name} = {dialect.start(node.operation, node.dtype)};"
        )

    def reduce(self, reduce: ir.Reduce, around: Around) -> None:
        node, name = reduce.value.node, self.names.of[reduce.value]
        joined = dialect.join(node.operation, node.dtype, name, self.names.operand(reduce.operand))
        around.lines.add(f"{name} = {joined};")

    def accumulate(self, accumulate: ir.Accumulate, around: Around) -> None:
        value = self.names.operand(accumulate.operand)
        is_in_memory = accumulate.index and accumulate.node not in self.sums.registers
        index = self.index(accumulate.index[0], around) if is_in_memory else ""
        condition = "" if self.shape.flat else self.active() if around.columns else self.one_thread()
        self.sums.add(accumulate.node, value, index, condition, around.lines)

    def keep(self, keep: ir.Keep, around: Around) -> None:
        if keep.kept not in self.kept_text:
            text = self.kept_text[keep.kept] = f"{self.kept_name(keep.kept)}[item][v]"
            around.lines.add(f"{text} = {self.names.of[keep.kept]};")

    def store(self, store: ir.Store, around: Around) -> None:
        value = dialect.written(self.names.operand(store.operand), store.buffer.held)
        is_vector = around.vector and self.is_contiguous(store.buffer, store.index)
        if not is_vector:
            place = f"{self.element(store.buffer, store.index, around)} = {value};"
            condition = f"if ({self.active()}) " if self.active() else ""
            if around.vector:
                around.lines.add(f"{condition}{place}")
            else:
                around.stores.append(f"{condition}{place}")
            return
        held, name = store.buffer.held, f"v{store.node.number}_out"
        declared = dialect.stored_type(held)
        if held.is_half:  # which are rounded two at a time where they are stored
            declared, value = dialect.TYPES[store.node.dtype], self.names.operand(store.operand)
        around.loads.append(f"{declared} {name}[{self.uses('VECTOR')}];")
        around.lines.add(f"{name}[v] = {value};")
        pointer = f"{self.row_pointer(store.buffer)} + {self.vector_start}"
        around.stores.append(f"{dialect.store_of(held)}<VECTOR>({pointer}, {name});")

    def store_singles(self, stores: list[ir.Store], around: Around) -> None:
        """One thread stores what the row has one of."""
        if not stores:
            return
        around.lines.add(f"if ({self.one_thread()}) {{")
        for store in stores:
            value = dialect.written(self.names.operand(store.operand), store.buffer.held)
            around.lines.add(f"    {self.element(store.buffer, store.index, around)} = {value};")
        around.lines.add("}")

    def meet(self, _: ir.Meet, around: Around) -> None:
        around.lines.add("group.meet();  // all have read what one overwrites")

    def fold_totals(self, _: ir.FoldTotals, around: Around) -> None:
        """The registers of all sums are folded together."""

    # Names and places

    def active(self) -> str:
        """The condition for a group that has a row of its own; empty where every group has one."""
        return self.uses("active") if self.shape.rows > 1 and not self.shape.flat else ""

    def one_thread(self) -> str:
        active = self.active()
        return f"{active} && {self.uses('lane')} == 0" if active else f"{self.uses('lane')} == 0"

    def kept_name(self, value: Value) -> str:
        return f"v{value.node.number}_kept"

    @property
    def vector_start(self) -> str:
        """The column of a vector's first element, or the number of a flat kernel's."""
        return self.uses("i0") if self.shape.flat else self.uses("column0")

    def index(self, index: Index, around: Around) -> str:
        if isinstance(index, ir.LoopIndex):
            if index.axis is self.nest.axis:
                return self.uses("row")
            around.column = True
            return "column"
        if isinstance(index, ir.BlockRow):
            return self.uses("i")
        return "0" if isinstance(index, ir.Zero) else self.names.operand(index)

    def is_vector(self, load: ir.Load) -> bool:
        return load.checked is None and self.is_contiguous(load.buffer, load.index)

    def is_contiguous(self, buffer: Buffer, index: tuple[Index, ...]) -> bool:
        """Whether a thread's vector lies together in the buffer."""
        rows, is_block = self.nest.axis, buffer.kind is BufferKind.BLOCK
        own = tuple(
            ir.BlockRow() if axis is rows and is_block else ir.LoopIndex(axis) for axis in buffer.axes
        )
        return index == own and buffer.axes in ((self.main,), (rows, self.main))

    def row_pointer(self, buffer: Buffer) -> str:
        """The pointer to the row's part of a buffer whose columns lie together."""
        own = self.uses(buffer.name)
        if len(buffer.axes) == 1:
            return (
                f"({own} + {self.uses('row0')})"
                if self.shape.flat and buffer.kind is not BufferKind.BLOCK
                else own
            )
        name = f"{own}_row"
        if name not in self.declared:
            self.declared.add(name)
            row = self.uses("i" if buffer.kind is BufferKind.BLOCK else "row")
            element = f"{'' if buffer in self.stored else 'const '}{dialect.stored_type(buffer.held)}"
            self.row.add(f"{element}* const {name} = {own} + {row} * {self.names.length(self.main)};")
        return name


_RENDER: Mapping[type, Callable[[NestRenderer, Any, Around], None]] = {
    **RENDER,
    ir.Loop: NestRenderer.column_loop,
    ir.Load: NestRenderer.load,
    ir.LabelTest: NestRenderer.label_test,
    ir.Start: NestRenderer.start,
    ir.Reduce: NestRenderer.reduce,
    ir.Accumulate: NestRenderer.accumulate,
    ir.Keep: NestRenderer.keep,
    ir.Store: NestRenderer.store,
    ir.Meet: NestRenderer.meet,
    ir.FoldTotals: NestRenderer.fold_totals,
}
