"""The outline of a plan: what runs in which order, over which rows, in which memory, and what it costs.

Takes a plan and the sizes of one call; gives a ProgramOutline. All views of a plan (text, HTML) print this
record, and none of them looks at the loops again. A LoopOutline of `relu(x)`:

    LoopOutline(0, "n0", rows=96, block=96, bytes_moved=38400, operations=4800, packs=(), steps=(
        StepOutline("nest over the rows", ("loop over n1: loads x0; computes v2; stores v2 in r0",)),))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..ir.attributes import Transposes
from ..ir.graph import base
from ..ir.nest import (
    Accumulate,
    BlockLoop,
    Buffer,
    BufferKind,
    Compute,
    Item,
    Keep,
    LabelTest,
    Load,
    Loop,
    LoopNest,
    MatMul,
    Position,
    ProductWay,
    Reduce,
    Store,
    walk,
)
from .cost import BlockLoopWork, Sizes
from .parts import Part
from .plan import Plan
from .stages import Role, role


@dataclass(frozen=True)
class StepOutline:
    """A matrix product, or a loop nest with a line for each of its loops."""

    title: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoopOutline:
    """A block loop.

    axis:  name of the axis of its rows
    packs: columns that are copied into rows
    """

    number: int
    axis: str
    rows: int
    block: int
    bytes_moved: int
    operations: int
    packs: tuple[str, ...]
    steps: tuple[StepOutline, ...]

    def __str__(self) -> str:
        cost = f"{in_bytes(self.bytes_moved)}, {in_words(self.operations)} operations"
        return f"{self.title}: {self.range}; {cost}"

    @property
    def title(self) -> str:
        return f"block loop {self.number}"

    @property
    def range(self) -> str:
        return f"{self.rows} rows ({self.axis}) in blocks of {self.block}"


@dataclass(frozen=True)
class StageOutline:
    """Block loops, and the products of whole arrays after them."""

    number: int
    workers: int
    loops: tuple[LoopOutline, ...]
    products: tuple[str, ...]

    def __str__(self) -> str:
        return f"stage {self.number}, {self.workers} worker{'s' if self.workers > 1 else ''}"


@dataclass(frozen=True)
class BufferOutline:
    """A buffer.

    shape:    names of its axes
    size:     bytes
    is_taken: whether a result takes the memory of this argument
    is_held:  whether it is scratch memory, and not an argument or a result
    """

    name: str
    kind: str
    dtype: str
    shape: str
    size: int
    is_taken: bool
    is_held: bool

    def __str__(self) -> str:
        taken = ", which a result takes" if self.is_taken else ""
        held = f", {in_bytes(self.size)}" if self.is_held else ""
        return f"{self.name}: {self.kind} {self.dtype} ({self.shape}){taken}{held}"


@dataclass(frozen=True)
class ProgramOutline:
    """A compiled program.

    axes:           "name = size" of each
    multiplies:     whether there are matrix products; what they move is not in `bytes_moved`
    bytes_of_arrays: of arguments read once and results written once
    tile_bytes:     of `bytes_held`, for the values of row tiles
    """

    kernel: str
    axes: tuple[str, ...]
    multiplies: bool
    bytes_moved: int
    bytes_of_arrays: int
    operations: int
    bytes_held: int
    tile_bytes: int
    nodes: tuple[str, ...]
    stages: tuple[StageOutline, ...]
    buffers: tuple[BufferOutline, ...]


@dataclass(frozen=True)
class LibraryOutline:
    """Calls of the arrays' library, on whole arrays."""

    calls: tuple[str, ...]


def outline_of_library(part: Part) -> LibraryOutline:
    """The calls of a part that the library of the arrays computes."""
    return LibraryOutline(tuple(str(node) for node in part.nodes if node.inputs))


def outline_of(plan: Plan, sizes: Sizes, threads: int) -> ProgramOutline:
    """The outline of a plan, for the sizes of one call."""
    workers = [sizes.workers(stage, threads) for stage in range(len(plan.stages))]
    most = max(workers, default=1)
    buffers = [_buffer(plan, sizes, buffer, most) for buffer in plan.buffers]
    shown, tiles = [], 0
    for buffer, outline in zip(plan.buffers, buffers, strict=True):
        if buffer.kind is BufferKind.TILE:
            tiles += outline.size
        else:
            shown.append(outline)
    stages = zip(plan.stages, workers, strict=True)
    return ProgramOutline(
        kernel=plan.kernel,
        axes=tuple(f"{name} = {sizes.of[axis]}" for axis, name in plan.axes.items()),
        multiplies=plan.multiplies,
        bytes_moved=sum(work.bytes_moved for work in sizes.loops),
        bytes_of_arrays=sum(o.size * (1 + o.is_taken) for o in buffers if not o.is_held),
        operations=sum(work.operations for work in sizes.loops),
        bytes_held=sum(o.size for o in buffers if o.is_held),
        tile_bytes=tiles,
        nodes=tuple(map(str, plan.graph.nodes)),
        stages=tuple(
            StageOutline(
                number,
                count,
                tuple(_block_loop(plan, loop, sizes.loops[loop.number]) for loop in stage.loops),
                tuple(f"{_product(product)}, of whole arrays" for product in stage.products),
            )
            for number, (stage, count) in enumerate(stages)
        ),
        buffers=tuple(shown),
    )


