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

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ..ir.dtypes import DType
from ..ir.graph import Axis
from ..ir.nest import (
    AtLabel,
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


class NestMemory:
    """The loads and stores of a nest, by buffer, in order."""

    def __init__(self, nest: LoopNest) -> None:
        self.axis = nest.axis
        self.loads: dict[Buffer, list[Access]] = {}
        self.stores: dict[Buffer, list[Access]] = {}
        for access in accesses(nest):
            found = self.stores if access.is_store else self.loads
            found.setdefault(access.buffer, []).append(access)
        # It loads again what the other one keeps in registers.
        self.streaming = None if nest.streaming is None else NestMemory(nest.streaming)


Step: TypeAlias = MatMul | NestMemory


class Reader(NamedTuple):
    """What reads a buffer in a stage.

    steps: of the block loop that reads it; None outside of loops
    """

    stage: int
    steps: Sequence[Step] | None


class Uses:
    """What the stages of a plan read and store, each looked up once.

    loops:   of each stage, the steps of its block loops
    readers: of each buffer, in order
    homes:   of each result, the first stage that stores it
    """

    def __init__(self, stages: Iterable[Stage]) -> None:
        self.loops: list[list[list[Step]]] = []
        self.readers: dict[Buffer, list[Reader]] = {}
        self.homes: dict[Buffer, int] = {}
        for number, stage in enumerate(stages):
            self.loops.append([[_step(step) for step in loop.steps] for loop in stage.loops])
            self._add(number, stage, self.loops[-1])

    def _add(self, number: int, stage: Stage, loops: list[list[Step]]) -> None:
        outside = Reader(number, None)
        for item in stage.prologue:
            if isinstance(item, Load):
                self.readers.setdefault(item.buffer, []).append(outside)
        for product in stage.products:
            for buffer in (product.a, product.b):
                self.readers.setdefault(buffer, []).append(outside)
        for steps in loops:
            reader = Reader(number, steps)
            for buffer in _in_order(buffer for step in steps for buffer in reads(step)):
                self.readers.setdefault(buffer, []).append(reader)
            for nest in (step for step in steps if isinstance(step, NestMemory)):
                for buffer in nest.stores:
                    if buffer.kind is BufferKind.RESULT:
                        self.homes.setdefault(buffer, number)


def _step(step: MatMul | LoopNest) -> Step:
    return step if isinstance(step, MatMul) else NestMemory(step)


def reads(step: Step) -> Iterable[Buffer]:
    """The buffers that a step of a block loop reads."""
    return (step.a, step.b) if isinstance(step, MatMul) else step.loads


def can_overwrite(nest: NestMemory, written: Buffer, read: Buffer, *, shares_rows: bool) -> bool:
    """Whether a nest may store `written` into the memory of `read`: no element is loaded once it is stored.

    shares_rows: whether several threads share a row, which do not wait for each other between its loads and
                 stores
    """
    return all(
        _is_read_in_time(one, written, read, shares_rows) for one in (nest, nest.streaming) if one is not None
    )


def _is_read_in_time(nest: NestMemory, written: Buffer, read: Buffer, shares_rows: bool) -> bool:
    stores, loads = nest.stores.get(written, []), nest.loads.get(read, [])
    return bool(stores) and all(
        _comes_first(load, store, nest.axis, shares_rows) for load in loads for store in stores
    )


def _comes_first(load: Access, store: Access, rows: Axis, shares_rows: bool) -> bool:
    """Whether the load of an element comes before the store of the same element, whatever the index."""
    if not _is_own_row(load, rows):
        return False  # of another row, which may be stored by now
    if load.position > store.position:
        return False
    is_same_element = load.index[1:] == store.index[1:]
    if load.loop is not None and load.loop is store.loop:
        return is_same_element
    return is_same_element or not shares_rows or len(load.index) == 1


def share_memory(
    stages: Iterable[Stage], epilogue: Iterable[Item], donated: Iterable[Buffer], *, shares_rows: bool
) -> dict[Buffer, Buffer]:
    """The buffers that take the memory of others, with those others.

    epilogue: statements behind the last stage
    donated:  arguments whose memory results may take
    """
    late = {item.buffer for item in epilogue if isinstance(item, Load)}
    uses = Uses(stages)
    taken = _results_in_arguments(uses, [buffer for buffer in donated if buffer not in late], shares_rows)
    for steps in (steps for loops in uses.loops for steps in loops):
        taken |= _blocks_in_blocks(steps, shares_rows)
        taken |= _kept_rows_in_results(steps, taken)
    return taken


def _form(buffer: Buffer) -> tuple[tuple[Axis, ...], DType, DType | None]:
    """What buffers have in common that may share memory."""
    return buffer.axes, buffer.dtype, buffer.half


def _results_in_arguments(uses: Uses, donated: list[Buffer], shares_rows: bool) -> dict[Buffer, Buffer]:
    taken: dict[Buffer, Buffer] = {}
    free: dict[Hashable, list[Buffer]] = {}
    for argument in donated:
        free.setdefault(_form(argument), []).append(argument)
    for result in sorted(uses.homes, key=lambda buffer: buffer.number):
        alike = free.get(_form(result), [])
        for argument in alike:
            if _may_take(uses, result, argument, shares_rows):
                alike.remove(argument)
                taken[result] = argument
                break
    return taken


def _may_take(uses: Uses, result: Buffer, argument: Buffer, shares_rows: bool) -> bool:
    """Whether a result can be written over an argument, which nobody reads once the result is written."""
    for stage, steps in uses.readers.get(argument, []):
        if stage < uses.homes[result]:
            continue
        if steps is None:
            return False
        # Loops of one stage do not wait for each other, and later ones find the result.
        if not _is_stored_last(steps, result, argument, shares_rows):
            return False
    return True


def _is_stored_last(steps: Sequence[Step], result: Buffer, argument: Buffer, shares_rows: bool) -> bool:
    """Whether the last nest of a block that loads the argument stores the result.

    Earlier nests may load the block's rows of it; a product takes other rows.
    """
    readers = [step for step in steps if argument in reads(step)]
    nests = [step for step in readers if isinstance(step, NestMemory)]
    return (
        len(nests) == len(readers)
        and all(_loads_own_rows(nest, argument) for nest in nests[:-1])
        and can_overwrite(nests[-1], result, argument, shares_rows=shares_rows)
    )


def _loads_own_rows(nest: NestMemory, buffer: Buffer) -> bool:
    """Whether each row of a nest loads its own row of a buffer alone."""
    loads = [load for one in (nest, nest.streaming) if one is not None for load in one.loads.get(buffer, [])]
    return all(_is_own_row(load, nest.axis) for load in loads)


def _is_own_row(load: Access, rows: Axis) -> bool:
    return bool(load.index) and load.index[0] in (LoopIndex(rows), BlockRow())


def nests_of(stage: Stage) -> Iterator[LoopNest]:
    """The loop nests of a stage."""
    for loop in stage.loops:
        yield from (step for step in loop.steps if isinstance(step, LoopNest))


def _blocks_in_blocks(steps: Sequence[Step], shares_rows: bool) -> dict[Buffer, Buffer]:
    """Values of a block's rows in the buffers of values that no later step reads."""
    taken: dict[Buffer, Buffer] = {}
    last = {buffer: position for position, step in enumerate(steps) for buffer in reads(step)}
    for position, step in enumerate(steps):
        if isinstance(step, MatMul):
            continue
        free: dict[Hashable, list[Buffer]] = {}
        for buffer in step.loads:
            if buffer.kind is BufferKind.BLOCK and last[buffer] == position:
                free.setdefault(_form(buffer), []).append(buffer)
        for written in (buffer for buffer in step.stores if buffer.kind is BufferKind.BLOCK):
            alike = free.get(_form(written), [])
            for buffer in alike:
                if can_overwrite(step, written, buffer, shares_rows=shares_rows):
                    # One that has taken another's memory is that one.
                    taken[written] = taken.get(buffer, buffer)
                    alike.remove(buffer)
                    break
    return taken


def _kept_rows_in_results(steps: Sequence[Step], taken: dict[Buffer, Buffer]) -> dict[Buffer, Buffer]:
    """Kept rows in the rows of values that are stored when nobody needs them any more."""
    found: dict[Buffer, Buffer] = {}
    for nest in (step for step in steps if isinstance(step, NestMemory)):
        # By form: the values that are stored, and whose memory they are in.
        free: dict[Hashable, dict[Buffer, Buffer]] = {}
        for written, stores in nest.stores.items():
            home = taken.get(written, written)
            if len(stores[0].index) == 2 and home not in nest.loads and written not in nest.loads:
                free.setdefault((written.axes[1:], home.held), {})[written] = home
        used: set[Buffer] = set()
        for kept in (buffer for buffer in nest.stores if buffer.kind is BufferKind.ROW):
            for written, home in free.get((kept.axes, kept.dtype), {}).items():
                if home not in used and _row_can_hold(nest, written, kept):
                    found[kept] = home
                    used.add(home)
                    break
    return found


def _row_can_hold(nest: NestMemory, written: Buffer, kept: Buffer) -> bool:
    """Whether every load of the kept row comes before the store of the same element of `written`."""
    return all(
        _element_comes_first(load, store, store.index[1:])
        for load in nest.loads.get(kept, [])
        for store in nest.stores[written]
    )


def _element_comes_first(load: Access, store: Access, index: tuple[Index, ...]) -> bool:
    """The same within one row, of which `index` is the element that is stored."""
    is_one_loop = load.loop is not None and load.loop is store.loop
    return load.position < store.position and (not is_one_loop or load.index == index)


def _in_order(buffers: Iterable[Buffer]) -> list[Buffer]:
    return list(dict.fromkeys(buffers))
