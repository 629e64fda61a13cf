"""The part of the GPU's printer that names values: in registers, in vectors of a row, or in memory.

A thread keeps its part of a row in registers from turn to turn, so that memory is read once.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from ..codegen.fusion import Body, RowLoop, column_axis, last_levels
from ..codegen.plan import Memory, Plan
from ..codegen.scopes import Scope
from ..codegen.values import ValuePrinter, reduces
from ..ir.dtypes import DType
from ..ir.facts import is_inside
from ..ir.graph import Axis, Node, base
from ..ir.operations import Op
from . import dialect
from .launch_shapes import Geometry


@dataclass(frozen=True)
class CudaKernel:
    """One kernel: its text, and what it is called with, in this order.

    parameters: names of sizes and memories, "row0", "rows", "first", "numbers", "pieces...", "parts...", ...
    """

    name: str
    text: str
    parameters: tuple[str, ...]


def columns_of(loop: RowLoop, body: Body) -> list[Axis]:
    """The axes within a row that a loop goes over, the longest first."""
    found: dict[Axis, None] = {}
    for node in [*loop.levels, *loop.sums]:
        source = base(node.inputs[0]) if reduces(node) else node
        axis = column_axis(source, body.phase)
        if axis is not None:
            found[axis] = None
    return sorted(found, key=lambda axis: -axis.size)


class CudaValuePrinter(ValuePrinter):
    """Prints the values of one plan."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, dialect, 1)
        self.main: Axis | None = None  # what a thread's registers run over
        self.main_index = "column"
        self.geometry = Geometry(1, 1, 1, 1)
        self.kept: dict[Node, str] = {}  # values in registers, of all the thread's columns
        self.keep: set[Node] = set()  # and those that shall be kept when they are computed
        self.places: set[str] = set()  # of rows' numbers among the columns, that have been declared
        self.pointers: set[str] = set()  # to the row's part of a memory, that have been declared
        self.written: set[Memory] = set()  # what the loop stores into
        # What stands before the loop over a vector's elements, and what comes before all that is computed.
        self.loads: list[str] = []
        self.first_loads: list[str] = []
        self.loaded: dict[Node, str] = {}
        self.columns_here = "column0"
        self.top = self.row = Scope(1, [])

    def gathered(self, node: Node, axis: Axis | None, index: str, value: str) -> str:
        # What an index outside means is not a neighbour's element, and stands out where it can.
        if is_inside(base(node.inputs[1]), axis):
            return value
        nothing = math.nan if node.dtype.is_float else 0
        return f"({index}_is ? {value} : {dialect.literal(nothing, node.dtype)})"

    def at_main(self, scope: Scope) -> bool:
        return self.main is not None and scope.index.get(self.main) == self.main_index

    def value(self, node: Node, scope: Scope) -> str:
        node = base(node)
        if node in self.kept and self.at_main(scope):
            return self.kept[node]
        return super().value(node, scope)

    def elementwise(self, node: Node, operands: list[str]) -> str:
        return dialect.elementwise(node, operands, for_halves=self.plan.half is not None and self.plan.rounds)

    def expression(self, node: Node, scope: Scope) -> str:
        if node.operation is Op.EQUAL and self.at_main(scope) and self.geometry.items:
            for position, other in (node.inputs, node.inputs[::-1]):
                if base(position).operation is Op.IOTA and self.main not in base(other).axes:
                    return f"v == {self.place_in_vector(other, scope)}"
        return super().expression(node, scope)

    def place_in_vector(self, column: Node, scope: Scope) -> str:
        """The element of the thread's vector that is the column of a row's number; none may be.

        A comparison of every column's number in 64 bits would take four instructions more.
        """
        value = self.value(column, scope)
        name = f"{value}_place"
        if name not in self.places:
            self.places.add(name)
            self.row.add(f"const int {value}_column = as_column({value});")
        here = f"const int {name} = {value}_column - {self.columns_here};"
        if here not in self.loads:
            self.loads.append(here)
        return name

    def read(self, node: Node, scope: Scope) -> str:
        if not (self.at_main(scope) and self.main in node.axes):
            return super().read(node, scope)
        pointer = self.row_pointer(node)
        if pointer is None:
            return super().read(node, scope)
        if node not in self.loaded:
            kept = node in self.keep
            name = f"v{node.number}_{'kept' if kept else 'here'}"
            place = f"{name}[item]" if kept else name
            declaration = f"{dialect.stored_type(self.held(node))} {name}"
            if kept:
                self.row.add(f"{declaration}[ITEMS][VECTOR];")
                self.kept[node] = dialect.read(f"{place}[v]", self.held(node))
            else:
                self.loads.append(f"{declaration}[VECTOR];")
            loads = self.first_loads if kept else self.loads
            loads.append(f"load<VECTOR>({place}, {pointer} + {self.columns_here});")
            self.loaded[node] = f"{place}[v]"
        return dialect.read(self.loaded[node], self.held(node))

    def held(self, node: Node) -> DType:
        """What the memory of a value holds."""
        memory = self.plan.where(node, self.number)
        assert memory is not None, f"{node} is not in memory"
        return memory.held

    def row_pointer(self, node: Node) -> str | None:
        """The pointer to the row's part of a value's memory; None where its columns do not lie together."""
        memory = self.plan.where(node, self.number)
        assert memory is not None, f"{node} is not in memory"
        assert self.body is not None
        rows = self.body.phase.axis.find()
        if node.axes == (self.main,):
            if not self.geometry.flat:
                return memory.name
            return f"({memory.name} + row0)" if memory.kind != "block" else memory.name
        if node.axes != (rows, self.main):
            return None
        name = f"{memory.name}_row"
        if name not in self.pointers:
            self.pointers.add(name)
            qualifier = "" if memory in self.written else "const "
            row = "i" if memory.kind == "block" else "row"
            self.row.add(
                f"{qualifier}{dialect.stored_type(memory.held)}* const {name} = "
                f"{memory.name} + {row} * {self.length(self.main)};"
            )
        return name

    def kept_from_turn_to_turn(self, loop: RowLoop) -> set[Node]:
        """What several turns need: loads, and values that cost too much to be computed again."""
        assert self.body is not None
        phase = self.body.phase
        computed = sorted(loop.levels, key=lambda node: node.number)
        last = last_levels(loop, phase, computed)
        keep = {node for node in loop.carried if self.main in node.axes}
        keep |= {node for node in loop.stores if self.main in node.axes and last[node] > loop.levels[node]}
        turns: dict[Node, set[int]] = {}
        for node in computed:
            for source in (base(source) for source in node.inputs):
                is_loaded = source not in loop.levels and self.plan.where(source, self.number) is not None
                if is_loaded and self.main in source.axes and node.operation is not Op.TAKE_ALONG_AXIS:
                    # What is computed again where it is needed loads again what it needs.
                    own = range(loop.levels[node], (loop.levels[node] if node in keep else last[node]) + 1)
                    turns.setdefault(source, set()).update(own)
        return keep | {source for source, levels in turns.items() if len(levels) > 1}

    def read_from_memory(self) -> set[Node]:
        """What the loop finds in memory."""
        assert self.loop is not None
        levels = self.loop.levels
        return {base(source) for node in levels for source in node.inputs if base(source) not in levels}

    def finished(
        self, name: str, lines: list[str], bounds: str, comment: str, qualifier: str = ""
    ) -> CudaKernel:
        """The kernel with the parameters that its text names.

        bounds: threads of a block, and how many blocks a processor shall have registers for if that is said
        """
        text = "\n".join(lines)
        # What a kernel declares itself is no parameter.
        words = set(re.findall(r"\w+", re.sub("//.*", "", text))) - set(re.findall(r" (\w+) = ", text))
        parameters: dict[str, str] = {}
        parts = [f"parts{number}" for number in range(len(self.plan.bodies))]
        for size in ["row0", "rows", "first", *self.plan.axes.values(), *parts]:
            if size in words:
                parameters[size] = f"const long long {size}"
        for node in [*self.plan.number_sums, *self.plan.partial]:
            if f"pieces{node.number}" in words:
                parameters[f"pieces{node.number}"] = f"const long long pieces{node.number}"
            if f"q{node.number}" in words:
                kept = dialect.stored_type(dialect.wide(node.dtype))
                parameters[f"q{node.number}"] = f"{kept}* __restrict__ q{node.number}"
        for memory in self.plan.memories:
            if memory.name in words:
                constant = memory.kind == "argument" and memory.number not in self.plan.donated
                own = constant or memory.kind == "result"
                parameters[memory.name] = (
                    f"{'const ' if constant else ''}{dialect.stored_type(memory.held)}* "
                    f"{'__restrict__ ' if own else ''}{memory.name}"
                )
        for position, node in enumerate(self.plan.number_outputs):
            if f"o{position}" in words:
                parameters[f"o{position}"] = (
                    f"{dialect.stored_type(self.plan.held_number(node))}* __restrict__ o{position}"
                )
        if "numbers" in words:
            parameters["numbers"] = "double* numbers"
        head = f'{comment}\nextern "C" __global__ void __launch_bounds__({bounds}){qualifier} {name}('
        declared = ",\n    ".join(parameters.values())
        return CudaKernel(name, f"{head}\n    {declared}) {{\n{text}\n}}\n", tuple(parameters))


_DECLARED = re.compile(r"\s*(?:const|constexpr) [\w ]+\*?(?: const)? (\w+) = [^;{]*;(?:  //.*)?$")


def without_unused(lines: list[str]) -> list[str]:
    """The text without constants that nothing reads: the skeletons declare more than every kernel needs."""
    while True:
        words = Counter(word for line in lines for word in re.findall(r"\w+", re.sub("//.*", "", line)))
        kept = [line for line in lines if not ((match := _DECLARED.match(line)) and words[match[1]] == 1)]
        if len(kept) == len(lines):
            return lines
        lines = kept
