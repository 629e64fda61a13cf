"""What `op.explain` returns: the outline of a plan as text or HTML, and the emitted programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .cost import Sizes
from .outline import (
    LibraryOutline,
    ProgramOutline,
    in_bytes,
    in_words,
    outline_of,
    outline_of_library,
)
from .parts import Part
from .plan import Plan


@dataclass(frozen=True)
class Explanation:
    """What `op.explain` returns: print it to read it. A notebook shows it as HTML.

    text:         the plan
    source:       the emitted program
    bytes_moved:  read from and written to arrays by the loops over rows, in one call
    operations:   floating-point operations of a call, 2 for a multiplication and an addition of a product
    bytes_held:   scratch memory beside arguments and results
    cuda:         what the same plan is on a GPU: launches and kernels
    kernel:       name of the function
    outlines:     what `text` and the HTML are made of: an outline of the program, or one of each part
    """

    text: str
    source: str
    bytes_moved: int
    operations: int
    bytes_held: int
    cuda: str = ""
    kernel: str = field(default="", repr=False)
    outlines: tuple[ProgramOutline | LibraryOutline, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"{self.text}\n\nemitted program\n\n{self.source}"

    def _repr_html_(self) -> str:
        from .explain_html import html_of  # only notebooks need it

        return html_of(self)


def explain_parts(kernel: str, parts: Sequence[Explanation | Part]) -> Explanation:
    """Put a call of several parts into words: its programs, and the calls of the arrays' library."""
    lines, sources, cuda = [f"{kernel}, in {len(parts)} parts"], [], []
    outlines: list[ProgramOutline | LibraryOutline] = []
    for number, part in enumerate(parts):
        if isinstance(part, Explanation):
            outlines += part.outlines
            lines += ["", f"part {number}: compiled", *(f"  {line}" for line in part.text.splitlines())]
            sources.append(f"# part {number}\n\n{part.source}")
            cuda.append(f"// part {number}\n\n{part.cuda}")
        else:
            outlines.append(by_library := outline_of_library(part))
            lines += ["", f"part {number}: by the library of the arrays, on whole arrays"]
            lines += [f"  {call}" for call in by_library.calls]
    compiled = [part for part in parts if isinstance(part, Explanation)]
    return Explanation(
        "\n".join(lines),
        "\n\n".join(sources),
        sum(part.bytes_moved for part in compiled),
        sum(part.operations for part in compiled),
        max((part.bytes_held for part in compiled), default=0),
        "\n\n".join(cuda),
        kernel,
        tuple(outlines),
    )


def explain(plan: Plan, sizes: Sizes, threads: int, source: str) -> Explanation:
    """Put a plan into words, for the sizes of one call."""
    outline = outline_of(plan, sizes, threads)
    return Explanation(
        "\n".join(_lines(outline)),
        source,
        outline.bytes_moved,
        outline.operations,
        outline.bytes_held,
        kernel=outline.kernel,
        outlines=(outline,),
    )


def _lines(outline: ProgramOutline) -> Iterator[str]:
    yield f"{outline.kernel}: {', '.join(outline.axes)}" if outline.axes else outline.kernel
    moved, held = in_bytes(outline.bytes_moved), in_bytes(outline.bytes_held)
    yield f"{moved} moved by loops, {in_words(outline.operations)} operations, {held} of workspace"
    yield from ("", "graph", *(f"  {node}" for node in outline.nodes))
    for stage in outline.stages:
        yield from ("", str(stage))
        for loop in stage.loops:
            yield from (f"  {loop}", *(f"    {pack}" for pack in loop.packs))
            for step in loop.steps:
                yield from (f"    {step.title}", *(f"      {line}" for line in step.lines))
        yield from (f"  {product}" for product in stage.products)
    yield from ("", "buffers", *(f"  {buffer}" for buffer in outline.buffers))
    if outline.tile_bytes:
        yield f"  values of row tiles: {in_bytes(outline.tile_bytes)}"
    yield f"  arguments and results, each once: {in_bytes(outline.bytes_of_arrays)}"
