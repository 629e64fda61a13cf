"""Guards: what a trace depends on besides the call signature, checked before each later call by one function.

The function takes the leaves of a call. It returns them followed by the captured arrays; or, if a guard
fails, the number of that guard. For a kernel that reads `SCALE` and the array `W`, and tests whether its
first argument is positive, it is

    a0 = k0['SCALE']
    if not (a0 is k1 or (type(a0) is k2 and a0 == k1)): return 0
    a1 = k0['W']
    if not (type(a1) is k3 and a1.dtype == k4 and a1.shape == k5): return 1
    t0 = values[0]
    t1 = t0 > 0
    if bool(t1) != k6: return 2
    return [*values, a1]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy

from ..ir.graph import Node
from .captures import Captures, Read, weak
from .decisions import Decision, statements
from .tracer import Trace

# The largest size, in bytes, of an array whose contents are compared.
MAX_BYTES = 1 << 20


class Guard(NamedTuple):
    """One guard, for messages.

    description: the value that is compared
    line:        of the kernel, where the value was needed
    is_number:   whether the value is a number
    """

    description: str
    line: str
    is_number: bool


class Guards(NamedTuple):
    """The guards of a trace.

    check:   the function; None if there are no guards and no captured arrays
    fetched: numbers of the captured arrays that the function reads anew
    """

    check: Callable[[Sequence[Any]], Any] | None
    guards: list[Guard]
    fetched: frozenset[int] = frozenset()


class _Text:
    """The source of the function, while it is written."""

    def __init__(self, constants: dict[str, Any]) -> None:
        self.constants = constants
        self.lines: list[str] = []
        self.guards: list[Guard] = []

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def guard(self, test: str, description: str, line: str = "", *, is_number: bool = False) -> None:
        self.lines.append(f"if not ({test}): return {len(self.guards)}")
        self.guards.append(Guard(description, line, is_number))


def make_guards(captures: Captures, trace: Trace, names: Sequence[str]) -> Guards:
    """The guards of a trace.

    names: of the leaves of the call, for messages
    """
    text = _Text(dict(captures.constants))
    found: dict[int, str] = {}
    computed = _computed_outside(captures, trace)
    inputs = frozenset(map(id, trace.captured))
    for read in captures.reads:
        _guard_read(text, read, inputs, found, computed)
    known: dict[Node, str] = {}
    for decision in trace.decisions:
        _guard_decision(text, decision, known, names)
    extra = [found.get(id(array)) or text.constant(array) for array in trace.captured]
    fetched = frozenset(n for n, array in enumerate(trace.captured) if id(array) in found)
    if not text.guards and not extra:
        return Guards(None, [])
    result = f"[*values, {', '.join(extra)}]" if extra else "values"
    # An exception, because a name was deleted or a number divided by 0, is a failed guard too.
    lines = ["def check(values):", " try:"] + [f"  {line}" for line in [*text.lines, f"return {result}"]]
    lines += [" except Exception: return -1"]
    exec("\n".join(lines), text.constants)
    return Guards(text.constants["check"], text.guards, fetched)


def _guard_read(
    text: _Text, read: Read, inputs: frozenset[int], found: dict[int, str], computed: bool
) -> None:
    """Add statements that read a captured value and compare it.

    inputs: ids of the arrays that are inputs of the graph
    """
    name, value = read.name, read.value
    text.lines.append(f"{name} = {read.expression}")
    if read.kind == "array":
        _guard_array(text, read, inputs, found, computed)
    elif read.kind == "value":
        is_number = isinstance(value, int | float | complex | numpy.number) and not isinstance(value, bool)
        text.guard(_equal(text, name, value), read.description, is_number=is_number)
    elif read.kind == "same":
        text.guard(f"{name} is {text.constant(value)}()", read.description)
    elif read.kind == "alias":
        text.guard(f"{name} is {value}", read.description)
    elif read.kind == "absent":
        text.guard(f"{value!r} not in {name}", read.description)
    elif read.kind == "items":
        kind, items = value
        text.guard(
            f"{text.constant(_has_items)}({name}, {text.constant(kind)}, {text.constant(items)})",
            read.description,
        )
    elif read.kind in ("list", "dict"):
        kind, length, keys = value
        test = f"type({name}) is {text.constant(kind)} and len({name}) == {length}"
        if read.kind == "dict":
            test += f" and tuple({name}) == {text.constant(keys)}"
        text.guard(test, read.description)


def _equal(text: _Text, name: str, value: Any) -> str:
    same = text.constant(value)
    if value is None or isinstance(value, bool | numpy.dtype | type(...)):
        return f"{name} is {same}"
    kind = text.constant(type(value))
    if isinstance(value, float | complex | numpy.generic) and (value == 0 or value != value):
        return f"{name} is {same} or (type({name}) is {kind} and repr({name}) == {repr(value)!r})"
    return f"{name} is {same} or (type({name}) is {kind} and {name} == {same})"


def _guard_array(
    text: _Text, read: Read, inputs: frozenset[int], found: dict[int, str], computed: bool
) -> None:
    """Guard a captured array. Its contents may change if only the program reads them, not if NumPy did."""
    name, array = read.name, read.value
    is_input = id(array) in inputs
    if is_input:
        found.setdefault(id(array), name)
        kind, dtype, shape = map(text.constant, (type(array), array.dtype, tuple(array.shape)))
        text.guard(
            f"type({name}) is {kind} and {name}.dtype == {dtype} and {name}.shape == {shape}",
            read.description,
        )
    if is_input and not computed:
        return
    contents = _bytes_if_small(array)
    if contents is None:
        text.guard(f"{name} is {text.constant(weak(array))}()", read.description)
    else:
        held = text.constant((array.dtype, array.shape, contents))
        text.guard(f"{text.constant(_holds)}({name}, {held})", read.description)


def _computed_outside(captures: Captures, trace: Trace) -> bool:
    """Whether NumPy computed constants of the graph in the trace, perhaps from captured arrays."""
    read = {id(read.value) for read in captures.reads if read.kind in ("array", "value")}
    return not read.issuperset(map(id, [*trace.captured, *trace.numpy_numbers]))


def _bytes_if_small(array: Any) -> bytes | None:
    """The bytes of an array that is small enough to be compared in every call; else None."""
    is_small = isinstance(array, numpy.ndarray) and array.nbytes <= MAX_BYTES and array.dtype != object
    return array.tobytes() if is_small else None


def _holds(array: Any, held: tuple[Any, tuple[int, ...], bytes]) -> bool:
    return bool(array.dtype == held[0] and array.shape == held[1] and array.tobytes() == held[2])


def _has_items(value: Any, kind: type, items: tuple[Any, ...]) -> bool:
    if type(value) is not kind:
        return False
    now: Any = value
    if isinstance(value, dict):
        now = [part for pair in value.items() for part in pair]
    elif isinstance(value, set | frozenset):
        return len(value) == len(items) and all(item in value for item in items)
    return len(now) == len(items) and all(a is b for a, b in zip(now, items, strict=True))


def _guard_decision(text: _Text, decision: Decision, known: dict[Node, str], names: Sequence[str]) -> None:
    text.lines += statements([decision.node], text.constant, known)
    test = decision.test.format(known[decision.node])
    description = " and ".join(names[leaf] for leaf in sorted(decision.leaves))
    is_number = decision.outcome is not True and decision.outcome is not False
    outcome = text.constant(decision.outcome)
    text.guard(f"{test} == {outcome}", description, decision.line, is_number=is_number)
