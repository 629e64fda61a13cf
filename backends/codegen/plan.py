"""The plan of a program: stages of loop nests and products, and the buffers that they work on.

Takes a simplified graph and a target; gives a Plan, a tree of frozen records which nobody changes. For
`relu(x)`:

    stage 0
      block loop over n0:  nest: for row: for column: Load x0, Compute maximum, Store r0
    buffers                x0 argument (n0, n1), r0 result (n0, n1)
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..ir.attributes import Size
from ..ir.graph import Axis, Graph, Node, base, walk
from ..ir.nest import BlockLoop, Buffer, BufferKind, Item, MatMul, Operand, Stage
from ..ir.operations import Op
from .aliasing import accesses, nests_of, share_memory
from .buffers import Buffers, Rounding, ScalarSlots, scalar_slots
from .fusion import FusedGroup, fuse
from .nests import Nests
from .products import share_out_by_result, way_of
from .rewrite import outside_of_loops, with_buffers, with_meetings
from .stages import Role, Schedule, role, schedule
from .target import Target
from .values import Body


@dataclass(frozen=True)
class ScalarOutputs:
    """The results that are single numbers: computed at the end, each put into its slot of the scalar buffer.

    body:   the statements that compute them
    values: of every result, in the order of the slots
    """

    body: tuple[Item, ...]
    values: Mapping[Node, Operand]


@dataclass(frozen=True)
class Plan:
    """All that a renderer needs to know to print a program, and a caller to run it.

    outputs: nodes of the result's arrays, in their order
    place:   the buffer of every value that is in memory as a whole
    partial: the workers' parts of every sum with axes
    totals:  the workers' totals in float64, of the sums that have one
    donated: argument's leaf -> number of the result that takes its memory
    flags:   lookups whose indices are watched, in the order of their flags
    """

    kernel: str
    graph: Graph
    target: Target
    outputs: tuple[Node, ...]
    stages: tuple[Stage, ...]
    scalar_outputs: ScalarOutputs
    axes: Mapping[Axis, str]
    buffers: tuple[Buffer, ...]
    place: Mapping[Node, Buffer]
    partial: Mapping[Node, Buffer]
    totals: Mapping[Node, Buffer]
    slots: ScalarSlots
    rounding: Rounding
    donated: Mapping[int, int]
    flags: tuple[Node, ...]

    @property
    def loops(self) -> tuple[BlockLoop, ...]:
        """All block loops, by their numbers."""
        return tuple(loop for stage in self.stages for loop in stage.loops)

    @property
    def multiplies(self) -> bool:
        """Whether there are matrix products."""
        return any(
            stage.products or any(isinstance(step, MatMul) for loop in stage.loops for step in loop.steps)
            for stage in self.stages
        )

    @functools.cached_property
    def returned(self) -> dict[Buffer, int]:
        """By buffer: the first output that is all of it, in its order of dimensions."""
        found: dict[Buffer, int] = {}
        for position, node in enumerate(self.outputs):
            buffer = self.place.get(base(node))
            if buffer is not None and node.axes == base(node).axes:
                found.setdefault(buffer, position)
        return found

    def of_kind(self, *kinds: BufferKind) -> list[Buffer]:
        """The buffers of some kinds, in their order."""
        return [buffer for buffer in self.buffers if buffer.kind in kinds]


def make_plan(
    kernel: str,
    graph: Graph,
    outputs: list[Node],
    target: Target,
    rounding: Rounding | None = None,
    donated_leaves: Iterable[int] = (),
) -> Plan:
    """Lower a simplified graph.

    outputs:        the nodes of the result's arrays
    donated_leaves: arguments whose memory results may take
    """
    rounding = rounding or Rounding()
    outputs = [_computed(graph, node) for node in outputs]
    if target.by_result:
        share_out_by_result(outputs)
    scheduled = schedule(outputs)
    nodes = list(walk(outputs))
    slots = scalar_slots(nodes, scheduled, target.workers)
    buffers = Buffers(scheduled, slots, rounding)
    stages, scalar_outputs = _Stages(scheduled, buffers, target).all()
    donated_leaves = set(donated_leaves)
    donated = [b for b in buffers.all if b.kind is BufferKind.ARGUMENT and b.number in donated_leaves]
    unused = _unused_rows(stages, buffers)
    taken = share_memory(stages, scalar_outputs.body, donated, shares_rows=target.shares_rows)
    stages = tuple(with_buffers(stage, taken) for stage in stages)
    scalar_outputs = replace(scalar_outputs, body=outside_of_loops(scalar_outputs.body, taken))
    return Plan(
        kernel=kernel,
        graph=graph,
        target=target,
        outputs=tuple(outputs),
        stages=tuple(with_meetings(stage) for stage in stages) if target.shares_rows else stages,
        scalar_outputs=scalar_outputs,
        axes=_names_of_axes(nodes),
        buffers=tuple(buffer for buffer in buffers.all if buffer not in taken and buffer not in unused),
        place={node: taken.get(buffer, buffer) for node, buffer in buffers.place.items()},
        partial=buffers.partial,
        totals=buffers.totals,
        slots=slots,
        rounding=rounding,
        donated={
            a.number: r.number
            for r, a in taken.items()
            if a.kind is BufferKind.ARGUMENT and r.kind is BufferKind.RESULT
        },
        flags=tuple(buffers.flags),
    )


def _unused_rows(stages: tuple[Stage, ...], buffers: Buffers) -> set[Buffer]:
    """Buffers for kept rows of nests that keep them in tiles."""
    stored = {access.buffer for stage in stages for nest in nests_of(stage) for access in accesses(nest)}
    kept = {buffer for buffer in buffers.all if buffer.kind is BufferKind.ROW}
    return kept - stored - set(buffers.totals.values())


def _names_of_axes(nodes: list[Node]) -> dict[Axis, str]:
    names: dict[Axis, str] = {}
    for node in nodes:
        for shape in [node.shape, *(source.shape for source in node.inputs)]:
            for axis in shape:
                if axis is not None:
                    names.setdefault(axis.find(), f"n{len(names)}")
        if node.operation is Op.SIZE:
            names.setdefault(node.attribute_as(Size).axis.find(), f"n{len(names)}")
    return names


def _computed(graph: Graph, node: Node) -> Node:
    """The node itself, or a copy of it where it would be an argument's own memory or is only an index."""
    source = base(node)
    if role(source) is not Role.LEAF or not source.axes:
        return node
    copy = graph.node(Op.COPY, (source,), None, shape=source.shape, dtype=source.dtype, line=source.line)
    if node is source:
        return copy
    return graph.node(Op.VIEW, (copy,), node.attribute, shape=node.shape, dtype=node.dtype)


