"""From what a nest computes to its loops and statements.

Takes a NestSpec; gives a LoopNest. Each pass over the row becomes

    values of the row that are stored or added up      statements of the row
    a loop over the columns                            loads, computes, reduces, keeps and stores
    reductions that are stored or added up             statements of the row

Short rows are computed a tile at a time, the rows innermost: a vector of a processor is then full, which a
row of three columns would leave empty. `label_column` takes the label's column out of a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..ir.dtypes import BOOL, FLOAT32
from ..ir.facts import is_inside
from ..ir.graph import Axis, Node, base, sources
from ..ir.nest import (
    Accumulate,
    AtLabel,
    FoldTotals,
    Index,
    Item,
    Keep,
    LabelColumn,
    LabelTest,
    Loop,
    LoopIndex,
    LoopNest,
    Operand,
    Reduce,
    Start,
    Store,
    TileLoop,
    Value,
    loop_axes,
    walk,
)
from ..ir.operations import REDUCTIONS, Op
from .borders import borders
from .fusion import FusedGroup, NestSpec, column_axis, last_passes
from .label_column import label_compared, label_tests
from .stages import FusionGroup, Role, role
from .totals import is_kept_wide
from .values import Body, TileBody, Values


@dataclass
class PassGoals:
    """What one pass over the row leaves behind.

    row_stores, row_sums: values with one element a row that are stored or added up, before its loops
    columns:              by axis of the loop: reductions, values to store or keep, sums
    reductions:           those of them that reduce
    reduced_stores, reduced_sums: reductions that are stored or added up, behind its loops
    """

    row_stores: list[Node] = field(default_factory=list)
    row_sums: list[Node] = field(default_factory=list)
    columns: dict[Axis, list[Node]] = field(default_factory=dict)
    reductions: list[Node] = field(default_factory=list)
    reduced_stores: list[Node] = field(default_factory=list)
    reduced_sums: list[Node] = field(default_factory=list)


class Nests(Values):
    """Builds the nests of one plan."""

    group: FusionGroup

    def nest(
        self, spec: NestSpec, fused: FusedGroup, number: int, stage: Body, *, streams: bool = False
    ) -> LoopNest:
        """The nest of one step of a group.

        stage:   the body that values without axes are computed in
        streams: rows are read anew in every pass, although the target could keep them in registers
        """
        self.begin(spec, fused, number, streams=streams)
        assert self.rows is not None
        axes = self.column_axes()
        is_short = bool(axes and self.target.tile) and all(axis.size <= self.target.short for axis in axes)
        index: dict[Axis, Index] = {self.rows: LoopIndex(self.rows)}
        row = TileBody(stage, index) if is_short else Body(stage, index)
        if isinstance(row, TileBody):
            self.load_tiles(axes, row)
        if self.target.shares_rows:
            self.load_rows(row)
        for goals in self.goals_of_passes():
            self.one_pass(goals, row)
        row.flush()
        if not is_short:
            row.items += [FoldTotals(node) for node in spec.sums if is_kept_wide(node)]
        self.spec = None
        tile = self.target.tile if is_short else None
        items = tuple(row.items)
        axes = loop_axes(items)
        rows, main = self.rows, self.main if self.main in axes else max(axes, key=_size, default=self.rows)
        streaming = None
        if any(isinstance(item, Keep | LabelTest) for item in walk(items)):
            streaming = self.nest(spec, fused, number, stage, streams=True)
        return LoopNest(rows, main, items, tuple(spec.stores), tuple(spec.sums), tile, streaming)

    def begin(self, spec: NestSpec, fused: FusedGroup, number: int, *, streams: bool) -> None:
        """Forget the nest before."""
        self.spec, self.group, self.number = spec, fused.group, number
        self.rows, self.made = fused.group.axis.find(), fused.group.inside
        self.done, self.kept, self.tiles = set(), {}, {}
        columns = columns_of(spec, fused)
        self.main = columns[0] if columns else self.rows
        self.tests_labels = self.target.keeps_rows and not streams
        self.to_keep = set()
        if columns and self.tests_labels:
            self.to_keep = kept_in_registers(
                spec, fused, self.main, lambda node: self.buffer_of(node) is not None
            )

    def loaded(self, node: Node, body: Body) -> Value:
        """Load a value; it stays in registers if later passes need it and a thread's columns lie together."""
        value = super().loaded(node, body)
        lies_together = node.axes in ((self.main,), (self.rows, self.main))
        if node in self.to_keep and lies_together and self.is_in_main_loop(body):
            body.add(Keep(value))
            self.kept[node] = value
        return value

    def column_axes(self) -> list[Axis]:
        """The axes within a row along which the nest computes more than arguments."""
        assert self.spec is not None
        found: dict[Axis, None] = {}
        for node in [*self.spec.passes, *self.spec.sums]:
            source = base(node.inputs[0]) if reduces(node) else node
            axis = column_axis(source, self.group)
            if axis is not None and role(source) is not Role.LEAF:
                found[axis] = None
        return list(found)

    def load_rows(self, row: Body) -> None:
        """Load first what needs nothing but the row's own numbers, so that it arrives while the row does."""
        assert self.spec is not None
        for node, number in self.spec.passes.items():
            if not number and node.axes == (self.rows,) and not reduces(node):
                self.value(node, row)

    def load_tiles(self, axes: list[Axis], row: TileBody) -> None:
        """Copy what several passes read: loading a row from element to element takes long each time."""
        assert self.spec is not None
        passes: dict[Node, set[int]] = {}
        rows = {(self.rows, axis) for axis in axes}
        for node, number in self.spec.passes.items():
            for source in sources(node):
                if source.axes in rows:
                    passes.setdefault(source, set()).add(number)
        for node, numbers in passes.items():
            if len(numbers) == 1 or node in self.spec.passes or node.dtype == BOOL:
                continue
            axis = node.axes[1]
            column = row.inside(axis)
            value = self.loaded(node, column)
            self.tiles[node] = self.buffers.tile(f"v{node.number}_tile", node.dtype, (axis,), self.number)
            column.add(self.store_of(value, node, column))
            row.items.append(Loop(axis, (TileLoop(tuple(column.items)),)))

    def one_pass(self, goals: PassGoals, row: Body) -> None:
        """One pass: values of the row, loops over the columns, and what these have reduced."""
        self.store_row_values(goals, row)
        for axis, nodes in goals.columns.items():
            self.over_columns(axis, nodes, row)
        self.store_reductions(goals, row)

    def store_row_values(self, goals: PassGoals, row: Body) -> None:
        """Values with one element a row that are stored or added up."""
        stores = [self.store_of(self.value(node, row), node, row) for node in goals.row_stores]
        for node in goals.row_sums:
            self.accumulate(node, row)
        # Everything is loaded before anything is stored, which may be in the same memory.
        for store in stores:
            row.add(store)

    def store_reductions(self, goals: PassGoals, row: Body) -> None:
        """Reductions of the row that are stored or added up."""
        for node in goals.reduced_sums:
            self.accumulate(node, row)
        for node in goals.reduced_stores:
            row.add(self.store_of(row.known[node], node, row))

    def goals_of_passes(self) -> list[PassGoals]:
        """What each pass of the nest leaves behind."""
        assert self.spec is not None
        spec = self.spec
        goals = [PassGoals() for _ in range(spec.last_pass + 1)]
        for node in spec.stores:
            if column_axis(node, self.group) is None and not reduces(node):
                goals[spec.passes[node]].row_stores.append(node)
        stores = set(spec.stores)
        for node in sorted(spec.passes, key=lambda value: value.number):
            of_pass = goals[spec.passes[node]]
            if reduces(node) and role(node) is Role.ROW:
                (axis,) = (axis for axis in base(node.inputs[0]).axes if axis not in node.axes)
                of_pass.columns.setdefault(axis, []).append(node)
                of_pass.reductions.append(node)
                if node in stores:
                    of_pass.reduced_stores.append(node)
            elif (node in stores or self.is_kept(node)) and not reduces(node):
                own = column_axis(node, self.group)
                if own is not None:
                    of_pass.columns.setdefault(own, []).append(node)
        self.add_sums(goals)
        return goals

    def add_sums(self, goals: list[PassGoals]) -> None:
        """Put the sums over rows of the nest into the goals of its passes."""
        assert self.spec is not None
        of_reductions: dict[Node, list[Node]] = {}
        for node in self.spec.sums:
            source = base(node.inputs[0])
            of_pass, own = goals[self.spec.passes.get(source, 0)], column_axis(source, self.group)
            if reduces(source) and source in self.spec.passes:
                of_reductions.setdefault(source, []).append(node)
            elif own is None:
                of_pass.row_sums.append(node)
            else:
                of_pass.columns.setdefault(own, []).append(node)
        for of_pass in goals:
            for reduction in of_pass.reductions:
                of_pass.reduced_sums += of_reductions.get(reduction, [])

    def is_kept(self, node: Node) -> bool:
        """Whether a value that is computed is kept for a later pass."""
        assert self.spec is not None
        return node in self.to_keep if self.target.keeps_rows else node in self.spec.kept

    def over_columns(self, axis: Axis, nodes: list[Node], row: Body) -> None:
        """The loop over the columns of a pass."""
        if isinstance(row, TileBody):
            self.tile_loop(axis, nodes, row)
        elif self.target.peels_labels:
            self.loop_beside_label(axis, nodes, row)
        else:
            self.loop(axis, nodes, row)
        self.done.update(node for node in nodes if not reduces(node) and role(node) is Role.ROW)

    def loop_beside_label(self, axis: Axis, nodes: list[Node], row: Body) -> None:
        """A loop over all columns but the label's, if there is one label and the loop may leave it out."""
        stores = [node for node in nodes if role(node) is Role.ROW and not reduces(node)]
        stored = set(stores)
        others = [node for node in nodes if node not in stored]
        after = [node for node in others if base(node.inputs[0]) in stored]
        beside = [node for node in nodes if node in stored or base(node.inputs[0]) not in stored]
        before = [base(node.inputs[0]) for node in others if base(node.inputs[0]) not in stored]
        tests = self.label_tests(stores, axis)
        labels = {label for test in tests if (label := label_compared(test, axis, self.group)) is not None}
        if len(labels) != 1 or self.label_tests(before, axis):
            self.loop(axis, nodes, row)
            return
        (label,) = labels
        column, operand, is_column = Value(label), self.value(label, row), is_inside(label, axis)
        row.add(LabelColumn(column, operand, axis, is_column))
        at = row.at(axis, column)
        at.assumed = dict.fromkeys(tests, True)
        at_label = tuple(self.store_of(self.value(node, at), node, at) for node in stores)
        self.loop(axis, beside, row, dict.fromkeys(tests, False))
        row.items += at_label if is_column else (AtLabel(column, operand, at_label),)
        self.done.update(stores)
        if after:
            self.loop(axis, after, row)

    def label_tests(self, nodes: list[Node], axis: Axis) -> set[Node]:
        spec = self.spec
        assert spec is not None

        def is_computed(node: Node) -> bool:
            return node in spec.passes and node not in self.done

        return label_tests(nodes, axis, self.group, is_computed)

    def loop(self, axis: Axis, nodes: list[Node], row: Body, assumed: dict[Node, bool] | None = None) -> None:
        """One loop for all these: reductions, sums over rows, and values to keep and store."""
        results = {node: Value(node) for node in nodes if reduces(node) and role(node) is Role.ROW}
        wide = {node for node in results if self.is_taken_in_parts(node)}
        chunk = self.target.chunk if wide else None
        loops: list[Loop] = []
        known, start = dict(assumed or {}), None
        tests = self.borders(nodes, axis)
        for test in [*tests, None]:
            column = row.inside(axis, known if test is None else {**known, test: True})
            body = self.loop_body(nodes, results, column)
            stop = None if test is None else self.value(test.inputs[1], row)
            loops.append(Loop(axis, body, chunk, start, stop))
            start = stop
            known |= {} if test is None else {test: False}
        row.items += [Start(value, node in wide) for node, value in results.items()]
        row.items += loops
        row.known.update(results)

    def borders(self, nodes: list[Node], axis: Axis) -> list[Node]:
        """The tests at which a loop over an axis is split."""
        spec = self.spec
        assert spec is not None
        roots = [base(node.inputs[0]) if reduces(node) else node for node in nodes]

        def is_computed(node: Node) -> bool:
            return node in spec.passes and node not in self.done

        return borders(roots, axis, is_computed) if self.target.splits_loops else []

    def loop_body(self, nodes: list[Node], results: dict[Node, Value], column: Body) -> tuple[Item, ...]:
        """The body of one loop: its stores come after all its loads."""
        stores: list[Item] = []
        for node in nodes:
            if node in results:
                column.add(Reduce(results[node], self.value(node.inputs[0], column)))
            elif role(node) is Role.SUM:
                self.accumulate(node, column)
            else:
                stores += self.stored_or_kept(node, column)
        return (*column.items, *stores)

    def stored_or_kept(self, node: Node, column: Body) -> list[Item]:
        """Compute a value; the stores that come after all loads of the loop."""
        operand = self.value(node, column)
        if node in self.to_keep and self.is_in_main_loop(column):
            assert isinstance(operand, Value)
            column.add(Keep(operand))
            self.kept[node] = operand
        is_in_memory = self.buffer_of(node) is not None
        return [self.store_of(operand, node, column)] if is_in_memory else []

    def is_taken_in_parts(self, node: Node) -> bool:
        """Whether a reduction along long rows would lose digits in float32."""
        return self.target.chunk is not None and node.operation is Op.SUM and node.dtype == FLOAT32

    def tile_loop(self, axis: Axis, nodes: list[Node], row: TileBody) -> None:
        """The same with the rows of the tile innermost."""
        assert self.spec is not None
        for node in nodes:
            if node in self.spec.kept:
                self.tiles[node] = self.buffers.tile(f"v{node.number}_tile", node.dtype, (axis,), self.number)
        column = row.inside(axis)
        results = {
            node: self.new_value(node, row) for node in nodes if reduces(node) and role(node) is Role.ROW
        }
        parts = {node: Value(node) for node in nodes if role(node) is Role.SUM}
        for value in results.values():
            row.add(Start(value))
        row.flush()
        stores: list[Item] = []
        for node in nodes:
            if node in results or node in parts:
                total = results.get(node) or parts[node]
                column.add(Reduce(total, self.value(node.inputs[0], column)))
            else:
                stores.append(self.store_of(self.value(node, column), node, column))
        # What the values of the row need was computed on the way, and stands before this loop.
        row.flush()
        starts = [Start(part) for part in parts.values()]
        ends = [Accumulate(n, part, (LoopIndex(axis),), is_kept_wide(n)) for n, part in parts.items()]
        row.items.append(Loop(axis, (*starts, TileLoop((*column.items, *stores)), *ends)))
        row.known.update(results)

    def store_of(self, operand: Operand, node: Node, body: Body) -> Store:
        buffer = self.buffer_of(node)
        assert buffer is not None, f"{node} has no buffer"
        return Store(operand, buffer, self.index_in(buffer, node, body), node)

    def accumulate(self, node: Node, body: Body) -> None:
        """Add what a sum over rows is of."""
        operand = self.value(node.inputs[0], body)
        body.add(Accumulate(node, operand, tuple(body.index[axis] for axis in node.axes)))


