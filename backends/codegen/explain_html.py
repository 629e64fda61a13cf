"""An explanation as HTML for a notebook: figures, stages with their loops, memory, and the texts, folded.

Takes the outlines that the text of the explanation is made of; a figure has the same digits in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..common.notebook import Html, code, fold, items, listing, page, paragraph, strong, table
from .outline import (
    BufferOutline,
    LibraryOutline,
    LoopOutline,
    ProgramOutline,
    StageOutline,
    StepOutline,
    in_bytes,
    in_words,
)

if TYPE_CHECKING:
    from .explain import Explanation

# A plan of more lines than this begins with its block loops folded, to be read from the top.
MOST_OPEN_LINES = 50
# More axes than these are folded.
MOST_AXES = 20


def html_of(explanation: Explanation) -> Html:
    """The whole explanation."""
    outlines = explanation.outlines
    if len(outlines) == 1 and isinstance(outlines[0], ProgramOutline):
        body = [_title(outlines[0]), *_program(outlines[0])]
    else:
        body = [paragraph(strong(explanation.kernel), f", in {len(outlines)} parts")]
        body += [_part(number, outline) for number, outline in enumerate(outlines)]
    texts = [
        ("source for the CPU", explanation.source, "print(explanation.source)"),
        ("source for a GPU (CUDA)", explanation.cuda, "print(explanation.cuda)"),
    ]
    body += [
        listing(f"{title}: {_count(len(lines), 'line')}", lines, rest)
        for title, text, rest in texts
        if (lines := text.splitlines())
    ]
    return page(*body)


def _title(outline: ProgramOutline) -> Html:
    axes = ", ".join(outline.axes)
    if len(outline.axes) > MOST_AXES:
        return Html(paragraph(strong(outline.kernel)) + fold(f"{len(outline.axes)} axes", paragraph(axes)))
    return paragraph(strong(outline.kernel), f": {axes}" if axes else "")


def _part(number: int, outline: ProgramOutline | LibraryOutline) -> Html:
    if isinstance(outline, LibraryOutline):
        title = f"part {number}: by the library of the arrays, on whole arrays"
        return fold(title, items(map(code, outline.calls)), is_open=True)
    return fold(f"part {number}: compiled", _title(outline), *_program(outline), is_open=True)


def _program(outline: ProgramOutline) -> list[Html]:
    steps = [step for stage in outline.stages for loop in stage.loops for step in loop.steps]
    is_open = sum(1 + len(step.lines) for step in steps) <= MOST_OPEN_LINES
    return [
        _figures(outline),
        *(_stage(stage, is_open=is_open) for stage in outline.stages),
        _memory(outline),
        listing(
            f"graph: {_count(len(outline.nodes), 'value')}",
            outline.nodes,
            "print(explanation.text)",
        ),
    ]


def _figures(outline: ProgramOutline) -> Html:
    """What a call moves, computes and holds, and the least that it could move."""
    moved, least = outline.bytes_moved, outline.bytes_of_arrays
    if outline.multiplies:
        note = "without the matrix products; with what stays in cache"
    else:
        note = f"{moved / least:.2f} times the arguments and results" if least else ""
    rows = [
        ["moved by loops", in_bytes(moved), note],
        ["arguments and results, each once", in_bytes(least), "a lower bound, if every element is used"],
        ["operations", in_words(outline.operations), ""],
        ["workspace", in_bytes(outline.bytes_held), "memory beside arguments and results"],
    ]
    return table([], rows, numbers=[1])


def _stage(stage: StageOutline, *, is_open: bool) -> Html:
    loops = [_loop(loop, is_open=is_open) for loop in stage.loops]
    return fold(stage, *loops, items(map(code, stage.products)), is_open=True)


def _loop(loop: LoopOutline, *, is_open: bool) -> Html:
    steps = [*map(code, loop.packs), *map(_step, loop.steps)]
    return fold(loop, items(steps, ordered=True), is_open=is_open)


def _step(step: StepOutline) -> Html:
    if not step.lines:
        return code(step.title)
    return Html(f"{paragraph(step.title)}{items(map(code, step.lines))}")


def _memory(outline: ProgramOutline) -> Html:
    rows = [_buffer(buffer) for buffer in outline.buffers]
    if outline.tile_bytes:
        rows.append(["values of row tiles", "tile", "", "", in_bytes(outline.tile_bytes), ""])
    title = f"memory: {_count(len(rows), 'buffer')}, {in_bytes(outline.bytes_held)} of workspace"
    return fold(title, table(["buffer", "kind", "dtype", "shape", "size", ""], rows, numbers=[4]))


def _buffer(buffer: BufferOutline) -> list[object]:
    taken = "a result takes it" if buffer.is_taken else ""
    shape = f"({buffer.shape})"
    return [code(buffer.name), buffer.kind, buffer.dtype, shape, in_bytes(buffer.size), taken]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
