"""What the renderers of both dialects share: lines at a depth of indentation, and the names of values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..ir.dtypes import DType
from ..ir.graph import Axis, Node
from ..ir.nest import Literal, Operand, Value
from .plan import Plan


@dataclass
class Lines:
    """Lines of a text, of which new ones are indented by `depth` steps of four."""

    depth: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, *texts: str) -> None:
        """Add lines at this depth; directives of the preprocessor begin a line."""
        self.lines += [text if text.startswith("#pragma") else "    " * self.depth + text for text in texts]

    def deeper(self, by: int = 1) -> Lines:
        """The same text, whose new lines are further in."""
        return Lines(self.depth + by, self.lines)

    def take(self, lines: Iterable[str]) -> None:
        """Take up lines that are indented already."""
        self.lines += lines


class Names:
    """The names of values in a text, and of the lengths of axes.

    literal: how a number is spelled
    """

    def __init__(self, plan: Plan, literal: Callable[[object, DType], str]) -> None:
        self.plan, self.literal = plan, literal
        self.of: dict[Value, str] = {}
        self._used: dict[int, int] = {}

    def new(self, node: Node) -> str:
        """A name for a value of the node that no other one has."""
        count = self._used[node.number] = self._used.get(node.number, 0) + 1
        return f"v{node.number}" + (f"_{count}" if count > 1 else "")

    def operand(self, operand: Operand) -> str:
        if isinstance(operand, Value):
            return self.of[operand]
        if isinstance(operand, Literal):
            return self.literal(operand.number, operand.dtype)
        return self.length(operand.axis)

    def length(self, axis: Axis | None) -> str:
        return "1" if axis is None else self.plan.axes[axis.find()]

    def offset(self, axes: Sequence[Axis], positions: Sequence[str]) -> str:
        """The offset of an element in C order."""
        text = ""
        for axis, position in zip(axes, positions, strict=True):
            text = f"({text}) * {self.length(axis)} + {position}" if text else position
        return text or "0"


def is_word(text: str) -> bool:
    """Whether an expression is a mere name or number, as good as one more name."""
    return text.replace("_", "").isalnum()
