"""The text of loop nests in the CPU's dialect: a method for each kind of statement.

Takes a nest of a plan; adds its text to the lines of the program. A nest of `relu` becomes

    for i in range(rows):
        row = row0 + i
        for column in range(n1):
            v0 = x0[(row) * n1 + column]
            v2 = maximum(v0, float32(0.0))
            r0[(row) * n1 + column] = v2
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..codegen.plan import Plan
from ..codegen.text import Lines, Names, is_word
from ..ir import nest as ir
from ..ir.attributes import Layout
from ..ir.dtypes import BOOL
from ..ir.graph import Axis, Node
from ..ir.nest import Buffer, BufferKind, Index, Item, LoopNest, Operand, Value
from . import dialect, totals
from .dialect import read, wide, written
from .functions import Scope, cell_of, stride_of, sum_of


class LocalNames(Names):
    """The names of values in one function; a value from outside is a parameter of it."""

    def __init__(self, plan: Plan, scope: Scope) -> None:
        super().__init__(plan, dialect.literal)
        self.scope = scope

    def new(self, node: Node) -> str:
        return self.scope.new("v", f"v{node.number}")

    def operand(self, operand: Operand) -> str:
        if isinstance(operand, Value) and operand not in self.of:
            return self.scope.use(operand, "a")
        return super().operand(operand)

    def length(self, axis: Axis | None) -> str:
        return self.scope.length(axis)


class NestRenderer:
    """Renders statements and loops of one plan into one scope: a function, or the beginning of a stage."""

    def __init__(self, plan: Plan, scope: Scope) -> None:
        self.plan, self.scope = plan, scope
        self.text = LocalNames(plan, scope)
        self.names = self.text.of
        self.ends: dict[Operand, str] = {}  # of loops that end before their axis does
        self.wide: set[Value] = set()  # reductions whose parts are added up in float64
        self._nest: LoopNest | None = None

    def nest(self, nest: LoopNest, lines: Lines) -> None:
        """A loop over the rows of the block."""
        self._nest = nest
        if nest.tile:
            lines.add(f"for tile0 in range(0, rows, {nest.tile}):")
            lines.add(f"    tile_rows = min({nest.tile}, rows - tile0)")
        else:
            lines.add("for i in range(rows):")
            lines.add("    row = row0 + i")
        self.items(nest.body, lines.deeper())
        self._nest = None

    def items(self, items: Iterable[Item], lines: Lines) -> None:
        """Statements and loops, one after the other."""
        for item in items:
            _RENDER[type(item)](self, item, lines)

    # Loops

    def loop(self, loop: ir.Loop, lines: Lines) -> None:
        n = self.text.length(loop.axis)
        first = "0" if loop.start is None else self.ends[loop.start]
        if loop.stop is not None:
            end = self.ends[loop.stop] = self.scope.new("e", "end")
            lines.add(f"{end} = min(max(int64({self.text.operand(loop.stop)}), {first}), {n})")
            n = end
        if loop.chunk is None:
            lines.add(f"for column in range({n}):" if first == "0" else f"for column in range({first}, {n}):")
            self.items(loop.body, lines.deeper())
            return
        parts = [item.value for item in loop.body if isinstance(item, ir.Reduce) and item.value in self.wide]
        lines.add(f"for chunk in range({first}, {n}, {loop.chunk}):")
        inner = lines.deeper()
        for value in parts:
            inner.add(f"{self.names[value]} = float32(0.0)")
        inner.add(f"for column in range(chunk, min(chunk + {loop.chunk}, {n})):")
        self.items(loop.body, inner.deeper())
        for value in parts:
            inner.add(f"{self.names[value]}_all += float64({self.names[value]})")
        for value in parts:
            lines.add(f"{self.names[value]} = float32({self.names[value]}_all)")

    def tile_loop(self, loop: ir.TileLoop, lines: Lines) -> None:
        lines.add("for lane in range(tile_rows):")
        self.items(loop.body, lines.deeper())

    def at_label(self, at: ir.AtLabel, lines: Lines) -> None:
        lines.add(f"if {self.names[at.column]} == {self.text.operand(at.label)}:")
        self.items(at.body, lines.deeper())

    # Statements

    def load(self, load: ir.Load, lines: Lines) -> None:
        self.define(load.value, read(self.element(load.buffer, load.index), load.buffer.held), lines)

    def load_scalar(self, load: ir.LoadScalar, lines: Lines) -> None:
        self.names[load.value] = self.scope.use(("slot", load.slot, load.value.node), "a")

    def position(self, position: ir.Position, lines: Lines) -> None:
        self.define(position.value, dialect.index(self.index(position.index)), lines)

    def compute(self, compute: ir.Compute, lines: Lines) -> None:
        operands = [self.text.operand(operand) for operand in compute.operands]
        self.define(compute.value, dialect.elementwise(compute.value.node, operands), lines)

    def gathered(self, gathered: ir.Gathered, lines: Lines) -> None:
        self.define(gathered.value, self.text.operand(gathered.operand), lines)

    def check_index(self, check: ir.CheckIndex, lines: Lines) -> None:
        value = check.value
        name = self.place(value) if value.buffer else f"{self.text.new(value.node)}_inside"
        flag = "" if check.flag is None else self.scope.flag(check.flag)
        given = self.text.operand(check.operand)
        lines.add(*dialect.inside(name, given, self.text.length(check.axis), value.node.dtype, flag))
        self.names[value] = name

    def clamp_index(self, clamp: ir.ClampIndex, lines: Lines) -> None:
        value = clamp.value
        name = self.place(value) if value.buffer else f"{self.text.new(value.node)}_inside"
        given, n = self.text.operand(clamp.operand), self.text.length(clamp.axis)
        lines.add(f"{name} = min(max(int64({given}), 0), {n} - 1)")
        self.names[value] = name

    def label_column(self, label: ir.LabelColumn, lines: Lines) -> None:
        given = self.text.operand(label.label)
        if label.is_inside:
            self.names[label.value] = f"int64({given})"
            return
        name = self.names[label.value] = f"{self.text.new(label.value.node)}_column"
        lines.add(f"{name} = min(max(int64({given}), 0), {self.text.length(label.axis)} - 1)")

    def start(self, start: ir.Start, lines: Lines) -> None:
        value, node = start.value, start.value.node
        nothing = dialect.start(node.operation, node.dtype)
        if value.buffer:
            place = self.place(value)
            self.names[value] = read(place, node.dtype)
            lines.add(f"{place} = {written(nothing, node.dtype)}")
            return
        name = self.text.new(node)
        self.names[value] = name
        if start.wide:
            self.wide.add(value)
            lines.add(f"{name}_all = 0.0")
        else:
            lines.add(f"{name} = {nothing}")

    def reduce(self, reduce: ir.Reduce, lines: Lines) -> None:
        value, node = reduce.value, reduce.value.node
        joined = dialect.join(
            node.operation, node.dtype, self.names[value], self.text.operand(reduce.operand)
        )
        if value.buffer:
            lines.add(f"{self.place(value)} = {written(joined, node.dtype)}")
        else:
            lines.add(f"{self.names[value]} = {joined}")

    def accumulate(self, accumulate: ir.Accumulate, lines: Lines) -> None:
        node, value = accumulate.node, self.text.operand(accumulate.operand)
        total = self.sum(node)
        if node in self.plan.slots.sums:
            dtype = BOOL if node.dtype == BOOL else wide(node.dtype)
            value = value if dtype == BOOL else f"{dtype}({value})"
            lines.add(f"{total} = {dialect.join(node.operation, dtype, total, value)}")
            return
        (index,) = map(self.index, accumulate.index)
        if accumulate.wide:
            lines.add(f"{self.total(node)}[{index}] += float64({value})")
            return
        place = f"{total}[{index}]"
        joined = dialect.join(node.operation, node.dtype, read(place, node.dtype), value)
        lines.add(f"{place} = {written(joined, node.dtype)}")

    def store(self, store: ir.Store, lines: Lines) -> None:
        place = self.element(store.buffer, store.index)
        lines.add(f"{place} = {written(self.text.operand(store.operand), store.node.dtype)}")

    def fold_totals(self, fold: ir.FoldTotals, lines: Lines) -> None:
        node = fold.node
        totals.after_row(self.total(node), self.sum(node), self.text.length(node.axes[0]), lines)

    # Names and places

    def sum(self, node: Node) -> str:
        """The worker's part of a sum over rows; without axes a variable, which is loaded and stored."""
        key = sum_of(node)
        if key not in self.scope.names and node in self.plan.slots.sums:
            cell = self.scope.use(cell_of(node), "c")
            name = self.scope.names[key] = self.scope.new("s", f"s{node.number}")
            self.scope.head.add(f"{name} = {read(f'{cell}[0]', node.dtype)}")
            self.scope.tail.add(f"{cell}[0] = {written(name, node.dtype)}")
        return self.scope.use(key, "s")

    def total(self, node: Node) -> str:
        """The worker's total of a sum in float64."""
        return self.scope.buffer(self.plan.totals[node])

    def define(self, value: Value, text: str, lines: Lines) -> None:
        """Give a value a name, or let it have the text where that is as good as one."""
        if value.buffer:
            place = self.place(value)
            lines.add(f"{place} = {written(text, value.buffer.dtype)}")
            self.names[value] = read(place, value.buffer.dtype)
        elif text in ("True", "False"):
            # A function would take it for the name of a parameter.
            name = self.names[value] = self.text.new(value.node)
            lines.add(f"{name} = bool_({text})")
        elif is_word(text) or text == dialect.index("0"):
            self.names[value] = text
        else:
            name = self.names[value] = self.text.new(value.node)
            lines.add(f"{name} = {text}")

    def place(self, value: Value) -> str:
        """Where a row of the tile has the value."""
        assert value.buffer is not None
        return f"{self.scope.buffer(value.buffer)}[lane]"

    def index(self, index: Index) -> str:
        tile = self._nest is not None and self._nest.tile
        if isinstance(index, ir.LoopIndex):
            if self._nest is None or index.axis is not self._nest.axis:
                return "column"
            return "(row0 + tile0 + lane)" if tile else "row"
        if isinstance(index, ir.BlockRow):
            return "(tile0 + lane)" if tile else "i"
        return "0" if isinstance(index, ir.Zero) else self.text.operand(index)

    def element(self, buffer: Buffer, index: tuple[Index, ...]) -> str:
        """The element of a buffer."""
        if buffer.kind is BufferKind.TILE:
            assert self._nest is not None
            column = "".join(f"{self.index(i)} * {self._nest.tile} + " for i in index)
            return f"{self.scope.buffer(buffer)}[{column}lane]"
        positions = [self.index(position) for position in index]
        if buffer.layout is Layout.CONTIGUOUS:
            offset = self.text.offset(buffer.axes, positions)
        else:
            apart, together = positions if buffer.layout is Layout.ROWS else reversed(positions)
            offset = f"({apart}) * {self.scope.use(stride_of(buffer), 'l')} + {together}"
        return f"{self.scope.buffer(buffer)}[{offset}]"


_RENDER: Mapping[type, Callable[[NestRenderer, Any, Lines], None]] = {
    ir.Loop: NestRenderer.loop,
    ir.TileLoop: NestRenderer.tile_loop,
    ir.AtLabel: NestRenderer.at_label,
    ir.Load: NestRenderer.load,
    ir.LoadScalar: NestRenderer.load_scalar,
    ir.Position: NestRenderer.position,
    ir.Compute: NestRenderer.compute,
    ir.Gathered: NestRenderer.gathered,
    ir.CheckIndex: NestRenderer.check_index,
    ir.ClampIndex: NestRenderer.clamp_index,
    ir.LabelColumn: NestRenderer.label_column,
    ir.Start: NestRenderer.start,
    ir.Reduce: NestRenderer.reduce,
    ir.Accumulate: NestRenderer.accumulate,
    ir.Store: NestRenderer.store,
    ir.FoldTotals: NestRenderer.fold_totals,
}
