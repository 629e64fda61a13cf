"""Loop nests as data: what a compiled program does, in order, before it is text of any dialect.

A plan is a tree of frozen records. Both renderers print it, `explain` describes it, the cost model counts it,
and the launch shapes are chosen from it; nobody changes it.

    Plan(buffers, stages, outputs)     a stage ends where all workers must be done
    Stage(prologue, steps, sums)       step = BlockLoop | MatMul
    BlockLoop(axis, steps, sums)       its steps see the rows of one block; step = MatMul | LoopNest
    LoopNest(axis, body)               a loop over the rows of the block
    body item = Loop(axis, body) | TileLoop(body) | AtLabel(stores) | a statement

`softmax(x)` of (N, K) is one stage with one block loop with one nest:

    for row:                           LoopNest over n0
        v1 = start of max
        for column: v1 = max(v1, x)    Loop over n1: Load x, Reduce v1
        v3 = start of sum
        for column: ...                Loop over n1: Load x, Compute x - v1, exp, Reduce v3, Keep exp
        for column: r[...] = ...       Loop over n1: Compute exp / v3, Store r
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from .attributes import Layout
from .dtypes import DType
from .graph import Axis, Node


class BufferKind(enum.Enum):
    """What a buffer is for, which says how long it lives and who has one."""

    ARGUMENT = "argument"  # of the caller
    RESULT = "result"  # of the caller
    STAGE = "stage"  # a value that a later stage reads
    PARTIAL = "partial"  # a worker's part of a sum, for every worker but the first
    TOTAL = "total"  # a worker's sum in float64, of a matrix product of many blocks
    BLOCK = "block"  # the rows of one block, for every worker
    ROW = "row"  # one row, for every worker
    TILE = "tile"  # a number, or a row, for each of the rows of a tile

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, eq=False)
class Buffer:
    """An array of the program.

    axes:   what it is indexed by, outermost first; of a block buffer the first one counts rows of the block
    number: of the argument's leaf, or of the result
    loop:   number of the block loop whose rows it holds
    half:   the half precision of its elements where they are computed with as float32, else None
    layout: how the elements of an argument lie; that of other buffers is C order
    """

    name: str
    kind: BufferKind
    dtype: DType
    axes: tuple[Axis, ...]
    number: int = 0
    loop: int = 0
    half: DType | None = None
    layout: Layout = Layout.CONTIGUOUS

    @property
    def held(self) -> DType:
        """The dtype of its elements."""
        return self.half or self.dtype

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.held.itemsize


@dataclass(frozen=True, eq=False)
class Value:
    """What one statement computes. A node has several where it is computed again in another loop.

    buffer: of a tile, where each row of the tile has one; None for a variable
    """

    node: Node
    buffer: Buffer | None = None


@dataclass(frozen=True)
class Literal:
    """A number that stands in the text."""

    number: object
    dtype: DType


@dataclass(frozen=True)
class Length:
    """The number of elements along an axis."""

    axis: Axis


@dataclass(frozen=True)
class LoopIndex:
    """Where the loop over an axis is: the row of the array, or the column."""

    axis: Axis


@dataclass(frozen=True)
class BlockRow:
    """The number of the row within its block."""


@dataclass(frozen=True)
class Zero:
    """The only position along a dimension of 1."""


Operand: TypeAlias = Value | Literal | Length
Index: TypeAlias = LoopIndex | BlockRow | Zero | Operand


# Statements


@dataclass(frozen=True)
class Load:
    """value = buffer[index], an element of `source`.

    source:  the node that the buffer has there; of `take` and `copy` not the node of the value
    checked: the looked-up index among `index`; a dialect may give a value of its own where that was outside
    """

    value: Value
    source: Node
    buffer: Buffer
    index: tuple[Index, ...]
    checked: Value | None = None


@dataclass(frozen=True)
class LoadScalar:
    """value = a scalar of the call, or a sum without axes, in its slot of the scalar buffer."""

    value: Value
    slot: int


@dataclass(frozen=True)
class Position:
    """value = the position along an axis, as `arange` has it."""

    value: Value
    index: Index


@dataclass(frozen=True)
class Compute:
    """value = operation(operands), elementwise; the operation is the node's."""

    value: Value
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class LabelTest:
    """value = whether the column is the row's label: a comparison of a position with a value of the row."""

    value: Value
    label: Operand


