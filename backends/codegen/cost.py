"""What a plan costs for arrays of given sizes: rows a block, workers, bytes, operations.

Takes a plan and the sizes of its axes; gives for every block loop its BlockLoopWork, and what a stage is
worth in workers. Everything is counted over the statements of the nests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..ir.attributes import Transposes
from ..ir.graph import Axis, Node, base
from ..ir.nest import (
    Accumulate,
    BlockLoop,
    Buffer,
    BufferKind,
    Compute,
    Load,
    LoopNest,
    MatMul,
    Reduce,
    Store,
)
from ..ir.operations import ELEMENTWISE
from . import totals
from .plan import Plan
from .stages import Role, role

# What a processor of today does in a second, to tell work that is worth a second thread from what is not.
PRODUCT_RATE = 1e11  # floating-point operations; down to a quarter of it where a dimension is under 32
ELEMENT_NS, COST_NS = 0.15, 0.02  # an element loaded or stored, and an addition of it
SHORT_ROWS = 3  # how much longer they take, loaded with gaps and stored with gaps
WORTH_A_WORKER_NS = 12_000

# Buffers of a block should stay in the second-level cache, and a product needs rows to be fast.
BLOCK_BYTES = 1 << 20
FEWEST_ROWS, MOST_ROWS = 64, 256
# A large factor is packed anew for every block, and its gradient added to: more rows at once, and the
# buffers may leave the cache for that. They may be half as large as the factor, which has a gradient, too.
LARGE_FACTOR_BYTES = 1 << 17
LARGE_BLOCK_BYTES, MOST_ROWS_OF_LARGE = 32 << 20, 512
ROW_LOOP_ELEMENTS = 1 << 14
# A product computes so many rows at once.
ROWS_TOGETHER = 8


@dataclass(frozen=True)
class BlockLoopWork:
    """One block loop, for all its rows."""

    rows: int
    block: int
    blocks: int
    bytes_moved: int
    operations: int
    nanoseconds: float  # an estimate for one thread


@dataclass(frozen=True)
class StageShare:
    """How a stage can be shared out.

    most: workers that it is worth
    sums: "" where it leaves none, "large" where combining them is worth threads, else "small"
    """

    number: int
    most: int
    sums: str


@dataclass(frozen=True)
class Scratch:
    """Bytes of a scratch buffer: some, and more for every worker.

    blocks: of the loop, for a buffer that only workers with many blocks use; else None
    """

    fixed: int
    each: int
    blocks: int | None = None

    def bytes(self, workers: int) -> int:
        if self.blocks is not None and not totals.is_used(self.blocks, workers):
            return 0
        return self.fixed + self.each * workers


class Sizes:
    """The sizes of one call's axes, and what follows from them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.of = {axis: axis.size for axis in plan.axes}
        self._block_bytes: dict[int, int] = {}  # by number of the loop: of its block buffers, for all rows
        for buffer in plan.of_kind(BufferKind.BLOCK):
            before = self._block_bytes.get(buffer.loop, 0)
            self._block_bytes[buffer.loop] = before + self._bytes_of(buffer)
        self.loops = [self._work(loop) for loop in plan.loops]

    def elements(self, axes: tuple[Axis, ...]) -> int:
        return math.prod(self.of[axis.find()] for axis in axes)

    def _work(self, loop: BlockLoop) -> BlockLoopWork:
        rows = self.of[loop.axis]
        moved = operations = 0
        nanoseconds = 0.0
        for step in loop.steps:
            if isinstance(step, MatMul):
                count = 2 * self._multiplications(step.node)
                operations += count
                nanoseconds += count / PRODUCT_RATE / self._speed(step.node) * 1e9
            else:
                touched, cost = self._nest(step)
                moved += touched
                operations += cost
                slower = SHORT_ROWS if step.tile else 1
                nanoseconds += slower * (cost * COST_NS + touched / 4 * ELEMENT_NS)
        block = self._block(loop, rows, nanoseconds)
        return BlockLoopWork(rows, block, -(-rows // block), moved, operations, nanoseconds)

    def _multiplications(self, node: Node) -> int:
        a = node.inputs[0]
        inner = a.shape[0 if node.attribute_as(Transposes).transpose_a else 1]
        return self.elements(node.axes) * (1 if inner is None else inner.size)

    def _speed(self, product: Node) -> float:
        """The part of the rate that a product reaches: less where it is narrow."""
        sizes = [1 if axis is None else axis.size for source in product.inputs for axis in source.shape]
        return max(0.25, min(1.0, min(sizes) / 32))

    def _bytes(self, node: Node) -> int:
        return self.elements(node.axes) * node.dtype.itemsize

    def _nest(self, nest: LoopNest) -> tuple[int, int]:
        """Bytes loaded and stored, and additions."""
        items = list(nest.items())
        loaded: set[Buffer] = set()
        stored: set[Buffer] = set()
        for item in items:
            if isinstance(item, Store):
                stored.add(item.buffer)
            elif isinstance(item, Load) and item.buffer not in stored:
                # What the nest itself has stored for a later pass is still in the cache.
                loaded.add(item.buffer)
        buffers = [b for b in (*loaded, *stored) if b.kind not in (BufferKind.ROW, BufferKind.TILE)]
        moved = sum(map(self._bytes_of, buffers))
        cost = 0
        # An operation that several passes repeat counts once.
        for node in dict.fromkeys(computed(nest)):
            rule = ELEMENTWISE.get(node.operation)
            cost += self.elements(node.axes) * (1 if rule is None else rule.cost)
        joins = [item for item in items if isinstance(item, Reduce | Accumulate)]
        for node in dict.fromkeys(i.value.node if isinstance(i, Reduce) else i.node for i in joins):
            cost += self.elements(base(node.inputs[0]).axes)
        return moved, cost

    def _bytes_of(self, buffer: Buffer) -> int:
        return self.elements(buffer.axes) * buffer.itemsize

    def _block(self, loop: BlockLoop, rows: int, nanoseconds: float) -> int:
        """Rows a block: never by the number of workers, so that a row's bits do not depend on it."""
        if not any(isinstance(step, MatMul) for step in loop.steps):
            columns = max(
                [self._columns(step, loop) for step in loop.steps if isinstance(step, LoopNest)] + [1]
            )
            return _even(rows, max(1, min(1024, ROW_LOOP_ELEMENTS // columns)), 1)
        if nanoseconds < 2 * WORTH_A_WORKER_NS:
            return _even(rows, 2 * MOST_ROWS, ROWS_TOGETHER)
        row_bytes = self._block_bytes.get(loop.number, 0) // max(rows, 1)
        factors = [
            self._bytes(base(step.node.inputs[1]))
            for step in loop.steps
            if isinstance(step, MatMul) and role(step.node) is Role.ROW
        ]
        factor_bytes = max(factors, default=0)
        large = factor_bytes > LARGE_FACTOR_BYTES
        most_bytes = max(LARGE_BLOCK_BYTES, factor_bytes // 2) if large else BLOCK_BYTES
        fitting = most_bytes // max(row_bytes, 1)
        most = MOST_ROWS_OF_LARGE if large else MOST_ROWS
        block = max(FEWEST_ROWS, min(most, fitting // 16 * 16))
        # Work for two workers at least, where there are rows for two.
        return _even(rows, min(block, -(-rows // 32) * 16), ROWS_TOGETHER)

    def _columns(self, nest: LoopNest, loop: BlockLoop) -> int:
        """Elements that a row of a value has at most."""
        nodes = [node for node in (*computed(nest), *nest.stores) if node.axes[:1] == (loop.axis,)]
        return max((self.elements(node.axes[1:]) for node in nodes), default=1)

    def scratch(self, buffer: Buffer) -> Scratch:
        """What a scratch buffer needs."""
        own = self.elements(buffer.axes) * buffer.itemsize
        if buffer.kind is BufferKind.STAGE:
            return Scratch(own, 0)
        if buffer.kind is BufferKind.PARTIAL:
            return Scratch(-own, own)
        if buffer.kind is BufferKind.BLOCK:
            rows = self.loops[buffer.loop].block
            return Scratch(0, rows * self.elements(buffer.axes[1:]) * buffer.itemsize)
        if buffer.kind is BufferKind.TOTAL:
            return Scratch(0, own, self.loops[buffer.loop].blocks)
        return Scratch(0, own * (self.plan.target.tile or 1 if buffer.kind is BufferKind.TILE else 1))

    def length(self, buffer: Buffer, workers: int) -> int:
        """Elements of a scratch buffer."""
        return self.scratch(buffer).bytes(workers) // buffer.itemsize

    def workers(self, stage: int, threads: int) -> int:
        """The workers that the loops of a stage are worth."""
        return min(threads, self.shares()[stage].most)

    def shares(self) -> list[StageShare]:
        """How the stages can be shared out."""
        found = []
        for number, stage in enumerate(self.plan.stages):
            work = [self.loops[loop.number] for loop in stage.loops]
            worth = int(sum(one.nanoseconds for one in work) / WORTH_A_WORKER_NS)
            most = min(max([one.blocks for one in work], default=1), worth, self.plan.target.workers)
            sums = "" if not stage.sums else "small"
            if any(self._bytes(node) > LARGE_FACTOR_BYTES for node in stage.sums):
                sums = "large"
            found.append(StageShare(number, max(1, most), sums))
        return found

    def stages(self, threads: int) -> list[tuple[int, int, int]]:
        """What a program is told: number of the stage, workers, whether they may run at once."""
        return stages(self.shares(), threads, has_outputs=bool(self.plan.slots.outputs))


def _even(rows: int, most: int, together: int) -> int:
    """Rows a block of at most `most`, where two workers have as many blocks of nearly as many rows each.

    together: rows that are computed at once; a block has a multiple of them
    """
    if rows <= most:
        return max(1, rows)
    blocks = -(-rows // most)
    blocks += blocks % 2
    return min(most, -(-rows // (blocks * together)) * together)


def stages(shares: Iterable[StageShare], threads: int, *, has_outputs: bool) -> list[tuple[int, int, int]]:
    """The stages of a program for a number of threads."""
    rows = []
    end = 0
    for share in shares:
        workers = min(threads, share.most)
        rows.append((2 * share.number, workers, int(workers > 1)))
        if workers > 1 and share.sums:
            rows.append((2 * share.number + 1, workers, int(share.sums == "large")))
        end = 2 * share.number + 2
    return [*rows, (end, 1, 0)] if has_outputs else rows


def computed(nest: LoopNest) -> list[Node]:
    """The nodes of a nest's elementwise operations, as often as they are computed."""
    return [item.value.node for item in nest.items() if isinstance(item, Compute)]
