"""NumPy programs: calls of a function, planned once and computed by NumPy with few passes over memory.

Takes a function and a call; gives a program, as a compiling backend does: a Python function that calls NumPy
(`ufuncs`). Formulas stay as they are written: the function is traced.

    program = NumpyProgram(function, "relu", (x,), {}, frozenset())
    program([x])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .cpu.runtime import memory
from .trace.trace import trace
from .ufuncs.render import Program


class NumpyProgram:
    """A call of a function as calls of NumPy, for calls of its form.

    kernel, guards, captured: as of a compiled program
    source:         the text of the program
    copies_results: whether a result is copied, because it would share memory with an argument or another one
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        static: frozenset[int],
    ) -> None:
        traced = trace(function, name, args, kwargs, static)
        self.kernel, self.guards = name, traced.guards
        self.captured: list[Any] = traced.trace.captured
        self._checks = traced.trace.call_checks
        self._first_captured = traced.trace.first_captured
        program = Program(traced.outputs, traced.result)
        program.write()
        self.source, self.copies_results = program.text.function("run"), program.copies_results
        names = {**program.text.constants, "new": memory.empty}
        exec(self.source, names)
        self._run = names["run"]

    def __call__(self, values: Sequence[Any]) -> Any:
        """The result for the leaves of a call, with captured arrays behind them.

        returns: NotImplemented for arrays that lie in memory in another way
        """
        if self._checks or self.captured:
            values = [*values, *self.captured] if len(values) == self._first_captured else values
            for number, check in self._checks:
                check(values[number])
        return self._run(values)