@dataclass(frozen=True)
class CheckIndex:
    """value = an index, counted from the end where negative and clamped to the axis.

    flag: the slot that is set where the index was outside; None where nobody looks
    """

    value: Value
    operand: Operand
    axis: Axis | None
    flag: int | None


@dataclass(frozen=True)
class ClampIndex:
    """value = an index, clamped to the axis; where it is outside nobody takes what it finds."""

    value: Value
    operand: Operand
    axis: Axis | None


@dataclass(frozen=True)
class LabelColumn:
    """value = the column that a label means, clamped to the axis."""

    value: Value
    label: Operand
    axis: Axis
    is_inside: bool


@dataclass(frozen=True)
class Gathered:
    """value = the operand, which was computed at a checked index."""

    value: Value
    operand: Operand
    checked: Value | None


@dataclass(frozen=True)
class Start:
    """value = the identity of a reduction, before its loop.

    wide: its parts are added up in float64
    """

    value: Value
    wide: bool = False


@dataclass(frozen=True)
class Reduce:
    """value = value joined with the operand. The result is known when the loop around it is done."""

    value: Value
    operand: Operand


@dataclass(frozen=True)
class Accumulate:
    """The sum over rows `node` takes up the operand.

    index: of its element; () for a sum without axes
    wide:  it is added to the worker's total in float64
    """

    node: Node
    operand: Operand
    index: tuple[Index, ...]
    wide: bool = False


@dataclass(frozen=True)
class Keep:
    """A value stays in registers for later passes over the row."""

    kept: Value


@dataclass(frozen=True)
class Store:
    """buffer[index] = operand."""

    operand: Operand
    buffer: Buffer
    index: tuple[Index, ...]
    node: Node


@dataclass(frozen=True)
class Meet:
    """The threads that share a row wait for each other: all have read what one is about to overwrite."""


@dataclass(frozen=True)
class FoldTotals:
    """After a row: every so many rows the worker's part of a sum is added to its total in float64."""

    node: Node


Statement: TypeAlias = (
    Load
    | LoadScalar
    | Position
    | Compute
    | LabelTest
    | CheckIndex
    | ClampIndex
    | LabelColumn
    | Gathered
    | Start
    | Reduce
    | Accumulate
    | Keep
    | Store
    | Meet
    | FoldTotals
)


# Loops


@dataclass(frozen=True)
class Loop:
    """A loop over an axis within a row: one pass over it, or a part of one.

    chunk: sums are taken in parts of so many columns; None where they need not be
    start: where it begins: where the loop before it ended; None for 0
    stop:  where it ends, at most at the end of the axis; None for that end
    """

    axis: Axis
    body: tuple[Item, ...]
    chunk: int | None = None
    start: Operand | None = None
    stop: Operand | None = None


@dataclass(frozen=True)
class TileLoop:
    """A loop over the rows of a tile."""

    body: tuple[Item, ...]


@dataclass(frozen=True)
class AtLabel:
    """Stores at the label's column, done only where the label is a column."""

    column: Value
    label: Operand
    body: tuple[Store, ...]


Item: TypeAlias = Statement | Loop | TileLoop | AtLabel


@dataclass(frozen=True)
class LoopNest:
    """A loop over the rows of a block.

    tile:   rows that are computed side by side, innermost; None where each row is done by itself
    stores: row values that are in memory afterwards
    sums:   sums over rows that it adds to
    main:   the longest axis within a row that it loops over; the rows where there is none
    streaming: the same nest for rows that do not fit into registers, and are read anew in every pass; None
    where it
            would be this one
    """

    axis: Axis
    main: Axis
    body: tuple[Item, ...]
    stores: tuple[Node, ...]
    sums: tuple[Node, ...]
    tile: int | None = None
    streaming: LoopNest | None = None

    def items(self) -> Iterator[Item]:
        """All loops and statements, in the order in which they are run."""
        return walk(self.body)

    def axes(self) -> list[Axis]:
        """The axes of the loops within a row, in their order."""
        return loop_axes(self.body)


