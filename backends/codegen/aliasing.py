"""Which buffers share memory, decided on ordered statements: the last load comes before the first store.

Takes block loops whose values all have buffers of their own, and gives a map from buffers to those whose
memory they take. Three kinds of buffer may take another's memory:

    a result          that of a donated argument       params - lr * grads is written over params
    a block's rows    those of an earlier value        the gradient of relu over its mask
    a kept row        the row of a result              exp(x) is kept in the row that becomes the gradient

`relu(x)` with x donated loads x[i] and stores r0[i] in one loop, so r0 may be x. `x - x[::-1]` may not: it
loads elements of other rows, which are stored by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
    Stage,
    Store,
    TileLoop,
)


@dataclass(frozen=True)
class Access:
    """A load or a store of a buffer in a nest.

    position: of the statement, in the order in which statements are run
    loop:     the innermost loop within the row; None for a statement of the row
    """

    buffer: Buffer
    index: tuple[Index, ...]
    position: int
    loop: Loop | None
    is_store: bool


def accesses(nest: LoopNest) -> list[Access]:
    """All loads and stores of a nest, in order."""
    found: list[Access] = []

    def visit(items: Iterable[Item], loop: Loop | None) -> None:
        for item in items:
            if isinstance(item, Loop):
                visit(item.body, item)
            elif isinstance(item, TileLoop | AtLabel):
                visit(item.body, loop)
            elif isinstance(item, Load | Store):
                found.append(Access(item.buffer, item.index, len(found), loop, isinstance(item, Store)))

    visit(nest.body, None)
    return found


def can_overwrite(nest: LoopNest, written: Buffer, read: Buffer, *, shares_rows: bool) -> bool:
    """Whether a nest may store `written` into the memory of `read`: no element is loaded once it is stored.

    shares_rows: whether several threads share a row, which do not wait for each other between its loads and
                 stores
    """
    # The streaming nest loads again what the other one keeps in registers.
    return all(
        _is_read_in_time(one, written, read, shares_rows) for one in (nest, nest.streaming) if one is not None
    )


def _is_read_in_time(nest: LoopNest, written: Buffer, read: Buffer, shares_rows: bool) -> bool:
    found = accesses(nest)
    stores = [access for access in found if access.is_store and access.buffer is written]
    loads = [access for access in found if not access.is_store and access.buffer is read]
    return bool(stores) and all(
        _comes_first(load, store, nest, shares_rows) for load in loads for store in stores
    )


def _comes_first(load: Access, store: Access, nest: LoopNest, shares_rows: bool) -> bool:
    """Whether the load of an element comes before the store of the same element, whatever the index."""
    if not load.index or load.index[0] not in (LoopIndex(nest.axis), BlockRow()):
        return False  # of another row, which may be stored by now
    if load.position > store.position:
        return False
    is_same_element = load.index[1:] == store.index[1:]
    if load.loop is not None and load.loop is store.loop:
        return is_same_element
    return is_same_element or not shares_rows or len(load.index) == 1


def loads_from(nest: LoopNest, buffer: Buffer) -> bool:
    """Whether a nest loads from a buffer."""
    return any(access.buffer is buffer and not access.is_store for access in accesses(nest))


def reads(step: MatMul | LoopNest, buffer: Buffer) -> bool:
    """Whether a step of a block loop reads a buffer."""
    return buffer in (step.a, step.b) if isinstance(step, MatMul) else loads_from(step, buffer)


def share_memory(
    stages: Iterable[Stage], epilogue: Iterable[Item], donated: Iterable[Buffer], *, shares_rows: bool
) -> dict[Buffer, Buffer]:
    """The buffers that take the memory of others, with those others.

    epilogue: statements behind the last stage
    donated:  arguments whose memory results may take
    """
    late = {item.buffer for item in epilogue if isinstance(item, Load)}
    donated = [buffer for buffer in donated if buffer not in late]
    stages = tuple(stages)
    taken = _results_in_arguments(stages, donated, shares_rows)
    for stage in stages:
        for loop in stage.loops:
            taken |= _blocks_in_blocks(loop, shares_rows)
            taken |= _kept_rows_in_results(loop, taken)
    return taken


def _results_in_arguments(
    stages: tuple[Stage, ...], free: list[Buffer], shares_rows: bool
) -> dict[Buffer, Buffer]:
    taken: dict[Buffer, Buffer] = {}
    results: dict[Buffer, None] = {}
    for stage in stages:
        for nest in nests_of(stage):
            stored = [a.buffer for a in accesses(nest) if a.is_store and a.buffer.kind is BufferKind.RESULT]
            results.update(dict.fromkeys(stored))
    for result in sorted(results, key=lambda buffer: buffer.number):
        for argument in free:
            if _may_take(stages, result, argument, shares_rows):
                free.remove(argument)
                taken[result] = argument
                break
    return taken


def _may_take(stages: tuple[Stage, ...], result: Buffer, argument: Buffer, shares_rows: bool) -> bool:
    """Whether a result can be written over an argument, which nobody reads once the result is written."""
    if (result.axes, result.dtype, result.half) != (argument.axes, argument.dtype, argument.half):
        return False
    home = next(i for i, stage in enumerate(stages) for nest in nests_of(stage) if _stores_to(nest, result))
    for stage in stages[home:]:
        if any(isinstance(item, Load) and item.buffer is argument for item in stage.prologue):
            return False
        if any(reads(product, argument) for product in stage.products):
            return False
        # Loops of one stage do not wait for each other, and later ones find the result.
        for loop in stage.loops:
            if not any(reads(step, argument) for step in loop.steps):
                continue
            (step, *more) = loop.steps
            if more or isinstance(step, MatMul) or not _stores_to(step, result):
                return False
            if not can_overwrite(step, result, argument, shares_rows=shares_rows):
                return False
    return True


def nests_of(stage: Stage) -> Iterator[LoopNest]:
    """The loop nests of a stage."""
    for loop in stage.loops:
        yield from (step for step in loop.steps if isinstance(step, LoopNest))


def _stores_to(nest: LoopNest, buffer: Buffer) -> bool:
    return any(access.is_store and access.buffer is buffer for access in accesses(nest))


def _blocks_in_blocks(loop: BlockLoop, shares_rows: bool) -> dict[Buffer, Buffer]:
    """Values of a block's rows in the buffers of values that no later step reads."""
    taken: dict[Buffer, Buffer] = {}
    for position, step in enumerate(loop.steps):
        if isinstance(step, MatMul):
            continue
        found = accesses(step)
        read = _in_order(access.buffer for access in found if not access.is_store)
        free = [
            b
            for b in read
            if b.kind is BufferKind.BLOCK and not any(reads(s, b) for s in loop.steps[position + 1 :])
        ]
        for written in _in_order(access.buffer for access in found if access.is_store):
            if written.kind is not BufferKind.BLOCK:
                continue
            for buffer in free:
                # One that has taken another's memory is that one.
                is_alike = (buffer.axes, buffer.dtype) == (written.axes, written.dtype)
                if is_alike and can_overwrite(step, written, buffer, shares_rows=shares_rows):
                    taken[written] = taken.get(buffer, buffer)
                    free.remove(buffer)
                    break
    return taken


