"""The buffers of a program: which array has which value.

Takes the schedule and the fused groups; gives a buffer for every argument and result, for every value that a later
stage or a matrix product reads, and for every worker's part of a sum. For `softmax(x)` these are x0, an argument of
(n0, n1), and r0, a result of the same shape. `aliasing` decides afterwards which buffers share memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..ir.graph import Axis, Node, base, walk
from ..ir.nest import Buffer, Kind
from ..ir.operations import FLOATS
from .fusion import FusedGroup, NestSpec
from .stages import Schedule, kind
from .totals import is_kept_wide, total_of


@dataclass(frozen=True)
class Rounding:
    """Which half precision results are rounded to.

    halves: argument's leaf -> the half precision of its memory
    half:   what results are rounded to that depend on no argument; None: none is rounded
    """

    halves: Mapping[int, str] = field(default_factory=dict)
    half: str | None = ""

    def of(self, node: Node) -> str:
        """The half precision of all floating arguments that a result depends on; "" where it has none."""
        if node.dtype != "float32" or not self.halves or self.half is None:
            return ""
        inputs = [n for n in walk([node]) if n.operation == "input" and n.dtype in FLOATS]
        found = {self.halves.get(n.attribute, "") for n in inputs} or {self.half}
        return found.pop() if len(found) == 1 else ""

    def held(self, node: Node) -> str:
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

    arguments: Mapping[int, str]
    sums: Mapping[Node, int]
    outputs: Mapping[Node, int]
    count: int

    def of(self, node: Node) -> int | None:
        """The slot that a value is loaded from; None where it has none."""
        if node.operation == "scalar":
            return list(self.arguments).index(node.attribute)
        return self.sums.get(node)


def scalar_slots(nodes: list[Node], schedule: Schedule, workers: int) -> ScalarSlots:
    """Lay out the scalar buffer."""
    arguments = {node.attribute: node.dtype for node in nodes if node.operation == "scalar"}
    sums = [node for node in schedule.complete if kind(node) == "sum" and not node.axes]
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
    flags:   lookups whose index is computed, in the order of their flags
    """

    def __init__(self, schedule: Schedule, slots: ScalarSlots, rounding: Rounding) -> None:
        self.slots, self.rounding = slots, rounding
        self.all: list[Buffer] = []
        self.place: dict[Node, Buffer] = {}
        self.local: dict[tuple[int, Node], Buffer] = {}
        self.partial: dict[Node, Buffer] = {}
        self.totals: dict[Node, Buffer] = {}
        self.flags: list[Node] = []
        self._names: dict[str, int] = {}
        self._place_arguments(schedule)
        self._place_results(schedule)
        self._place_complete(schedule)

    def add(self, buffer: Buffer) -> Buffer:
        self.all.append(buffer)
        return buffer

    def where(self, node: Node, loop: int) -> Buffer | None:
        """The buffer that has a value, as seen from a block loop."""
        return self.local.get((loop, node)) or self.place.get(node)

    def slot_of(self, node: Node) -> int | None:
        """The slot of the scalar buffer that has a value."""
        return self.slots.of(node)

    def flag_of(self, lookup: Node) -> int:
        """The slot of the flag that is set where the index of a lookup was outside."""
        if lookup not in self.flags:
            self.flags.append(lookup)
        return self.slots.count + self.flags.index(lookup)

    def tile(self, name: str, dtype: str, axes: tuple[Axis, ...], loop: int) -> Buffer:
        """A buffer for each row of a tile, of a name that no other one has."""
        count = self._names[name] = self._names.get(name, 0) + 1
        return self.add(Buffer(f"{name}_{count}" if count > 1 else name, Kind.TILE, dtype, axes, loop=loop))

    def _place_arguments(self, schedule: Schedule) -> None:
        for node in walk(schedule.outputs):
            if node.operation == "input":
                half = self.rounding.halves.get(node.attribute, "")
                self.place[node] = self.add(
                    Buffer(
                        f"x{node.attribute}", Kind.ARGUMENT, node.dtype, node.axes, node.attribute, half=half
                    )
                )

    def _place_results(self, schedule: Schedule) -> None:
        results = dict.fromkeys(base(output) for output in schedule.outputs)
        for number, node in enumerate(node for node in results if node.axes):
            half = self.rounding.of(node)
            self.place[node] = self.add(
                Buffer(f"r{number}", Kind.RESULT, node.dtype, node.axes, number, half=half)
            )

    def _place_complete(self, schedule: Schedule) -> None:
        for node in schedule.complete:
            if kind(node) == "sum" and not node.axes:
                continue
            if node not in self.place:
                self.place[node] = self.add(Buffer(f"w{node.number}", Kind.STAGE, node.dtype, node.axes))
            if kind(node) == "sum":
                self.partial[node] = self.add(Buffer(f"p{node.number}", Kind.PARTIAL, node.dtype, node.axes))

    def place_locals(self, number: int, fused: FusedGroup, *, keeps_rows: bool) -> None:
        """Buffers for the rows of a block, for single rows, and for totals.

        keeps_rows: what a pass keeps for a later one is in registers
        """
        rows = fused.group.axis.find()
        for node in fused.block_values:
            name = f"b{number}_{node.number}"
            self.local[number, node] = self.add(Buffer(name, Kind.BLOCK, node.dtype, node.axes, loop=number))
        for spec in fused.steps:
            for node in spec.kept if isinstance(spec, NestSpec) and not keeps_rows else ():
                columns = tuple(axis for axis in node.axes if axis is not rows)
                name = f"t{number}_{node.number}"
                self.local[number, node] = self.add(Buffer(name, Kind.ROW, node.dtype, columns, loop=number))
        for node in fused.group.sums if not keeps_rows else ():
            if is_kept_wide(node):
                self.totals[node] = self.add(total_of(node, number))
