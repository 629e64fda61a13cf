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

import numpy

from ..common.libraries import library_of
from ..ir.attributes import Leaf, Mark, MarkKind
from ..ir.dtypes import PYTHON_TYPES, numpy_dtype, python_dtype
from ..ir.graph import Node
from ..ir.operations import Op
from .decisions import can_be_computed
from .dtype_names import DtypeName
from .looks import Look, Permuted
from .strides import order_of_result

if TYPE_CHECKING:
    from .tracer import Trace


class Length(int):
    """The length of an axis, or a number computed from lengths: an integer, and a value of the graph.

    NumPy and Python see the integer of the call that is traced.
    """

    array: SymbolicArray

    def __new__(cls, array: SymbolicArray) -> Length:
        made = super().__new__(cls, array.known)
        made.array = array
        return made

    def __reduce__(self) -> Any:
        return int, (int(self),)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        # NumPy takes a subclass of int as int64, and a plain int in the dtype of the array.
        plain = [int(value) if isinstance(value, Length) else value for value in inputs]
        return getattr(ufunc, method)(*plain, **options)


# The trace that is running in this thread or async task.
current_trace: ContextVar[Trace | None] = ContextVar("onepass_trace", default=None)

_HERE = str(Path(__file__).parents[1])  # the folder of all backends


_OTHER_LIBRARIES = ("jax", "torch")
_NOT_THE_KERNEL = ("array_api_compat", "onepass", *_OTHER_LIBRARIES)