class _Stages:
    """Builds the stages of a schedule."""

    def __init__(self, scheduled: Schedule, buffers: Buffers, target: Target) -> None:
        self.schedule, self.buffers, self.target = scheduled, buffers, target
        self.fused = [fuse(group) for group in scheduled.groups]
        for number, fused in enumerate(self.fused):
            buffers.place_locals(number, fused, keeps_rows=target.keeps_rows)
        self.nests = Nests(buffers, target)

    def all(self) -> tuple[tuple[Stage, ...], ScalarOutputs]:
        """The stages, and the results that are single numbers."""
        loops: list[list[int]] = [[] for _ in range(self.schedule.stages)]
        for number, fused in enumerate(self.fused):
            loops[fused.group.stage].append(number)
        products: list[list[Node]] = [[] for _ in loops]
        for node, stage in self.schedule.whole.items():
            products[stage].append(node)
        stages = tuple(map(self.stage, loops, products))
        body = Body()
        values = {node: self.nests.value(node, body) for node in self.buffers.slots.outputs}
        return stages, ScalarOutputs(tuple(body.items), values)

    def stage(self, loops: list[int], products: list[Node]) -> Stage:
        """The stage of some block loops and products of whole arrays."""
        prologue = Body()
        made = tuple(self.block_loop(number, self.fused[number], prologue) for number in loops)
        return Stage(tuple(prologue.items), made, tuple(self.product(node, None) for node in products))

    def block_loop(self, number: int, fused: FusedGroup, prologue: Body) -> BlockLoop:
        steps = tuple(
            self.product(step, number)
            if isinstance(step, Node)
            else self.nests.nest(step, fused, number, prologue)
            for step in fused.steps
        )
        rows, sums = fused.group.axis.find(), tuple(fused.group.sums)
        packs = tuple(self.buffers.packs.get(number, ()))
        return BlockLoop(number, fused.group.stage, rows, steps, sums, packs)

    def product(self, node: Node, loop: int | None) -> MatMul:
        a, b, out = (self.buffers.where(base(value), loop) for value in (*node.inputs, node))
        assert a is not None, f"{node} has operands in no memory"
        assert b is not None, f"{node} has operands in no memory"
        assert out is not None, f"{node} has no buffer"
        return MatMul(node, a, b, out, way_of(node, (a, b), self.target))