def _buffer(plan: Plan, sizes: Sizes, buffer: Buffer, workers: int) -> BufferOutline:
    is_held = buffer.kind not in (BufferKind.ARGUMENT, BufferKind.RESULT)
    elements = sizes.length(buffer, workers) if is_held else sizes.elements(buffer.axes)
    return BufferOutline(
        name=buffer.name,
        kind=str(buffer.kind),
        dtype=str(buffer.dtype),
        shape=", ".join(plan.axes[axis] for axis in buffer.axes),
        size=elements * buffer.itemsize,
        is_taken=buffer.kind is BufferKind.ARGUMENT and buffer.number in plan.donated,
        is_held=is_held,
    )


def _block_loop(plan: Plan, loop: BlockLoop, work: BlockLoopWork) -> LoopOutline:
    packs = (
        f"rows of {pack.argument.name}, which lies in columns, into {pack.buffer.name}" for pack in loop.packs
    )
    return LoopOutline(
        number=loop.number,
        axis=plan.axes[loop.axis],
        rows=work.rows,
        block=work.block,
        bytes_moved=work.bytes_moved,
        operations=work.operations,
        packs=tuple(packs),
        steps=tuple(_step(plan, step) for step in loop.steps),
    )


def _step(plan: Plan, step: MatMul | LoopNest) -> StepOutline:
    if isinstance(step, MatMul):
        in_loops = ", in loops" if step.way is not ProductWay.BLAS else ""
        added_up = ", added up over the blocks" if role(step.node) is Role.SUM else ""
        return StepOutline(f"{_product(step)}{in_loops}{added_up}")
    tiles = f", in tiles of {step.tile}" if step.tile else ""
    return StepOutline(f"nest over the rows{tiles}", tuple(_nest(plan, step)))


def _product(product: MatMul) -> str:
    transposed = zip(product.node.inputs, product.node.attribute_as(Transposes).transposed, strict=True)
    a, b = (f"v{base(source).number}{'.T' * turned}" for source, turned in transposed)
    return f"matmul v{product.node.number} = {a} @ {b}"


def _nest(plan: Plan, nest: LoopNest) -> Iterator[str]:
    """A line for each loop over an axis, and for the statements of the row between them."""
    row: list[Item] = []
    for item in [*nest.body, None]:
        if item is not None and not isinstance(item, Loop):
            row.append(item)
            continue
        if words := _statements(row):
            yield f"row: {words}"
        row = []
        if item is not None:
            is_part = item.start is not None or item.stop is not None
            yield f"loop over {'part of ' * is_part}{plan.axes[item.axis]}: {_statements(item.body)}"


def _statements(items: Sequence[Item]) -> str:
    """What statements do, by kind, in the order of the kinds."""
    found: dict[str, dict[str, None]] = {}
    for item in walk(tuple(items)):
        if (words := _statement(item)) is not None:
            found.setdefault(words[0], {})[words[1]] = None
    return "; ".join(f"{verb} {', '.join(found[verb])}" for verb in _VERBS if verb in found)


_VERBS = ("loads", "computes", "reduces", "keeps", "adds up", "stores")


def _statement(item: Item) -> tuple[str, str] | None:
    if isinstance(item, Load):
        return "loads", item.buffer.name
    if isinstance(item, Compute | LabelTest | Position):
        return "computes", f"v{item.value.node.number}"
    if isinstance(item, Reduce):
        return "reduces", f"v{item.value.node.number} = {item.value.node.operation}"
    if isinstance(item, Keep):
        return "keeps", f"v{item.kept.node.number}"
    if isinstance(item, Accumulate):
        return "adds up", f"v{item.node.number}"
    if isinstance(item, Store):
        return "stores", f"v{item.node.number} in {item.buffer.name}"
    return None


def in_bytes(count: float) -> str:
    """A number of bytes, in the unit that fits."""
    return _scaled(count, (" B", " kB", " MB", " GB"))


def in_words(count: float) -> str:
    """A number, with thousand, million or billion."""
    return _scaled(count, ("", " thousand", " million", " billion"))


def _scaled(count: float, units: tuple[str, ...]) -> str:
    """Three digits, and the unit that is a thousand times the one before."""
    for unit in units[:-1]:
        if count < 1000:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g}{units[-1]}"
