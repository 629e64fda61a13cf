"""The plan in words: what runs in which order, over which rows, in which memory, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.attributes import MatMul
from ..ir.graph import Node, base
from ..ir.operations import REDUCTIONS
from .cost import PhaseWork, Sizes
from .fusion import Body, Product, RowLoop
from .plan import Memory, Plan
from .stages import kind


@dataclass(frozen=True)
class Explanation:
    """What `op.explain` returns: print it to read it.

    text:         the plan
    source:       the emitted program
    bytes_moved:  read from and written to arrays by the loops over rows, in one call
    operations:   floating-point operations of a call, 2 for a multiplication and an addition of a product
    bytes_held:   scratch memory beside arguments and results
    cuda:         what the same plan is on a GPU: launches and kernels
    """

    text: str
    source: str
    bytes_moved: int
    operations: int
    bytes_held: int
    cuda: str = ""

    def __str__(self) -> str:
        return f"{self.text}\n\nemitted program\n\n{self.source}"


def explain(plan: Plan, sizes: Sizes, sections: list[tuple[int, int, int]], source: str) -> Explanation:
    """Put a plan into words, for the sizes of one call."""
    shares = {number: count for number, count, _ in sections}
    most = max(shares.values(), default=1)
    held = {
        memory: sizes.length(memory, most) * memory.dtype.itemsize
        for memory in plan.memories
        if memory.kind not in ("argument", "result")
    }
    moved = sum(work.bytes_moved for work in sizes.phases)
    operations = sum(work.operations for work in sizes.phases)
    names = ", ".join(f"{name} = {sizes.of[axis]}" for axis, name in plan.axes.items())
    scratch = _bytes(sum(held.values()))
    cost = f"{_bytes(moved)} moved by row loops, {_count(operations)} operations, {scratch} of scratch memory"
    lines = [
        f"{plan.kernel}: {names}" if names else plan.kernel,
        cost,
        "",
        "graph",
        *(f"  {node}" for node in plan.graph.nodes),
    ]
    for section in range(plan.schedule.sections):
        count = shares.get(2 * section, 1)
        lines += ["", f"section {section}, in {count} share{'s' if count > 1 else ''}"]
        for number, body in enumerate(plan.bodies):
            if body.phase.section == section:
                lines += _phase(plan, number, body, sizes.phases[number])
        lines += [
            f"  product of whole arrays: {node}"
            for node, when in plan.schedule.whole.items()
            if when == section
        ]
    lines += ["", "memory"]
    lines += [
        f"  {_memory(plan, memory)}{_size(held.get(memory))}"
        for memory in plan.memories
        if memory.kind != "lane"
    ]
    lanes = sum(size for memory, size in held.items() if memory.kind == "lane")
    lines += [f"  rows side by side: {_bytes(lanes)}"] if lanes else []
    return Explanation("\n".join(lines), source, moved, operations, sum(held.values()))


def _phase(plan: Plan, number: int, body: Body, work: PhaseWork) -> list[str]:
    rows = plan.axes[body.phase.axis.find()]
    cost = f"{_bytes(work.bytes_moved)}, {_count(work.operations)} operations"
    lines = [f"  phase {number}: {work.rows} rows ({rows}) in blocks of {work.block}; {cost}"]
    for step in body.steps:
        if isinstance(step, Product):
            node = step.node
            a, b = (
                f"v{base(source).number}{'.T' * turned}"
                for source, turned in zip(node.inputs, node.attribute_as(MatMul).transposed, strict=True)
            )
            added = ", added up over the blocks" if kind(node) == "sum" else ""
            lines.append(f"    product v{node.number} = {a} @ {b}{added}")
        else:
            lines += _row_loop(plan, number, step)
    return lines


def _row_loop(plan: Plan, number: int, loop: RowLoop) -> list[str]:
    lines = ["    loop over rows"]
    for level in range(loop.last_level + 1):
        nodes = sorted(
            (node for node in loop.levels if loop.levels[node] == level), key=lambda node: node.number
        )
        within = [
            f"v{node.number} = {node.operation}"
            for node in nodes
            if node.operation in REDUCTIONS and kind(node) == "row"
        ]
        stored = [f"v{node.number} in {_place(plan, node, number)}" for node in nodes if node in loop.stores]
        carried = [
            f"v{node.number} in {_place(plan, node, number)}" for node in nodes if node in loop.carried
        ]
        sums = [f"v{node.number}" for node in loop.sums if loop.levels.get(base(node.inputs[0]), 0) == level]
        names = ", ".join(f"v{node.number}" for node in nodes)
        parts = [
            f"{title} {', '.join(items)}"
            for title, items in (
                ("reduces", within),
                ("keeps", carried),
                ("stores", stored),
                ("adds up", sums),
            )
            if items
        ]
        lines.append(f"      turn {level}: computes {names}; {'; '.join(parts)}")
    return lines


def _place(plan: Plan, node: Node, phase: int) -> str:
    memory = plan.where(node, phase)
    return "the rows side by side" if memory is None else memory.name


def _memory(plan: Plan, memory: Memory) -> str:
    shape = ", ".join(plan.axes[axis] for axis in memory.axes)
    taken = (
        ", which a result takes over" if memory.kind == "argument" and memory.number in plan.donated else ""
    )
    return f"{memory.name}: {memory.kind} {memory.dtype} ({shape}){taken}"


def _size(size: int | None) -> str:
    return "" if size is None else f", {_bytes(size)}"


def _bytes(count: float) -> str:
    return _scaled(count, (" B", " kB", " MB", " GB"))


def _count(count: float) -> str:
    return _scaled(count, ("", " thousand", " million", " billion"))


def _scaled(count: float, units: tuple[str, ...]) -> str:
    """Three digits, and the unit that is a thousand times the one before."""
    for unit in units[:-1]:
        if count < 1000:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g}{units[-1]}"
