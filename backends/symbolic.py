"""Symbolic arrays: what a kernel is given while it is traced. They are array-API objects without numbers."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy

from .graph import Axis, Graph, Node
from .operations import DTYPES, HALVES


class NeedsNumber(Exception):  # noqa: N818 - a request to trace again, not an error
    """A kernel looked at a number that was given as "any": its leaf has to be traced as that number."""

    def __init__(self, leaves: frozenset[int]) -> None:
        self.leaves = leaves


class Trace:
    """One run of a kernel with symbolic arguments."""

    def __init__(self, kernel: str, *, takes_halves: bool = False) -> None:
        self.kernel = kernel
        self.takes_halves = takes_halves
        self.graph = Graph()
        self.captured: list[Any] = []  # arrays that the kernel has from elsewhere, in the order of their use
        self.first_captured = 0  # the number of the first of them among the leaves
        self.halves: dict[int, str] = {}  # arguments whose memory holds less than they are computed with
        self.every_call: list[tuple[int, Any]] = []  # leaves, and the functions that look at their numbers

    def captured_array(self, array: numpy.ndarray[Any, Any]) -> SymbolicArray:
        """An array of a closure, which becomes an argument."""
        for position, known in enumerate(self.captured):
            if known is array:
                return self.input(self.first_captured + position, array)
        self.captured.append(array)
        return self.input(self.first_captured + len(self.captured) - 1, array)

    def input(self, leaf: int, array: numpy.ndarray[Any, Any]) -> SymbolicArray:
        shape = tuple(None if n == 1 else Axis(n, (leaf, i)) for i, n in enumerate(array.shape))
        name = array.dtype.name
        if name in HALVES and self.takes_halves:
            self.halves[leaf] = name
            name = "float32"
        if name not in DTYPES:
            raise self.error(
                TypeError, f"an array of dtype {name} cannot be compiled; expected one of {', '.join(DTYPES)}"
            )
        return SymbolicArray(self, self.graph.node("input", (), leaf, shape=shape, dtype=name))

    def scalar(self, leaf: int, number: float) -> SymbolicArray:
        dtype = "bool" if isinstance(number, bool) else "int64" if isinstance(number, int) else "float64"
        node = self.graph.node("scalar", (), leaf, dtype=dtype, weak=True)
        return SymbolicArray(self, node, depends=frozenset({leaf}))

    def constant(self, number: Any) -> SymbolicArray:
        """A Python number in the kernel's own text."""
        dtype = "bool" if isinstance(number, bool) else "int64" if isinstance(number, int) else "float64"
        node = self.graph.node("constant", (), number, dtype=dtype, weak=True)
        return SymbolicArray(self, node, known=number)

    def size(self, axis: Axis | None) -> Any:
        if axis is None:
            return 1
        node = self.graph.node("size", (), axis.find(), dtype="int64", weak=True)
        return SymbolicArray(self, node, known=axis.size)

    def error(self, kind: type[Exception], message: str) -> Exception:
        """An exception that names the kernel and the line."""
        return kind(f"{self.kernel}: {message} ({where()}).")


# The trace that is running in this thread or task, if any.
current: ContextVar[Trace | None] = ContextVar("onepass_trace", default=None)

_HERE = str(Path(__file__).parent)


