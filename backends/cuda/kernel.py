"""One CUDA kernel: its text, and the parameters that its text uses.

Whoever renders a kernel notes what it uses, so that a kernel declares and is passed nothing else:

    uses = Uses()
    text = f"{uses('r0')}[{uses('i')}] = 0;"      uses.names is {"r0", "i"}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..codegen.plan import Plan
from ..codegen.text import Names
from ..ir.graph import Axis
from ..ir.nest import BufferKind
from . import dialect


@dataclass(frozen=True)
class CudaKernel:
    """One kernel: its text, and what it is called with, in this order.

    parameters: names of sizes and buffers, "row0", "rows", "first", "scalars", "pieces...", "parts...", ...
    """

    name: str
    text: str
    parameters: tuple[str, ...]


@dataclass
class Uses:
    """The names that a text uses."""

    names: set[str] = field(default_factory=set)

    def __call__(self, name: str) -> str:
        """Note a name that is about to be written."""
        self.names.add(name)
        return name

    def has(self, name: str) -> bool:
        return name in self.names


class UsedNames(Names):
    """Names of values, which note the lengths of axes that are used."""

    def __init__(self, plan: Plan, uses: Uses) -> None:
        super().__init__(plan, dialect.literal)
        self.uses = uses

    def length(self, axis: Axis | None) -> str:
        text = super().length(axis)
        return text if axis is None else self.uses(text)


@dataclass(frozen=True)
class Head:
    """What stands before the braces of a kernel.

    bounds:    threads of a block, and how many blocks a processor shall have registers for if that is said
    qualifier: what else is said of the kernel
    """

    name: str
    comment: str
    bounds: str
    qualifier: str = ""


def kernel(plan: Plan, head: Head, lines: list[str], uses: Uses) -> CudaKernel:
    """The kernel with the parameters that its text uses."""
    parameters = {name: declared for name, declared in _parameters(plan) if uses.has(name)}
    start = f'{head.comment}\nextern "C" __global__ void __launch_bounds__({head.bounds})'
    start += f"{head.qualifier} {head.name}("
    declared = ",\n    ".join(parameters.values())
    text = "\n".join([f"{start}\n    {declared}) {{", *lines, "}", ""])
    return CudaKernel(head.name, text, tuple(parameters))


def _parameters(plan: Plan) -> Iterator[tuple[str, str]]:
    """All that a kernel may be passed, with its declaration, in the order in which it is."""
    parts = [f"parts{loop.number}" for loop in plan.loops]
    for size in ("row0", "rows", "first", *plan.axes.values(), *parts):
        yield size, f"const long long {size}"
    for node in (*plan.slots.sums, *plan.partial):
        pieces, slots = f"pieces{node.number}", f"q{node.number}"
        yield pieces, f"const long long {pieces}"
        yield slots, f"{dialect.stored_type(dialect.wide(node.dtype))}* __restrict__ {slots}"
    for buffer in plan.buffers:
        is_constant = buffer.kind is BufferKind.ARGUMENT and buffer.number not in plan.donated
        is_apart = is_constant or buffer.kind is BufferKind.RESULT
        pointer = f"{dialect.stored_type(buffer.held)}* {'__restrict__ ' if is_apart else ''}{buffer.name}"
        yield buffer.name, f"{'const ' if is_constant else ''}{pointer}"
    for position, node in enumerate(plan.slots.outputs):
        held = dialect.stored_type(plan.rounding.held(node))
        yield f"o{position}", f"{held}* __restrict__ o{position}"
    yield "scalars", "double* scalars"
