"""Tracing: takes a function and the arguments of a call, gives the graph of what the function computes.

trace(lambda x: x.sum(), "f", (numpy.ones(3),), {}).trace.graph    gives    input 0 -> sum over axis 0
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ..common.libraries import library_of
from ..common.static_values import OPTIONS, is_numpy_number, is_runtime_scalar
from ..common.trees import leaves, map_leaves, named_leaves
from ..ir.attributes import Leaf
from ..ir.dtypes import DType
from ..ir.graph import Node
from ..ir.operations import Op
from . import operators  # noqa: F401 - gives symbolic arrays their operators
from .captures import captures_of
from .dtype_names import DtypeName
from .guards import Guards, make_guards
from .marks import without_marks
from .masked import MaskedValues
from .symbolic import Length, NeedsOwnArraysError, SymbolicArray, current_trace, is_array
from .tracer import Trace
from .writes import Watched

_NO_ELEMENT = (
    "writes what depends on an argument into an element of a real array; make the array in the kernel, with "
    "np.zeros or np.array"
)


@dataclass
class Traced:
    """The trace of a kernel for calls of one signature.

    trace:  the graph and what else belongs to the trace
    result: the pytree that the kernel returned, with symbolic arrays
    guards: what the trace depends on besides the signature
    """

    kernel: str
    trace: Trace
    result: Any
    guards: Guards

    @property
    def half(self) -> DType | None:
        """The half-precision dtype of all floating-point arguments; None if there is none, or several."""
        halves = self.trace.halves
        inputs = [node for node in self.trace.graph.nodes if node.operation is Op.INPUT]
        floats = {halves.get(node.attribute_as(Leaf).number) for node in inputs if node.dtype.is_float}
        return floats.pop() if len(floats) == 1 else None

    @property
    def outputs(self) -> list[Node]:
        """The nodes of the arrays in the result, in its order."""
        return [leaf.node for leaf in leaves(self.result) if isinstance(leaf, SymbolicArray)]


def tracing() -> bool:
    """Whether a trace is running in this thread or async task."""
    return current_trace.get() is not None


def trace(
    function: Callable[..., Any],
    kernel: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    static_leaves: frozenset[int] = frozenset(),
    *,
    takes_halves: bool = False,
    library: str = "numpy",
) -> Traced:
    """Call `function` with symbolic arrays and numbers in place of those of the call.

    static_leaves: numbers of the leaves of (args, kwargs) whose values are constants of the graph
    takes_halves:  whether arrays may have half precision; they are computed with as float32
    library:       whose arrays the function may read beside its arguments, and what symbolic arrays look like
    """

    def traced_once() -> Traced:
        running = Trace(
            kernel,
            leaves((args, kwargs)),
            leaf_names(function, args, kwargs),
            takes_halves=takes_halves,
            library=library,
        )
        return _traced_once(running, function, args, kwargs, static_leaves)

    try:
        return traced_once()
    except NeedsOwnArraysError as error:
        first = error.with_traceback(None)
    from .own_arrays import symbolic_creation

    try:
        with symbolic_creation():
            return traced_once()
    except NeedsOwnArraysError:
        why = TypeError(str(first))
        why.of_trace = True  # type: ignore[attr-defined]
        raise (first.__cause__ or why) from None


def _traced_once(
    running: Trace,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    static_leaves: frozenset[int],
) -> Traced:
    """One run of the function."""
    values, names = running.values, running.names
    symbols: Any = iter([_symbol(running, n, leaf, static_leaves) for n, leaf in enumerate(values)])
    symbolic_args, symbolic_kwargs = map_leaves(lambda _: next(symbols), (args, kwargs))
    captures = captures_of(function, _objects(values, names))
    running.outside = frozenset(id(read.value) for read in captures.reads if read.kind == "array")
    watched = Watched(captures.changeable, (symbolic_args, symbolic_kwargs))
    token = current_trace.set(running)
    try:
        returned = function(*symbolic_args, **symbolic_kwargs)
        line = definition(function)
        watched.require_unchanged(running, line)
        running.require_unchanged(line)
        result = map_leaves(lambda leaf: _result_leaf(running, leaf, line), returned)
        result = without_marks(running, result)
    except BaseException as error:
        watched.undo()
        if running.may_need_own_arrays and not isinstance(error, NeedsOwnArraysError):
            if str(error).startswith("setting an array element"):
                raise running.error(NeedsOwnArraysError, _NO_ELEMENT, definition(function)) from None
            if hasattr(error, "of_trace"):
                raise NeedsOwnArraysError(str(error)) from error
        raise
    finally:
        current_trace.reset(token)
        running.is_over = True
        # The program must not keep the arrays of its first call alive.
        running.values = ()
        running.numbers.clear()
    return Traced(running.kernel, running, result, make_guards(captures, running, names))


def _symbol(running: Trace, number: int, leaf: Any, static_leaves: frozenset[int]) -> Any:
    """The symbolic array for a leaf of the call; the leaf itself if it is static."""
    if is_array(leaf):
        return running.argument(number, leaf)
    if isinstance(leaf, numpy.generic) and is_numpy_number(leaf):
        return running.numpy_scalar(number, leaf)
    if is_runtime_scalar(leaf) and number not in static_leaves:
        return running.scalar(number, leaf)
    return leaf


def leaf_names(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """The paths of the leaves of a call, such as params[0][1]."""
    arguments = by_parameter(function, args, kwargs)
    return [name for _, path, value in arguments for name, _ in named_leaves(value, path)]


def by_parameter(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[tuple[str, str, Any]]:
    """(parameter, path, value) for each argument of a call, in order."""
    parameters = inspect.signature(function).parameters.values()
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    others = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "args")
    rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), "kwargs")
    by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    found = [(name, name, value) for name, value in zip(named, args, strict=False)]
    found += [(others, f"{others}[{index}]", value) for index, value in enumerate(args[len(named) :])]
    return found + [(name if name in by_name else rest, name, value) for name, value in kwargs.items()]


def _objects(values: Sequence[Any], names: Sequence[str]) -> list[tuple[str, Any, str]]:
    """(expression, object, name) for the leaves that are compared by identity."""
    return [
        (f"values[{number}]", leaf, names[number])
        for number, leaf in enumerate(values)
        if leaf is not None and not isinstance(leaf, OPTIONS) and library_of(leaf) is None
    ]


def definition(function: Callable[..., Any]) -> str:
    """File and line of a function's first line."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None)
    code = code or getattr(type(function).__call__, "__code__", None)
    return f"{code.co_filename}, line {code.co_firstlineno}" if code is not None else "unknown line"


def _result_leaf(running: Trace, leaf: Any, line: str) -> Any:
    """A leaf of the kernel's result as the program returns it."""
    if isinstance(leaf, DtypeName):
        return numpy.dtype(leaf)
    if isinstance(leaf, Length):
        leaf = leaf.array
    if isinstance(leaf, SymbolicArray):
        if leaf.tracer is not running:
            raise running.error(TypeError, "returns an array of another trace", line)
        return leaf
    if is_array(leaf) and library_of(leaf) in ("numpy", "cupy", running.library, None):
        return running.captured_array(leaf)
    # An argument of another library is returned as it is: the call is rejected elsewhere.
    is_argument = library_of(leaf) is not None and any(leaf is value for value in running.values)
    if leaf is None or isinstance(leaf, OPTIONS) or is_argument:
        return leaf
    if isinstance(leaf, MaskedValues):
        raise leaf.error("a result of the elements at a mask")
    kind = type(leaf)
    raise running.error(
        TypeError,
        f"returns a value of type {kind.__module__}.{kind.__qualname__}; expected arrays, numbers, strings, "
        "None, and lists, tuples, dicts and dataclasses of them",
        line,
    )
