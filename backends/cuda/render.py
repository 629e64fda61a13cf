"""The text of a program in the GPU's dialect: a plan becomes CUDA kernels.

Takes a Plan, and launch shapes; gives kernels. Every nest is one, and all flat nests of a stage are one
together. Then there is what adds up the parts that they leave of their sums, and what makes single numbers.
"""

from __future__ import annotations

from ..codegen.plan import Plan
from ..codegen.text import Lines
from ..ir import nest as ir
from ..ir.dtypes import BOOL
from ..ir.graph import Node
from ..ir.nest import BlockLoop, LoopNest
from ..ir.operations import Op
from . import dialect
from .kernel import CudaKernel, Head, Uses, kernel
from .launch_shapes import LaunchShape
from .render_nest import NestRenderer
from .render_statements import Around, StatementRenderer

FINISH_THREADS = 256
# Of a sum with columns, so many columns are added up by a block, each by several threads.
FINISH_COLUMNS = 32
# What a flat nest is given by the kernel around it.
_GIVEN = {"part", "parts", "rows", "row0", "first"}


def begin(plan: Plan) -> CudaKernel | None:
    """Puts the scalars of the call into the scalar buffer: they change, and a recorded graph does not."""
    scalars = plan.slots.arguments
    if not scalars:
        return None
    declared, lines = ["double* scalars"], []
    for slot, (leaf, dtype) in enumerate(scalars.items()):
        declared.append(f"const {'double' if dtype.is_float else 'long long'} a{leaf}")
        lines.append(f"    {dialect.kept_number(dtype, str(slot))} = a{leaf};")
    head = "// The scalars of the call.\n" + 'extern "C" __global__ void __launch_bounds__(1) begin('
    text = f"{head}{', '.join(declared)}) {{\n" + "\n".join(lines) + "\n}\n"
    return CudaKernel("begin", text, ("scalars", *(f"a{leaf}" for leaf in scalars)))


def nest_kernel(plan: Plan, loop: BlockLoop, step: int, shape: LaunchShape) -> CudaKernel:
    """The kernel of one nest, a step of a block loop."""
    nest = nest_of(loop, step, shape)
    uses = Uses()
    lines = NestRenderer(plan, loop, nest, shape, uses).kernel_lines()
    axes = [plan.axes[axis] for axis in sorted(nest.axes(), key=lambda axis: -axis.size)]
    n = plan.axes[loop.axis]
    over = f"the rows of {n}, each of {', '.join(axes)} columns" if axes else f"all of {n}"
    if shape.flat:
        used = [f"{name} = {value}" for name, value in _WHOLE_GRID.items() if uses.has(name)]
        lines = [f"    const long long {', '.join(used)};", *lines] if used else lines
        uses.names -= _WHOLE_GRID.keys()
    qualifier = f" __cluster_dims__({shape.cluster}, 1, 1)" if shape.cluster > 1 else ""
    bounds = str(shape.threads)
    if shape.blocks_at_once > 1:
        bounds += f", {shape.blocks_at_once}"
    head = Head(f"rows{loop.number}_{step}", f"// Block loop {loop.number}: {over}.", bounds, qualifier)
    if not shape.flat:
        uses.names.discard("part")
    return kernel(plan, head, lines, uses)


_WHOLE_GRID = {"part": "blockIdx.x", "parts": "gridDim.x"}


def nest_of(loop: BlockLoop, step: int, shape: LaunchShape) -> LoopNest:
    """The nest that a launch shape is for: the streaming one where rows do not fit into registers."""
    nest = loop.steps[step]
    assert isinstance(nest, LoopNest)
    return nest.streaming if nest.streaming is not None and not shape.items else nest


def flat_kernel(plan: Plan, stage: int, loops: list[tuple[BlockLoop, LaunchShape]]) -> CudaKernel:
    """One kernel for all block loops of a stage that are a loop over numbers and nothing else.

    They do not need each other, and starting a kernel takes longer than most of them: the blocks are shared
    out, `parts...` of them for every loop.
    """
    uses = Uses()
    lines = ["    long long block = blockIdx.x;"]
    for loop, shape in loops:
        own = Uses()
        inside = NestRenderer(plan, loop, nest_of(loop, 0, shape), shape, own).kernel_lines()
        parts = f"parts{loop.number}"
        given = {
            "part": f"    const long long part = block, parts = {parts};",
            "rows": f"    const long long rows = {plan.axes[loop.axis]};",
            "row0": "    constexpr long long row0 = 0;",
            "first": "    constexpr bool first = true;",
        }
        body = [*(text for name, text in given.items() if own.has(name)), *inside, "    return;"]
        lines.append(f"    if (block < {parts}) {{")
        lines += [text if text.startswith("#") else f"    {text}" for text in body]
        lines += ["    }", f"    block -= {parts};"]
        uses.names |= (own.names - _GIVEN) | {parts, plan.axes[loop.axis]}
    sizes = ", ".join(plan.axes[loop.axis] for loop, _ in loops)
    head = Head(f"flat{stage}", f"// Stage {stage}: all of {sizes}.", str(loops[0][1].threads))
    return kernel(plan, head, lines[:-1], uses)


def sums_of(plan: Plan, stage: int) -> list[Node]:
    """The sums over rows of a stage, but for products, which are complete when they are done."""
    return [node for node in plan.stages[stage].sums if node.operation is not Op.MATMUL]


