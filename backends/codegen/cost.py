"""What a plan costs for arrays of given sizes: rows a block, shares, bytes, operations."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..ir.attributes import MatMul
from ..ir.graph import Axis, Node, base
from ..ir.operations import ELEMENTWISE
from . import totals
from .fusion import Body, Product, RowLoop
from .plan import Memory, Plan
from .stages import kind

# What a processor of today does in a second, to tell work that is worth a second thread from what is not.
PRODUCT_RATE = 1e11  # floating-point operations; down to a quarter of it where a dimension is under 32
ELEMENT_NS, COST_NS = 0.15, 0.02  # an element loaded or stored, and an addition of it
SHORT_ROWS = 3  # how much longer they take, loaded with gaps and stored with gaps
WORTH_A_THREAD_NS = 12_000

# On the CPU, rows of up to so many columns are computed side by side, so many at once.
SHORT, LANES = 32, 64
# The most workers that share a stage; every sum has a slot for each of them.
MOST_SHARES = 64

# Buffers of a block should stay in the second-level cache, and a product needs rows to be fast.
BLOCK_BYTES = 1 << 20
FEWEST_ROWS, MOST_ROWS = 64, 256
# A large factor is packed anew for every block, and its gradient added to: more rows at once, and the
# buffers may leave the cache for that. They may be half as large as the factor, which has a gradient, too.
LARGE_FACTOR_BYTES = 1 << 17
LARGE_BLOCK_BYTES, MOST_ROWS_OF_LARGE = 32 << 20, 512
ROW_LOOP_ELEMENTS = 1 << 14


@dataclass(frozen=True)
class PhaseWork:
    """One phase, for all its rows."""

    rows: int
    block: int
    blocks: int
    bytes_moved: int
    operations: int
    nanoseconds: float  # an estimate for one thread


class Sizes:
    """The sizes of one call's axes, and what follows from them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.of = {axis: axis.size for axis in plan.axes}
        self.phases = [self._phase(body) for body in plan.bodies]

    def elements(self, axes: tuple[Axis, ...]) -> int:
        return math.prod(self.of[axis.find()] for axis in axes)

    def _phase(self, body: Body) -> PhaseWork:
        rows = self.of[body.phase.axis.find()]
        moved = operations = 0
        nanoseconds = 0.0
        factor_bytes = 0
        for step in body.steps:
            if isinstance(step, Product):
                count = 2 * self._multiplications(step.node)
                operations += count
                nanoseconds += count / PRODUCT_RATE / self._speed(step.node) * 1e9
                if kind(step.node) == "row":
                    factor_bytes = max(factor_bytes, self._bytes(base(step.node.inputs[1])))
            else:
                touched, cost = self._loop(step)
                moved += touched
                operations += cost
                slower = SHORT_ROWS if self._has_short_rows(step, rows) else 1
                nanoseconds += slower * (cost * COST_NS + touched / 4 * ELEMENT_NS)
        block = self._block(body, rows, factor_bytes, nanoseconds)
        return PhaseWork(rows, block, -(-rows // block), moved, operations, nanoseconds)

    def _multiplications(self, node: Node) -> int:
        a = node.inputs[0]
        inner = a.shape[0 if node.attribute_as(MatMul).transpose_a else 1]
        return self.elements(node.axes) * (1 if inner is None else inner.size)

    def _speed(self, product: Node) -> float:
        """The part of the rate that a product reaches: less where it is narrow."""
        sizes = [1 if axis is None else axis.size for source in product.inputs for axis in source.shape]
        return max(0.25, min(1.0, min(sizes) / 32))

    def _has_short_rows(self, loop: RowLoop, rows: int) -> bool:
        widths = [self.elements(node.axes) // max(rows, 1) for node in loop.levels]
        return 1 < max(widths, default=1) <= SHORT

    def _bytes(self, node: Node) -> int:
        return self.elements(node.axes) * node.dtype.itemsize

    def _loop(self, loop: RowLoop) -> tuple[int, int]:
        """Bytes read and written, and additions."""
        read = {base(source) for node in loop.levels for source in node.inputs} - loop.levels.keys()
        moved = sum(self._bytes(node) for node in [*read, *loop.stores] if node.axes)
        costs = {operation: rule.cost for operation, rule in ELEMENTWISE.items()}
        cost = sum(self.elements(node.axes) * costs.get(node.operation, 1) for node in loop.levels)
        reductions = [base(node.inputs[0]) for node in loop.levels if len(node.inputs) == 1]
        return moved, cost + sum(self.elements(node.axes) for node in reductions)

    def _block(self, body: Body, rows: int, factor_bytes: int, nanoseconds: float) -> int:
        """Rows a block: never by the number of threads, so that a row's bits do not depend on it."""
        if not any(isinstance(step, Product) for step in body.steps):
            own = body.phase.axis.find()
            values = [node for step in body.steps if isinstance(step, RowLoop) for node in step.levels]
            widths = [self.elements(node.axes) // max(rows, 1) for node in values if node.axes[:1] == (own,)]
            columns = max([*widths, 1])
            return max(1, min(rows, 1024, ROW_LOOP_ELEMENTS // columns))
        if nanoseconds < 2 * WORTH_A_THREAD_NS:
            return max(1, min(rows, 2 * MOST_ROWS))
        buffers = {self.plan.where(node, self.plan.bodies.index(body)) for node in body.blocks}
        held = sum(self.elements(memory.axes) * memory.itemsize for memory in buffers if memory is not None)
        row_bytes = held // max(rows, 1)
        large = factor_bytes > LARGE_FACTOR_BYTES
        most_bytes = max(LARGE_BLOCK_BYTES, factor_bytes // 2) if large else BLOCK_BYTES
        fitting = most_bytes // max(row_bytes, 1)
        most = MOST_ROWS_OF_LARGE if large else MOST_ROWS
        block = max(FEWEST_ROWS, min(most, fitting // 16 * 16))
        # Two shares at least, where there are rows for two.
        return max(1, min(block, -(-rows // 32) * 16))

    def length(self, memory: Memory, shares: int) -> int:
        """Elements of a scratch array."""
        own = self.elements(memory.axes)
        if memory.kind == "whole":
            return own
        if memory.kind == "partial":
            return own * (shares - 1)
        if memory.kind == "total" and not totals.is_used(self.phases[memory.phase].blocks, shares):
            return 0
        if memory.kind == "block":
            rows = self.of[self.plan.bodies[memory.phase].phase.axis.find()]
            return shares * self.phases[memory.phase].block * (own // max(rows, 1))
        return shares * own * (LANES if memory.kind == "lane" else 1)

    def sections(self, threads: int) -> list[tuple[int, int, int]]:
        """What `threads.run` is told: number of the section, shares, whether they may run at once."""
        rows = []
        for section in range(self.plan.schedule.sections):
            inside = [
                (body, work)
                for body, work in zip(self.plan.bodies, self.phases, strict=True)
                if body.phase.section == section
            ]
            worth = int(sum(work.nanoseconds for _, work in inside) / WORTH_A_THREAD_NS)
            most = max([work.blocks for _, work in inside], default=1)
            shares = max(1, min(threads, most, worth, MOST_SHARES))
            rows.append((2 * section, shares, int(shares > 1)))
            if shares > 1 and any(body.phase.sums for body, _ in inside):
                large = any(
                    self._bytes(node) > LARGE_FACTOR_BYTES for body, _ in inside for node in body.phase.sums
                )
                rows.append((2 * section + 1, shares, int(large)))
        if self.plan.number_outputs:
            rows.append((2 * self.plan.schedule.sections, 1, 0))
        return rows
