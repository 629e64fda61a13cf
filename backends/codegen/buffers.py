"""The buffers of a program: which array has which value.

Takes the schedule and the fused groups; gives a buffer for every argument and result, for every value that a
later stage or a matrix product reads, and for every worker's part of a sum. For `softmax(x)` these are x0, an
argument of (n0, n1), and r0, a result of the same shape. `aliasing` decides afterwards which buffers share
memory.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..ir.attributes import Held, Layout, Leaf
from ..ir.dtypes import FLOAT32, DType
from ..ir.graph import Axis, Node, base, walk
from ..ir.nest import Buffer, BufferKind, Pack
from ..ir.operations import Op
from .fusion import FusedGroup, NestSpec
from .stages import Role, Schedule, is_taken_whole, role
from .totals import is_kept_wide, total_of

_NOTHING: frozenset[DType | None] = frozenset()


@dataclass(frozen=True)
class Rounding:
    """Which half precision results are rounded to.

    halves: argument's leaf -> the half precision of its memory
    half:   what results are rounded to that depend on no argument
    rounds: whether any result is rounded
    """

    halves: Mapping[int, DType] = field(default_factory=dict)
    half: DType | None = None
    rounds: bool = True
    _found: dict[Node, frozenset[DType | None]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, node: Node) -> DType | None:
        """The half precision of all floating arguments that a result depends on; None where it has none."""
        if node.dtype != FLOAT32 or not self.halves or not self.rounds:
            return None
        found = self._of_inputs(node) or {self.half}
        return next(iter(found)) if len(found) == 1 else None

    def in_memory(self, node: Node) -> DType | None:
        """The half precision in which the memory of a value has it that is no result; None if it has not."""
        if node.operation is Op.INPUT:
            return self.halves.get(node.attribute_as(Leaf).number)
        held = node.attribute.dtype if isinstance(node.attribute, Held) else None
        return held if held is not None and held.is_half else None

    def _of_inputs(self, output: Node) -> frozenset[DType | None]:
        """The half precisions of the floating arguments that a value depends on; None for one without."""
        found = self._found
        stack = [output]
        while stack:
            node = stack[-1]
            missing = [source for source in node.inputs if source not in found]
            if missing:
                stack += missing
                continue
            stack.pop()
            if node.operation is Op.INPUT and node.dtype.is_float:
                found[node] = frozenset([self.halves.get(node.attribute_as(Leaf).number)])
            else:
                found[node] = _NOTHING.union(*(found[source] for source in node.inputs))
        return found[output]

    def held(self, node: Node) -> DType:
        """The dtype in which a result that is a single number is kept."""
        return self.of(node) or node.dtype


@dataclass(frozen=True)
class ScalarSlots:
    """The layout of the scalar buffer: numbers of 8 bytes that every worker can read and write.

    arguments: leaf of a number of the call -> its dtype; slot i is that of the i-th
    sums:      sum without axes -> its first slot, followed by one for each further worker
    outputs:   result that is a single number -> its slot
    count:     slots in all, but for the flags, which come after them
    """

    arguments: Mapping[int, DType]
    sums: Mapping[Node, int]
    outputs: Mapping[Node, int]
    count: int

    @functools.cached_property
    def _of_arguments(self) -> dict[int, int]:
        return {leaf: slot for slot, leaf in enumerate(self.arguments)}

    def of(self, node: Node) -> int | None:
        """The slot that a value is loaded from; None where it has none."""
        if node.operation is Op.SCALAR:
            return self._of_arguments[node.attribute_as(Leaf).number]
        return self.sums.get(node)


def scalar_slots(nodes: list[Node], schedule: Schedule, workers: int) -> ScalarSlots:
    """Lay out the scalar buffer."""
    arguments = {node.attribute_as(Leaf).number: node.dtype for node in nodes if node.operation is Op.SCALAR}
    sums = [node for node in schedule.complete if role(node) is Role.SUM and not node.axes]
    outputs = list(dict.fromkeys(node for node in map(base, schedule.outputs) if not node.axes))
    first_output = len(arguments) + workers * len(sums)
    return ScalarSlots(
        arguments,
        {node: len(arguments) + workers * i for i, node in enumerate(sums)},
        {node: first_output + i for i, node in enumerate(outputs)},
        first_output + len(outputs),
    )


class Buffers:
    """The buffers of a plan that is being made.

    all:     in the order in which they were made
    place:   of values that are in memory as a whole
    local:   by the number of the block loop: of values that are there for a block, or for a row
    partial: of sums, the parts of the workers but the first
    totals:  of sums, the workers' totals in float64
    packs:   by the number of the block loop: arguments whose rows are copied together for a block
    flags:   lookups whose index is computed, with the numbers of their flags
    """

    def __init__(self, schedule: Schedule, slots: ScalarSlots, rounding: Rounding) -> None:
        self.slots, self.rounding = slots, rounding
        self.all: list[Buffer] = []
        self.place: dict[Node, Buffer] = {}
        self.local: dict[tuple[int, Node], Buffer] = {}
        self.partial: dict[Node, Buffer] = {}
        self.totals: dict[Node, Buffer] = {}
        self.packs: dict[int, list[Pack]] = {}
        self.flags: dict[Node, int] = {}
        self._names: dict[str, int] = {}
        self._place_arguments(schedule)
        self._place_results(schedule)
        self._place_complete(schedule)

    def add(self, buffer: Buffer) -> Buffer:
        self.all.append(buffer)
        return buffer

    def where(self, node: Node, loop: int | None) -> Buffer | None:
        """The buffer that has a value, as seen from a block loop; None: from outside of all loops."""
        found = None if loop is None else self.local.get((loop, node))
        return found or self.place.get(node)

    def slot_of(self, node: Node) -> int | None:
        """The slot of the scalar buffer that has a value."""
        return self.slots.of(node)

    def flag_of(self, lookup: Node) -> int:
        """The slot of the flag that is set where the index of a lookup was outside."""
        return self.slots.count + self.flags.setdefault(lookup, len(self.flags))

    def tile(self, name: str, dtype: DType, axes: tuple[Axis, ...], loop: int) -> Buffer:
        """A buffer for each row of a tile, of a name that no other one has."""
        count = self._names[name] = self._names.get(name, 0) + 1
        return self.add(
            Buffer(f"{name}_{count}" if count > 1 else name, BufferKind.TILE, dtype, axes, loop=loop)
        )

    def _place_arguments(self, schedule: Schedule) -> None:
        for node in walk(schedule.outputs):
            if node.operation is Op.INPUT:
                leaf, layout = node.attribute_as(Leaf).number, node.attribute_as(Leaf).layout
                argument = Buffer(f"x{leaf}", BufferKind.ARGUMENT, node.dtype, node.axes, leaf, layout=layout)
                self.place[node] = self.add(replace(argument, half=self.rounding.in_memory(node)))

    def _place_results(self, schedule: Schedule) -> None:
        results = dict.fromkeys(base(output) for output in schedule.outputs)
        for number, node in enumerate(node for node in results if node.axes):
            half = self.rounding.of(node)
            self.place[node] = self.add(
                Buffer(f"r{number}", BufferKind.RESULT, node.dtype, node.axes, number, half=half)
            )

    def _place_complete(self, schedule: Schedule) -> None:
        for node in schedule.complete:
            if role(node) is Role.SUM and not node.axes:
                continue
            if node not in self.place:
                self.place[node] = self.add(
                    Buffer(
                        *(f"w{node.number}", BufferKind.STAGE, node.dtype, node.axes),
                        half=self.rounding.in_memory(node),
                    )
                )
            if role(node) is Role.SUM:
                self.partial[node] = self.add(
                    Buffer(f"p{node.number}", BufferKind.PARTIAL, node.dtype, node.axes)
                )

    def place_locals(self, number: int, fused: FusedGroup, *, keeps_rows: bool) -> None:
        """Buffers for the rows of a block, for single rows, and for totals.

        keeps_rows: what a pass keeps for a later one is in registers
        """
        rows = fused.group.axis.find()
        for node in fused.block_values:
            name, half = f"b{number}_{node.number}", self.rounding.in_memory(node)
            self.local[number, node] = self.add(
                Buffer(name, BufferKind.BLOCK, node.dtype, node.axes, loop=number, half=half)
            )
        for node in packed(fused):
            copy = Buffer(f"b{number}_{node.number}", BufferKind.BLOCK, node.dtype, node.axes, loop=number)
            self.local[number, node] = self.add(copy)
            self.packs.setdefault(number, []).append(Pack(node, self.place[node], copy))
        for spec in fused.steps:
            for node in spec.kept if isinstance(spec, NestSpec) and not keeps_rows else ():
                columns = tuple(axis for axis in node.axes if axis is not rows)
                name = f"t{number}_{node.number}"
                self.local[number, node] = self.add(
                    Buffer(name, BufferKind.ROW, node.dtype, columns, loop=number)
                )
        for node in fused.group.sums if not keeps_rows else ():
            if is_kept_wide(node):
                self.totals[node] = self.add(total_of(node, number))


def packed(fused: FusedGroup) -> list[Node]:
    """The arguments in columns whose rows a group's nests read, and nothing in the group takes as a whole."""
    rows = fused.group.axis.find()
    found: dict[Node, None] = {}
    whole: set[Node] = set()
    for node in sorted(fused.group.inside, key=lambda value: value.number):
        for position, source in enumerate(node.sources):
            if not lies_in_columns(source) or source.axes[0] is not rows or is_taken_whole(node, position):
                whole.add(source)
            elif node.operation is not Op.MATMUL:
                found[source] = None
    return [node for node in found if node not in whole]


def lies_in_columns(node: Node) -> bool:
    """Whether a value is an argument whose columns have no gaps, and whose rows have."""
    return node.operation is Op.INPUT and node.attribute_as(Leaf).layout is Layout.COLUMNS
