"""The plan of a program: schedule, loops, and the memory that every value lives in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..ir.attributes import Leaf, Size
from ..ir.dtypes import FLOAT32, DType
from ..ir.graph import Axis, Graph, Node, base, sources, walk
from ..ir.operations import Op
from .donation import comes_before, may_take
from .fusion import Body, Product, RowLoop, body
from .stages import Phase, Schedule, kind, schedule

Kind = Literal["argument", "result", "whole", "partial", "total", "block", "row", "lane"]


@dataclass(eq=False)
class Memory:
    """An array of the program.

    kind: "argument" and "result" are the caller's; "whole" is kept from section to section; "partial" has a
          share's part of a sum, for every share but the first; "total" has a share's sum in float64 of a
          product of many blocks, "block" the rows of one block, "row" one row, all for every share; "lane"
          has a number, or a row, for each of the rows that are computed side by side
    axes: what it is indexed by, outermost first; of a block the first one counts rows of the block
    number: of the leaf for an argument, else a count
    half:   what the memory holds where that is narrower than `dtype`; None where it is not
    """

    name: str
    kind: Kind
    dtype: DType
    axes: tuple[Axis, ...]
    number: int = 0
    phase: int = 0  # whose block or row it is
    half: DType | None = None

    @property
    def held(self) -> DType:
        """The dtype of its elements."""
        return self.half or self.dtype

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.held.itemsize


@dataclass
class Plan:
    """All that a dialect needs to know to print the program."""

    kernel: str
    graph: Graph
    schedule: Schedule
    bodies: list[Body]
    axes: dict[Axis, str] = field(default_factory=dict)  # names of the sizes
    memories: list[Memory] = field(default_factory=list)
    place: dict[Node, Memory] = field(default_factory=dict)  # of what is in memory as a whole
    local: dict[tuple[int, Node], Memory] = field(default_factory=dict)  # by phase: of blocks and rows
    partial: dict[Node, Memory] = field(default_factory=dict)
    scalars: list[int] = field(default_factory=list)  # leaves of the numbers of a call
    number_sums: list[Node] = field(default_factory=list)  # sums without axes
    number_outputs: list[Node] = field(default_factory=list)
    donated: dict[int, int] = field(default_factory=dict)  # leaf -> result that takes its memory
    halves: Mapping[int, DType] = field(default_factory=dict)  # leaf -> the half precision of its memory
    half: DType | None = None  # what results are rounded to that depend on no argument
    rounds: bool = True  # whether any result is rounded to a half precision

    @property
    def scalar_dtypes(self) -> dict[int, DType]:
        """Leaf -> dtype of the numbers of a call, in the order of their slots."""
        nodes = [node for node in self.graph.nodes if node.operation is Op.SCALAR]
        dtypes = {node.attribute_as(Leaf).number: node.dtype for node in nodes}
        return {leaf: dtypes[leaf] for leaf in self.scalars}

    def half_of(self, node: Node) -> DType | None:
        """What a result is rounded to: the half precision of all floating arguments that it depends on."""
        if node.dtype != FLOAT32 or not self.halves or not self.rounds:
            return None
        inputs = [n for n in walk([node]) if n.operation is Op.INPUT and n.dtype.is_float]
        found = {self.halves.get(n.attribute_as(Leaf).number) for n in inputs} or {self.half}
        return found.pop() if len(found) == 1 else None

    def held_number(self, node: Node) -> DType:
        """What is kept of a result that is a single number."""
        return self.half_of(node) or node.dtype

    def of_kind(self, *kinds: Kind) -> list[Memory]:
        return [memory for memory in self.memories if memory.kind in kinds]

    def add(self, memory: Memory) -> Memory:
        self.memories.append(memory)
        return memory

    def where(self, node: Node, phase: int) -> Memory | None:
        """The memory that has a value, as seen from a phase."""
        return self.local.get((phase, node)) or self.place.get(node)


def make_plan(
    kernel: str,
    graph: Graph,
    outputs: list[Node],
    donated_leaves: Iterable[int] = (),
    halves: Mapping[int, DType] | None = None,
    half: DType | None = None,
    *,
    rounds: bool = True,
    reads_rows_first: bool = False,
) -> Plan:
    """Lower a simplified graph.

    outputs:        the nodes of the result's arrays
    donated_leaves: arguments whose memory results may take
    halves:         arguments whose memory holds a half precision
    half:           what floating results are rounded to that depend on no argument
    rounds:         whether any result is rounded to a half precision
    reads_rows_first: whether in each turn over a row the dialect computes what the row has one of, and then
                    stores elements
    """
    outputs = [_computed(graph, node) for node in outputs]
    scheduled = schedule(outputs)
    plan = Plan(kernel, graph, scheduled, [body(phase) for phase in scheduled.phases])
    plan.halves, plan.half, plan.rounds = halves or {}, half, rounds
    nodes = list(walk(outputs))
    for node in nodes:
        for shape in [node.shape, *(source.shape for source in node.inputs)]:
            for axis in shape:
                if axis is not None:
                    plan.axes.setdefault(axis.find(), f"n{len(plan.axes)}")
        if node.operation is Op.SIZE:
            plan.axes.setdefault(node.attribute_as(Size).axis.find(), f"n{len(plan.axes)}")
        if node.operation is Op.SCALAR:
            plan.scalars.append(node.attribute_as(Leaf).number)
        if node.operation is Op.INPUT:
            leaf = node.attribute_as(Leaf).number
            argument = Memory(f"x{leaf}", "argument", node.dtype, node.axes, leaf)
            argument.half = plan.halves.get(leaf)
            plan.place[node] = plan.add(argument)
    _place_results(plan, outputs, tuple(donated_leaves), reads_rows_first)
    for node in scheduled.complete:
        if kind(node) == "sum" and not node.axes:
            plan.number_sums.append(node)
            continue
        if node not in plan.place:
            plan.place[node] = plan.add(Memory(f"w{node.number}", "whole", node.dtype, node.axes))
        if kind(node) == "sum":
            plan.partial[node] = plan.add(Memory(f"p{node.number}", "partial", node.dtype, node.axes))
    for number, inside in enumerate(plan.bodies):
        _place_locals(plan, number, inside, reads_rows_first)
    return plan


def _computed(graph: Graph, node: Node) -> Node:
    """The node itself, or a copy of it where it would be an argument's own memory or is only an index."""
    source = base(node)
    if kind(source) != "leaf" or not source.axes:
        return node
    copy = graph.node(Op.COPY, (source,), shape=source.shape, dtype=source.dtype, line=source.line)
    if node is source:
        return copy
    return graph.node(Op.VIEW, (copy,), node.attribute, shape=node.shape, dtype=node.dtype)


