"""The text of a NumPy program while it is written: lines, constants, and the names of values.

text = ProgramText()
text.constant(numpy.exp)      # "c0"
text.line("v1 = c0(x0)")
text.function("run")          # "def run(values):\n    v1 = c0(x0)"
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy

from ..ir.attributes import Constant, Iota, Leaf, Size
from ..ir.dtypes import numpy_dtype
from ..ir.graph import Node
from ..ir.operations import Op
from .calls import NAMES


class ProgramText:
    """Lines of a function of (values), and the constants that they name.

    known: the values of nodes that depend on no argument
    names: the texts of values
    """

    def __init__(self) -> None:
        self.constants: dict[str, Any] = dict(NAMES)
        self.lines: list[str] = []
        self.known: dict[Node, Any] = {}
        self.names: dict[Node, str] = {}
        self._arrays: dict[Node, Any] = {}
        self._by_identity: dict[int, str] = {}
        self._indent = "    "

    def constant(self, value: Any) -> str:
        """The name of a constant."""
        # The constants stay alive, so that no other object gets the identity of one.
        name = self._by_identity.get(id(value))
        if name is None:
            simple = getattr(value, "__name__", "")
            name = simple if simple.isidentifier() and simple not in self.constants else ""
            name = name or f"c{len(self.constants)}"
            self._by_identity[id(value)], self.constants[name] = name, value
        return name

    def line(self, text: str) -> int:
        """Write a line; returns its number."""
        self.lines.append(self._indent + text)
        return len(self.lines) - 1

    def replace(self, number: int, text: str) -> None:
        """Write another line in place of one."""
        self.lines[number] = "    " + text if text else ""

    @contextlib.contextmanager
    def indented(self) -> Iterator[None]:
        """Lines that are written meanwhile are indented by one more step."""
        self._indent += "    "
        yield
        self._indent = self._indent[4:]

    def name(self, node: Node) -> str:
        """The text of a value that is computed already, or fixed."""
        if node not in self.names:
            self.names[node] = self._fixed(node)
        return self.names[node]

    def _fixed(self, node: Node) -> str:
        if node.operation is Op.INPUT:
            return f"x{node.attribute_as(Leaf).number}"
        if node in self.known:
            return self.constant(self.known[node])
        self.known[node] = value_of(node)
        return self.constant(self.known[node])

    def operand(self, node: Node) -> str:
        """The text of a value for a function of arrays, which reads a number faster from an array."""
        name = self.name(node)
        if node.shape or node not in self.known:
            return name
        if node not in self._arrays:
            array = self._arrays[node] = numpy.asarray(self.known[node])
            array.flags.writeable = False
        return self.constant(self._arrays[node])

    def function(self, name: str) -> str:
        """The whole text."""
        return "\n".join([f"def {name}(values):", *filter(None, self.lines)]) + "\n"


def value_of(node: Node) -> Any:
    """The value of a constant, a size or an iota."""
    dtype = numpy_dtype(node.dtype)
    if node.operation is Op.CONSTANT:
        return dtype.type(node.attribute_as(Constant).value)
    if node.operation is Op.SIZE:
        return dtype.type(node.attribute_as(Size).axis.find().size)
    axis = node.attribute_as(Iota).axis
    places = numpy.arange(1 if axis is None else axis.size, dtype=dtype)
    places.flags.writeable = False
    return places
