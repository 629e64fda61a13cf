"""The state of one trace: its graph, captured arrays, decisions, and checks for later calls."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy

from ..ir.attributes import Attribute, Constant, Leaf, Size
from ..ir.dtypes import BOOL, DTYPES, FLOAT32, FLOAT64, INT64, UINT64, DType, dtype_of
from ..ir.graph import Axis, Graph, Node, Shape
from ..ir.operations import Op
from .decisions import QUESTIONS, Decision, compute, decided_by_signature
from .dtype_names import dtype_name
from .symbolic import Length, NeedsOwnArraysError, SymbolicArray, source_line

# Bytes of a captured array that is looked at for changes; arrays that a function fills are seldom larger.
_MOST_CHECKED = 1 << 24


class Trace:
    """One run of a kernel with symbolic arguments.

    values: the leaves of the call that is traced
    names:  their paths, for messages
    library: of the arrays
    """

    def __init__(
        self,
        kernel: str,
        values: Sequence[Any] = (),
        names: Sequence[str] = (),
        *,
        takes_halves: bool = False,
        library: str = "numpy",
    ) -> None:
        self.kernel = kernel
        self.library = library
        # Whether values of shape () are immutable scalars, and symbolic arrays say that they are NumPy's.
        self.is_of_numpy = library == "numpy" and not takes_halves
        self.values = values
        self.names = names
        self.takes_halves = takes_halves
        self.graph = Graph()
        self.captured: list[Any] = []  # captured arrays, in the order of their use
        self._positions: dict[int, int] = {}  # of captured arrays, by identity
        self._sums: list[int] = []  # checksums of the captured arrays when they were used first
        self.outside: frozenset[int] = frozenset()  # ids of the arrays that the function reads from outside
        self.first_captured = len(values)  # number of the first one, counted after the leaves
        self.halves: dict[
            int, DType
        ] = {}  # by leaf: the dtype in memory of an argument that is computed with as float32
        self.any_single = (
            False  # whether the kernel has a constant of float32, which is wider than half precision
        )
        self.call_checks: list[tuple[int, Any]] = []  # leaves, and functions that check their values
        self.decisions: list[Decision] = []  # values of symbolic numbers that the kernel needed
        self._decided: dict[tuple[Node, str], Decision] = {}
        self.computable: set[Node] = set()  # symbolic numbers that Python can compute
        self.numbers: dict[Node, Any] = {}  # values of symbolic numbers in this call
        self.numpy_numbers: list[Any] = []  # captured NumPy scalars
        self.is_over = False
        self.may_need_own_arrays = False  # whether a symbolic array was asked for its value
        self.derivatives = 0  # how many functions that are differentiated are running now
        # Calls that have a derivative of their own; `autodiff` knows what is recorded of them.
        self.calls: list[Any] = []

    def captured_array(self, array: numpy.ndarray[Any, Any]) -> SymbolicArray:
        """A captured array, which becomes an input of the graph."""
        position = self._positions.setdefault(id(array), len(self.captured))
        if position == len(self.captured):
            self.captured.append(array)
            self._sums.append(_checksum(array))
        made = self.input(self.first_captured + position, array)
        made.owner = "an array from outside of the kernel"
        return made

    def require_unchanged(self, line: str) -> None:
        """Raise if the kernel wrote into a real array that the graph reads: it would read the new values."""
        for array, before in zip(self.captured, self._sums, strict=True):
            if _checksum(array) != before:
                raise self.error(
                    NeedsOwnArraysError,
                    f"writes into an array of shape {array.shape} after its use; expected arrays that the "
                    "function makes itself, by np.zeros or as a copy of a result",
                    line,
                )

    def argument(self, leaf: int, array: Any) -> SymbolicArray:
        """An array argument of the call."""
        symbol = self.input(leaf, array)
        symbol.owner = f"the argument {self.names[leaf] if self.names else leaf}"
        if array.ndim == 0 and isinstance(array, numpy.ndarray) and self.is_of_numpy:
            symbol.depends = frozenset({leaf})
        return symbol

    def input(self, leaf: int, array: numpy.ndarray[Any, Any]) -> SymbolicArray:
        shape = tuple(None if n == 1 else Axis(n, (leaf, i)) for i, n in enumerate(array.shape))
        dtype = dtype_of(dtype_name(array.dtype))
        if dtype is not None and dtype.is_half and self.takes_halves:
            self.halves[leaf] = dtype
            dtype = FLOAT32
        if dtype not in DTYPES:
            known = ", ".join(map(str, DTYPES))
            raise self.error(
                TypeError,
                f"an array of dtype {dtype_name(array.dtype)} cannot be compiled; expected one of {known}",
            )
        return SymbolicArray(self, self.graph.node(Op.INPUT, (), Leaf(leaf), shape=shape, dtype=dtype))

    def scalar(self, leaf: int, number: float) -> SymbolicArray:
        node = self.graph.node(Op.SCALAR, (), Leaf(leaf), dtype=_dtype_of_python(number), weak=True)
        return SymbolicArray(self, node, depends=frozenset({leaf}))

    def numpy_scalar(self, leaf: int, number: Any) -> SymbolicArray:
        """A NumPy scalar argument: an array of shape (), which has a dtype, unlike a Python number."""
        dtype = dtype_of(number.dtype.name)
        if dtype not in DTYPES or dtype == UINT64:  # does not fit into int64
            return self.input(leaf, numpy.asarray(number))
        held = FLOAT64 if dtype.is_float else INT64
        node = self.graph.node(Op.SCALAR, (), Leaf(leaf), dtype=held)
        if dtype != held:
            node = self.graph.node(Op.ASTYPE, (node,), dtype=dtype)
        return SymbolicArray(self, node, depends=frozenset({leaf}))

    def constant(self, number: Any) -> SymbolicArray:
        """A Python number that is a constant of the kernel."""
        node = self.graph.node(Op.CONSTANT, (), Constant(number), dtype=_dtype_of_python(number), weak=True)
        return SymbolicArray(self, node, known=number)

    def strong_constant(self, number: Any) -> SymbolicArray:
        """A NumPy scalar that is a constant of the kernel: it has a dtype, unlike a Python number."""
        dtype = dtype_of(number.dtype.name)
        if dtype not in DTYPES:
            raise self.error(TypeError, f"a number of dtype {number.dtype.name} cannot be compiled")
        self.any_single = self.any_single or dtype == FLOAT32
        node = self.graph.node(Op.CONSTANT, (), Constant(number.item()), dtype=dtype)
        return SymbolicArray(self, node, known=number)

    def node(
        self,
        operation: Op,
        inputs: Iterable[Node],
        attribute: Attribute | None = None,
        *,
        shape: Shape,
        dtype: DType,
        weak: bool = False,
    ) -> Node:
        """A node of the graph, asked for by the line that runs now."""
        return self.graph.node(
            operation, inputs, attribute, shape=shape, dtype=dtype, weak=weak, line=source_line()
        )

    def size(self, axis: Axis | None) -> Any:
        if axis is None:
            return 1
        node = self.graph.node(Op.SIZE, (), Size(axis.find()), dtype=INT64, weak=True)
        return Length(SymbolicArray(self, node, known=axis.size))

    def decide(self, array: SymbolicArray, question: str, test: str = "") -> Any:
        """The value of a symbolic number in this call, recorded as a decision for later calls.

        question: a key of QUESTIONS; or anything else, with a `test`
        test:     a Python expression of the number; its outcome is returned and compared in later calls
        """
        test = test or QUESTIONS[question]
        node = array.node
        known = self._decided.get((node, test))
        if known is not None and question not in QUESTIONS:
            return known.outcome
        number = compute(node, self.values, self.numbers)
        if known is not None or (question == "bool" and decided_by_signature(node)):
            return number
        outcome = eval(test.format("number"), {"number": number})
        made = self._decided[node, test] = Decision(node, test, outcome, array.depends, source_line())
        self.decisions.append(made)
        return number if question in QUESTIONS else outcome

    def error(self, kind: type[Exception], message: str, line: str = "") -> Exception:
        """An exception with the name of the kernel and a line; by default the line that runs now."""
        made = kind(f"{self.kernel}: {message} ({line or source_line()}).")
        made.of_trace = True  # type: ignore[attr-defined]
        return made


def _checksum(array: Any) -> int:
    """Of the elements of a NumPy array; 0 of a large one, and of one in a GPU's memory."""
    if not isinstance(array, numpy.ndarray) or array.nbytes > _MOST_CHECKED:
        return 0
    return zlib.adler32(numpy.ascontiguousarray(array).view(numpy.uint8).data) if array.size else 0


def _dtype_of_python(number: float) -> DType:
    """The dtype of a Python number in the graph."""
    return BOOL if isinstance(number, bool) else INT64 if isinstance(number, int) else FLOAT64