def where() -> str:
    """File and line of the kernel that is being traced: the innermost frame that is not the tracer's."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_HERE) and "array_api_compat" not in name:
            return f"{name}, line {frame.f_lineno}"
        frame = frame.f_back
    return "unknown line"


class SymbolicArray:
    """An array of which shape and dtype are known and the numbers are not; `elementwise` gives it operators.

    A weak one of shape () stands for a Python number, and takes the dtype of the arrays that it meets.
    """

    __slots__ = ("depends", "known", "node", "trace")
    __array_ufunc__ = None  # NumPy's arrays leave operators to this class
    __hash__ = object.__hash__

    def __init__(
        self, trace: Trace, node: Node, known: Any = None, depends: frozenset[int] = frozenset()
    ) -> None:
        self.trace = trace
        self.node = node
        self.known = known  # the number, where sizes and constants alone decide it
        self.depends = depends  # the scalar arguments that it is computed from, if from nothing else

    # What an array says of itself

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        from . import traced_namespace

        return traced_namespace

    @property
    def dtype(self) -> str:
        return self.node.dtype

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple(map(self.trace.size, self.node.shape))

    @property
    def ndim(self) -> int:
        return self.node.ndim

    @property
    def size(self) -> Any:
        total: Any = 1
        for length in self.shape:
            total = total * length
        return total

    @property
    def device(self) -> str:
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> SymbolicArray:
        return self

    def __repr__(self) -> str:
        if self.known is not None:
            return repr(self.known)
        return f"<traced {self.dtype} array of shape {self.node.sizes()}>"

    def __len__(self) -> int:
        return self.node.sizes()[0]

    def __iter__(self) -> Any:
        raise self.trace.error(
            TypeError, "iteration over a traced array is no operation of the compiler; index it, or reduce it"
        )

    # Python asks for the number

    def _number(self, asked: str) -> Any:
        if self.known is not None:
            return self.known
        if self.depends:
            raise NeedsNumber(self.depends)
        advice = "use xp.where" if asked == "bool" else "its numbers are not known while it is traced"
        raise self.trace.error(TypeError, f"{asked}(array) of a traced {self.dtype} array; {advice}")

    def __bool__(self) -> bool:
        return bool(self._number("bool"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __float__(self) -> float:
        return float(self._number("float"))

    def __index__(self) -> int:
        number = self._number("index")
        if not isinstance(number, int):
            raise self.trace.error(TypeError, f"an index must be an integer; got {number!r}")
        return number

    def __pos__(self) -> SymbolicArray:
        return self

    def __matmul__(self, other: Any) -> Any:
        return self.__array_namespace__().matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.__array_namespace__().matmul(other, self)

    # Shape

    @property
    def T(self) -> SymbolicArray:  # noqa: N802 - the standard's name
        if self.ndim != 2:
            raise self.trace.error(ValueError, f".T needs two dimensions; got shape {self.node.sizes()}")
        return view(self, (1, 0))

    @property
    def mT(self) -> SymbolicArray:  # noqa: N802 - the standard's name
        return self.T

    def __getitem__(self, key: Any) -> SymbolicArray:
        return view(self, index_to_view(self, key if isinstance(key, tuple) else (key,)))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise self.trace.error(TypeError, "a kernel must not write into an array; use xp.where")


def view(array: SymbolicArray, dimensions: tuple[int | None, ...]) -> SymbolicArray:
    """The dimensions in another order, with dimensions of 1 put in and left out."""
    if dimensions == tuple(range(array.ndim)):
        return array
    shape = tuple(None if d is None else array.node.shape[d] for d in dimensions)
    node = array.trace.graph.node(
        "view", (array.node,), dimensions, shape=shape, dtype=array.dtype, weak=array.node.weak, line=where()
    )
    return SymbolicArray(array.trace, node)


def index_to_view(array: SymbolicArray, keys: tuple[Any, ...]) -> tuple[int | None, ...]:
    """The dimensions that an index keeps: of full slices, None, ... and the 0 of a dimension of 1."""
    shape = array.node.shape
    given = sum(key is not None and key is not Ellipsis for key in keys)
    rest = (slice(None),) * (len(shape) - given)
    if Ellipsis in [key for key in keys if not isinstance(key, SymbolicArray)]:
        position = [key is Ellipsis for key in keys].index(True)
        keys = (*keys[:position], *rest, *keys[position + 1 :])
    else:
        keys = (*keys, *rest)
    dimensions: list[int | None] = []
    position = 0
    for key in keys:
        if key is None:
            dimensions.append(None)
            continue
        if position >= len(shape):
            raise array.trace.error(IndexError, f"too many indices for shape {array.node.sizes()}")
        if isinstance(key, slice) and key == slice(None):
            dimensions.append(position)
        elif not (type(key) is int and key in (0, -1) and shape[position] is None):
            raise array.trace.error(
                TypeError,
                f"indexing shape {array.node.sizes()} with {key!r} is no operation of the compiler; it knows "
                "full slices, None, ... and 0 where the dimension is 1",
            )
        position += 1
    return tuple(dimensions)


def look_at_every_call(array: SymbolicArray, look: Any) -> None:
    """Have `look` called with the actual array or number at every call, if it is an argument of a kernel."""
    if array.node.operation in ("input", "scalar"):
        array.trace.every_call.append((array.node.attribute, look))


def is_array(value: Any) -> bool:
    """Whether a value is an array of a library that programs are compiled for."""
    return isinstance(value, numpy.ndarray) or type(value).__module__.partition(".")[0] == "cupy"


def as_symbolic(trace: Trace, value: Any) -> SymbolicArray:
    """A value of any kind that may stand in an operation."""
    if isinstance(value, SymbolicArray):
        if value.trace is not trace:
            raise trace.error(TypeError, "got an array of another trace; return it from there")
        return value
    if isinstance(value, numpy.generic) and not isinstance(value, numpy.float32):
        value = value.item()
    if isinstance(value, bool | int | float):
        return trace.constant(value)
    if isinstance(value, numpy.float32):
        value = numpy.asarray(value)
    if is_array(value):
        return trace.captured_array(value)
    raise trace.error(TypeError, f"got {type(value).__name__!r} where an array or a number is needed")


def trace_of(values: tuple[Any, ...]) -> Trace:
    """The trace that the values belong to, or the one that is running."""
    for value in values:
        if isinstance(value, SymbolicArray):
            return value.trace
    running = current.get()
    if running is None:
        raise TypeError("an operation of the tracer outside of a trace")
    return running