class ProductWay(enum.Enum):
    """What computes a matrix product: BLAS, or loops where one of its dimensions is a few numbers."""

    BLAS = enum.auto()
    FEW_TERMS = enum.auto()  # of each element of the product
    FEW_COLUMNS = enum.auto()  # of the product
    FEW_ROWS = enum.auto()  # of the product, a sum over rows


@dataclass(frozen=True)
class MatMul:
    """A matrix product of a block of rows, or of whole arrays; a sum over rows is added up over the blocks.

    a, b: buffers of the operands
    out:  buffer of the product; of a sum over rows that of its whole
    """

    node: Node
    a: Buffer
    b: Buffer
    out: Buffer
    way: ProductWay = ProductWay.BLAS


@dataclass(frozen=True)
class Pack:
    """The rows of a block of an argument that lies in columns, copied into a buffer without gaps.

    A nest that went along a row of such an argument would touch another line of the cache with every element.
    """

    node: Node
    argument: Buffer
    buffer: Buffer


@dataclass(frozen=True)
class BlockLoop:
    """A loop over blocks of rows, shared out to workers.

    sums:  what is added up over the rows; each worker has a part
    packs: what is copied for each block before its steps
    """

    number: int
    stage: int
    axis: Axis
    steps: tuple[MatMul | LoopNest, ...]
    sums: tuple[Node, ...]
    packs: tuple[Pack, ...] = ()


@dataclass(frozen=True)
class Stage:
    """What can be done before all workers must wait for each other.

    prologue: values without axes, which every worker computes for itself
    """

    prologue: tuple[Item, ...]
    loops: tuple[BlockLoop, ...]
    products: tuple[MatMul, ...]

    @property
    def sums(self) -> tuple[Node, ...]:
        """What the workers' parts of are combined when the stage ends."""
        return tuple(node for loop in self.loops for node in loop.sums)


def walk(items: tuple[Item, ...]) -> Iterator[Item]:
    """All items and those within them, in the order in which they are run."""
    for item in items:
        yield item
        if isinstance(item, Loop | TileLoop | AtLabel):
            yield from walk(item.body)


def loop_axes(items: tuple[Item, ...]) -> list[Axis]:
    """The axes of loops, in their order."""
    return list(dict.fromkeys(item.axis for item in walk(items) if isinstance(item, Loop)))


def defined(item: Item) -> Value | None:
    """The value that a statement computes."""
    return getattr(item, "value", None)


def used(item: Item) -> Iterator[Value]:
    """The values that a statement itself uses; those in the body of a loop are not among them."""
    operands: list[Operand | Index | None] = []
    match item:
        case Load():
            operands = [*item.index, item.checked]
        case Position():
            operands = [item.index]
        case Compute():
            operands = [*item.operands]
        case LabelTest() | LabelColumn():
            operands = [item.label]
        case CheckIndex() | ClampIndex():
            operands = [item.operand]
        case Gathered():
            operands = [item.operand, item.checked]
        case Reduce():
            operands = [item.value, item.operand]
        case Accumulate():
            operands = [item.operand, *item.index]
        case Keep():
            operands = [item.kept]
        case Store():
            operands = [item.operand, *item.index]
        case AtLabel():
            operands = [item.column, item.label]
        case Loop():
            operands = [item.start, item.stop]
    return (operand for operand in operands if isinstance(operand, Value))


def needed(prologue: tuple[Item, ...], roots: Iterable[Value]) -> tuple[Item, ...]:
    """The statements of a prologue that compute some values, and what these need."""
    wanted = set(roots)
    kept: list[Item] = []
    for item in reversed(prologue):
        if defined(item) in wanted:
            kept.append(item)
            wanted.update(used(item))
    return tuple(reversed(kept))