def _size(axis: Axis) -> int:
    return axis.size


def columns_of(spec: NestSpec, fused: FusedGroup) -> list[Axis]:
    """The axes within a row that a nest goes over, the longest first."""
    found: dict[Axis, None] = {}
    for node in [*spec.passes, *spec.sums]:
        source = base(node.inputs[0]) if reduces(node) else node
        axis = column_axis(source, fused.group)
        if axis is not None:
            found[axis] = None
    return sorted(found, key=_size, reverse=True)


def kept_in_registers(
    spec: NestSpec, fused: FusedGroup, main: Axis, is_in_memory: Callable[[Node], bool]
) -> set[Node]:
    """What several passes need along the main axis: loads, and values that are costly to recompute."""
    computed = sorted(spec.passes, key=lambda node: node.number)
    last = last_passes(spec, fused.group, computed)
    keep = {node for node in spec.kept if main in node.axes}
    keep |= {node for node in spec.stores if main in node.axes and last[node] > spec.passes[node]}
    passes: dict[Node, set[int]] = {}
    for node in computed:
        for source in sources(node):
            is_loaded = source not in spec.passes and is_in_memory(source)
            if is_loaded and main in source.axes and node.operation is not Op.TAKE_ALONG_AXIS:
                # What is computed again where it is needed loads again what it needs.
                own = range(spec.passes[node], (spec.passes[node] if node in keep else last[node]) + 1)
                passes.setdefault(source, set()).update(own)
    return keep | {source for source, numbers in passes.items() if len(numbers) > 1}


def reduces(node: Node) -> bool:
    """Whether a value is a reduction, along columns or rows."""
    return node.operation in REDUCTIONS