def finish(plan: Plan, stage: int, *, outputs: bool) -> CudaKernel:
    """Adds up what the blocks and groups of a stage have left, always in the same order.

    outputs: whether it computes the results that are single numbers, too
    """
    sums, uses, top = sums_of(plan, stage), Uses(), Lines(1)
    numbers = [node for node in sums if not node.axes]
    if len(numbers) < len(sums):
        top.add("long long block = blockIdx.x;")
    for node in sums:
        if node.axes:
            _finish_columns(plan, node, uses, top)
    if numbers or outputs:
        top.add(f"Group<{FINISH_THREADS}, 1> group;")
    for node in numbers:
        _finish_number(plan, node, uses, top)
    if outputs:
        top.add("if (threadIdx.x == 0) {  // who has put the numbers where they are read")
        _outputs(plan, uses, top.deeper())
        top.add("}")
    head = Head(f"finish{stage}", f"// The sums of stage {stage}.", str(FINISH_THREADS))
    return kernel(plan, head, top.lines, uses)


def outputs(plan: Plan) -> CudaKernel:
    """The results that are single numbers."""
    uses, top = Uses(), Lines(1)
    _outputs(plan, uses, top)
    return kernel(plan, Head("outputs", "// Results that are single numbers.", "1"), top.lines, uses)


def _outputs(plan: Plan, uses: Uses, lines: Lines) -> None:
    statements = StatementRenderer(plan, uses)
    statements.items(plan.scalar_outputs.body, Around(lines))
    for position, (node, operand) in enumerate(plan.scalar_outputs.values.items()):
        value = dialect.written(statements.names.operand(operand), plan.rounding.held(node))
        lines.add(f"*{uses(f'o{position}')} = {value};")


def _finish_columns(plan: Plan, node: Node, uses: Uses, top: Lines) -> None:
    """A block adds up the parts of 32 columns, eight threads a column."""
    (axis,) = node.axes
    n, parts = uses(plan.axes[axis]), uses(plan.partial[node].name)
    whole, pieces = uses(plan.place[node].name), uses(f"pieces{node.number}")
    total = dialect.wide(node.dtype)
    c = dialect.TYPES[total]
    threads, columns = FINISH_THREADS, FINISH_COLUMNS
    step = threads // columns
    own = dialect.read(f"{parts}[piece * {n} + column]", node.dtype)
    own = own if total == BOOL else f"({c})({own})"
    rounded = "total" if total == node.dtype else f"({dialect.TYPES[node.dtype]})(total)"
    result = dialect.written(rounded, plan.place[node].held)
    top.add(f"if (block < ({n} + {columns - 1}) / {columns}) {{")
    top.deeper().add(
        f"{c}* const totals = reinterpret_cast<{c}*>(shared_bytes);",
        f"const long long column = block * {columns} + threadIdx.x % {columns};",
        f"{c} total = {dialect.start(node.operation, total)};",
        f"if (column < {n})",
        f"    for (long long piece = threadIdx.x / {columns}; piece < {pieces}; piece += {step})",
        f"        total = {dialect.join(node.operation, total, 'total', own)};",
        "totals[threadIdx.x] = total;",
        "__syncthreads();",
        f"if (threadIdx.x < {columns} && column < {n}) {{",
        f"    for (int other = threadIdx.x + {columns}; other < {threads}; other += {columns})",
        f"        total = {dialect.join(node.operation, total, 'total', 'totals[other]')};",
        f"    {whole}[column] = {result};",
        "}",
        "return;",
    )
    top.add("}", f"block -= ({n} + {columns - 1}) / {columns};")


def _finish_number(plan: Plan, node: Node, uses: Uses, top: Lines) -> None:
    total = dialect.wide(node.dtype)
    name, pieces = f"s{node.number}", uses(f"pieces{node.number}")
    top.add(f"{dialect.TYPES[total]} {name} = {dialect.start(node.operation, total)};")
    top.add(f"for (long long piece = threadIdx.x; piece < {pieces}; piece += {FINISH_THREADS})")
    own = dialect.read(f"{uses(f'q{node.number}')}[piece]", total)
    top.add(f"    {name} = {dialect.join(node.operation, total, name, own)};")
    top.add(f"{name} = group.combine({name}, {dialect.functor(node.operation)}());")
    uses("scalars")
    place = dialect.kept_number(node.dtype, str(plan.slots.sums[node]))
    rounded = name if total == node.dtype else f"({dialect.TYPES[node.dtype]})({name})"
    top.add(f"if (threadIdx.x == 0) {place} = {dialect.number_to(node.dtype, rounded)};")


def can_finish_with(plan: Plan, stage: int) -> bool:
    """Whether the kernel that completes a stage's sums can also compute the scalar results."""
    ready: dict[ir.Buffer | int, int] = {}
    for number, one in enumerate(plan.stages):
        for nest in (step for loop in one.loops for step in loop.steps if isinstance(step, LoopNest)):
            ready |= {item.buffer: number for item in nest.items() if isinstance(item, ir.Store)}
        for product in [p for loop in one.loops for p in loop.steps if isinstance(p, ir.MatMul)] + [
            *one.products
        ]:
            ready[product.out] = number
        for node in one.sums:
            # Other blocks complete the sums that have columns.
            place = plan.place[node] if node.axes else plan.slots.sums[node]
            ready[place] = number + (1 if node.axes and node.operation is not Op.MATMUL else 0)
    body = plan.scalar_outputs.body
    needed = [
        item.buffer if isinstance(item, ir.Load) else item.slot
        for item in body
        if isinstance(item, ir.Load | ir.LoadScalar)
    ]
    return all(ready.get(place, -1) <= stage for place in needed)
