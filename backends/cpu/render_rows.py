"""The part of the printer that goes over rows and their columns."""

from __future__ import annotations

from ..codegen.cost import LANES, SHORT
from ..codegen.fusion import RowLoop, column_axis
from ..codegen.plan import Memory
from ..codegen.scopes import LaneScope, Scope
from ..codegen.stages import kind
from ..codegen.totals import is_kept_wide
from ..codegen.values import reduces
from ..ir.dtypes import BOOL, FLOAT32
from ..ir.graph import Axis, Node, base, sources
from ..ir.operations import Op
from . import dialect, totals
from .dialect import read, wide, written
from .render_tiles import LanePrinter

# A sum of float32 is taken in float64 every so many columns, so that long rows lose no digits.
TILE = 2048


class RowPrinter(LanePrinter):
    """Prints row loops."""

    def row_loop(self, loop: RowLoop, scope: Scope) -> None:
        assert self.body is not None
        self.loop, self.done, self.lane_memory = loop, set(), {}
        axes = self.column_axes(loop)
        self.lanes = bool(axes) and all(axis.size <= SHORT for axis in axes)
        if self.lanes:
            self.short += [axis for axis in axes if axis not in self.short]
            scope.add(f"for lane0 in range(0, rows, {LANES}):")
            scope.add(f"    lanes = min({LANES}, rows - lane0)")
            index = "(row0 + lane0 + lane)"
        else:
            scope.add("for i in range(rows):")
            scope.add("    row = row0 + i")
            index = "row"
        row = Scope(scope.indent + 1, scope.lines, scope.parent, {self.body.phase.axis.find(): index})
        if self.lanes:
            row = LaneScope(row.indent, row.lines, row.parent, row.index)
            self.gather_lanes(loop, axes, row)
        for level in range(loop.last_level + 1):
            self.row_numbers(level, row)
            self.column_loops(level, row)
            for node in [
                n for n in loop.levels if loop.levels[n] == level and reduces(n) and kind(n) == "row"
            ]:
                if node in loop.stores:
                    row.add(f"{self.element(node, row)} = {written(row.names[node], node.dtype)}")
                for total in loop.sums:
                    if base(total.inputs[0]) is node:
                        self.add_to_sum(total, row)
        row.flush()
        if not self.lanes:
            for node in filter(is_kept_wide, loop.sums):
                totals.after_row(node, self.length(node.axes[0]), row)
        self.loop, self.lanes = None, False

    def column_axes(self, loop: RowLoop) -> list[Axis]:
        """The axes within a row that the loop goes over."""
        assert self.body is not None
        found: dict[Axis, None] = {}
        for node in [*loop.levels, *loop.sums]:
            source = base(node.inputs[0]) if reduces(node) else node
            axis = column_axis(source, self.body.phase)
            if axis is not None and kind(source) != "leaf":
                found[axis] = None
        return list(found)

    def row_numbers(self, level: int, row: Scope) -> None:
        """What there is one of in a row, and is stored or added up."""
        assert self.loop is not None
        assert self.body is not None
        loop, phase = self.loop, self.body.phase
        # Whatever is read is read before anything is written, which may be in the same memory.
        written_last = []
        for node in loop.stores:
            if loop.levels[node] == level and column_axis(node, phase) is None and not reduces(node):
                value = written(self.value(node, row), node.dtype)
                written_last.append(f"{self.element(node, row)} = {value}")
        for node in loop.sums:
            source = base(node.inputs[0])
            if (
                self.level(source) == level
                and column_axis(source, phase) is None
                and not (reduces(source) and source in loop.levels)
            ):
                self.add_to_sum(node, row)
        for text in written_last:
            row.add(text)

    def level(self, node: Node) -> int:
        assert self.loop is not None
        return self.loop.levels.get(node, 0)

    def add_to_sum(self, node: Node, scope: Scope) -> None:
        value = self.value(node.inputs[0], scope)
        if node in self.sum_slot:
            dtype = BOOL if node.dtype == BOOL else wide(node.dtype)
            value = value if dtype == BOOL else f"{dtype}({value})"
            scope.add(f"s{node.number} = {dialect.join(node.operation, dtype, f's{node.number}', value)}")
        else:
            (axis,) = node.axes
            place = f"s{node.number}[{self.index(axis, scope)}]"
            scope.add(f"{place} = {self.joined(node, place, value)}")

    def joined(self, node: Node, place: str, value: str) -> str:
        """What a sum's place in memory becomes with one value more."""
        text = dialect.join(node.operation, node.dtype, read(place, node.dtype), value)
        return written(text, node.dtype)

    def column_loops(self, level: int, row: Scope) -> None:
        assert self.loop is not None
        assert self.body is not None
        phase = self.body.phase
        sinks: dict[Axis, list[Node]] = {}
        for node in sorted(self.loop.levels, key=lambda value: value.number):
            if self.loop.levels[node] != level:
                continue
            if reduces(node) and kind(node) == "row":
                sinks.setdefault(self.reduced_axis(node), []).append(node)
            elif (node in self.loop.stores or node in self.loop.carried) and not reduces(node):
                axis = column_axis(node, phase)
                if axis is not None:
                    sinks.setdefault(axis, []).append(node)
        for node in self.loop.sums:
            source = base(node.inputs[0])
            axis = column_axis(source, phase)
            is_made_here = reduces(source) and source in self.loop.levels
            if axis is not None and not is_made_here and self.level(source) == level:
                sinks.setdefault(axis, []).append(node)
        for axis, nodes in sinks.items():
            self.columns(axis, nodes, row)

    def reduced_axis(self, node: Node) -> Axis:
        return next(axis for axis in base(node.inputs[0]).axes if axis not in node.axes)

    def columns(self, axis: Axis, nodes: list[Node], row: Scope) -> None:
        """A loop over the columns for all these: values to store, reductions, and sums over rows."""
        assert self.loop is not None
        stores = [node for node in nodes if kind(node) == "row" and not reduces(node)]
        others = [node for node in nodes if node not in stores]
        tests = {test for node in stores for test in self.label_tests(node, axis)}
        fixed = {label for test in tests if (label := self.label_of(test, axis)) is not None}
        simple = all(
            not self.label_tests(base(node.inputs[0]), axis)
            for node in others
            if base(node.inputs[0]) not in stores
        )
        if len(fixed) == 1 and simple and not self.lanes:
            # One column of the row is another case than the rest: it is computed by itself, before the loop
            # overwrites what it reads, and the loop need not look for it.
            after = [node for node in others if base(node.inputs[0]) in stores]
            (label,) = fixed
            column, condition = self.column_of_label(label, axis, row)
            at = row.at(axis, column)
            at.assumed = dict.fromkeys(tests, True)
            values = [(self.element(node, at), written(self.value(node, at), node.dtype)) for node in stores]
            self.one_loop(axis, [n for n in nodes if n not in after], row, dict.fromkeys(tests, False))
            row.lines += ["    " * row.indent + f"if {condition}:"] if condition else []
            for place, value in values:
                row.add(f"{'    ' if condition else ''}{place} = {value}")
            self.done.update(stores)
            if after:
                self.one_loop(axis, after, row, {})
        elif self.lanes:
            self.lane_loop(axis, nodes, row)
        else:
            self.one_loop(axis, nodes, row, {})
        self.done.update(stores)

    def gather_lanes(self, loop: RowLoop, axes: list[Axis], row: Scope) -> None:
        """Bring together what several turns read: a row from element to element, it takes long each time."""
        assert self.body is not None
        turns: dict[Node, set[int]] = {}
        for node, level in loop.levels.items():
            for source in sources(node):
                if source.axes in [(self.body.phase.axis.find(), axis) for axis in axes]:
                    turns.setdefault(source, set()).add(level)
        for node, levels in turns.items():
            if len(levels) == 1 or node in loop.levels or node.dtype == BOOL:
                continue
            axis = node.axes[1]
            column = Scope(row.indent + 2, [], row, {**row.index, axis: "column"})
            value = self.element(node, column)
            self.keep_in_lanes(node, axis)
            row.lines.append("    " * row.indent + f"for column in range({self.length(axis)}):")
            row.lines.append("    " * (row.indent + 1) + "for lane in range(lanes):")
            column.add(f"{self.element(node, column)} = {value}")
            row.lines += column.lines

    def keep_in_lanes(self, node: Node, axis: Axis) -> None:
        self.lane_memory[node] = self.plan.add(
            Memory(f"{self.name(node)}_lanes", "lane", node.dtype, (axis,), phase=self.number)
        )

    def lane_loop(self, axis: Axis, nodes: list[Node], row: Scope) -> None:
        """The same with the rows innermost: short rows leave a vector half empty, sixty-four rows do not."""
        assert self.loop is not None
        assert self.body is not None
        for node in nodes:
            if node in self.loop.carried:
                self.keep_in_lanes(node, axis)
        reductions = [node for node in nodes if reduces(node) and kind(node) == "row"]
        sums = [node for node in nodes if kind(node) == "sum"]
        column = Scope(row.indent + 2, [], row, {**row.index, axis: "column"})
        names = {node: self.lane_number(node) for node in reductions}
        for node in reductions:
            row.add(f"{names[node]} = {written(dialect.start(node.operation, node.dtype), node.dtype)}")
        row.flush()
        written_last = []
        for node in nodes:
            if node in reductions:
                element = self.value(node.inputs[0], column)
                column.add(f"{names[node]} = {self.joined(node, names[node], element)}")
            elif node in sums:
                element = self.value(node.inputs[0], column)
                part = f"part{node.number}"
                column.add(f"{part} = {dialect.join(node.operation, node.dtype, part, element)}")
            else:
                value = written(self.value(node, column), node.dtype)
                written_last.append(f"{self.element(node, column)} = {value}")
        for text in written_last:
            column.add(text)
        # What the row's numbers need was computed on the way, and stands before this loop.
        row.flush()
        row.lines.append("    " * row.indent + f"for column in range({self.length(axis)}):")
        inner = Scope(row.indent + 1, row.lines)
        for node in sums:
            inner.add(f"part{node.number} = {dialect.start(node.operation, node.dtype)}")
        inner.add("for lane in range(lanes):")
        row.lines += column.lines
        for node in sums:
            part, place = f"part{node.number}", f"s{node.number}[column]"
            if is_kept_wide(node):
                inner.add(f"d{node.number}[column] += float64({part})")
            else:
                inner.add(f"{place} = {self.joined(node, place, part)}")
        row.names.update({node: read(place, node.dtype) for node, place in names.items()})

    def one_loop(self, axis: Axis, nodes: list[Node], row: Scope, assumed: dict[Node, bool]) -> None:
        reductions = [node for node in nodes if reduces(node) and kind(node) == "row"]
        tiled = [node for node in reductions if node.operation is Op.SUM and node.dtype == FLOAT32]
        n = self.length(axis)
        column = Scope(
            row.indent + (2 if tiled else 1),
            [],
            row,
            {**row.index, axis: "column"},
            assumed=assumed,
        )
        names = {node: self.name(node) for node in reductions}
        before = Scope(row.indent, [])
        for node in reductions:
            if node in tiled:
                before.add(f"{names[node]}_all = 0.0")
            else:
                before.add(f"{names[node]} = {dialect.start(node.operation, node.dtype)}")
        written_last = []
        for node in nodes:
            if node in reductions:
                element = self.value(node.inputs[0], column)
                column.add(
                    f"{names[node]} = {dialect.join(node.operation, node.dtype, names[node], element)}"
                )
            elif kind(node) == "sum":
                self.add_to_sum(node, column)
            else:
                value = written(self.value(node, column), node.dtype)
                written_last.append(f"{self.element(node, column)} = {value}")
        for text in written_last:
            column.add(text)
        row.lines += before.lines
        if tiled:
            row.add(f"for tile in range(0, {n}, {TILE}):")
            inner = Scope(row.indent + 1, row.lines)
            for node in tiled:
                inner.add(f"{names[node]} = float32(0.0)")
            inner.add(f"for column in range(tile, min(tile + {TILE}, {n})):")
        else:
            row.add(f"for column in range({n}):")
        row.lines += column.lines
        for node in tiled:
            row.add(f"    {names[node]}_all += float64({names[node]})")
        for node in tiled:
            row.add(f"{names[node]} = float32({names[node]}_all)")
        row.names.update(names)
