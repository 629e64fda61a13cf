"""Writes the lines of a random kernel, with what is known of their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from program_text import Argument, Line, RandomProgram, Sizes

# A number from 0 to its argument - 1, of hypothesis or of a generator of random numbers.
Choose = Callable[[int], int]

# Comparisons and picks are decided only where all steps before were exact, in so many bits of a mantissa.
EXACT_BITS = 20
LABEL_DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LAYOUTS = ("C", "C", "F", "strided", "reversed", "read-only", "zero stride")


@dataclass(frozen=True)
class Value:
    """What is known of a value in the text.

    kind:  "float", "int", "bool"
    bits:  of the mantissas, where every element is exact; None where it may be rounded
    below: labels are integers from 0 to below - 1; 0 where it is no label
    """

    name: str
    shape: Sizes
    kind: str
    bits: int | None = None
    below: int = 0

    @property
    def exact(self) -> bool:
        return self.bits is not None and self.bits <= EXACT_BITS


def broadcast(a: Sizes, b: Sizes) -> Sizes | None:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        return None


class Writer:
    """Writes one program, line after line."""

    most_dimensions = 2

    def __init__(self, choose: Choose, sizes: Sequence[int]) -> None:
        self.choose = choose
        self.values: list[Value] = []
        self.scalars: list[str] = []
        self.program = RandomProgram([])
        self.draw_arguments(sizes)

    def draw_arguments(self, sizes: Sequence[int]) -> None:
        choose = self.choose
        n, k, d = (sizes[choose(len(sizes))] for _ in range(3))
        shapes = [(n, k), (n, d), (d, k), (n,), (k,), (n, 1), (1, k), (n, n), (k, d)]
        used = [shapes[0]] + [shapes[choose(len(shapes))] for _ in range(choose(4))]
        for shape in used:
            self.argument(Argument(shape, "float", layout=self.one_of(LAYOUTS)), "float", 4)
        if choose(2):
            label = Argument((n,), self.one_of(LABEL_DTYPES), below=k, layout=self.one_of(LAYOUTS))
            self.argument(label, "int", 3)
        if choose(4) == 0:
            self.argument(Argument((n, k), "bool", layout=self.one_of(LAYOUTS)), "bool", 1)
        if choose(2):
            self.scalar(0.25 * (choose(9) - 4) or 0.75, "float")
        if choose(4) == 0:
            self.scalar(choose(7) - 3, "int")

    def one_of(self, options: Sequence[Any]) -> Any:
        return options[self.choose(len(options))]

    def argument(self, argument: Argument, kind: str, bits: int) -> None:
        name = f"a{len(self.program.arguments)}"
        self.program.arguments.append(argument)
        self.values.append(Value(name, argument.shape, kind, bits, argument.below))

    def scalar(self, number: float | int, kind: str) -> None:
        self.scalars.append(f"a{len(self.program.arguments)}")
        self.program.arguments.append(number)

    def add(
        self, text: str, shape: Sizes, kind: str = "float", bits: int | None = None, below: int = 0
    ) -> None:
        name = f"v{len(self.program.lines)}"
        self.program.lines.append(Line(name, text))
        self.values.append(Value(name, tuple(shape), kind, bits, below))

    def value(self, *kinds: str, exact: bool = False, ndim: int | None = None) -> Value | None:
        """A value, a late one rather than an early one."""
        fitting = [
            value
            for value in self.values
            if (not kinds or value.kind in kinds)
            and (not exact or value.exact)
            and (ndim is None or len(value.shape) == ndim)
        ]
        if not fitting:
            return None
        return fitting[max(self.choose(len(fitting)), self.choose(len(fitting)))]

    def pair(self, *kinds: str, exact: bool = False) -> tuple[Value, Value] | None:
        """Two values that broadcast."""
        first = self.value(*kinds, exact=exact)
        if first is None:
            return None
        fitting = [
            value
            for value in self.values
            if value.kind == first.kind
            and (not exact or value.exact)
            and (together := broadcast(first.shape, value.shape)) is not None
            and len(together) <= self.most_dimensions
        ]
        second = fitting[self.choose(len(fitting))]
        return (first, second) if self.choose(2) else (second, first)

    def finish(self) -> RandomProgram:
        program = self.program
        computed = [line.name for line in program.lines if not line.writes]
        program.outputs = [computed[-1]]
        for _ in range(self.choose(4)):
            names = [value.name for value in self.values] if self.choose(4) == 0 else computed
            program.outputs.append(self.one_of(names))
        program.structure = self.choose(4)
        program.donated = tuple(
            f"a{i}"
            for i, argument in enumerate(program.arguments)
            if isinstance(argument, Argument) and self.choose(3) == 0
        )
        return program
