"""The part of the GPU's printer that goes over rows, and over numbers where there are no rows."""

from __future__ import annotations

from ..codegen.fusion import RowLoop, column_axis
from ..codegen.scopes import Scope
from ..codegen.stages import kind
from ..codegen.values import reduces
from ..ir.graph import Axis, Node, base
from . import dialect
from .launch_shapes import Geometry
from .render_columns import ColumnPrinter
from .render_values import CudaKernel, columns_of, without_unused


class LoopPrinter(ColumnPrinter):
    """Prints row loops, each as a kernel."""

    def kernel(self, number: int, step: int, geometry: Geometry) -> CudaKernel:
        """The kernel of one row loop."""
        lines = self.loop_lines(number, step, geometry)
        assert self.body is not None
        assert self.loop is not None
        axes = [self.plan.axes[axis.find()] for axis in columns_of(self.loop, self.body)]
        n = self.plan.axes[self.body.phase.axis.find()]
        over = f"the rows of {n}, each of {', '.join(axes)} columns" if axes else f"all of {n}"
        if geometry.flat:
            lines = ["    const long long part = blockIdx.x, parts = gridDim.x;", *lines]
        qualifier = f" __cluster_dims__({geometry.cluster}, 1, 1)" if geometry.cluster > 1 else ""
        bounds = str(geometry.threads)
        if geometry.blocks_at_once > 1:
            bounds += f", {geometry.blocks_at_once}"
        name, comment = f"rows{number}_{step}", f"// Phase {number}: {over}."
        return self.finished(name, without_unused(lines), bounds, comment, qualifier)

    def flat_kernel(self, section: int, phases: list[tuple[int, Geometry]]) -> CudaKernel:
        """One kernel for all phases of a section that are a loop over numbers and nothing else.

        They do not need each other, and starting a kernel takes longer than most of them: the blocks are
        shared out, `parts...` of them for every phase.
        """
        lines = ["    long long block = blockIdx.x;"]
        sizes = []
        for number, geometry in phases:
            n = self.plan.axes[self.plan.bodies[number].phase.axis.find()]
            sizes.append(n)
            body = [
                f"    const long long part = block, parts = parts{number};",
                f"    const long long rows = {n};",
                "    constexpr long long row0 = 0;",
                "    constexpr bool first = true;",
                *self.loop_lines(number, 0, geometry),
                "    return;",
            ]
            lines.append(f"    if (block < parts{number}) {{")
            lines += [text if text.startswith("#") else f"    {text}" for text in without_unused(body)]
            lines += ["    }", f"    block -= parts{number};"]
        threads = str(phases[0][1].threads)
        comment = f"// Section {section}: all of {', '.join(sizes)}."
        return self.finished(f"flat{section}", lines[:-1], threads, comment)

    def loop_lines(self, number: int, step: int, geometry: Geometry) -> list[str]:
        """The inside of the kernel of one row loop."""
        body = self.plan.bodies[number]
        loop = body.steps[step]
        assert isinstance(loop, RowLoop)
        self.number, self.body, self.loop, self.geometry = number, body, loop, geometry
        self.kept, self.used, self.pointers, self.places = {}, {}, set(), set()
        rows = body.phase.axis.find()
        axes = columns_of(loop, body)
        self.main = rows if geometry.flat else axes[0]
        self.main_index = "row" if geometry.flat else "column"
        self.columns_here = "i0" if geometry.flat else "column0"
        self.written = {
            memory for node in loop.stores if (memory := self.plan.where(node, number)) is not None
        }
        self.keep = self.kept_from_turn_to_turn(loop) if geometry.items and not geometry.flat else set()
        self.top = Scope(1, [])
        return self.flat_loop(rows) if geometry.flat else self.rows_loop(rows)

    def rows_loop(self, rows: Axis) -> list[str]:
        geometry = self.geometry
        assert self.loop is not None
        top = self.top
        constants = {"GROUP": geometry.group, "ITEMS": geometry.items, "VECTOR": geometry.vector}
        constants |= {"CLUSTER": geometry.cluster, "ROWS": geometry.rows}
        for name, number in constants.items():
            top.add(f"constexpr int {name} = {number};")
        top.add("constexpr int LANES = GROUP * CLUSTER;  // threads that share a row")
        top.add("[[maybe_unused]] Group<GROUP, CLUSTER> group;")
        if geometry.cluster > 1:
            top.add("const int lane = cluster_rank() * GROUP + threadIdx.x;")
        else:
            top.add("const int lane = threadIdx.x % GROUP;")
        block = "(blockIdx.x / CLUSTER)" if geometry.cluster > 1 else "blockIdx.x"
        grid = "(gridDim.x / CLUSTER)" if geometry.cluster > 1 else "gridDim.x"
        own = (
            f"(long long){block} * ROWS + threadIdx.x / GROUP" if geometry.rows > 1 else f"(long long){block}"
        )
        top.add(f"const long long part = {own};")
        self.start_sums()
        # All threads of a block make the same turns: a group without a row repeats the last one's.
        row = Scope(2, [], top, {rows: "row"})
        self.row = row
        many = geometry.rows > 1
        row.add("const long long row = row0 + i;")
        # What needs nothing but the row's own numbers is asked for first, and arrives while the row does.
        for node in self.loop.levels:
            if not self.loop.levels[node] and node.axes == (rows,) and not reduces(node):
                self.value(node, row)
        for level in range(self.loop.last_level + 1):
            self.turn(level, row)
        self.move_sums(row)
        lines = []
        if many:
            lines += [
                f"    for (long long i0 = (long long){block} * ROWS; i0 < rows;",
                f"         i0 += (long long){grid} * ROWS) {{",
                "        // A group without a row of its own repeats the last one and stores nothing.",
                "        const bool active = i0 + threadIdx.x / GROUP < rows;",
                "        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;",
            ]
        else:
            lines.append(f"    for (long long i = part; i < rows; i += {grid}) {{")
        lines += [*row.lines, "    }"]
        # Values of no axes were put into the top scope on the way, and so stand before the loop.
        end = Scope(1, [])
        self.end_sums(end)
        return top.lines + lines + end.lines

    def flat_loop(self, rows: Axis) -> list[str]:
        geometry = self.geometry
        top = self.top
        top.add(f"constexpr int VECTOR = {geometry.vector};")
        top.add(f"constexpr int GROUP = {geometry.threads};")
        self.start_sums()
        row = Scope(2, [], top)
        self.row = row
        inner = Scope(3, [], row, {rows: "row"})
        self.loads, self.loaded = [], {}
        assert self.loop is not None
        stores: list[str] = []
        for node in self.loop.stores:
            stores += self.stored(node, inner)
        for node in self.loop.sums:
            self.add_to_sum(node, inner, "")
        lines = [
            "    for (long long i0 = (part * GROUP + threadIdx.x) * VECTOR; i0 < rows;",
            "         i0 += parts * GROUP * VECTOR) {",
            *row.lines,
            *("        " + text for text in self.loads),
            "#pragma unroll",
            "        for (int v = 0; v < VECTOR; ++v) {",
            "            const long long i = i0 + v;",
            "            const long long row = row0 + i;",
            *inner.lines,
            "        }",
            *("        " + text for text in stores),
            "    }",
        ]
        end = Scope(1, [])
        self.end_sums(end)
        return top.lines + lines + end.lines

    def turn(self, level: int, row: Scope) -> None:
        """One level: what the row has one of, a loop over the columns, and what it reduced."""
        assert self.loop is not None
        assert self.body is not None
        loop, phase = self.loop, self.body.phase
        active = "active && " if self.geometry.rows > 1 else ""
        singles: list[str] = []
        for node in loop.stores:
            if loop.levels[node] == level and column_axis(node, phase) is None and not reduces(node):
                value = dialect.written(self.value(node, row), self.held(node))
                singles.append(f"{self.element(node, row)} = {value};")
        for node in loop.sums:
            source = base(node.inputs[0])
            is_reduced = reduces(source) and source in loop.levels
            if loop.levels.get(source, 0) == level and column_axis(source, phase) is None and not is_reduced:
                self.add_to_sum(node, row, f"{active}lane == 0")
        self.write_singles(singles, row, f"{active}lane == 0")
        for axis, nodes in self.sinks(level).items():
            self.columns(axis, nodes, row)
        singles = []
        for node in loop.levels:
            if loop.levels[node] == level and reduces(node) and kind(node) == "row":
                if node in loop.stores:
                    value = dialect.written(row.names[node], self.held(node))
                    singles.append(f"{self.element(node, row)} = {value};")
                for total in loop.sums:
                    if base(total.inputs[0]) is node:
                        self.add_to_sum(total, row, f"{active}lane == 0")
        self.write_singles(singles, row, f"{active}lane == 0")

    def write_singles(self, lines: list[str], row: Scope, condition: str) -> None:
        if lines:
            assert self.loop is not None
            read = {self.plan.where(node, self.number) for node in self.read_from_memory()}
            if read & self.written:
                row.add("group.meet();  // all have read what one overwrites")
            row.add(f"if ({condition}) {{")
            row.lines += ["    " * (row.indent + 1) + text for text in lines]
            row.add("}")

    def sinks(self, level: int) -> dict[Axis, list[Node]]:
        """What the loops over the columns of a level are for, by the axis they go over."""
        assert self.loop is not None
        assert self.body is not None
        loop, phase = self.loop, self.body.phase
        found: dict[Axis, list[Node]] = {}
        for node in sorted(loop.levels, key=lambda value: value.number):
            if loop.levels[node] != level:
                continue
            if reduces(node) and kind(node) == "row":
                (axis,) = (axis for axis in base(node.inputs[0]).axes if axis not in node.axes)
                found.setdefault(axis, []).append(node)
            elif (node in loop.stores or node in self.keep) and not reduces(node):
                own = column_axis(node, phase)
                if own is not None:
                    found.setdefault(own, []).append(node)
        for node in loop.sums:
            source = base(node.inputs[0])
            own = column_axis(source, phase)
            is_made_here = reduces(source) and source in loop.levels
            if own is not None and not is_made_here and loop.levels.get(source, 0) == level:
                found.setdefault(own, []).append(node)
        return found
