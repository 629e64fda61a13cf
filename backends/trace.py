"""Tracing: a call of a kernel becomes a graph of what it computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy

from . import elementwise  # noqa: F401 - gives symbolic arrays their operators
from .graph import Node
from .operations import FLOATS
from .symbolic import NeedsNumber, SymbolicArray, Trace, current, is_array
from .trees import leaves, map_leaves


@dataclass
class Traced:
    """What a kernel does with arguments of one form."""

    kernel: str
    trace: Trace
    result: Any  # the tree that the kernel returned, of symbolic arrays and whatever else
    numbers: frozenset[int]  # the leaves whose number is part of the form, because the kernel looked at it

    @property
    def half(self) -> str:
        """The half precision that results are rounded to: that of all floating arguments; "" for none."""
        if self.trace.any_single:
            return ""
        inputs = [node for node in self.trace.graph.nodes if node.operation == "input"]
        floats = {self.trace.halves.get(node.attribute, "") for node in inputs if node.dtype in FLOATS}
        return floats.pop() if len(floats) == 1 else ""

    @property
    def outputs(self) -> list[Node]:
        """The nodes of the arrays in the result, in its order."""
        return [leaf.node for leaf in leaves(self.result) if isinstance(leaf, SymbolicArray)]


def tracing() -> bool:
    """Whether a kernel is being traced in this thread or task."""
    return current.get() is not None


def trace(
    function: Callable[..., Any],
    kernel: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    numbers: frozenset[int] = frozenset(),
    *,
    takes_halves: bool = False,
) -> Traced:
    """Call `function` with symbolic arrays in place of its arrays.

    numbers: the leaves of (args, kwargs) whose number is a constant of the program. A kernel that looks at
             another one (`range(n)`, `if flag > 1`) is traced again with that one added.
    takes_halves: whether arrays may be of half precision, which stand for float32
    """
    while True:
        try:
            return _trace_once(function, kernel, args, kwargs, numbers, takes_halves)
        except NeedsNumber as needs:
            numbers = numbers | needs.leaves


def _trace_once(
    function: Callable[..., Any],
    kernel: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    numbers: frozenset[int],
    takes_halves: bool,
) -> Traced:
    running = Trace(kernel, takes_halves=takes_halves)
    running.first_captured = len(leaves((args, kwargs)))
    position = iter(range(running.first_captured))

    def symbol(leaf: Any) -> Any:
        number = next(position)
        if isinstance(leaf, numpy.float32):
            leaf = numpy.asarray(leaf)
        if is_array(leaf):
            return running.input(number, leaf)
        if is_run_time_number(leaf) and number not in numbers:
            return running.scalar(number, leaf)
        return leaf

    symbolic_args, symbolic_kwargs = map_leaves(symbol, (args, kwargs))
    token = current.set(running)
    try:
        result = function(*symbolic_args, **symbolic_kwargs)
    finally:
        current.reset(token)
    return Traced(kernel, running, result, numbers)


def is_run_time_number(leaf: Any) -> bool:
    """Whether a number may change from call to call without another program.

    A float of 0 may not: it is how a term is left out, and the kernel is told so.
    """
    return type(leaf) is int or (type(leaf) is float and leaf != 0)
