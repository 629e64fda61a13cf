"""The same loops with other buffers, or with statements put in: every record is made anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..ir.nest import (
    AtLabel,
    BlockLoop,
    BlockRow,
    Buffer,
    BufferKind,
    Index,
    Item,
    Load,
    Loop,
    LoopIndex,
    LoopNest,
    MatMul,
    Meet,
    Stage,
    Store,
    TileLoop,
)


def with_buffers(stage: Stage, taken: Mapping[Buffer, Buffer]) -> Stage:
    """A stage whose buffers are replaced by those whose memory they take."""

    def of(buffer: Buffer) -> Buffer:
        return taken.get(buffer, buffer)

    def step(found: MatMul | LoopNest) -> MatMul | LoopNest:
        if isinstance(found, MatMul):
            return product(found)
        return nest(found)

    def product(found: MatMul) -> MatMul:
        return replace(found, a=of(found.a), b=of(found.b), out=of(found.out))

    def nest(found: LoopNest) -> LoopNest:
        streaming = None if found.streaming is None else nest(found.streaming)
        return replace(found, body=tuple(item(i, found) for i in found.body), streaming=streaming)

    def item(found: Item, around: LoopNest) -> Item:
        if isinstance(found, Loop | TileLoop | AtLabel):
            return replace(found, body=tuple(item(i, around) for i in found.body))  # type: ignore[misc]
        if isinstance(found, Load | Store):
            buffer = of(found.buffer)
            return replace(found, buffer=buffer, index=_index(found.index, buffer, around))
        return found

    loops = tuple(replace(loop, steps=tuple(map(step, loop.steps))) for loop in stage.loops)
    prologue = outside_of_loops(stage.prologue, taken)
    return replace(stage, prologue=prologue, loops=loops, products=tuple(map(product, stage.products)))


def outside_of_loops(items: Iterable[Item], taken: Mapping[Buffer, Buffer]) -> tuple[Item, ...]:
    """Statements of no loop over rows whose buffers are replaced in the same way."""
    return tuple(
        replace(item, buffer=taken.get(item.buffer, item.buffer)) if isinstance(item, Load) else item
        for item in items
    )


def _index(index: tuple[Index, ...], buffer: Buffer, nest: LoopNest) -> tuple[Index, ...]:
    """The index of a row's element in a buffer of many rows, if it is that now."""
    if len(index) == len(buffer.axes):
        return index
    row: Index = BlockRow() if buffer.kind is BufferKind.BLOCK else LoopIndex(nest.axis)
    return (row, *index)


def with_meetings(stage: Stage) -> Stage:
    """Threads that share a row meet before one of them stores what the others may still have to load."""

    def of(loop: BlockLoop) -> BlockLoop:
        return replace(
            loop, steps=tuple(s if isinstance(s, MatMul) else _nest_with_meetings(s) for s in loop.steps)
        )

    return replace(stage, loops=tuple(map(of, stage.loops)))


def _nest_with_meetings(nest: LoopNest) -> LoopNest:
    items = list(nest.items())
    loaded = {item.buffer for item in items if isinstance(item, Load)}
    stored = {item.buffer for item in items if isinstance(item, Store)}
    if not nest.axes() or not loaded & stored:
        return nest
    body: list[Item] = []
    for item in nest.body:
        if isinstance(item, Store) and not (body and isinstance(body[-1], Store)):
            body.append(Meet())
        body.append(item)
    streaming = None if nest.streaming is None else _nest_with_meetings(nest.streaming)
    return replace(nest, body=tuple(body), streaming=streaming)
