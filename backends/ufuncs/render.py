"""The text of a NumPy program for calls of one form.

Takes the outputs of a graph and the tree of the result; gives a function of the leaves of a call:

    def run(values):
        x0, x1 = values[0], values[1]
        v2 = add(x0, x1)
        v3 = exp(v2, v2)
        return v3

All memory is that of the call: a value is computed into the memory of one that is read no more, if there is
one of its shape and dtype, else into new memory. So nothing is shared by calls, threads or processes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import array_api_compat.numpy
import numpy

from ..common.trees import text_of
from ..ir.attributes import Leaf, View
from ..ir.dtypes import numpy_dtype
from ..ir.graph import Node
from ..ir.interpret import Call, computed
from ..ir.operations import ELEMENTWISE, Op
from ..trace.symbolic import SymbolicArray
from .blocks import Loop
from .calls import LARGE, at_labels, empty_text, expression, into, takes_out
from .items import FIXED, Item, Kind, elements, is_ascending, is_elementwise, items_of, shares_memory
from .schedule import Segment, schedule
from .text import ProgramText


class Memory:
    """Which whole arrays are dead when, and what takes their memory.

    Items of whole arrays are a step each, and a loop is one step.
    """

    def __init__(self, text: ProgramText, segments: Sequence[Segment], outputs: Sequence[Node]) -> None:
        self._text = text
        self.owner: dict[Node, Node] = {}
        self.last: dict[Node, int] = {}
        self._free: dict[Any, list[tuple[Node, int]]] = {}
        step = 0
        for segment in segments:
            for item in segment.items:
                self.owner[item.node] = self.owner_of(item)
                for source in item.inputs:
                    self.last[self.owner.get(source, source)] = step
                step += segment.rows is None
            step += segment.rows is not None
        for node in outputs:
            self.last[self.owner.get(node, node)] = step + 1

    def owner_of(self, item: Item) -> Node:
        """The value whose memory an item shares: itself, if it has its own."""
        return self.owner.get(item.inputs[0], item.inputs[0]) if shares_memory(item) else item.node

    def is_free_after(self, node: Node, step: int, inputs: Sequence[Node]) -> bool:
        """Whether the memory of an input may take the result of a step, which reads each element once."""
        is_own = self.owner.get(node) is node and node.shape != () and self.last[node] == step
        return is_own and not any(other is not node and self.owner.get(other) is node for other in inputs)

    def taken(self, node: Node) -> str:
        """The name of a dead array of the shape and dtype of a value; empty if there is none."""
        free = self._free.get((node.sizes(), node.dtype))
        if not free:
            return ""
        dead, line = free.pop()
        self._text.replace(line, "")
        return self._text.name(dead)

    def release(self, sources: Iterable[Node], step: int, kept: Collection[str]) -> None:
        """Note what is dead after a step. Its memory is given back there, unless a later value takes it.

        kept: the names of arrays that have a new value
        """
        for node in dict.fromkeys(self.owner.get(source, source) for source in sources):
            if self.last.get(node) != step or node not in self.owner or not node.shape:
                continue
            name = self._text.name(node)
            if name not in kept and is_large(node):
                line = self._text.line(f"del {name}")
                self._free.setdefault((node.sizes(), node.dtype), []).append((node, line))


def is_large(node: Node) -> bool:
    """Whether a value is made by `new`."""
    return elements(node) * node.dtype.itemsize >= LARGE


class Program:
    """A program while it is written."""

    def __init__(self, outputs: Sequence[Node], result: Any) -> None:
        self.text = ProgramText()
        self._outputs, self._result = outputs, result
        self._items = items_of(outputs)
        self._fold()
        self._items = {node: item for node, item in self._items.items() if node not in self.text.known}
        self._segments = schedule(self._items, outputs)
        self._memory = Memory(self.text, self._segments, outputs)
        self._numbered: set[str] = set()  # names of numbers of elements that are computed already
        self.copies_results = False  # because they would share memory with arguments or one another
        # Values that may lie in memory in another order than C's.
        self._odd: set[Node] = set()
        for node, item in self._items.items():
            if self._is_called(item) or (node.operation is not Op.MATMUL and self._is_turned(item)):
                self._odd.add(node)

    def write(self) -> None:
        """Write all lines."""
        self._arguments()
        step = 0
        for segment in self._segments:
            if segment.rows is None:
                for item in segment.items:
                    self._whole(item, step)
                    step += 1
            else:
                self._loop(segment, step)
                step += 1
        self.text.line(f"return {self._returned()}")

    def _fold(self) -> None:
        """Compute the numbers that depend on no argument."""
        known = self.text.known
        for node, item in self._items.items():
            is_known = all(
                s in known or (s.operation in FIXED and s.operation is not Op.INPUT) for s in item.inputs
            )
            if node.shape or not item.inputs or not is_known or any(s.shape for s in item.inputs):
                continue
            if node.operation in ELEMENTWISE:
                for source in item.inputs:
                    self.text.name(source)
                with numpy.errstate(all="ignore"):
                    call = Call((), {}, array_api_compat.numpy)
                    given = [known[source] for source in item.inputs]
                    names = [f"n{place}" for place in range(len(given))]
                    found = expression(item, names, self.text.constant)
                    scope = {**self.text.constants, **dict(zip(names, given, strict=True))}
                    value = computed(call, node, given) if found is None else eval(found, scope)
                known[node] = numpy_dtype(node.dtype).type(value)

    def _arguments(self) -> None:
        """Name the arrays of the call, and look at how they lie in memory."""
        read = {source: None for item in self._items.values() for source in item.inputs}
        inputs = [n for n in [*read, *self._outputs] if n.operation is Op.INPUT]
        numbers = sorted({node.attribute_as(Leaf).number for node in inputs})
        for number in numbers:
            self.text.line(f"x{number} = values[{number}]")
        # A product takes any layout, and other operations compute in another order in other layouts.
        free = {
            node
            for node in self._items
            if node.operation is Op.VIEW
            and all(item.node.operation is Op.MATMUL for item in self._items.values() if node in item.inputs)
            and node not in self._outputs
        }
        strict = {
            source.attribute_as(Leaf).number
            for item in self._items.values()
            for source in item.inputs
            if source.operation is Op.INPUT
            and source.shape
            and item.node.operation is not Op.MATMUL
            and item.node not in free
        }
        if strict:
            test = " and ".join(f"x{number}.flags.c_contiguous" for number in sorted(strict))
            self.text.line(f"if not ({test}): return NotImplemented")
        is_called = any(self._is_called(item) for item in self._items.values())
        if is_called:
            xp = self.text.constant(array_api_compat.numpy)
            self.text.line(f"call = {self.text.constant(Call)}(values, {{}}, {xp})")

    def _is_turned(self, item: Item) -> bool:
        """Whether a value is a transposition, or has the layout of one."""
        is_view = item.kind is Kind.NODE and item.node.operation is Op.VIEW
        if is_view and not is_ascending(item.node.attribute_as(View).dimensions):
            return True
        return any(source in self._odd for source in item.inputs)

    def _is_called(self, item: Item) -> bool:
        """Whether an item is computed by the interpreter of graphs."""
        is_known = item.kind is not Kind.NODE or item.node.operation is Op.SCALAR
        return not is_known and expression(item, ["x"] * len(item.inputs), lambda _: "c") is None

    def _whole(self, item: Item, step: int) -> None:
        """Compute an item at once."""
        node, text, memory = item.node, self.text, self._memory
        name = text.names[node] = f"v{node.number}"
        if item.kind is not Kind.NODE:
            self._at_labels(item, name, step)
        elif node.operation is Op.SCALAR:
            kind = text.constant(numpy_dtype(node.dtype).type)
            text.line(f"{name} = {kind}(values[{node.attribute_as(Leaf).number}])")
        else:
            name_of = text.operand if node.shape else text.name
            inputs = list(map(name_of, item.inputs))
            found = expression(item, inputs, text.constant)
            if found is None:
                inputs = [text.constant(node), *inputs]
                text.line(
                    f"{name} = {text.constant(computed)}(call, {inputs[0]}, ({', '.join(inputs[1:])},))"
                )
            else:
                self._computed(item, inputs, found, step)
        memory.release(item.inputs, step, {text.names[node]})

    def _computed(self, item: Item, inputs: Sequence[str], found: str, step: int) -> None:
        """Compute an item by a call of NumPy, into memory that is free if there is any."""
        node, text = item.node, self.text
        out = self._out(item, step) if takes_out(item) else ""
        if not out:
            text.line(f"v{node.number} = {found}")
            return
        holds = node.operation is Op.WHERE and out == inputs[2] and item.inputs[2].shape == node.shape
        text.names[node] = out
        for line in into(item, inputs, text.constant, out, holds_other=holds):
            text.line(line)

    def _out(self, item: Item, step: int) -> str:
        """The array that takes a value; empty if the call makes it."""
        node = item.node
        if is_elementwise(item):
            # The condition of a choice is read until its end.
            sources = item.inputs[2:] if node.operation is Op.WHERE else item.inputs
            for source in sources:
                is_alike = (source.sizes(), source.dtype) == (node.sizes(), node.dtype)
                if is_alike and self._memory.is_free_after(source, step, item.inputs):
                    return self.text.name(source)
        if not is_large(node):
            return ""
        return self._memory.taken(node) or self._new(node)

    def _new(self, node: Node) -> str:
        """A new array for a value."""
        name = f"v{node.number}"
        self.text.line(f"{name} = {empty_text(node, node.sizes(), self.text.constant)}")
        return name

    def _at_labels(self, item: Item, name: str, step: int) -> None:
        """Read or write one element of each row."""
        text, node = self.text, item.node
        value, label = item.inputs[:2]
        if item.kind is not Kind.TAKE:
            is_free = (value.sizes(), value.dtype) == (node.sizes(), node.dtype) and value not in self._odd
            if is_free and self._memory.is_free_after(value, step, item.inputs):
                name = text.names[node] = text.name(value)
            else:
                name = text.names[node] = self._memory.taken(node) or self._new(node)
                text.line(f"copyto({name}, {text.name(value)})")
        numbers = self._numbers(label, value if item.kind is Kind.TAKE else node)
        for line in at_labels(item, name, [text.name(source) for source in item.inputs], numbers):
            text.line(line)

    def _numbers(self, label: Node, value: Node) -> str:
        """The numbers of the elements at labels, counted over the whole array."""
        rows, columns = value.sizes()
        name = f"all{label.number}_{columns}"
        if name not in self._numbered:
            self._numbered.add(name)
            starts = self.text.constant(numpy.arange(0, rows * columns, columns))
            self.text.line(f"{name} = {self.text.name(label)}[:, 0] + {starts}")
        return name

    def _loop(self, segment: Segment, step: int) -> None:
        """Compute the items of a segment block by block."""
        inside = {item.node for item in segment.items}
        read = {source for node, item in self._items.items() if node not in inside for source in item.inputs}
        kept = inside & (read | set(self._outputs))
        sources = [source for item in segment.items for source in item.inputs if source not in inside]
        dying = [s for s in dict.fromkeys(sources) if self._memory.is_free_after(s, step, sources)]

        def new(node: Node) -> str:
            return self._memory.taken(node) or self._new(node)

        loop = Loop(self.text, segment, kept, new, dying)
        loop.write()
        self._memory.release(sources, step, loop.reused)

    def _returned(self) -> str:
        """The text of the result. Its arrays share no memory with arguments, constants or one another."""
        nodes = iter(self._outputs)
        given: set[Node] = set()

        def leaf(value: Any) -> str:
            if not isinstance(value, SymbolicArray):
                return self.text.constant(value)
            node = next(nodes)
            name = self.text.name(node)
            if not node.shape:
                is_array = node.operation is Op.INPUT or node in self._odd
                return f"{name}.item()" if node.weak else f"{name}[()]" if is_array else name
            owner = self._memory.owner.get(node, node)
            is_own = owner in self._memory.owner and owner not in given
            given.add(owner)
            if is_own and node.operation is not Op.BROADCAST_TO:
                return name
            self.copies_results = True
            return f"{name}.copy('K')"

        return text_of(self._result, leaf, self.text.constant)
