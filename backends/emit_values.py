"""The part of the printer that names values: each is computed in the outermost place that can."""

from __future__ import annotations

from . import numba_dialect as dialect
from .graph import Axis, Node
from .loops import Body, RowLoop, column_axis
from .operations import FLOATS, REDUCTIONS
from .plan import Memory, Plan
from .schedule import base, is_taken_whole, sources
from .scopes import LaneScope, Scope

# Rows of up to so many columns are computed side by side, so many at once.
SHORT, LANES = 32, 64
# The first number of every sum is its result; the others are what the other shares have.
MOST_SHARES = 64


class ValuePrinter:
    """Prints the values of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.used: dict[str, int] = {}
        self.slots: dict[Memory, int] = {}
        self.short: list[Axis] = []  # whose sizes stand in the text
        self.lanes = False
        self.lane_memory: dict[Node, Memory] = {}
        self.sizes = list(plan.axes.values()) + [f"rows{i}" for i in range(len(plan.bodies))]
        self.sum_slot = {node: len(plan.scalars) + MOST_SHARES * i for i, node in enumerate(plan.number_sums)}
        self.output_slot = {
            node: len(plan.scalars) + MOST_SHARES * len(plan.number_sums) + i
            for i, node in enumerate(plan.number_outputs)
        }
        self.numbers = len(plan.scalars) + MOST_SHARES * len(plan.number_sums) + len(plan.number_outputs)
        self.body: Body | None = None
        self.loop: RowLoop | None = None
        self.number = 0
        self.done: set[Node] = set()

    def name(self, node: Node) -> str:
        count = self.used[f"v{node.number}"] = self.used.get(f"v{node.number}", 0) + 1
        return f"v{node.number}" + (f"_{count}" if count > 1 else "")

    def lane_number(self, node: Node) -> str:
        """Where a row's number is kept, for each of the rows that are computed side by side."""
        memory = self.plan.add(Memory(f"{self.name(node)}_lane", "lane", node.dtype, (), phase=self.number))
        return f"{memory.name}[lane]"

    def length(self, axis: Axis | None) -> str:
        return "1" if axis is None else self.plan.axes[axis.find()]

    def index(self, axis: Axis, scope: Scope) -> str:
        return scope.index[axis.find()]

    def read(self, node: Node, scope: Scope) -> str:
        """The value that stands in its memory."""
        return read_from(self.element(node, scope), node.dtype)

    def element(self, node: Node, scope: Scope) -> str:
        """The element of a value's memory at the scope's row and column."""
        if node in self.lane_memory:
            (axis,) = self.lane_memory[node].axes
            return f"{self.lane_memory[node].name}[{self.index(axis, scope)} * {LANES} + lane]"
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
                index = "(lane0 + lane)" if self.lanes else "i"
            text = f"({text}) * {self.plan.axes[axis]} + {index}" if text else index
        return text or "0"

    def value(self, node: Node, scope: Scope) -> str:
        """A name or a number for the value, computed in the outermost scope that can."""
        node = base(node)
        if node.operation == "constant":
            return dialect.literal(node.attribute, node.dtype)
        if node.operation == "size":
            return self.plan.axes[node.attribute.find()]
        if node in scope.assumed:
            return str(scope.assumed[node])
        home = self.home(node, scope)
        if node in home.names:
            return home.names[node]
        text = self.expression(node, home)
        # A name of a row that is one of many is the name of all of them, until it is stored.
        is_name = text.replace("_", "").isalnum() and not isinstance(home, LaneScope)
        if is_name or _is_literal(text):
            home.names[node] = text
            return text
        if isinstance(home, LaneScope):
            place = self.lane_number(node)
            home.add(f"{place} = {written(text, node.dtype)}")
            name = read_from(place, node.dtype)
        else:
            name = self.name(node)
            home.add(f"{name} = {text}")
        home.names[node] = name
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
        if node in scope.assumed:
            return True
        if node in self.done or node not in self.loop.levels or reduces(node):
            return False
        return any(self.depends_on_assumed(source, scope) for source in sources(node))

    def expression(self, node: Node, scope: Scope) -> str:
        if node.operation == "iota":
            return self.index(node.axes[0], scope) if node.axes else "int64(0)"
        if node.operation == "scalar":
            return number_from(node.dtype, str(self.plan.scalars.index(node.attribute)))
        if node in self.sum_slot:
            return number_from(node.dtype, str(self.sum_slot[node]))
        computed_here = self.loop is not None and node in self.loop.levels and node not in self.done
        if not computed_here and self.plan.where(node, self.number) is not None:
            return self.read(node, scope)
        if node.operation == "pick":
            return self.pick(node, scope)
        if node.operation == "copy":
            return self.copied(node, scope)
        if node.operation == "gather":
            vector = base(node.inputs[0])
            index = self.safe_index(base(node.inputs[1]), vector.shape[0], scope)
            memory = self.plan.where(vector, self.number)
            assert memory is not None
            return read_from(f"{memory.name}[{index}]", node.dtype)
        operands = [self.value(source, scope) for source in node.inputs]
        if node.operation in ("where", "astype", "logical_not") and operands[0] in ("True", "False"):
            yes = operands[0] == "True"
            if node.operation == "where":
                return operands[1] if yes else operands[2]
            if node.operation == "logical_not":
                return str(not yes)
            return dialect.literal(yes, node.dtype)
        return dialect.elementwise(node, operands)

    def pick(self, node: Node, scope: Scope) -> str:
        scores = base(node.inputs[0])
        (axis,) = (axis for axis in scores.axes if axis not in node.axes)
        index = self.safe_index(base(node.inputs[1]), axis, scope)
        return self.value(scores, scope.at(axis, index))

    def copied(self, node: Node, scope: Scope) -> str:
        """The element of the input at the same position, which may be another place of the same axes."""
        seen = node.inputs[0]
        source = base(seen)
        dimensions = seen.attribute if seen.operation == "view" else range(source.ndim)
        index = {
            dimension: self.index(axis, scope)
            for dimension, axis in zip(dimensions, node.shape, strict=True)
            if dimension is not None and axis is not None
        }
        if source.operation == "iota":
            return index.get(0, "int64(0)")
        memory = self.plan.where(source, self.number)
        assert memory is not None, f"{source} is not in memory"
        text = ""
        for dimension, axis in enumerate(source.shape):
            if axis is not None:
                text = f"({text}) * {self.length(axis)} + {index[dimension]}" if text else index[dimension]
        return read_from(f"{memory.name}[{text}]", node.dtype)

    def safe_index(self, index: Node, axis: Axis | None, scope: Scope) -> str:
        """An index that is inside whatever the data are: from the end where negative, then clamped."""
        value, n = self.value(index, scope), self.length(axis)
        if _is_remainder_of(index, axis):
            return value
        name = f"{self.name(index)}_inside"
        if isinstance(scope, LaneScope):
            memory = self.plan.add(Memory(f"{name}_lane", "lane", "int64", (), phase=self.number))
            name = f"{memory.name}[lane]"
        scope.add(f"{name} = int64({value})")
        scope.add(f"{name} = {name} + {n} if {name} < 0 else {name}")
        scope.add(f"{name} = min(max({name}, 0), {n} - 1)")
        return name

    def column_of_label(self, label: Node, axis: Axis, row: Scope) -> tuple[str, str]:
        """The column that a label means, and the condition under which there is one; empty if always."""
        value, n = self.value(label, row), self.length(axis)
        if _is_remainder_of(label, axis):
            return f"int64({value})", ""
        name = f"{self.name(label)}_column"
        row.add(f"{name} = min(max(int64({value}), 0), {n} - 1)")
        return name, f"{name} == {value}"

    def label_tests(self, node: Node, axis: Axis) -> set[Node]:
        """Comparisons of the column's own number with a number of the row, in the value's expression."""
        assert self.loop is not None
        found: set[Node] = set()
        stack, seen = [node], set()
        while stack:
            current = base(stack.pop())
            if current in seen or current not in self.loop.levels or (current in self.done):
                continue
            seen.add(current)
            if current.operation == "equal" and self.label_of(current, axis) is not None:
                found.add(current)
            elif not reduces(current):
                stack += [s for p, s in enumerate(sources(current)) if not is_taken_whole(current, p)]
        return found

    def label_of(self, test: Node, axis: Axis) -> Node | None:
        """What the column's number is compared with, if the test is of that kind."""
        assert self.body is not None
        for own, other in (sources(test), sources(test)[::-1]):
            iota = own.operation == "iota" and own.axes == (axis,)
            if iota and column_axis(other, self.body.phase) is None and axis not in other.axes:
                return other
        return None


