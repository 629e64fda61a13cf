"""The state of one trace: its graph, and what it took from outside of the arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from ..ir.attributes import Constant, Leaf, Size
from ..ir.dtypes import BOOL, DTYPES, FLOAT32, FLOAT64, INT64, UINT64, DType, dtype_of
from ..ir.graph import Axis, Graph
from ..ir.operations import Op
from .decisions import ASKED, Decision, compute, decided_by_form
from .symbolic import SymbolicArray, where


class Trace:
    """One run of a kernel with symbolic arguments.

    values: the leaves of the call that is traced
    names:  the expressions that reach them, for messages
    """

    def __init__(
        self,
        kernel: str,
        values: Sequence[Any] = (),
        names: Sequence[str] = (),
        *,
        takes_halves: bool = False,
    ) -> None:
        self.kernel = kernel
        self.values = values
        self.names = names
        self.takes_halves = takes_halves
        self.graph = Graph()
        self.captured: list[Any] = []  # arrays that the kernel has from elsewhere, in the order of their use
        self.first_captured = len(values)  # the number of the first of them among the leaves
        self.halves: dict[int, DType] = {}  # arguments whose memory holds less than they are computed with
        self.any_single = False  # whether a number in the kernel's text is of float32, and so no half
        self.every_call: list[tuple[int, Any]] = []  # leaves, and the functions that look at their numbers
        self.decisions: list[Decision] = []  # numbers that the kernel asked for
        self.numpy_numbers: list[Any] = []  # NumPy scalars that the kernel has from elsewhere
        self.is_over = False

    def captured_array(self, array: numpy.ndarray[Any, Any]) -> SymbolicArray:
        """An array of a closure, which becomes an argument."""
        for position, known in enumerate(self.captured):
            if known is array:
                return self.input(self.first_captured + position, array)
        self.captured.append(array)
        return self.input(self.first_captured + len(self.captured) - 1, array)

    def argument(self, leaf: int, array: Any) -> SymbolicArray:
        """An array of the call."""
        symbol = self.input(leaf, array)
        symbol.owner = self.names[leaf] if self.names else f"argument {leaf}"
        if array.ndim == 0 and isinstance(array, numpy.ndarray):
            symbol.depends = frozenset({leaf})
        return symbol

    def input(self, leaf: int, array: numpy.ndarray[Any, Any]) -> SymbolicArray:
        shape = tuple(None if n == 1 else Axis(n, (leaf, i)) for i, n in enumerate(array.shape))
        dtype = dtype_of(array.dtype.name)
        if dtype is not None and dtype.is_half and self.takes_halves:
            self.halves[leaf] = dtype
            dtype = FLOAT32
        if dtype not in DTYPES:
            known = ", ".join(map(str, DTYPES))
            raise self.error(
                TypeError, f"an array of dtype {array.dtype.name} cannot be compiled; expected one of {known}"
            )
        return SymbolicArray(self, self.graph.node(Op.INPUT, (), Leaf(leaf), shape=shape, dtype=dtype))

    def scalar(self, leaf: int, number: float) -> SymbolicArray:
        node = self.graph.node(Op.SCALAR, (), Leaf(leaf), dtype=_dtype_of_python(number), weak=True)
        return SymbolicArray(self, node, depends=frozenset({leaf}))

    def numpy_scalar(self, leaf: int, number: Any) -> SymbolicArray:
        """A NumPy scalar of the call: an array of shape (), which unlike a Python number has a dtype."""
        dtype = dtype_of(number.dtype.name)
        if dtype not in DTYPES or dtype == UINT64:  # of which int64 holds half
            return self.input(leaf, numpy.asarray(number))
        held = FLOAT64 if dtype.is_float else INT64
        node = self.graph.node(Op.SCALAR, (), Leaf(leaf), dtype=held)
        if dtype != held:
            node = self.graph.node(Op.ASTYPE, (node,), dtype=dtype)
        return SymbolicArray(self, node, depends=frozenset({leaf}))

    def constant(self, number: Any) -> SymbolicArray:
        """A Python number in the kernel's own text."""
        node = self.graph.node(Op.CONSTANT, (), Constant(number), dtype=_dtype_of_python(number), weak=True)
        return SymbolicArray(self, node, known=number)

    def strong_constant(self, number: Any) -> SymbolicArray:
        """A NumPy scalar in the kernel's own text: unlike a Python number it has a dtype."""
        dtype = dtype_of(number.dtype.name)
        if dtype not in DTYPES:
            raise self.error(TypeError, f"a number of dtype {number.dtype.name} cannot be compiled")
        self.any_single = self.any_single or dtype == FLOAT32
        node = self.graph.node(Op.CONSTANT, (), Constant(number.item()), dtype=dtype)
        return SymbolicArray(self, node, known=number)

    def size(self, axis: Axis | None) -> Any:
        if axis is None:
            return 1
        node = self.graph.node(Op.SIZE, (), Size(axis.find()), dtype=INT64, weak=True)
        return SymbolicArray(self, node, known=axis.size)

    def decide(self, array: SymbolicArray, asked: str, test: str = "") -> Any:
        """The answer to a question about a number that depends on this call; later calls are asked again.

        asked: one of ASKED; or anything, with a `test` of its own
        """
        test = test or ASKED[asked]
        for known in self.decisions:
            if known.node is array.node and known.test == test:
                return compute(array.node, self.values) if asked in ASKED else known.outcome
        number = compute(array.node, self.values)
        if asked == "bool" and decided_by_form(array.node):
            return number
        outcome = eval(test.format("number"), {"number": number})
        self.decisions.append(Decision(array.node, test, outcome, array.depends, where()))
        return number if asked in ASKED else outcome

    def error(self, kind: type[Exception], message: str, line: str = "") -> Exception:
        """An exception that names the kernel and the line: the one that runs now, if none is given."""
        made = kind(f"{self.kernel}: {message} ({line or where()}).")
        made.of_trace = True  # type: ignore[attr-defined]
        return made


def _dtype_of_python(number: float) -> DType:
    """The dtype that stands for a Python number."""
    return BOOL if isinstance(number, bool) else INT64 if isinstance(number, int) else FLOAT64