def _package(frame: Any) -> str:
    """The top-level package of the code that a frame runs."""
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def source_line() -> str:
    """File and line of the kernel in its trace: the innermost frame outside the backends."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_HERE) and _package(frame) not in _NOT_THE_KERNEL:
            return f"{name}, line {frame.f_lineno}"
        frame = frame.f_back
    return "unknown line"


class WritesArgumentError(TypeError):
    """A kernel writes into one of its arguments."""


class NeedsOwnArraysError(TypeError):
    """A real array would have to hold symbolic ones."""


class SymbolicArray:
    """An array with a shape and a dtype, and no values. `operators` sets its operators.

    A weak one of shape () stands for a Python number: it takes the dtype of the arrays that it is combined
    with. `+=` gives an array another node. A view reads the node of its base, and an assignment to the view
    changes that node. So all names bound to the array or to a view of it see the change.
    """

    __slots__ = ("_node", "base", "depends", "is_box", "known", "look", "order", "owner", "tracer")
    __array_priority__ = 1000  # CuPy's arrays leave operators to this class
    is_traced = True  # `libraries.library_of` asks the type

    def __init__(
        self, trace: Trace, node: Node, known: Any = None, depends: frozenset[int] = frozenset()
    ) -> None:
        self.tracer = trace
        self._node = node
        self.known = known  # the number, if it depends only on sizes and constants
        self.depends = depends  # leaves of scalar arguments, if it depends on nothing else
        self.base: SymbolicArray | None = None  # of a view, which is a `look` at it
        self.look: Look | None = None
        self.order: tuple[int, ...] = ()  # of dimensions in NumPy's memory, where it is not C order
        self.owner = ""  # "the argument x" where it is one; writing into it is an error
        self.is_box = not trace.is_of_numpy  # whether it is a mutable array even if its shape is ()

    @property
    def node(self) -> Node:
        """The current value of the array."""
        if self.base is None or self.look is None:
            return self._node
        return self.look.read(self.tracer, self.base.node)

    @node.setter
    def node(self, node: Node) -> None:
        if self.base is None or self.look is None:
            self._node = node
        else:
            self.base.node = self.look.written(self.tracer, self.base.node, node)

    if TYPE_CHECKING:
        # `operators` sets these when it is imported.

        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __floordiv__(self, other: Any) -> Any: ...
        def __rfloordiv__(self, other: Any) -> Any: ...
        def __mod__(self, other: Any) -> Any: ...
        def __rmod__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __rpow__(self, other: Any) -> Any: ...
        def __and__(self, other: Any) -> Any: ...
        def __or__(self, other: Any) -> Any: ...
        def __xor__(self, other: Any) -> Any: ...
        def __invert__(self) -> Any: ...
        def __neg__(self) -> Any: ...
        def __abs__(self) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...
        def __eq__(self, other: object) -> Any: ...
        def __ne__(self, other: object) -> Any: ...
        def __getitem__(self, key: Any) -> Any: ...
        def __setitem__(self, key: Any, value: Any) -> None: ...

    # Attributes of arrays

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class for `isinstance`: the type of this value when the kernel runs operation by operation."""
        node = self.node
        if node.weak and (self.known is not None or self.depends):
            return PYTHON_TYPES[node.dtype]
        if not self.tracer.is_of_numpy:
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
        return tuple(map(self.tracer.size, self.node.shape))

    @property
    def ndim(self) -> int:
        return self.node.ndim

    @property
    def size(self) -> Any:
        """The number of elements."""
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
        return repr(self) if _is_asked_by_library() else str(self._number("str"))

    def __format__(self, form: str) -> str:
        return repr(self) if _is_asked_by_library() else format(self._number("str"), form)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self.tracer.error(
            NeedsOwnArraysError, "a symbolic array cannot be converted to a NumPy array; use xp.asarray"
        )

    def __reduce_ex__(self, _: Any) -> Any:
        raise self.tracer.error(
            TypeError, "a symbolic array cannot be copied or pickled; use xp.asarray(copy=True)"
        )

    def __len__(self) -> int:
        if not self.ndim:
            raise self.tracer.error(TypeError, "len() of an array of shape ()")
        return self.node.sizes()[0]

    def __iter__(self) -> Any:
        return iter([self[position] for position in range(len(self))])

    def as_python_number(self) -> SymbolicArray:
        """An array of shape () as a weak number."""
        assert not self.node.shape, f"{self!r} is not a number"
        dtype = python_dtype(self.node.dtype)
        node = self.tracer.graph.node(Op.ASTYPE, (self.node,), dtype=dtype, weak=True, line=source_line())
        return SymbolicArray(self.tracer, node, self.known, self.depends)

    # Conversions to Python numbers

    def _number(self, question: str) -> Any:
        if question in ("float", "int", "index") and self._is_differentiated():
            raise self.tracer.error(
                TypeError,
                f"{question}() of a number that is differentiated, as functions of the module math take it, "
                "would cut its derivative; use functions of xp, or op.stop_gradient first",
            )
        if self.known is not None:
            return self.known
        trace_of((self,))
        if self.depends and can_be_computed(self.node, self.tracer.computable):
            return self.tracer.decide(self, question)
        # NumPy asks for a number where one is assigned to an element of a real array.
        self.tracer.may_need_own_arrays |= question in ("float", "int", "bool")
        advice = "use xp.where" if question == "bool" else "its values are not known in the trace"
        raise self.tracer.error(TypeError, f"{question}(array) of a symbolic {self.dtype} array; {advice}")

    def _is_differentiated(self) -> bool:
        """Whether the number depends on a variable of a derivative that is taken now."""
        if not self.tracer.derivatives or not self.node.dtype.is_float:
            return False
        stack, seen = [self.node], set[Node]()
        while stack:
            node = stack.pop()
            kind = node.attribute.kind if isinstance(node.attribute, Mark) else None
            if kind is MarkKind.VARIABLE:
                return True
            if node not in seen and node.dtype.is_float and kind is not MarkKind.STOPPED:
                seen.add(node)
                stack.extend(node.inputs)
        return False

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
            raise self.tracer.error(TypeError, f"an index must be an integer; got {number!r}")
        return int(number)

    def __pos__(self) -> SymbolicArray:
        return in_order_of(self, copy_of(self))

    def __matmul__(self, other: Any) -> Any:
        return self.__array_namespace__().matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.__array_namespace__().matmul(other, self)

    # Shape

    @property
    def T(self) -> SymbolicArray:  # noqa: N802 - the standard's name
        return view(self, tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> SymbolicArray:  # noqa: N802 - the standard's name
        if self.ndim < 2:
            raise self.tracer.error(ValueError, f".mT needs two dimensions; got shape {self.node.sizes()}")
        return view(self, (*range(self.ndim - 2), self.ndim - 1, self.ndim - 2))


def _is_asked_by_library() -> bool:
    """Whether the text of an array is for an error that JAX or PyTorch raises."""
    return _package(sys._getframe(2)) in _OTHER_LIBRARIES


def copy_of(array: SymbolicArray) -> SymbolicArray:
    """A copy in C order: writing into it does not change the first array."""
    return SymbolicArray(array.tracer, array.node, array.known, array.depends)


def in_order_of(array: SymbolicArray, made: SymbolicArray) -> SymbolicArray:
    """A new array of the same shape, in the order in memory in which NumPy makes it."""
    if array.base is not None or array.order:
        made.order = order_of_result(made.node.sizes(), (array,))
    return made


def view(array: SymbolicArray, dimensions: tuple[int | None, ...]) -> SymbolicArray:
    """A view with the dimensions in another order; None inserts a dimension of size 1."""
    return look_at(array, Permuted(dimensions)) if dimensions != tuple(range(array.ndim)) else array


def root_of(array: SymbolicArray) -> SymbolicArray:
    """The array that a view, or a view of a view, shows."""
    while array.base is not None:
        array = array.base
    return array


def is_immutable(array: SymbolicArray) -> bool:
    """Whether the array is an immutable scalar in NumPy: of shape (), and not made as an array."""
    root = root_of(array)
    return not (array.ndim or root.ndim or root.owner or array.is_box or root.is_box)


def look_at(array: SymbolicArray, look: Look) -> SymbolicArray:
    """A view: writing into it changes the array, unless that is an immutable scalar."""
    if is_immutable(array):
        array = copy_of(array)
        array.is_box = True
    made = SymbolicArray(array.tracer, look.read(array.tracer, array.node))
    made.base, made.look = array, look
    return made


def check_in_every_call(array: SymbolicArray, check: Any) -> None:
    """Call `check` with the actual value in every call, if the array is an argument of the kernel."""
    if isinstance(array.node.attribute, Leaf):
        array.tracer.call_checks.append((array.node.attribute.number, check))


def is_array(value: Any) -> bool:
    """Whether a value is an array of NumPy or another library."""
    return isinstance(value, numpy.ndarray) or library_of(value) not in (None, "numpy", "traced")


def as_symbolic(trace: Trace, value: Any) -> SymbolicArray:
    """An operand as a symbolic array: an array, or a number."""
    if isinstance(value, SymbolicArray):
        if value.tracer is not trace:
            raise trace.error(TypeError, "got an array of another trace; return it from that kernel")
        return value
    if isinstance(value, Length):
        return value.array
    if isinstance(value, numpy.generic):
        # An array of shape (): its value is a constant of the graph.
        trace.numpy_numbers.append(value)
        return trace.strong_constant(value)
    if type(value) in (bool, int, float):
        return trace.constant(value)
    if isinstance(value, int | float):  # for NumPy a subclass is not weak
        return trace.strong_constant(numpy.asarray(value)[()])
    if is_array(value) and library_of(value) in ("numpy", "cupy", trace.library, None):
        return trace.captured_array(value)
    raise trace.error(TypeError, f"got {type(value).__name__!r}; expected an array or a number")


def trace_of(values: tuple[Any, ...]) -> Trace:
    """The trace of the values, or the running one."""
    for value in values:
        if isinstance(value, SymbolicArray):
            if value.tracer.is_over:
                raise value.tracer.error(
                    TypeError, "a symbolic array is used after its trace; return it from the kernel"
                )
            return value.tracer
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
