"""A function compiled for calls of one form, on whichever backend makes its programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from .common.caller_warnings import warn
from .trace.trace import Traced

# Programs of one form that are kept, each for other outcomes and captured values.
MOST_PROGRAMS = 64
# So many traces because of one number are no accident.
MANY_TRACES = 8


class Program(Protocol):
    """What a compiling backend makes of a call: callable with the leaves of calls like it."""

    @property
    def traced(self) -> Traced:
        """What the kernel did in the call that was traced."""

    def __call__(self, values: Sequence[Any], /) -> Any: ...


# Of (args, kwargs).
Make = Callable[[tuple[Any, ...], dict[str, Any]], Program]


class CannotCompileError(Exception):
    """A call cannot be traced or compiled; its cause says why."""


class Variant(NamedTuple):
    """A program, and what has to be as it was when it was traced."""

    program: Any
    check: Callable[[Sequence[Any]], Any]


class Kernel:
    """The programs of one form: one for every set of answers that the function got about its numbers."""

    def __init__(self, make: Make, retraced: dict[str, int]) -> None:
        self._make = make
        self._retraced = retraced  # how often, by what it was because of
        self._only: Any = None  # the program, where nothing is guarded
        self._variants: list[Variant] = []  # the one that was used last comes first

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]) -> Any:
        """The function of (args, kwargs), whose leaves are `values`."""
        if self._only is not None:
            return self._only(values)
        if variants := self._variants:
            # As `program` does, for the common case that nothing has changed since the last call.
            latest, check = variants[0]
            found = check(values)
            if type(found) is not int:
                return latest(found)
        program, everything = self.program(args, kwargs, values)
        return program(everything)

    def program(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], values: Sequence[Any]
    ) -> tuple[Any, Sequence[Any]]:
        """The program for a call, and what it is called with: the leaves, then captured arrays."""
        if self._only is not None:
            return self._only, values
        variants = self._variants
        for position, variant in enumerate(variants):
            found = variant.check(values)
            if type(found) is not int:
                if position:
                    self._variants = [variant, *(other for other in variants if other is not variant)]
                return variant.program, found
        return self._trace(args, kwargs, values)

    def _trace(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], values: Sequence[Any]
    ) -> tuple[Any, Sequence[Any]]:
        if self._variants:
            self._count(self._variants[0], values)
        try:
            program = self._make(args, kwargs)
        except RuntimeError as error:
            if type(error).__module__.startswith("onepass"):  # the backend itself does not work
                raise
            raise CannotCompileError from error
        except Exception as error:
            raise CannotCompileError from error
        traced = program.traced
        check = traced.guards.check
        if check is None:
            self._only = program
            return program, values
        self._variants = [Variant(program, check), *self._variants[: MOST_PROGRAMS - 1]]
        captured = traced.trace.captured
        everything = [*values, *captured]
        for position in traced.guards.fetched:
            captured[position] = None  # it may be bound anew, and is not to be kept alive
        return program, everything

    def _count(self, variant: Variant, values: Sequence[Any]) -> None:
        """Warn of a kernel that is traced again and again, once for what it is because of."""
        failed = variant.check(values)
        if type(failed) is not int or failed < 0:
            return
        guard = variant.program.traced.guards.about[failed]
        count = self._retraced[guard.about] = self._retraced.get(guard.about, 0) + 1
        if count == MANY_TRACES - 1 and guard.is_number:
            where = f" ({guard.line})" if guard.line else ""
            warn(
                f"{variant.program.traced.kernel}: was traced {MANY_TRACES} times because {guard.about} is "
                f"another number at every call; expected few different ones. Compute with it in xp, for "
                "example by xp.where instead of `if`, without float, int, math or a captured number: pass it "
                f"as an argument{where}."
            )
