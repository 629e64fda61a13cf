"""Calls of one signature that NumPy runs, with memory that is planned.

Takes a function and the leaves of a call. What plans and writes programs (`numpy_program`) is imported by the
first call that needs it, so that `import onepass` stays fast.

    calls = PlannedCalls(function, "relu", frozenset(), {})
    calls.run((x,), {}, [x])    # as the function is written
    calls.run((x,), {}, [x])    # plans a program and runs it
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .common.forks import compile_lock
from .eager import run_eagerly
from .specializations import CannotCompileError, Specializations


class PlannedCalls:
    """Runs calls of one signature with NumPy.

    The first call runs the function as it is written: a plan takes as long as tens of small calls. Calls that
    cannot be planned run in that way too.
    """

    __slots__ = ("_function", "_is_first", "_programs")

    def __init__(
        self, function: Callable[..., Any], name: str, static: frozenset[int], retraces: dict[str, int]
    ) -> None:
        self._function = function
        self._is_first = True

        def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            with compile_lock:  # a fork during the import would leave a half imported module in the child
                from .numpy_program import NumpyProgram
            return NumpyProgram(function, name, args, kwargs, static)

        self._programs: Specializations | None = Specializations(make, retraces)

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]) -> Any:
        """The result of a call, whose leaves are `values`."""
        if self._is_first:
            self._is_first = False
        elif self._programs is not None:
            try:
                result = run_eagerly(self._programs.run, (args, kwargs, values), {})
            except CannotCompileError:
                self._programs = None
            else:
                if result is not NotImplemented:
                    return result
        return run_eagerly(self._function, args, kwargs)