def _kept_rows_in_results(loop: BlockLoop, taken: dict[Buffer, Buffer]) -> dict[Buffer, Buffer]:
    """Kept rows in the rows of values that are stored when nobody needs them any more."""
    found: dict[Buffer, Buffer] = {}
    for nest in (step for step in loop.steps if isinstance(step, LoopNest)):
        stores = [access for access in accesses(nest) if access.is_store]
        used: set[Buffer] = set()
        for kept in _in_order(a.buffer for a in stores if a.buffer.kind is BufferKind.ROW):
            for written in _in_order(a.buffer for a in stores if len(a.index) == 2):
                home = taken.get(written, written)
                is_alike = (written.axes[1:], home.held) == (kept.axes, kept.dtype)
                if home in used or not is_alike or loads_from(nest, home) or loads_from(nest, written):
                    continue
                if _row_can_hold(nest, written, kept):
                    found[kept] = home
                    used.add(home)
                    break
    return found


def _row_can_hold(nest: LoopNest, written: Buffer, kept: Buffer) -> bool:
    """Whether every load of the kept row comes before the store of the same element of `written`."""
    found = accesses(nest)
    stores = [access for access in found if access.is_store and access.buffer is written]
    loads = [access for access in found if not access.is_store and access.buffer is kept]
    return all(_element_comes_first(load, store, store.index[1:]) for load in loads for store in stores)


def _element_comes_first(load: Access, store: Access, index: tuple[Index, ...]) -> bool:
    """The same within one row, of which `index` is the element that is stored."""
    is_one_loop = load.loop is not None and load.loop is store.loop
    return load.position < store.position and (not is_one_loop or load.index == index)


def _in_order(buffers: Iterable[Buffer]) -> list[Buffer]:
    return list(dict.fromkeys(buffers))
