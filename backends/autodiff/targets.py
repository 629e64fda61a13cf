"""The functions that derivatives are taken of, and what messages say of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..trace.symbolic import SymbolicArray
from ..trace.tracer import Trace


class Target(NamedTuple):
    """The function that is differentiated, for messages.

    name: of the transformation and the function, as "grad(loss)"
    line: of the function's definition
    """

    name: str
    line: str

    def error(self, trace: Trace, kind: type[Exception], message: str) -> Exception:
        """An exception that names the function, and the kernel where that is another one."""
        return trace.error(
            kind, message if trace.kernel == self.name else f"{self.name}: {message}", self.line
        )


def described(value: Any) -> str:
    """What a value is that is no scalar, or has the wrong structure."""
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, dict):
        return f"a dict of {', '.join(map(repr, value))}"
    if type(value) is SymbolicArray:
        return f"an array of shape {value.node.sizes()}"
    return "None" if value is None else f"a value of type {type(value).__name__}"
