"""Places in an emitted text where values are computed: a section, a row, a column."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir.graph import Axis, Node


@dataclass
class Scope:
    """A place in the text where values can be computed: a section, a row, a column."""

    indent: int
    lines: list[str]
    parent: Scope | None = None
    index: dict[Axis, str] = field(default_factory=dict)
    names: dict[Node, str] = field(default_factory=dict)
    # Comparisons of a column's number with a row's, where the loop leaves that column out or is at it.
    assumed: dict[Node, bool] = field(default_factory=dict)

    @property
    def margin(self) -> str:
        """What a line of this scope begins with."""
        return "    " * self.indent

    def add(self, text: str) -> None:
        self.lines.append(self.margin + text)

    def at(self, axis: Axis, index: str) -> Scope:
        """A scope for one element along another axis, whose lines stand among this one's."""
        return Scope(self.indent, self.lines, self, {**self.index, axis: index})

    def flush(self) -> None:
        """Nothing waits here."""


class LaneScope(Scope):
    """A row's scope where many rows are computed side by side: its lines wait for a loop of them."""

    def __init__(self, indent: int, lines: list[str], parent: Scope | None, index: dict[Axis, str]) -> None:
        super().__init__(indent, lines, parent, index)
        self.waiting: list[str] = []

    def add(self, text: str) -> None:
        self.waiting.append(text)

    def at(self, axis: Axis, index: str) -> Scope:
        return Scope(0, self.waiting, self, {**self.index, axis: index})

    def flush(self) -> None:
        if self.waiting:
            self.lines.append("    " * self.indent + "for lane in range(lanes):")
            self.lines += ["    " * (self.indent + 1) + text for text in self.waiting]
            self.waiting = []
