"""Random kernels, written line after line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from program_lines import Lines
from program_text import RandomProgram
from program_writer import Choose
from whole_programs import WHOLE_STEPS, WholeLines

STEPS: list[Callable[[Lines], None]] = [
    Lines.unary,
    Lines.unary,
    Lines.binary,
    Lines.binary,
    Lines.with_scalar,
    Lines.comparison,
    Lines.logic,
    Lines.to_float,
    Lines.reduction,
    Lines.reduction,
    Lines.reduction,
    Lines.product,
    Lines.product,
    Lines.pick,
    Lines.pick,
    Lines.view,
    Lines.made,
]


def random_program(choose: Choose, *, sizes: Sequence[int], lines: int, whole: bool = False) -> RandomProgram:
    """A program of up to so many lines on arrays of these sizes.

    whole: whether it has arrays of any number of dimensions, views, assignment and calls of the library
    """
    if whole:
        return _whole_program(choose, sizes, lines)
    writer = Lines(choose, sizes)
    for _ in range(2 + choose(lines - 1)):
        writer.one_of(STEPS)(writer)
    if not writer.program.lines:
        writer.add("a0 * 2", writer.values[0].shape, bits=5)
    return writer.finish()


def _whole_program(choose: Choose, sizes: Sequence[int], lines: int) -> RandomProgram:
    writer = WholeLines(choose, sizes)
    for _ in range(2 + choose(lines - 1)):
        writer.one_of(WHOLE_STEPS)(writer)
    if all(line.writes for line in writer.program.lines):
        writer.put("a0 * 2", 5)
    return writer.finish()
