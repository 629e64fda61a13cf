"""Symbolic arrays: the arguments of a kernel in its trace. They have a shape and a dtype, and no values.

x * 2.0    with a symbolic x gives    a symbolic array, whose node is (multiply, x, 2.0)
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import array_api_compat
import numpy

from ..ir.attributes import Leaf, View
from ..ir.dtypes import PYTHON_TYPES, numpy_dtype, python_dtype
from ..ir.graph import Node
from ..ir.operations import Op
from .decisions import can_be_computed
from .dtype_names import DtypeName

if TYPE_CHECKING:
    from .tracer import Trace


# The trace that is running in this thread or async task.
current_trace: ContextVar[Trace | None] = ContextVar("onepass_trace", default=None)

_HERE = str(Path(__file__).parents[1])  # the folder of all backends


def source_line() -> str:
    """File and line of the kernel in its trace: the innermost frame outside the backends."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_HERE) and "array_api_compat" not in name:
            return f"{name}, line {frame.f_lineno}"
        frame = frame.f_back
    return "unknown line"


class WritesArgumentError(TypeError):
    """A kernel writes into one of its arguments."""


class SymbolicArray:
    """An array with a shape and a dtype, and no values. `elementwise` adds its operators.

    A weak one of shape () stands for a Python number: it takes the dtype of the arrays that it is combined
    with. `+=` gives an array another node. A view has no node of its own and gives one to its base. So all
    names bound to the array or to a view of it see the change.
    """

    __slots__ = ("_node", "base", "depends", "dimensions", "is_box", "known", "owner", "trace")
    __array_ufunc__ = None  # NumPy's arrays leave operators to this class
    is_traced = True  # `libraries.library_of` asks the type

    def __init__(
        self, trace: Trace, node: Node, known: Any = None, depends: frozenset[int] = frozenset()
    ) -> None:
        self.trace = trace
        self._node = node
        self.known = known  # the number, if it depends only on sizes and constants
        self.depends = depends  # leaves of scalar arguments, if it depends on nothing else
        self.base: SymbolicArray | None = None  # of a view, which has its `dimensions` in this order
        self.dimensions: tuple[int | None, ...] = ()
        self.owner = ""  # the name of the argument that it is; writing into it is an error
        self.is_box = trace.takes_halves  # whether it is a mutable array even if its shape is ()

    @property
    def node(self) -> Node:
        """The current value of the array."""
        return self._node if self.base is None else view_node(self.base, self.dimensions)

    @node.setter
    def node(self, node: Node) -> None:
        if self.base is None:
            self._node = node
            return
        dimensions = self.dimensions
        back = tuple(dimensions.index(d) if d in dimensions else None for d in range(self.base.ndim))
        whole = SymbolicArray(self.trace, node)
        self.base.node = view_node(whole, back)

    # Attributes of arrays

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class for `isinstance`: the type of this value when the kernel runs operation by operation."""
        node = self.node
        if node.weak:
            return PYTHON_TYPES[node.dtype]
        if self.trace.takes_halves:
            # Operators of CuPy's arrays return NotImplemented only for other types.
            return SymbolicArray
        return numpy.ndarray if node.ndim or self.owner or self.is_box else numpy_dtype(node.dtype).type

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        from . import namespace

        return namespace

    @property
    def dtype(self) -> str:
        return DtypeName(self.node.dtype.name)

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
        return f"<symbolic {self.dtype} array of shape {self.node.sizes()}>"

    def __str__(self) -> str:
        return str(self._number("str"))

    def __format__(self, form: str) -> str:
        return format(self._number("str"), form)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self.trace.error(
            TypeError, "a symbolic array cannot be converted to a NumPy array; use xp.asarray"
        )

    def __reduce_ex__(self, _: Any) -> Any:
        raise self.trace.error(
            TypeError, "a symbolic array cannot be copied or pickled; use xp.asarray(copy=True)"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # libraries look for protocols on any object
            raise AttributeError(name)
        raise self.trace.error(
            AttributeError,
            f".{name} of a symbolic array is not supported by the compiler; use a function of xp",
        )

    def __len__(self) -> int:
        return self.node.sizes()[0]

    def __iter__(self) -> Any:
        raise self.trace.error(
            TypeError,
            "iteration over a symbolic array is not supported by the compiler; index it, or reduce it",
        )

    def as_python_number(self) -> SymbolicArray:
        """An array of shape () as a weak number."""
        dtype = python_dtype(self.node.dtype)
        node = self.trace.graph.node(Op.ASTYPE, (self.node,), dtype=dtype, weak=True, line=source_line())
        return SymbolicArray(self.trace, node, self.known, self.depends)

    # Conversions to Python numbers

    def _number(self, question: str) -> Any:
        if self.known is not None:
            return self.known
        trace_of((self,))
        if self.depends and can_be_computed(self.node, self.trace.computable):
            return self.trace.decide(self, question)
        advice = "use xp.where" if question == "bool" else "its values are not known in the trace"
        raise self.trace.error(TypeError, f"{question}(array) of a symbolic {self.dtype} array; {advice}")

    def __hash__(self) -> int:
        return hash(self._number("hash"))

    def __bool__(self) -> bool:
        return bool(self._number("bool"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __float__(self) -> float:
        return float(self._number("float"))

    def __index__(self) -> int:
        number = self._number("index")
        if not isinstance(number, int | numpy.integer):
            raise self.trace.error(TypeError, f"an index must be an integer; got {number!r}")
        return int(number)

    def __pos__(self) -> SymbolicArray:
        return copy_of(self)

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


def copy_of(array: SymbolicArray) -> SymbolicArray:
    """A copy: writing into it does not change the first array."""
    return SymbolicArray(array.trace, array.node, array.known, array.depends)


def view(array: SymbolicArray, dimensions: tuple[int | None, ...]) -> SymbolicArray:
    """A view with the dimensions in another order; None inserts a dimension of size 1."""
    if dimensions == tuple(range(array.ndim)):
        return array
    made = SymbolicArray(array.trace, view_node(array, dimensions))
    made.base, made.dimensions = array, dimensions
    return made


def view_node(array: SymbolicArray, dimensions: tuple[int | None, ...]) -> Node:
    """The node of a view; of a Python number dimensions make an array, which is not weak."""
    node = array.node
    if dimensions == tuple(range(node.ndim)):
        return node
    shape = tuple(None if d is None else node.shape[d] for d in dimensions)
    return array.trace.graph.node(
        Op.VIEW, (node,), View(dimensions), shape=shape, dtype=node.dtype, line=source_line()
    )


def index_to_view(array: SymbolicArray, keys: tuple[Any, ...]) -> tuple[int | None, ...]:
    """The dimensions of a view by an index of full slices, None, ... and 0 for dimensions of size 1."""
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
                f"indexing shape {array.node.sizes()} with {key!r} is not supported by the compiler; "
                "expected full slices, None, ..., or 0 for a dimension of size 1",
            )
        position += 1
    return tuple(dimensions)


def check_in_every_call(array: SymbolicArray, check: Any) -> None:
    """Call `check` with the actual value in every call, if the array is an argument of the kernel."""
    if isinstance(array.node.attribute, Leaf):
        array.trace.call_checks.append((array.node.attribute.number, check))


def is_array(value: Any) -> bool:
    """Whether a value is an array of NumPy or CuPy, which the compiler takes."""
    return isinstance(value, numpy.ndarray) or array_api_compat.is_cupy_array(value)


def as_symbolic(trace: Trace, value: Any) -> SymbolicArray:
    """An operand as a symbolic array: an array, or a number."""
    if isinstance(value, SymbolicArray):
        if value.trace is not trace:
            raise trace.error(TypeError, "got an array of another trace; return it from that kernel")
        return value
    if isinstance(value, numpy.generic):
        # An array of shape (): its value is a constant of the graph.
        trace.numpy_numbers.append(value)
        return trace.strong_constant(value)
    if type(value) in (bool, int, float):
        return trace.constant(value)
    if isinstance(value, int | float):  # for NumPy a subclass is not weak
        return trace.strong_constant(numpy.asarray(value)[()])
    if is_array(value):
        return trace.captured_array(value)
    raise trace.error(TypeError, f"got {type(value).__name__!r}; expected an array or a number")


def trace_of(values: tuple[Any, ...]) -> Trace:
    """The trace of the values, or the running one."""
    for value in values:
        if isinstance(value, SymbolicArray):
            if value.trace.is_over:
                raise value.trace.error(
                    TypeError, "a symbolic array is used after its trace; return it from the kernel"
                )
            return value.trace
    running = current_trace.get()
    if running is None:
        raise TypeError(
            "the namespace of symbolic arrays was used outside a trace; use it in the kernel only"
        )
    return running


def of_array(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator for functions of the namespace whose first argument may be a captured array."""

    @functools.wraps(function)
    def with_symbolic(x: Any, *others: Any, **options: Any) -> Any:
        return function(as_symbolic(trace_of((x,)), x), *others, **options)

    return with_symbolic
