"""The text of a loop over blocks of rows.

Takes a segment of the schedule; writes a loop. Values that nothing outside of the loop reads live in buffers
of one block:

    b0 = empty((32, 1000), float32)
    for i in range(0, 4096, 32):
        j = i + 32
        x0_ = x0[i:j]
        v39_ = v39[i:j]
        v18_ = maximum.reduce(x0_, 1, None)
        subtract(x0_, v18_[:, None], b0)
        ...
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy

from ..ir.graph import Node
from ..ir.operations import Op
from .calls import at_labels, empty_text, expression, into, takes_out
from .items import Item, Kind, is_by_rows, is_elementwise, shares_memory, width
from .schedule import Segment
from .text import ProgramText

# Values of so few elements in a row are made by NumPy in each block.
_FEW = 8


class Loop:
    """A loop while it is written.

    kept:   the values that are read after the loop
    new:    makes a whole array for a value, and returns its name
    dying:  whole arrays that nothing reads after the loop
    reused: names of those that hold a kept value after the loop
    """

    def __init__(
        self,
        text: ProgramText,
        segment: Segment,
        kept: Collection[Node],
        new: Callable[[Node], str],
        dying: Collection[Node],
    ) -> None:
        self._text, self._segment, self._new = text, segment, new
        self._dying = list(dying)
        self.reused: set[str] = set()
        self._owner: dict[Node, Node] = {}
        self._last: dict[Node, int] = {}  # the position at which a value is read last
        for position, item in enumerate(segment.items):
            first = item.inputs[0]
            self._owner[item.node] = self._owner.get(first, first) if shares_memory(item) else item.node
            for source in item.inputs:
                self._last[self._owner.get(source, source)] = position
        self._views = [n for n in self._owner if n in kept and self._owner[n] is not n]
        self._kept = {self._owner[node] for node in self._owner if node in kept} & self._owner.keys()
        self._whole = self._targets()
        self._names: dict[Node, str] = {}  # of values in a block
        self._slices: dict[str, str] = {}  # of whole arrays, by name
        self._buffers: dict[str, str] = {}  # what makes them, by name
        self._buffer_of: dict[Node, str] = {}
        self._free: dict[tuple[tuple[int, ...], object], list[str]] = {}
        self._lines: list[str] = []

    def _targets(self) -> dict[Node, Node]:
        """The values that are computed into the rows of a whole array, with the value that is kept there."""
        found: dict[Node, Node] = {}
        for position in reversed(range(len(self._segment.items))):
            item = self._segment.items[position]
            node = item.node
            if node in self._kept:
                found[node] = node
            value = written_over(item)
            is_free = node in found and value is not None and value not in self._kept
            if is_free and value is not None and self._is_dead(value, position, item, node):
                found[value] = found[node]
        return found

    def _is_dead(self, value: Node, position: int, item: Item, node: Node) -> bool:
        """Whether the memory of an input may take the value of the item at a position."""
        is_own = self._owner.get(value) is value and self._last[value] == position
        is_alone = all(other is value or self._owner.get(other) is not value for other in item.inputs)
        return is_own and is_alone and (value.sizes(), value.dtype) == (node.sizes(), node.dtype)

    def write(self) -> None:
        """Write the loop."""
        text, rows, block = self._text, self._segment.rows, self._segment.block
        assert rows is not None
        for node in self._owner:
            if node in self._kept:
                text.names[node] = self._reusable(node) or self._new(node)
        for position, item in enumerate(self._segment.items):
            self._item(item, position)
        for name, made in self._buffers.items():
            text.line(f"{name} = {made}")
        text.line(f"for i in range(0, {rows}, {block}):")
        with text.indented():
            text.line(f"j = i + {block}")
            if rows % block and self._buffers:
                text.line(f"if j > {rows}:")
                with text.indented():
                    for name in self._buffers:
                        text.line(f"{name} = {name}[:{rows % block}]")
            for name, whole in self._slices.items():
                text.line(f"{name} = {whole}[i:j]")
            for line in self._lines:
                text.line(line)
        for node in self._views:
            text.names[node] = f"v{node.number}"
            found = expression(Item(node, Kind.NODE, node.inputs), [text.name(node.inputs[0])], text.constant)
            text.line(f"v{node.number} = {found}")

    def _reusable(self, node: Node) -> str:
        """The name of a dying array whose rows are read before those of a kept value are written."""
        first = min(p for p, item in enumerate(self._segment.items) if self._whole.get(item.node) is node)
        for value in self._dying:
            readers = [(p, item) for p, item in enumerate(self._segment.items) if value in item.inputs]
            is_read = all(
                is_by_rows(item, value) and (p < first or (p == first and is_elementwise(item)))
                for p, item in readers
            )
            # Views of it are read like the value itself, or later.
            is_viewed = any(shares_memory(item) for _, item in readers)
            is_alike = (value.sizes(), value.dtype) == (node.sizes(), node.dtype)
            is_choice = self._segment.items[first].node.operation is Op.WHERE
            if is_read and is_alike and not is_viewed and not is_choice:
                self._dying.remove(value)
                self.reused.add(self._text.name(value))
                return self._text.name(value)
        return ""

    def _name(self, item: Item, source: Node) -> str:
        """The text of an input in a block."""
        if source in self._names:
            return self._names[source]
        whole = self._text.operand(source)
        return self._rows(whole) if source.shape and is_by_rows(item, source) else whole

    def _rows(self, whole: str) -> str:
        """The name of the rows of a block of a whole array."""
        self._slices[f"{whole}_"] = whole
        return f"{whole}_"

    def _item(self, item: Item, position: int) -> None:
        """Write the lines of an item."""
        node, inputs = item.node, [self._name(item, source) for source in item.inputs]
        out = self._out(item, position)
        name = self._names[node] = out or f"v{node.number}_"
        if item.kind is not Kind.NODE:
            self._lines += self._at_labels(item, inputs, out)
        elif not out:
            self._lines.append(f"{name} = {expression(item, inputs, self._text.constant)}")
        else:
            holds = node.operation is Op.WHERE and inputs[2] == out
            self._lines += into(item, inputs, self._text.constant, out, holds_other=holds)
        for source in item.inputs:
            owner = self._owner.get(source, source)
            if self._last[owner] == position and owner in self._buffer_of:
                buffer = self._buffer_of.pop(owner)
                if buffer != out:
                    self._free.setdefault((node_rows(owner), owner.dtype), []).append(buffer)

    def _out(self, item: Item, position: int) -> str:
        """The memory that takes a value in a block; empty if the call makes it."""
        node = item.node
        if node in self._whole:
            return self._rows(self._text.names[self._whole[node]])
        value = written_over(item)
        is_few = width(node) < _FEW and item.kind is Kind.NODE
        if item.kind is Kind.TAKE or is_few or (value is None and not takes_out(item)):
            return ""
        sources = item.inputs if is_elementwise(item) else ()
        for source in sources if value is None else (value,):
            if source in self._buffer_of and self._is_dead(source, position, item, node):
                self._buffer_of[node] = self._buffer_of[source]
                return self._buffer_of[node]
        free = self._free.get((node_rows(node), node.dtype))
        self._buffer_of[node] = free.pop() if free else self._buffer(node)
        return self._buffer_of[node]

    def _buffer(self, node: Node) -> str:
        name = f"b{len(self._buffers)}"
        shape = (self._segment.block, *node.sizes()[1:])
        self._buffers[name] = empty_text(node, shape, self._text.constant)
        return name

    def _at_labels(self, item: Item, inputs: list[str], out: str) -> list[str]:
        """The lines of an item that reads or writes one element of each row."""
        columns = (item.node if item.kind is not Kind.TAKE else item.inputs[0]).sizes()[1]
        numbers = f"at{item.inputs[1].number}_{columns}"
        lines: list[str] = []
        starts = f"starts{columns}"
        if starts not in self._buffers:
            ends = columns * self._segment.block
            self._buffers[starts] = self._text.constant(numpy.arange(0, ends, columns))
        made = f"{numbers} = {inputs[1]}[:, 0] + {starts}"
        if made not in self._lines:
            lines.append(made)
        if item.kind is Kind.TAKE:
            return [
                *lines,
                *at_labels(item, f"{out}[...]" if out else self._names[item.node], inputs, numbers),
            ]
        if inputs[0] != out:
            lines.append(f"copyto({out}, {inputs[0]})")
        return [*lines, *at_labels(item, out, inputs, numbers)]


def written_over(item: Item) -> Node | None:
    """The input that a value is made of by writing into it; None of other items."""
    if item.kind in (Kind.PUT, Kind.SUBTRACT_AT):
        return item.inputs[0]
    return item.inputs[2] if item.kind is Kind.NODE and item.node.operation is Op.WHERE else None


def node_rows(node: Node) -> tuple[int, ...]:
    """The shape of a row."""
    return node.sizes()[1:]