def _place_results(
    plan: Plan, outputs: list[Node], donated_leaves: tuple[int, ...], reads_rows_first: bool
) -> None:
    free = [node for node in plan.place if node.attribute_as(Leaf).number in donated_leaves]
    placed: list[Memory] = []
    for output in outputs:
        node = base(output)
        if not node.axes:
            if node not in plan.number_outputs:
                plan.number_outputs.append(node)
        elif node not in plan.place:
            number = len(placed)
            taken = next((given for given in free if may_take(plan, node, given, reads_rows_first)), None)
            if taken is not None:
                free.remove(taken)
                plan.place[node] = plan.place[taken]
                plan.donated[taken.attribute_as(Leaf).number] = number
            else:
                result = Memory(f"r{number}", "result", node.dtype, node.axes, number)
                result.half = plan.half_of(node)
                plan.place[node] = plan.add(result)
            placed.append(plan.place[node])


def _place_locals(plan: Plan, number: int, inside: Body, reads_rows_first: bool) -> None:
    """Buffers of a block's rows, one taking over from another where it can, and of single rows."""
    phase = inside.phase
    for node in inside.blocks:
        plan.local[number, node] = Memory(
            f"b{number}_{node.number}", "block", node.dtype, node.axes, phase=number
        )
    last_use = _last_uses(inside)
    for position, step in enumerate(inside.steps):
        if not isinstance(step, RowLoop):
            continue
        taken: set[Node] = set()
        for node in step.stores:
            own = plan.local.get((number, node))
            if own is None:
                continue
            for source in sorted(step.loaded, key=lambda value: value.number):
                there = plan.local.get((number, source))
                if (
                    there is not None
                    and source not in taken
                    and source.axes == node.axes
                    and source.dtype == node.dtype
                    and last_use[source] == position
                    and _reads_only_in_place(step, source, node, phase if reads_rows_first else None)
                ):
                    plan.local[number, node] = there
                    taken.add(source)
                    break
        _place_carried(plan, number, step, phase.axis.find())
    for (where, _), memory in list(plan.local.items()):
        if where == number and memory not in plan.memories and memory.kind in ("block", "row"):
            plan.memories.append(memory)


def _last_uses(inside: Body) -> dict[Node, int]:
    last: dict[Node, int] = {}
    for position, step in enumerate(inside.steps):
        nodes = [step.node] if isinstance(step, Product) else list(step.levels)
        for node in nodes:
            for source in sources(node):
                last[source] = position
    return last


def _reads_only_in_place(loop: RowLoop, source: Node, written: Node, phase: Phase | None) -> bool:
    """Whether every read of `source` in the loop is of the element that is written next, or comes before.

    phase: of the loop, where what a row has one of is computed before its elements are stored; else None
    """
    for node in loop.levels:
        if source in sources(node):
            later = loop.levels[node] > loop.levels[written] or (
                node is not written and node not in _expression(written, loop)
            )
            if node.operation is Op.TAKE_ALONG_AXIS or later:
                return False
    # Other values that are stored or added up may read it through cheap expressions of theirs.
    return all(
        source not in _loads(other, loop) or (phase is not None and comes_before(other, written, loop, phase))
        for other in [*loop.stores, *loop.sums]
        if other is not written and not _is_sum_of(other, written)
    )


def _is_sum_of(node: Node, written: Node) -> bool:
    return written in sources(node)


def _expression(node: Node, loop: RowLoop) -> set[Node]:
    """The node, and all that is computed on the way to it in this loop."""
    found: set[Node] = set()
    stack = [node]
    while stack:
        current = stack.pop()
        if current not in found:
            found.add(current)
            stack += [source for source in sources(current) if source in loop.levels]
    return found


def _loads(node: Node, loop: RowLoop) -> set[Node]:
    return {source for part in _expression(node, loop) for source in sources(part)}


def _place_carried(plan: Plan, number: int, loop: RowLoop, rows: Axis) -> None:
    """A row's values for a later level live in the row of a result that is written later, if there is one."""
    used: set[Memory] = set()
    for node in loop.carried:
        home = next(
            (
                place
                for store in loop.stores
                if (place := plan.where(store, number)) is not None
                and place not in used
                and place.kind in ("result", "block", "whole")
                and place.dtype == node.dtype
                and store.axes == node.axes
                and loop.levels[store] == loop.last_level
                and not any(plan.where(source, number) is place for source in loop.loaded)
            ),
            None,
        )
        if home is None:
            columns = tuple(axis for axis in node.axes if axis is not rows)
            home = Memory(f"t{number}_{node.number}", "row", node.dtype, columns, phase=number)
        used.add(home)
        plan.local[number, node] = home