def _is_remainder_of(index: Node, axis: Axis | None) -> bool:
    """Whether an index is one of division by the length of the axis, and so inside it."""
    divisor = index.inputs[1] if index.operation == "remainder" else None
    while divisor is not None and divisor.operation == "astype":
        divisor = divisor.inputs[0]
    if divisor is None or divisor.operation != "size" or axis is None:
        return False
    return divisor.attribute.find() is axis.find()


def read_from(place: str, dtype: str) -> str:
    """A bool is a byte in memory, and has to be made one again."""
    return f"({place} != 0)" if dtype == "bool" else place


def wide(dtype: str) -> str:
    """What a single number is computed and kept in: integers have all their bits."""
    return "float64" if dtype in FLOATS else "uint64" if dtype.startswith("u") else "int64"


def kept_number(dtype: str, slot: str) -> str:
    """The place of a single number: `numbers`, or the same memory as integers."""
    return f"numbers[{slot}]" if dtype in FLOATS else f"whole[{slot}]"


def number_from(dtype: str, slot: str) -> str:
    """A single number, out of its place."""
    place = kept_number(dtype, slot)
    return place if dtype == "float64" else f"({place} != 0)" if dtype == "bool" else f"{dtype}({place})"


def number_to(dtype: str, value: str) -> str:
    """A single number as it is put into its place."""
    return f"float64({value})" if dtype in FLOATS else f"int64({value})"


def written(value: str, dtype: str) -> str:
    """A value as it is put into memory."""
    return f"uint8({value})" if dtype == "bool" else value


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
