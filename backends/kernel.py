"""A function compiled for calls of one form, on whichever backend makes its programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .trace import Traced


class Program(Protocol):
    """What a compiling backend makes of a call: callable with the leaves of calls like it."""

    @property
    def traced(self) -> Traced:
        """What the kernel did in the call that was traced."""

    def __call__(self, values: list[Any], /) -> Any: ...


# Of (args, kwargs) and the leaves whose number is part of the program.
Make = Callable[[tuple[Any, ...], dict[str, Any], frozenset[int]], Program]


class Kernel:
    """The programs of one form: one for every set of numbers that the function looks at."""

    def __init__(self, make: Make, numbers: frozenset[int]) -> None:
        self._make = make
        # Options are part of the form already; what the kernel looks at beside them is not.
        self._given = self._numbers = numbers
        self._program: Any = None
        self._programs: dict[tuple[Any, ...], Any] = {}

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]) -> Any:
        """The function of (args, kwargs), whose leaves are `values`."""
        program = self._program or self.program(args, kwargs, values)
        return program(values)

    def program(self, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]) -> Any:
        """The program for a call."""
        key = tuple(values[leaf] for leaf in sorted(self._numbers))
        program = self._programs.get(key)
        if program is None:
            program = self._make(args, kwargs, self._numbers)
            looked_at = program.traced.numbers
            if looked_at != self._numbers:
                self._numbers, self._programs = looked_at, {}
                key = tuple(values[leaf] for leaf in sorted(looked_at))
            self._programs[key] = program
            if not looked_at - self._given:
                self._program = program
        return program
