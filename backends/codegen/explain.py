"""The plan in words: what runs in which order, over which rows, in which memory, and what it costs."""

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
class Explanation:
    """What `op.explain` returns: print it to read it.

    text:         the plan
    source:       the emitted program
    bytes_moved:  read from and written to arrays by the loops over rows, in one call
    operations:   floating-point operations of a call, 2 for a multiplication and an addition of a product
    bytes_held:   scratch memory beside arguments and results
    cuda:         what the same plan is on a GPU: launches and kernels
    """

    text: str
    source: str
    bytes_moved: int
    operations: int
    bytes_held: int
    cuda: str = ""

    def __str__(self) -> str:
        return f"{self.text}\n\nemitted program\n\n{self.source}"


def explain_parts(kernel: str, parts: Sequence[Explanation | Part]) -> Explanation:
    """Put a call of several parts into words: its programs, and the calls of the arrays' library."""
    lines, sources, cuda = [f"{kernel}, in {len(parts)} parts"], [], []
    for number, part in enumerate(parts):
        if isinstance(part, Explanation):
            lines += ["", f"part {number}: compiled", *(f"  {line}" for line in part.text.splitlines())]
            sources.append(f"# part {number}\n\n{part.source}")
            cuda.append(f"// part {number}\n\n{part.cuda}")
        else:
            calls = [f"  {node}" for node in part.nodes if node.inputs]
            lines += ["", f"part {number}: by the library of the arrays, on whole arrays", *calls]
    compiled = [part for part in parts if isinstance(part, Explanation)]
    return Explanation(
        "\n".join(lines),
        "\n\n".join(sources),
        sum(part.bytes_moved for part in compiled),
        sum(part.operations for part in compiled),
        max((part.bytes_held for part in compiled), default=0),
        "\n\n".join(cuda),
    )


def explain(plan: Plan, sizes: Sizes, threads: int, source: str) -> Explanation:
    """Put a plan into words, for the sizes of one call."""
    workers = [sizes.workers(stage, threads) for stage in range(len(plan.stages))]
    most = max(workers, default=1)
    scratch = [
        buffer for buffer in plan.buffers if buffer.kind not in (BufferKind.ARGUMENT, BufferKind.RESULT)
    ]
    held = {buffer: sizes.length(buffer, most) * buffer.itemsize for buffer in scratch}
    moved = sum(work.bytes_moved for work in sizes.loops)
    operations = sum(work.operations for work in sizes.loops)
    names = ", ".join(f"{name} = {sizes.of[axis]}" for axis, name in plan.axes.items())
    bytes_held = sum(held.values())
    lines = [
        f"{plan.kernel}: {names}" if names else plan.kernel,
        f"{_bytes(moved)} moved by loops, {_count(operations)} operations, {_bytes(bytes_held)} of workspace",
        "",
        "graph",
        *(f"  {node}" for node in plan.graph.nodes),
    ]
    for number, (stage, count) in enumerate(zip(plan.stages, workers, strict=True)):
        lines += ["", f"stage {number}, {count} worker{'s' if count > 1 else ''}"]
        for loop in stage.loops:
            lines += _block_loop(plan, loop, sizes.loops[loop.number])
        lines += [f"  {_product(product)}, of whole arrays" for product in stage.products]
    lines += ["", "buffers"]
    lines += [
        f"  {_buffer(plan, b)}{_size(held.get(b))}" for b in plan.buffers if b.kind is not BufferKind.TILE
    ]
    tiles = sum(size for buffer, size in held.items() if buffer.kind is BufferKind.TILE)
    lines += [f"  values of row tiles: {_bytes(tiles)}"] if tiles else []
    return Explanation("\n".join(lines), source, moved, operations, bytes_held)


def _block_loop(plan: Plan, loop: BlockLoop, work: BlockLoopWork) -> Iterator[str]:
    cost = f"{_bytes(work.bytes_moved)}, {_count(work.operations)} operations"
    rows = f"{work.rows} rows ({plan.axes[loop.axis]}) in blocks of {work.block}"
    yield f"  block loop {loop.number}: {rows}; {cost}"
    for pack in loop.packs:
        yield f"    rows of {pack.argument.name}, which lies in columns, into {pack.buffer.name}"
    for step in loop.steps:
        if isinstance(step, MatMul):
            in_loops = ", in loops" if step.way is not ProductWay.BLAS else ""
            added_up = ", added up over the blocks" if role(step.node) is Role.SUM else ""
            yield f"    {_product(step)}{in_loops}{added_up}"
        else:
            yield f"    nest over the rows{f', in tiles of {step.tile}' if step.tile else ''}"
            yield from (f"      {line}" for line in _nest(plan, step))


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


def _buffer(plan: Plan, buffer: Buffer) -> str:
    shape = ", ".join(plan.axes[axis] for axis in buffer.axes)
    taken = (
        ", which a result takes"
        if buffer.kind is BufferKind.ARGUMENT and buffer.number in plan.donated
        else ""
    )
    return f"{buffer.name}: {buffer.kind} {buffer.dtype} ({shape}){taken}"


def _size(size: int | None) -> str:
    return "" if size is None else f", {_bytes(size)}"


def _bytes(count: float) -> str:
    return _scaled(count, (" B", " kB", " MB", " GB"))


def _count(count: float) -> str:
    return _scaled(count, ("", " thousand", " million", " billion"))


def _scaled(count: float, units: tuple[str, ...]) -> str:
    """Three digits, and the unit that is a thousand times the one before."""
    for unit in units[:-1]:
        if count < 1000:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g}{units[-1]}"
