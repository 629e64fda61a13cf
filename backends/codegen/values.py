"""The part of the printer that names values: each is computed in the outermost place that can."""

from __future__ import annotations

from ..ir.attributes import Constant, Leaf, Size, View
from ..ir.facts import is_inside
from ..ir.graph import Axis, Node, base, sources
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op
from .dialect_protocol import Dialect
from .fusion import Body, RowLoop
from .plan import Memory, Plan
from .scopes import Scope

# Operations of a chain that are printed by recursion; Python allows about a thousand calls.
DEEPEST = 50


class ValuePrinter:
    """Prints the values of one plan."""

    def __init__(self, plan: Plan, dialect: Dialect, shares: int) -> None:
        self.plan = plan
        self.dialect = dialect
        self.used: dict[str, int] = {}
        self.slots: dict[Memory, int] = {}
        self.sum_slot = {node: len(plan.scalars) + shares * i for i, node in enumerate(plan.number_sums)}
        self.output_slot = {
            node: len(plan.scalars) + shares * len(plan.number_sums) + i
            for i, node in enumerate(plan.number_outputs)
        }
        self.numbers = len(plan.scalars) + shares * len(plan.number_sums) + len(plan.number_outputs)
        self.body: Body | None = None
        self.loop: RowLoop | None = None
        self.number = 0
        self.done: set[Node] = set()
        self.depth = 0
        self.flags: dict[Node, int] = {}  # gathers whose indices are watched -> slots of their flags

    def name(self, node: Node) -> str:
        count = self.used[f"v{node.number}"] = self.used.get(f"v{node.number}", 0) + 1
        return f"v{node.number}" + (f"_{count}" if count > 1 else "")

    def length(self, axis: Axis | None) -> str:
        return "1" if axis is None else self.plan.axes[axis.find()]

    def index(self, axis: Axis, scope: Scope) -> str:
        return scope.index[axis.find()]

    def read(self, node: Node, scope: Scope) -> str:
        """The value that stands in its memory."""
        memory = self.plan.where(node, self.number)
        assert memory is not None, f"{node} is not in memory"
        return self.dialect.read(self.element(node, scope), memory.held)

    def element(self, node: Node, scope: Scope) -> str:
        """The element of a value's memory at the scope's row and column."""
        memory = self.plan.where(node, self.number)
        assert memory is not None, f"{node} is not in memory"
        return f"{memory.name}[{self.offset_of(memory, node, scope)}]"

    def offset_of(self, memory: Memory, node: Node, scope: Scope) -> str:
        axes = node.axes
        rows = None if self.body is None else self.body.phase.axis.find()
        if memory.kind == "row":
            axes = tuple(axis for axis in axes if axis is not rows)
        text = ""
        for axis in axes:
            index = self.index(axis, scope)
            if memory.kind == "block" and axis is rows:
                index = self.row_of_block()
            text = f"({text}) * {self.plan.axes[axis]} + {index}" if text else index
        return text or "0"

    def row_of_block(self) -> str:
        """The row's number in the buffers of its block."""
        return "i"

    def value(self, node: Node, scope: Scope) -> str:
        """A name or a number for the value, computed in the outermost scope that can."""
        node = base(node)
        if node.operation is Op.CONSTANT:
            return self.dialect.literal(node.attribute_as(Constant).value, node.dtype)
        if node.operation is Op.SIZE:
            return self.plan.axes[node.attribute_as(Size).axis.find()]
        if node in scope.assumed:
            return str(scope.assumed[node])
        home = self.home(node, scope)
        if node in home.names:
            return home.names[node]
        self.depth += 1
        if self.depth > DEEPEST:
            self.name_inputs(node, home)
        text = self.expression(node, home)
        self.depth -= 1
        if self.can_repeat(text, home) or _is_literal(text):
            home.names[node] = text
        else:
            home.names[node] = self.named(node, text, home)
        return home.names[node]

    def name_inputs(self, node: Node, scope: Scope) -> None:
        """Name what a long chain of operations is made of, its first link first, without recursion."""
        chain, stack, seen = [], [(node, False)], {node}
        while stack:
            link, is_done = stack.pop()
            if is_done:
                chain.append(link)
                continue
            stack.append((link, True))
            for source in reversed(sources(link)):
                is_known = source in self.home(source, scope).names
                if (
                    source.operation in ELEMENTWISE
                    and source not in seen
                    and not is_known
                    and self.is_computed(source)
                ):
                    seen.add(source)
                    stack.append((source, False))
        depth, self.depth = self.depth, 0
        for link in chain[:-1]:
            self.value(link, scope)
        self.depth = depth

    def is_computed(self, node: Node) -> bool:
        """Whether the value is an expression here, and not read from memory."""
        computed_here = self.loop is not None and node in self.loop.levels and node not in self.done
        return computed_here or self.plan.where(node, self.number) is None

    def can_repeat(self, text: str, home: Scope) -> bool:
        """Whether an expression is a mere name, as good as one more."""
        return text.replace("_", "").isalnum()

    def named(self, node: Node, text: str, home: Scope) -> str:
        """The name under which a value is known from now on."""
        name = self.name(node)
        home.add(self.dialect.declare(name, node.dtype, text))
        return name

    def home(self, node: Node, scope: Scope) -> Scope:
        """The outermost scope that knows all the indices that the value needs."""
        needed = set(node.axes)
        if scope.assumed and self.depends_on_assumed(node, scope):
            return scope
        while scope.parent is not None and needed <= set(scope.parent.index):
            scope = scope.parent
        return scope

    def depends_on_assumed(self, node: Node, scope: Scope) -> bool:
        assert self.loop is not None
        stack, seen = [node], {node}
        while stack:
            current = stack.pop()
            if current in scope.assumed:
                return True
            if current not in self.done and current in self.loop.levels and not reduces(current):
                new = [source for source in sources(current) if source not in seen]
                seen.update(new)
                stack += new
        return False

    def expression(self, node: Node, scope: Scope) -> str:
        if node.operation is Op.IOTA:
            return self.dialect.index(self.index(node.axes[0], scope) if node.axes else "0")
        if node.operation is Op.SCALAR:
            return self.dialect.number_from(
                node.dtype, str(self.plan.scalars.index(node.attribute_as(Leaf).number))
            )
        if node in self.sum_slot:
            return self.dialect.number_from(node.dtype, str(self.sum_slot[node]))
        if not self.is_computed(node):
            return self.read(node, scope)
        if node.operation is Op.TAKE_ALONG_AXIS:
            return self.take_along_axis(node, scope)
        if node.operation is Op.COPY:
            return self.copied(node, scope)
        if node.operation is Op.TAKE:
            return self.take(node, scope)
        operands = [self.value(source, scope) for source in node.inputs]
        if node.operation in (Op.WHERE, Op.ASTYPE, Op.LOGICAL_NOT) and operands[0] in ("True", "False"):
            yes = operands[0] == "True"
            if node.operation is Op.WHERE:
                return operands[1] if yes else operands[2]
            if node.operation is Op.LOGICAL_NOT:
                return str(not yes)
            return self.dialect.literal(yes, node.dtype)
        return self.elementwise(node, operands)

    def elementwise(self, node: Node, operands: list[str]) -> str:
        """The expression of an elementwise operation."""
        return self.dialect.elementwise(node, operands)

    def take_along_axis(self, node: Node, scope: Scope) -> str:
        scores = base(node.inputs[0])
        axis = next((axis for axis in scores.axes if axis not in node.axes), None)
        index = self.safe_index(node, axis, scope)
        there = scope if axis is None else scope.at(axis, index)
        return self.gathered(node, axis, index, self.value(scores, there))

    def take(self, node: Node, scope: Scope) -> str:
        vector = base(node.inputs[0])
        # A view may have dimensions of 1 beside the vector's own.
        axis = node.inputs[0].shape[0]
        index = self.safe_index(node, axis, scope)
        if axis is None:
            return self.gathered(node, axis, index, self.value(vector, scope))
        memory = self.plan.where(vector, self.number)
        assert memory is not None
        return self.gathered(node, axis, index, self.dialect.read(f"{memory.name}[{index}]", memory.held))

    def gathered(self, node: Node, axis: Axis | None, index: str, value: str) -> str:
        """What a gather gives, of the element at an index that was made to lie inside."""
        return value

    def copied(self, node: Node, scope: Scope) -> str:
        """The element of the input at the same position, which may be another place of the same axes."""
        seen = node.inputs[0]
        source = base(seen)
        dimensions = seen.attribute.dimensions if isinstance(seen.attribute, View) else range(source.ndim)
        index = {
            dimension: self.index(axis, scope)
            for dimension, axis in zip(dimensions, node.shape, strict=True)
            if dimension is not None and axis is not None
        }
        if source.operation is Op.IOTA:
            return self.dialect.index(index.get(0, "0"))
        memory = self.plan.where(source, self.number)
        assert memory is not None, f"{source} is not in memory"
        text = ""
        for dimension, axis in enumerate(source.shape):
            if axis is not None:
                text = f"({text}) * {self.length(axis)} + {index[dimension]}" if text else index[dimension]
        return self.dialect.read(f"{memory.name}[{text}]", memory.held)

    def safe_index(self, node: Node, axis: Axis | None, scope: Scope) -> str:
        """A gather's index, inside whatever the data are: from the end where negative, then clamped."""
        index = base(node.inputs[1])
        value = self.value(index, scope)
        if is_inside(index, axis):
            return value
        name = self.name_of_index(index, scope)
        for line in self.dialect.inside(name, value, self.length(axis), index.dtype, self.flag(node)):
            scope.add(line)
        return name

    def name_of_index(self, index: Node, scope: Scope) -> str:
        """The name of an index that is made to lie inside."""
        return f"{self.name(index)}_inside"

    def flag(self, node: Node) -> str:
        """The place of the flag for an index of this gather that is outside; empty where none is needed."""
        slot = self.flags.setdefault(node, self.numbers + len(self.flags))
        return self.dialect.flag(slot)


def reduces(node: Node) -> bool:
    """Whether a value is a reduction, along columns or rows."""
    return node.operation in REDUCTIONS


def _is_literal(text: str) -> bool:
    return (
        text.startswith(("float32(", "float64(", "int64("))
        and text.count("(") == 1
        and "[" not in text
        and not any(c in text for c in "+*/ ")
        and not text.split("(")[1][0].isalpha()
    )
