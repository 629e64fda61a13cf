"""The text of a program in the CPU's dialect: a plan becomes functions in the language of `llvm.translate`.

Takes a Plan; gives the text. Every block loop is a function, and so is every nest of a loop that has several;
what is the same is written once. `program(stage, worker, workers, table, scalars)` runs the part of one
worker in one stage. Stage s of the plan is number 2 s, and number 2 s + 1 combines the sums of its workers;
the results that are single numbers come last, and each has a function of its own. `table` holds sizes and
addresses. `scalars` is the scalar buffer, and `integers` the same memory as integers.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from ..codegen.plan import Plan
from ..codegen.stages import Role, is_by_result, role
from ..codegen.text import Lines
from ..codegen.totals import BLOCKS_OF_PART, is_kept_wide
from ..ir.attributes import Layout, Transposes
from ..ir.dtypes import BOOL, FLOAT32
from ..ir.graph import Axis, Node
from ..ir.nest import BlockLoop, Buffer, BufferKind, LoopNest, MatMul, Pack, ProductWay, Stage, Value
from ..ir.operations import Op
from . import dialect, narrow, totals
from .dialect import kept_number, number_from, number_to, read, wide, written
from .functions import (
    Function,
    Functions,
    LoopFunction,
    Scope,
    StageScope,
    cell_of,
    is_on_stack,
    stored,
    stride_of,
    sum_of,
)
from .render_nest import NestRenderer
from .runtime.blas import GEMM


def sizes_in_table(plan: Plan) -> list[str]:
    """The names of the sizes that the table begins with: of the axes, and of the blocks of every loop."""
    return [*plan.axes.values(), *(f"rows{loop.number}" for loop in plan.loops)]


def pointers_in_table(plan: Plan) -> list[Buffer]:
    """The buffers whose addresses stand in the table, in its order, behind the sizes and the two products."""
    return [buffer for buffer in plan.buffers if not is_on_stack(buffer)]


def strides_in_table(plan: Plan) -> list[Buffer]:
    """The arguments whose strides stand in the table, behind the addresses."""
    return [buffer for buffer in plan.buffers if buffer.layout is not Layout.CONTIGUOUS]


class Renderer:
    """Renders one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.functions = Functions()
        self._stages: dict[int, str] = {}  # their functions, by the number that `program` is passed
        sizes = [*sizes_in_table(plan), "sgemm", "dgemm"]
        self._positions = {name: position for position, name in enumerate(sizes)}
        self._pointers = {b: position for position, b in enumerate(pointers_in_table(plan), len(sizes))}
        first = len(sizes) + len(self._pointers)
        self._strides = {b: position for position, b in enumerate(strides_in_table(plan), first)}
        self._short = {axis: axis.size for axis in self.short_axes()}

    def source(self) -> str:
        """The program's text, without the routines that all programs share."""
        for number, stage in enumerate(self.plan.stages):
            self.stage(number, stage)
        self.outputs()
        program = ["def program(stage, worker, workers, table, scalars):"]
        for number in self._stages:
            program += [
                f"    if stage == {number}:",
                f"        stage{number}(worker, workers, table, scalars)",
            ]
        if not self._stages:
            program.append("    pass")
        texts = [*self.functions.texts(), *self._stages.values(), "\n".join([*program, ""])]
        return "\n\n".join(texts)

    def short_axes(self) -> list[Axis]:
        """The axes of rows that are computed in tiles, whose sizes stand in the text."""
        nests = (step for loop in self.plan.loops for step in loop.steps if isinstance(step, LoopNest))
        return list(dict.fromkeys(axis for nest in nests if nest.tile for axis in nest.axes()))

    # Stages

    def scope(self) -> tuple[StageScope, NestRenderer]:
        """The names of a stage to come, and what renders statements into it."""

        def read_from(key: Hashable) -> tuple[str, str]:
            return (statements.names[key], "") if isinstance(key, Value) else self.place_of(key)

        scope = StageScope(self._short, read_from)
        statements = NestRenderer(self.plan, scope)
        return scope, statements

    def place_of(self, key: Any) -> tuple[str, str]:
        """The name of a thing in the program, and where it is found."""
        if isinstance(key, Buffer):
            axes = ", ".join(self.plan.axes[axis] for axis in key.axes)
            return key.name, f"{stored(key)}_at(table[{self._pointers[key]}])  # {key.kind} ({axes})"
        if isinstance(key, Axis):
            name = self.plan.axes[key]
            return name, f"table[{self._positions[name]}]"
        kind, *what = key
        if kind == "stride":
            return f"l{what[0].name}", f"table[{self._strides[what[0]]}]"
        if kind == "slot":
            slot, node = what
            return f"v{node.number}", number_from(node.dtype, str(slot))
        if kind == "flag":
            return f"f{what[0]}", f"offset(integers, {what[0]})"
        if kind == "parts":
            (node,) = what
            memory = dialect.memory_of_numbers(node.dtype)
            return f"q{node.number}", f"offset({memory}, {self.plan.slots.sums[node]})"
        name = f"rows{what[0]}" if kind == "rows" else kind
        return name, f"table[{self._positions[name]}]"

    def stage(self, number: int, stage: Stage) -> None:
        scope, statements = self.scope()
        statements.items(stage.prologue, scope.lines)
        for loop in stage.loops:
            axis, rows = self.plan.axes[loop.axis], f"rows{loop.number}"
            scope.lines.add(f"# block loop {loop.number}: the rows of {axis}, in blocks of {rows}")
            scope.lines.add(self.block_loop(loop, scope))
        for product in stage.products:
            scope.lines.add("if worker == 0:")
            self.whole_product(product, scope, scope.lines.deeper())
        self.end_stage(2 * number, scope)
        if stage.sums:
            scope, _ = self.scope()
            self.combine(stage.sums, scope)
            self.end_stage(2 * number + 1, scope)

    def end_stage(self, number: int, scope: StageScope) -> None:
        """Make a function of what was written; an empty one needs none."""
        if lines := scope.all_lines():
            head = [f"def stage{number}(worker, workers, table, scalars):"]
            if any("integers" in line for line in lines):
                head.append("    integers = int64_at(address_of(scalars))")
            self._stages[number] = "\n".join([*head, *lines, ""])

    def outputs(self) -> None:
        """The results that are single numbers, each into its slot."""
        scope, statements = self.scope()
        statements.items(self.plan.scalar_outputs.body, scope.lines)
        for node, operand in self.plan.scalar_outputs.values.items():
            value = number_to(node.dtype, statements.text.operand(operand))
            scope.lines.add(f"{kept_number(node.dtype, str(self.plan.slots.outputs[node]))} = {value}")
        self.end_stage(2 * len(self.plan.stages), scope)

    # Loops

    def block_loop(self, loop: BlockLoop, scope: Scope) -> str:
        """The call of a block loop's function."""
        return self.functions.add("loop", lambda plain: self.loop_function(loop, scope, plain=plain))

    def loop_function(self, loop: BlockLoop, scope: Scope, *, plain: bool) -> LoopFunction:
        loops = LoopFunction(scope, loop, self.plan.target.tile, plain=plain)
        is_alone = sum(isinstance(step, LoopNest) for step in loop.steps) == 1
        n, rows, lines = loops.length(loop.axis), loops.block_rows(), loops.lines
        lines.add(f"blocks = ({n} + {rows} - 1) // {rows}")
        lines.add("first, last = blocks * worker // workers, blocks * (worker + 1) // workers")
        for node in loop.sums:
            self.start_of_sum(node, loops, is_alone=is_alone)
        lines.add("for block in range(first, last):")
        inside = lines.deeper()
        inside.add(f"row0 = block * {rows}")
        inside.add(f"rows = min({rows}, {n} - row0)")
        for pack in loop.packs:
            inside.add(self.pack(pack, loops))
        for step in loop.steps:
            if isinstance(step, MatMul):
                self.product(step, loops, inside)
            elif is_alone:
                NestRenderer(self.plan, loops).nest(step, inside)
            else:
                inside.add(self.nest(step, loops))
        for node in loop.sums:
            self.end_of_sum(node, loops)
        return loops

    def pack(self, pack: Pack, loops: LoopFunction) -> str:
        """The call that copies the rows of a block."""
        argument, stride = loops.buffer(pack.argument), loops.use(stride_of(pack.argument), "l")
        columns = loops.length(pack.node.axes[1])
        return f"pack({loops.buffer(pack.buffer)}, offset({argument}, row0), {stride}, rows, {columns})"

    def nest(self, nest: LoopNest, loops: LoopFunction) -> str:
        """The call of a nest's function."""

        def written(plain: bool) -> Function:
            function = Function(loops, ("row0", "rows"), loops.tile, plain=plain)
            NestRenderer(self.plan, function).nest(nest, function.lines)
            return function

        return self.functions.add("nest", written)

    # Sums over rows

    def start_of_sum(self, node: Node, loops: LoopFunction, *, is_alone: bool) -> None:
        lines = loops.lines
        if node in self.plan.slots.sums:
            self.start_of_number(node, loops, is_alone=is_alone)
            return
        size = loops.size(node.axes)
        whole, parts = loops.buffer(self.plan.place[node]), loops.buffer(self.plan.partial[node])
        name = loops.names[sum_of(node)] = loops.new("s", f"s{node.number}")
        lines.add(f"{name} = {whole}", "if worker > 0:")
        lines.add(f"    {name} = offset({parts}, (worker - 1) * {size})")
        if is_kept_wide(node):
            clear = f"clear({loops.buffer(self.plan.totals[node])}, {size}, 0.0)"
            lines.add(*_of_product_if(f"last - first > {BLOCKS_OF_PART}", node, clear))
        nothing = written(dialect.start(_joined_by(node), node.dtype), node.dtype)
        # A product's first block overwrites what is there.
        lines.add(*_of_product_if("first == last", node, f"clear({name}, {size}, {nothing})"))

    def start_of_number(self, node: Node, loops: LoopFunction, *, is_alone: bool) -> None:
        """A sum without axes is a variable of the loop, or a place on the stack that its nests share."""
        dtype = BOOL if node.dtype == BOOL else wide(node.dtype)
        nothing = dialect.start(node.operation, dtype)
        if is_alone:
            name = loops.names[sum_of(node)] = loops.new("s", f"s{node.number}")
            loops.lines.add(f"{name} = {nothing}")
            return
        cell = loops.names[cell_of(node)] = loops.new("c", f"c{node.number}")
        loops.head.add(f"{cell} = stack_of_{'uint8' if dtype == BOOL else dtype}(1)")
        loops.lines.add(f"{cell}[0] = {written(nothing, dtype)}")

    def end_of_sum(self, node: Node, loops: LoopFunction) -> None:
        lines = loops.lines
        if node in self.plan.slots.sums:
            cell = loops.names.get(cell_of(node))
            value = loops.names[sum_of(node)] if cell is None else read(f"{cell}[0]", node.dtype)
            lines.add(f"{loops.use(('parts', node), 'q')}[worker] = {number_to(node.dtype, value)}")
        elif is_kept_wide(node):
            total, part = loops.buffer(self.plan.totals[node]), loops.names[sum_of(node)]
            finish = f"finish({total}, {part}, {loops.size(node.axes)})"
            lines.add(*_of_product_if(f"last - first > {BLOCKS_OF_PART}", node, finish))

    def combine(self, sums: Sequence[Node], scope: StageScope) -> None:
        """The workers' parts of every sum, added to the first worker's in their order."""
        for node in sums:
            if node in self.plan.slots.sums:
                self.combine_numbers(node, scope.lines)
            else:
                scope.lines.add(self.combine_arrays(node, scope))

    def combine_numbers(self, node: Node, lines: Lines) -> None:
        slot = self.plan.slots.sums[node]
        lines.add("if worker == 0:")
        lines.add("    for other in range(1, workers):")
        dtype = BOOL if node.dtype == BOOL else wide(node.dtype)
        own, others = number_from(dtype, str(slot)), number_from(dtype, f"{slot} + other")
        part = number_to(dtype, dialect.join(node.operation, dtype, own, others))
        lines.add(f"        {kept_number(dtype, str(slot))} = {part}")

    def combine_arrays(self, node: Node, scope: Scope) -> str:
        """The call of the function that does it; every worker combines some of the elements."""
        joined, dtype = _joined_by(node), node.dtype
        part = dialect.join(
            joined, dtype, read("whole[element]", dtype), read("parts[other * size + element]", dtype)
        )
        text = f"""\
(worker, workers, whole, parts, size):
    for other in range(workers - 1):
        for element in range(size * worker // workers, size * (worker + 1) // workers):
            whole[element] = {written(part, dtype)}
"""
        routine = self.functions.routine(f"combine_{joined.value}_{dtype}", text)
        whole, parts = scope.buffer(self.plan.place[node]), scope.buffer(self.plan.partial[node])
        return f"{routine}(worker, workers, {whole}, {parts}, {scope.size(node.axes)})"

    # Matrix products

    def whole_product(self, product: MatMul, scope: Scope, lines: Lines) -> None:
        a, b = product.node.inputs
        rows = [scope.length(a.shape[0]), scope.length(b.shape[0])]
        names = list(map(scope.buffer, (product.a, product.b, product.out)))
        self.gemm(product, scope, lines, rows, names, "0")

    def product(self, product: MatMul, loops: LoopFunction, lines: Lines) -> None:
        node = product.node
        if is_by_result(node):
            self.product_by_result(product, loops, lines)
            return
        a = self.address(product.a, loops)
        if role(node) is Role.ROW:
            b, out = loops.buffer(product.b), self.address(product.out, loops)
            if product.way is not ProductWay.BLAS:
                lines.add(self.narrow_rows(product, loops, [a, b, out]))
                return
            rows = ["rows", loops.length(node.inputs[1].shape[0])]
            self.gemm(product, loops, lines, rows, [a, b, out], "0")
            return
        part = loops.names[sum_of(node)]
        if is_kept_wide(node):
            total = loops.buffer(self.plan.totals[node])
            totals.before_block(total, part, loops.size(node.axes), lines)
        beta = f"0.0 if {totals.is_first_block(node)} else 1.0"
        if product.way is not ProductWay.BLAS:
            names = [a, self.address(product.b, loops), part]
            lines.add(self.narrow_sum(product, loops, names, f"{node.dtype}({beta})"))
            return
        self.gemm(product, loops, lines, ["rows", "rows"], [a, self.address(product.b, loops), part], beta)

    def narrow_rows(self, product: MatMul, loops: LoopFunction, names: list[str]) -> str:
        """The call of the loops for a product of a block's rows.

        names: of the operands and the result
        """
        node, (a, b, out) = product.node, names
        a_columns, b_columns = (loops.length(source.shape[1]) for source in node.inputs)
        transposed, terms = node.attribute_as(Transposes).transpose_b, node.inputs[0].sizes()[1]
        suffix = f"{'_transposed' if transposed else ''}_{node.dtype}"
        lda, ldb = self.leading(product.a, a_columns, loops), self.leading(product.b, b_columns, loops)
        if product.way is ProductWay.FEW_TERMS:
            text = narrow.terms(terms, node.dtype, transposed=transposed)
            name, length = f"terms_{terms}{suffix}", loops.length(node.shape[1])
        else:
            columns = node.sizes()[1]
            text = narrow.columns(columns, node.dtype, transposed=transposed)
            name, length = f"columns_{columns}{suffix}", a_columns
        routine = self.functions.routine(name, text)
        return f"{routine}(rows, {length}, {a}, {lda}, {b}, {ldb}, {out})"

    def narrow_sum(self, product: MatMul, loops: LoopFunction, names: list[str], beta: str) -> str:
        """The call of the loops for a product over rows.

        names: of the operands and the worker's part
        """
        node, (a, b, out) = product.node, names
        rows, columns = node.sizes()
        a_columns, b_columns = (loops.length(source.shape[1]) for source in node.inputs)
        of_a = f"{a}, {self.leading(product.a, a_columns, loops)}"
        of_b = f"{b}, {self.leading(product.b, b_columns, loops)}"
        transposed = product.way is not ProductWay.FEW_ROWS
        if transposed:
            few, length, factors = columns, a_columns, f"{of_b}, {of_a}"
        else:
            few, length, factors = rows, b_columns, f"{of_a}, {of_b}"
        name = f"sums_{few}{'_transposed' if transposed else ''}_{node.dtype}"
        routine = self.functions.routine(name, narrow.sums(few, node.dtype, transposed=transposed))
        return f"{routine}(rows, {length}, {factors}, {out}, {beta})"

    def product_by_result(self, product: MatMul, loops: LoopFunction, lines: Lines) -> None:
        """A product over rows, for a block of the result's rows: columns of its first factor."""
        a, b = loops.buffer(product.a), loops.buffer(product.b)
        column = "row0"
        if product.a.layout is Layout.COLUMNS:
            column = f"row0 * {loops.use(stride_of(product.a), 'l')}"
        lengths = [loops.length(source.shape[0]) for source in product.node.inputs]
        names = [f"offset({a}, {column})", b, self.address(product.out, loops)]
        self.gemm(product, loops, lines, lengths, names, "0", result_rows="rows")

    def address(self, buffer: Buffer, loops: LoopFunction) -> str:
        """The pointer to the first row of the block, in what a product reads or writes."""
        name = loops.buffer(buffer)
        if buffer.kind is BufferKind.BLOCK:
            return name
        if buffer.layout is Layout.COLUMNS:
            return f"offset({name}, row0)"
        row = [loops.length(axis) for axis in buffer.axes[1:]]
        if buffer.layout is Layout.ROWS:
            row = [loops.use(stride_of(buffer), "l")]
        return f"offset({name}, {' * '.join(['row0', *row])})"

    def gemm(
        self,
        product: MatMul,
        scope: Scope,
        lines: Lines,
        first: list[str],
        names: list[str],
        beta: str,
        result_rows: str | None = None,
    ) -> None:
        """The call of BLAS.

        first:       the lengths of the operands' first dimensions
        names:       of the operands and the result
        result_rows: how many rows of the result are computed; None for all
        """
        node = product.node
        transpose_a, transpose_b = node.attribute_as(Transposes).transposed
        (a_rows, b_rows), (a, b, out) = first, names
        a_columns, b_columns = (scope.length(source.shape[1]) for source in node.inputs)
        rows, inner = (a_columns, a_rows) if transpose_a else (a_rows, a_columns)
        columns = b_rows if transpose_b else b_columns
        rows = result_rows or rows
        routine = scope.use(("sgemm",) if node.dtype == FLOAT32 else ("dgemm",))
        # What lies in columns is the transpose of what lies in rows.
        transpose_a ^= product.a.layout is Layout.COLUMNS
        transpose_b ^= product.b.layout is Layout.COLUMNS
        lda, ldb = self.leading(product.a, a_columns, scope), self.leading(product.b, b_columns, scope)
        lines.add(
            f"gemm({routine}, {int(transpose_a)}, {int(transpose_b)}, {rows}, {columns}, {inner}, "
            f"{a}, {lda}, {b}, {ldb}, {node.dtype}({beta}), {out}, {columns})"
        )

    def leading(self, buffer: Buffer, columns: str, scope: Scope) -> str:
        """Elements from one stored row of a matrix to the next."""
        return columns if buffer.layout is Layout.CONTIGUOUS else scope.use(stride_of(buffer), "l")


# Rows of an argument that lies in columns, into rows without gaps. Of 16 rows at a time whole lines of the
# cache are read and written.
PACK = """\
def pack(out, argument, stride, rows, columns):
    for first in range(0, rows, 16):
        for start in range(0, columns, 16):
            for row in range(first, min(first + 16, rows)):
                for column in range(start, min(start + 16, columns)):
                    out[row * columns + column] = argument[column * stride + row]
"""


def routines() -> str:
    """The routines that every program may use."""
    return f"{totals.ROUTINES}\n\n{GEMM}\n\n{PACK}"


def _of_product_if(condition: str, node: Node, statement: str) -> list[str]:
    """A statement of every sum over rows, which one that is a matrix product has only under a condition."""
    return [f"if {condition}:", f"    {statement}"] if node.operation is Op.MATMUL else [statement]


def _joined_by(node: Node) -> Op:
    """The operation that joins parts of a sum over rows."""
    return Op.SUM if node.operation is Op.MATMUL else node.operation
