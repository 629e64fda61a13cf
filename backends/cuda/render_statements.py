"""The text of single statements in the GPU's dialect, wherever they stand.

Takes statements of a plan; adds their lines to those of the loop around them, and remembers the names of
values: `Compute v2 = v0 * v1` becomes `const float v2 = v0 * v1;`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..codegen.plan import Plan
from ..codegen.text import Lines, is_word
from ..ir import nest as ir
from ..ir.nest import Buffer, Index, Item, Value
from . import dialect
from .kernel import UsedNames, Uses


@dataclass
class Around:
    """The loop that statements stand in.

    lines:   their text
    vector:  whether it is the loop over the elements of a thread's vectors
    columns: whether it is a loop over the columns
    column:  whether a statement needs the number of the column
    first:   loads of what is kept, which come before all other statements of the loop
    loads:   statements before the loop over a vector's elements
    stores:  statements behind the loop over a vector's elements
    """

    lines: Lines
    vector: bool = False
    columns: bool = False
    column: bool = False
    first: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    stores: list[str] = field(default_factory=list)


class StatementRenderer:
    """Renders statements; `NestRenderer` adds loops and what only stands in them."""

    def __init__(self, plan: Plan, uses: Uses) -> None:
        self.plan, self.uses = plan, uses
        self.names = UsedNames(plan, uses)

    def items(self, items: Iterable[Item], around: Around) -> None:
        """Statements, one after the other."""
        for item in items:
            RENDER[type(item)](self, item, around)

    def load(self, load: ir.Load, around: Around) -> None:
        text = dialect.read(self.element(load.buffer, load.index, around), load.buffer.held)
        if load.checked is not None:
            text = self.masked(load.value, text, load.checked)
        self.define(load.value, text, around)

    def load_scalar(self, load: ir.LoadScalar, around: Around) -> None:
        self.uses("scalars")
        self.define(load.value, dialect.number_from(load.value.node.dtype, str(load.slot)), around)

    def position(self, position: ir.Position, around: Around) -> None:
        self.define(position.value, dialect.index(self.index(position.index, around)), around)

    def compute(self, compute: ir.Compute, around: Around) -> None:
        operands = [self.names.operand(operand) for operand in compute.operands]
        for_halves = bool(self.plan.rounding.half)
        self.define(
            compute.value, dialect.elementwise(compute.value.node, operands, for_halves=for_halves), around
        )

    def gathered(self, gathered: ir.Gathered, around: Around) -> None:
        text = self.names.operand(gathered.operand)
        if gathered.checked is not None:
            text = self.masked(gathered.value, text, gathered.checked)
        self.define(gathered.value, text, around)

    def masked(self, value: Value, text: str, checked: Value) -> str:
        """What an index outside means is not a neighbour's element, and stands out where it can."""
        return f"({self.names.of[checked]}_is ? {text} : {dialect.nothing(value.node.dtype)})"

    def check_index(self, check: ir.CheckIndex, around: Around) -> None:
        name = self.names.of[check.value] = f"{self.names.new(check.value.node)}_inside"
        assert check.flag is not None
        self.uses("scalars")
        given, length = self.names.operand(check.operand), self.names.length(check.axis)
        around.lines.add(
            *dialect.inside(name, given, length, check.value.node.dtype, dialect.flag(check.flag))
        )

    def clamp_index(self, clamp: ir.ClampIndex, around: Around) -> None:
        name = self.names.of[clamp.value] = f"{self.names.new(clamp.value.node)}_inside"
        given, length = self.names.operand(clamp.operand), self.names.length(clamp.axis)
        around.lines.add(dialect.clamped(name, given, length))

    def define(self, value: Value, text: str, around: Around) -> None:
        """Give a value a name, or let it have the text where that is a name."""
        if is_word(text):
            self.names.of[value] = text
            return
        name = self.names.of[value] = self.names.new(value.node)
        around.lines.add(dialect.declare(name, value.node.dtype, text))

    def element(self, buffer: Buffer, index: tuple[Index, ...], around: Around) -> str:
        """The element of a buffer."""
        offset = self.names.offset(buffer.axes, [self.index(position, around) for position in index])
        return f"{self.uses(buffer.name)}[{offset}]"

    def index(self, index: Index, around: Around) -> str:
        """A position; outside of loops there is none but looked-up ones."""
        if isinstance(index, ir.LoopIndex | ir.BlockRow):
            raise TypeError(f"{index} stands outside of a loop")
        return "0" if isinstance(index, ir.Zero) else self.names.operand(index)


RENDER: dict[type, Callable[[Any, Any, Around], None]] = {
    ir.Load: StatementRenderer.load,
    ir.LoadScalar: StatementRenderer.load_scalar,
    ir.Position: StatementRenderer.position,
    ir.Compute: StatementRenderer.compute,
    ir.Gathered: StatementRenderer.gathered,
    ir.CheckIndex: StatementRenderer.check_index,
    ir.ClampIndex: StatementRenderer.clamp_index,
}
