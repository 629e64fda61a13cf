"""The part of the CPU's printer that knows labels, and rows that are computed side by side."""

from __future__ import annotations

from ..codegen.cost import LANES, MOST_SHARES
from ..codegen.fusion import column_axis
from ..codegen.plan import Memory, Plan
from ..codegen.scopes import LaneScope, Scope
from ..codegen.stages import is_taken_whole
from ..codegen.values import ValuePrinter, reduces
from ..ir.dtypes import INT64, DType
from ..ir.facts import is_argument, is_inside
from ..ir.graph import Axis, Node, base, sources
from ..ir.operations import Op
from . import dialect


class LanePrinter(ValuePrinter):
    """Prints values of single rows and of many."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, dialect, MOST_SHARES)
        self.sizes = list(plan.axes.values()) + [f"rows{i}" for i in range(len(plan.bodies))]
        self.short: list[Axis] = []  # whose sizes stand in the text
        self.lanes = False
        self.lane_memory: dict[Node, Memory] = {}

    def lane_number(self, node: Node) -> str:
        """Where a row's number is kept, for each of the rows that are computed side by side."""
        return self.lane_place(self.name(node), node.dtype)

    def lane_place(self, name: str, dtype: DType) -> str:
        memory = self.plan.add(Memory(f"{name}_lane", "lane", dtype, (), phase=self.number))
        return f"{memory.name}[lane]"

    def element(self, node: Node, scope: Scope) -> str:
        if node in self.lane_memory:
            (axis,) = self.lane_memory[node].axes
            return f"{self.lane_memory[node].name}[{self.index(axis, scope)} * {LANES} + lane]"
        return super().element(node, scope)

    def row_of_block(self) -> str:
        return "(lane0 + lane)" if self.lanes else "i"

    def can_repeat(self, text: str, home: Scope) -> bool:
        # A name of a row that is one of many is the name of all of them, until it is stored.
        return super().can_repeat(text, home) and not isinstance(home, LaneScope)

    def named(self, node: Node, text: str, home: Scope) -> str:
        if not isinstance(home, LaneScope):
            return super().named(node, text, home)
        place = self.lane_number(node)
        home.add(f"{place} = {dialect.written(text, node.dtype)}")
        return dialect.read(place, node.dtype)

    def name_of_index(self, index: Node, scope: Scope) -> str:
        name = super().name_of_index(index, scope)
        return self.lane_place(name, INT64) if isinstance(scope, LaneScope) else name

    def flag(self, node: Node) -> str:
        # An argument was looked at before the call.
        return "" if is_argument(node.inputs[1]) else super().flag(node)

    def column_of_label(self, label: Node, axis: Axis, row: Scope) -> tuple[str, str]:
        """The column that a label means, and the condition under which there is one; empty if always."""
        value, n = self.value(label, row), self.length(axis)
        if is_inside(label, axis):
            return f"int64({value})", ""
        name = f"{self.name(label)}_column"
        row.add(f"{name} = min(max(int64({value}), 0), {n} - 1)")
        return name, f"{name} == {value}"

    def label_tests(self, node: Node, axis: Axis) -> set[Node]:
        """Comparisons of the column's own number with a number of the row, in the value's expression."""
        assert self.loop is not None
        found: set[Node] = set()
        stack, seen = [node], set()
        while stack:
            current = base(stack.pop())
            if current in seen or current not in self.loop.levels or (current in self.done):
                continue
            seen.add(current)
            if current.operation is Op.EQUAL and self.label_of(current, axis) is not None:
                found.add(current)
            elif not reduces(current):
                stack += [s for p, s in enumerate(sources(current)) if not is_taken_whole(current, p)]
        return found

    def label_of(self, test: Node, axis: Axis) -> Node | None:
        """What the column's number is compared with, if the test is of that kind."""
        assert self.body is not None
        for own, other in (sources(test), sources(test)[::-1]):
            iota = own.operation is Op.IOTA and own.axes == (axis,)
            if iota and column_axis(other, self.body.phase) is None and axis not in other.axes:
                return other
        return None
