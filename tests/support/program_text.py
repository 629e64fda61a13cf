"""The text of a random kernel, and arguments for it."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Argument:
    """dtype: "float" stands for the dtype of the whole call."""

    shape: Sizes
    dtype: str
    below: int = 0
    layout: str = "C"


@dataclass(frozen=True)
class Line:
    """A name and its expression; or a statement that writes into the array of that name."""

    name: str
    text: str
    writes: bool = False

    def text_of(self) -> str:
        """The line of the kernel."""
        return self.text if self.writes else f"{self.name} = {self.text}"


@dataclass
class RandomProgram:
    """A kernel of arguments a0, a1, ...; its lines; and the names that it returns."""

    arguments: list[Argument | float | int]
    lines: list[Line] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    structure: int = 0
    donated: tuple[str, ...] = ()

    def text(self, *, everything: bool = False) -> str:
        """The source; with `everything`, it returns every intermediate value."""
        names = ", ".join(f"a{i}" for i in range(len(self.arguments)))
        lines, found = [f"def program({names}):"], []
        for number, line in enumerate(self.lines):
            lines.append(f"    {line.text_of()}")
            found.append(line.name)
            if everything and line.writes:
                # A later line may overwrite it.
                found[-1] = f"w{number}"
                lines.append(f"    w{number} = xp.asarray({line.name}, copy=True)")
        outputs = found if everything else self.outputs
        listed = ", ".join(outputs)
        if everything or self.structure == 0:
            lines.append(f"    return [{listed}]")
        elif self.structure == 1 and len(outputs) == 1:
            lines.append(f"    return {listed}")
        elif self.structure == 2:
            pairs = ", ".join(f"'k{i}': {name}" for i, name in enumerate(outputs))
            lines.append(f"    return {{{pairs}}}")
        else:
            lines.append(f"    return ({outputs[0]}, ({', '.join(outputs[1:])}{',' * (len(outputs) == 2)}))")
        return "\n".join(lines) + "\n"

    def function(self, namespace: Any, *, everything: bool = False) -> Callable[..., Any]:
        """The kernel. In it `xp` is `namespace(array)` of the first array, and `np` is NumPy."""
        text = self.text(everything=everything)
        head, body = text.split("\n", 1)
        array = next(i for i, argument in enumerate(self.arguments) if isinstance(argument, Argument))
        text = f"{head}\n    xp = namespace(a{array})\n{body}"
        filename = f"<random program {next(_COUNT)}>"
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        variables: dict[str, Any] = {"namespace": namespace, "np": np}
        exec(compile(text, filename, "exec"), variables)
        function: Callable[..., Any] = variables["program"]
        return function


_COUNT = count()


def array_of(argument: Argument, dtype: str, random: np.random.Generator, special: bool) -> Any:
    """Multiples of a quarter from -2 to 2, bools, or labels; with `special`, some infinities and NaN."""
    shape = argument.shape
    if argument.below:
        array = random.integers(0, argument.below, shape).astype(argument.dtype)
    elif argument.dtype == "bool":
        array = random.random(shape) < 0.5
    else:
        array = (random.integers(-8, 9, shape) / 4).astype(dtype)
        if special and array.size:
            array.flat[random.integers(array.size)] = random.choice([np.nan, np.inf, -np.inf, -0.0])
    return laid_out(array, argument.layout)


def laid_out(array: Any, layout: str) -> Any:
    """The same numbers (of a zero stride, the first row's) in another layout."""
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "strided":
        wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
        wide[(slice(None, None, 2),) * array.ndim] = array
        return wide[(slice(None, None, 2),) * array.ndim]
    if layout == "reversed":
        return array[(slice(None, None, -1),) * array.ndim]
    if layout == "read-only":
        array.flags.writeable = False
        return array
    if layout == "zero stride" and array.shape[0]:
        return np.broadcast_to(array[:1], array.shape)
    return array
