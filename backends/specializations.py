"""The compiled programs for calls of one signature, one for each set of guards that held when it was traced.

Takes a call and its leaves; gives the program whose guards hold, and traces a new one where none do:

    step = Specializations(make, retraces)
    step.run(args, kwargs, leaves)   # traces and compiles
    step.run(args, kwargs, leaves)   # checks the guards and runs
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from .common.caller_warnings import warn
from .common.settings import SettingError
from .trace.guards import Guards

# The programs that are kept for one signature.
MAX_SPECIALIZATIONS = 64
# A kernel that was traced this often because of one number gets a warning.
MANY_TRACES = 8
# The values of a kernel whose retraces are counted.
MAX_COUNTED = 1024


class CompiledProgram(Protocol):
    """What a compiling backend makes of a call: callable with the leaves of calls like it.

    kernel:   the name of the kernel
    guards:   what its trace depends on besides the signature
    captured: the captured arrays, behind the leaves; `Specializations` takes out those that a guard fetches
    """

    @property
    def kernel(self) -> str: ...
    @property
    def guards(self) -> Guards: ...
    @property
    def captured(self) -> list[Any]: ...

    def __call__(self, values: Sequence[Any], /) -> Any: ...


# Takes (args, kwargs).
Make = Callable[[tuple[Any, ...], dict[str, Any]], CompiledProgram]


class CannotCompileError(Exception):
    """A call cannot be traced or compiled. The cause of this error says why."""


class Specialization(NamedTuple):
    """A program and the check of its guards.

    call:  the program's method; a call of it is much shorter than a call of the program
    check: takes the leaves of a call; returns what to call the program with, or the number of a failed guard
    """

    program: CompiledProgram
    call: Callable[[Sequence[Any]], Any]
    check: Callable[[Sequence[Any]], Any]


class Specializations:
    """The programs for calls of one signature.

    make:     traces and compiles a call
    retraces: how often the kernel was traced again, by the value that caused it; shared by all signatures
    """

    __slots__ = ("_call_only", "_make", "_only", "_retraces", "_specializations")

    def __init__(self, make: Make, retraces: dict[str, int]) -> None:
        self._make = make
        self._retraces = retraces
        self._only: Any = None  # the program, if it has no guards, and its method
        self._call_only: Any = None
        self._specializations: list[Specialization] = []  # most recently used first

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]) -> Any:
        """Run the call (args, kwargs), whose leaves are `values`."""
        if self._call_only is not None:
            return self._call_only(values)
        if specializations := self._specializations:
            # The common case, inlined from `select`: nothing has changed since the last call.
            _, call, check = specializations[0]
            found = check(values)
            if type(found) is not int:
                return call(found)
        program, inputs = self.select(args, kwargs, values)
        return program(inputs)

    def select(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], values: Sequence[Any]
    ) -> tuple[Any, Sequence[Any]]:
        """The program for a call, and its inputs: the leaves of the call, then captured arrays."""
        if self._only is not None:
            return self._only, values
        specializations = self._specializations
        for position, specialization in enumerate(specializations):
            found = specialization.check(values)
            if type(found) is not int:
                if position:
                    others = [other for other in specializations if other is not specialization]
                    self._specializations = [specialization, *others]
                return specialization.program, found
        return self._trace(args, kwargs, values)

    def _trace(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], values: Sequence[Any]
    ) -> tuple[Any, Sequence[Any]]:
        if self._specializations:
            self._count_retrace(self._specializations[0], values)
        try:
            program = self._make(args, kwargs)
        except SettingError:  # no error of the function
            raise
        except RuntimeError as error:
            if type(error).__module__.startswith("onepass"):  # the backend itself does not work
                raise
            raise CannotCompileError from error
        except Exception as error:
            raise CannotCompileError from error
        guards, captured = program.guards, program.captured
        if guards.check is None:
            self._only, self._call_only = program, program.__call__
            return program, values
        others = self._specializations[: MAX_SPECIALIZATIONS - 1]
        self._specializations = [Specialization(program, program.__call__, guards.check), *others]
        inputs = [*values, *captured]
        for position in guards.fetched:
            captured[position] = None  # fetched anew in every call; the program must not keep it alive
        return program, inputs

    def _count_retrace(self, latest: Specialization, values: Sequence[Any]) -> None:
        """Warn, once for each value, if a kernel is traced again and again because of it."""
        failed = latest.check(values)
        if type(failed) is not int or failed < 0:
            return
        program = latest.program
        guard = program.guards.guards[failed]
        if len(self._retraces) >= MAX_COUNTED:
            self._retraces.clear()
        count = self._retraces[guard.description] = self._retraces.get(guard.description, 0) + 1
        if count == MANY_TRACES - 1 and guard.is_number:
            where = f" ({guard.line})" if guard.line else ""
            warn(
                f"{program.kernel}: was traced {MANY_TRACES} times because {guard.description} was another "
                "number each time; expected few different values. Pass it as an argument and compute with it "
                "in xp: use xp.where instead of `if`, and no float, int, math or captured "
                f"number{where}."
            )
