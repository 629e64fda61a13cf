"""The text of LLVM functions, while it is written: instructions in order, one block after the other.

    w = FunctionWriter(module)
    w.emit("fadd float %x, %x")      gives    "%v.1"

A variable is a place on the stack, which LLVM makes registers of. Places are made when the function begins,
so a variable in a loop has one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Of every function: vectors of 512 bits where the processor has them. For most processors LLVM would use half
# of that, which makes exp 1.5 times slower.
ATTRIBUTES = 'attributes #0 = { nounwind noinline "prefer-vector-width"="512" }'


class ModuleWriter:
    """The functions and declarations of one module."""

    def __init__(self) -> None:
        self.functions: list[str] = []
        self.instances: dict[Any, Any] = {}  # functions by what they were made for
        self._declarations: dict[str, str] = {}

    def declare(self, name: str, result: str, parameters: str, attributes: str = "") -> None:
        """Declare a function of LLVM's, or of the C library."""
        self._declarations[name] = f"declare {result} @{name}({parameters}) {attributes}".rstrip()

    def text(self) -> str:
        """The whole module."""
        return "\n\n".join([*self.functions, *self._declarations.values(), ATTRIBUTES, ""])


class FunctionWriter:
    """One function of a module.

    flags: of every instruction with floats that is written now, such as "contract "
    """

    def __init__(self, module: ModuleWriter) -> None:
        self.module = module
        self.flags = ""
        self._places: list[str] = []
        self._lines: list[str] = []
        self._count = 0

    def emit(self, instruction: str) -> str:
        """Add an instruction that has a result; the result's name."""
        self._count += 1
        name = f"%v.{self._count}"
        self._lines.append(f"  {name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        """Add an instruction without a result."""
        self._lines.append(f"  {instruction}")

    def place(self, kind: str, count: int = 1, align: int = 0) -> str:
        """Space for `count` elements on the stack; its address."""
        self._count += 1
        name = f"%p.{self._count}"
        length = f", i64 {count}" if count > 1 else ""
        alignment = f", align {align}" if align else ""
        self._places.append(f"  {name} = alloca {kind}{length}{alignment}")
        return name

    def label(self) -> str:
        """The name of a block to come."""
        self._count += 1
        return f"b{self._count}"

    def begin(self, label: str) -> None:
        """All that follows is in this block."""
        self._lines.append(f"{label}:")

    def jump(self, label: str) -> None:
        self.do(f"br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        self.do(f"br i1 {condition}, label %{yes}, label %{no}")

    @contextmanager
    def with_flags(self, flags: str) -> Iterator[None]:
        """Instructions with floats that are written meanwhile have these flags."""
        before, self.flags = self.flags, flags
        try:
            yield
        finally:
            self.flags = before

    def define(self, name: str, parameters: str, result: str = "void", *, is_public: bool = False) -> None:
        """Add what was written to the module, as a function."""
        linkage = "" if is_public else "internal "
        body = "\n".join(["entry:", *self._places, *self._lines])
        self.module.functions.append(f"define {linkage}{result} @{name}({parameters}) #0 {{\n{body}\n}}")


def flagged(flags: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the instructions with floats that a function of values writes have these flags."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def with_flags(first: Any, *others: Any) -> Any:
            with first.writer.with_flags(flags):
                return function(first, *others)

        with_flags.__name__, with_flags.__doc__ = function.__name__, function.__doc__
        return with_flags

    return decorate
