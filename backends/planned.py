"""Calls of one signature that NumPy runs, with memory that is planned.

Takes a function and the leaves of a call. What plans and writes programs (`numpy_program`) is imported by the
first call that needs it, so that `import onepass` stays fast.

    calls = PlannedCalls(function, "relu", frozenset(), {}, run_eagerly)
    calls.run((x,), {}, [x])    # as the function is written
    calls.run((x,), {}, [x])    # plans a program and runs it
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy

from .common.forks import compile_lock
from .common.trees import leaves, map_leaves
from .eager import run_eagerly
from .specializations import CannotCompileError, Specializations

# Takes (function, args, kwargs), and runs a call as it is written.
Run = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

# The calls of a signature before a user's kernel is planned. Planning takes as long as about 100 calls with
# small arrays and saves up to half of each later one, so a program that ends soon loses little.
FIRST_PLANNED = 64
# The programs of one signature of a user's kernel. If a kernel needs more, because a number that it compares
# is another one in every call, planning takes longer than it saves.
MAX_PROGRAMS = 4


class Planned:
    """Runs calls of one signature with NumPy: the first ones as they are written, later ones by programs.

    Calls that cannot be planned run as they are written too.

    as_written: runs a call without a program
    first:      the number of calls before the first that is planned
    """

    __slots__ = ("_as_written", "_calls", "_first", "_function", "_programs")

    def __init__(
        self, function: Callable[..., Any], programs: Specializations, as_written: Run, first: int
    ) -> None:
        self._function, self._as_written = function, as_written
        self._calls, self._first = 0, first
        self._programs: Specializations | None = programs

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]) -> Any:
        """The result of a call, whose leaves are `values`."""
        if self._calls < self._first:
            self._calls += 1
        elif self._programs is not None:
            result = self._by_program(self._programs, args, kwargs, values)
            if result is not NotImplemented:
                return result
        return self._as_written(self._function, args, kwargs)

    def _by_program(
        self, programs: Specializations, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]
    ) -> Any:
        """The result of a call by a program; NotImplemented if none takes it."""
        try:
            return run_eagerly(programs.run, (args, kwargs, values), {})
        except CannotCompileError:
            self._programs = None
            return NotImplemented


class PlannedCalls(Planned):
    """Runs calls of a function of the library, or of a derivative.

    first: 1 for a function of the library: a plan takes as long as tens of small calls. 0 for a derivative,
           which `as_written` would trace too
    """

    __slots__ = ()

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        static: frozenset[int],
        retraces: dict[str, int],
        as_written: Run,
        *,
        first: int = 1,
    ) -> None:
        def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            with compile_lock:  # a fork during the import would leave a half imported module in the child
                from .numpy_program import NumpyProgram
            return NumpyProgram(function, name, args, kwargs, static)

        super().__init__(function, Specializations(make, retraces), as_written, first)


class PlannedKernel(Planned):
    """Runs calls of a user's kernel.

    A kernel that does nothing but call kernels of the library runs programs after some calls. Others run as
    they are written, and all do while a debugger may stop in them, and where a program raises an error.
    """

    __slots__ = ()

    def __init__(self, function: Callable[..., Any], name: str, as_written: Run) -> None:
        made = 0

        def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            nonlocal made
            made += 1
            if made > MAX_PROGRAMS:
                raise NotPlannedError(f"needs more than {MAX_PROGRAMS} programs")
            return _program(function, name, args, kwargs, as_written)

        # Its own count of retraces, which stays below the number that a warning needs.
        super().__init__(function, Specializations(make, {}), as_written, FIRST_PLANNED)

    def _by_program(
        self, programs: Specializations, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]
    ) -> Any:
        if _is_debugged():
            return NotImplemented
        try:
            return super()._by_program(programs, args, kwargs, values)
        except Exception:
            # The function has no effects, so it can be called again, and then the error is its own.
            return NotImplemented


class NotPlannedError(Exception):
    """A kernel runs as it is written; the text says why."""


def _program(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any], as_written: Run
) -> Any:
    """The program of a user's kernel for calls like this one.

    raises: NotPlannedError if the function is not composed of kernels of the library, or if a result of this
            call differs in any way; any error of a function that cannot be traced
    """
    with compile_lock:
        from .numpy_program import NumpyProgram
        from .trace.composition import not_composed
    containers: list[Any] = []
    if found := not_composed(function, args, kwargs, containers):
        raise NotPlannedError(found)
    program = NumpyProgram(function, name, args, kwargs, frozenset())
    given = leaves((args, kwargs))
    planned = run_eagerly(program, ([*given, *program.captured],), {})
    written = as_written(function, args, kwargs)
    if _has_one_of(written, containers) or program.copies_results or _shares_memory(written, given):
        raise NotPlannedError("a result shares memory with an argument or another result")
    if not is_same(planned, written):
        raise NotPlannedError("the program has another result")
    return program


def _has_one_of(tree: Any, containers: list[Any]) -> bool:
    """Whether one of these lists and dicts is in a tree: the caller may change it."""
    if any(tree is container for container in containers):
        return True
    if isinstance(tree, list | tuple | dict):
        items = tree.values() if isinstance(tree, dict) else tree
        return any(_has_one_of(item, containers) for item in items)
    return False


def _shares_memory(result: Any, given: list[Any]) -> bool:
    """Whether an array of a result is a view of an argument."""
    views = [leaf for leaf in leaves(result) if isinstance(leaf, numpy.ndarray) and leaf.base is not None]
    arrays = [leaf for leaf in given if isinstance(leaf, numpy.ndarray)]
    return any(numpy.may_share_memory(view, array) for view in views for array in arrays)


def is_same(first: Any, second: Any) -> bool:
    """Whether two results have the same structure, types, dtypes, layouts and bits; NaN is equal to NaN."""
    if map_leaves(type, first) != map_leaves(type, second):
        return False
    return all(map(_is_same_leaf, leaves(first), leaves(second)))


def _is_same_leaf(first: Any, second: Any) -> bool:
    if not isinstance(first, numpy.ndarray | numpy.generic):
        return bool(first == second or (first != first and second != second))
    if (first.dtype, first.shape, first.strides) != (second.dtype, second.shape, second.strides):
        return False
    if first.flags.writeable != second.flags.writeable:
        return False
    is_float = first.dtype.kind == "f"
    if is_float and not numpy.array_equal(numpy.signbit(first), numpy.signbit(second)):
        return False
    return numpy.array_equal(first, second, equal_nan=is_float)


def _is_debugged() -> bool:
    """Whether a debugger may want to stop in the function."""
    if sys.gettrace() is not None:
        return True
    return sys.version_info >= (3, 12) and sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID) is not None
