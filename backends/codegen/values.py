"""Where values are computed: each in the outermost body that knows the indices that it needs.

Takes a value of the graph and a body, and adds to that body, or to one around it, the statements that compute
the value; gives the operand that stands for it. In a loop over the columns of `x - max(x, axis=1)`, the load
of x goes into the loop, and what belongs to the row goes before it:

    v1 = Load m[row]             in the body of the row
    for column:
        v0 = Load x[row, column]
        v2 = Compute v0 - v1     the operand that is returned for the difference
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir.attributes import Bounds, Constant, Gather, Size, View
from ..ir.dtypes import BOOL, INT64, DType
from ..ir.facts import is_argument, is_inside
from ..ir.graph import Axis, Node, base, sources
from ..ir.nest import (
    BlockRow,
    Buffer,
    BufferKind,
    CheckIndex,
    ClampIndex,
    Compute,
    Gathered,
    Index,
    Item,
    LabelTest,
    Length,
    Literal,
    Load,
    LoadScalar,
    LoopIndex,
    Operand,
    Position,
    TileLoop,
    Value,
    Zero,
)
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op
from .buffers import Buffers
from .fusion import NestSpec
from .target import Target

# Operations of a chain that are placed by recursion; Python allows about a thousand calls.
DEEPEST = 50
# The operations of such a chain.
_LINKS = {*ELEMENTWISE, Op.BROADCAST_TO}


class Body:
    """A list of statements that grows, and what is known where it stands.

    index:   of every axis that a loop around it runs over
    known:   operands of the values that were placed here
    depends: of values: whether they depend on what is assumed
    assumed: comparisons of a column with the row's label, or with a border, whose outcome is known here
    is_elsewhere: whether an index was looked up, so that other threads compute what it finds
    """

    def __init__(
        self,
        parent: Body | None = None,
        index: dict[Axis, Index] | None = None,
        items: list[Item] | None = None,
        assumed: dict[Node, bool] | None = None,
    ) -> None:
        self.parent = parent
        self.index = index or {}
        self.items: list[Item] = [] if items is None else items
        self.assumed = assumed or {}
        self.known: dict[Node, Operand] = {}
        self.depends: dict[Node, bool] = {}
        self.is_elsewhere = False

    @property
    def is_tile(self) -> bool:
        """Whether its statements are done for every row of a tile."""
        return False

    def add(self, item: Item) -> None:
        self.items.append(item)

    def at(self, axis: Axis, index: Index) -> Body:
        """A body for one position along another axis, whose statements stand among this one's."""
        return self._beside({**self.index, axis: index})

    def at_all(self, index: dict[Axis, Index]) -> Body:
        """The same for positions along several axes."""
        made = self._beside({**self.index, **index})
        made.is_elsewhere = self.is_elsewhere or any(self.index.get(a) != found for a, found in index.items())
        return made

    def _beside(self, index: dict[Axis, Index]) -> Body:
        return Body(self, index, self.items)

    def inside(self, axis: Axis, assumed: dict[Node, bool] | None = None) -> Body:
        """The body of a loop over an axis."""
        return Body(self, {**self.index, axis: LoopIndex(axis)}, None, assumed)

    def flush(self) -> None:
        """Nothing waits here."""


class TileBody(Body):
    """The body of a tile of rows: statements wait until one loop over the rows of the tile does them all."""

    def __init__(self, parent: Body, index: dict[Axis, Index]) -> None:
        super().__init__(parent, index)
        self.waiting: list[Item] = []

    @property
    def is_tile(self) -> bool:
        return True

    def add(self, item: Item) -> None:
        self.waiting.append(item)

    def _beside(self, index: dict[Axis, Index]) -> Body:
        return Body(self, index, self.waiting)

    def flush(self) -> None:
        if self.waiting:
            self.items.append(TileLoop(tuple(self.waiting)))
            # A body for one position may still hold the list.
            self.waiting = []


@dataclass
class Values:
    """Places the values of one plan.

    buffers: where values lie in memory
    spec:    what the nest that is being built computes; None outside of nests
    made:    values that the loop over the rows computes
    done:    values of the nest that have been stored
    to_keep: values that later passes over the row find in registers
    kept:    those that are in registers by now
    tiles:   values that are there for every row of a tile
    main:    the longest axis within a row, or the rows where there is none
    tests_labels: whether a comparison with a label becomes a LabelTest
    """

    buffers: Buffers
    target: Target
    number: int = 0
    rows: Axis | None = None
    spec: NestSpec | None = None
    made: set[Node] = field(default_factory=set)
    done: set[Node] = field(default_factory=set)
    to_keep: set[Node] = field(default_factory=set)
    kept: dict[Node, Value] = field(default_factory=dict)
    tiles: dict[Node, Buffer] = field(default_factory=dict)
    main: Axis | None = None
    tests_labels: bool = False
    depth: int = 0

    def value(self, node: Node, body: Body) -> Operand:
        """The operand for a value, computed in the outermost body that can."""
        node = base(node)
        if node.operation is Op.CONSTANT:
            return Literal(node.attribute_as(Constant).value, node.dtype)
        if node.operation is Op.SIZE:
            return Length(node.attribute_as(Size).axis.find())
        outcome = self.outcome(node, body)
        if outcome is not None:
            return Literal(outcome, BOOL)
        if node in self.kept and self.is_in_main_loop(body):
            return self.kept[node]
        home = self.home(node, body)
        if node not in home.known:
            self.depth += 1
            if self.depth > DEEPEST and node.operation in _LINKS and self.is_computed(node):
                self.place_chain(node, home)
            home.known[node] = self.placed(node, home)
            self.depth -= 1
        return home.known[node]

    def is_in_main_loop(self, body: Body) -> bool:
        if self.main is None or body.index.get(self.main) != LoopIndex(self.main):
            return False
        return self.rows is None or body.index.get(self.rows) == LoopIndex(self.rows)

    def place_chain(self, node: Node, body: Body) -> None:
        """Place what a long chain of operations is made of, its first link first, without recursion."""
        chain: list[Node] = []
        stack, seen = [(node, False)], set()
        while stack:
            link, is_done = stack.pop()
            if is_done:
                chain.append(link)
                continue
            if link in seen:
                continue
            seen.add(link)
            stack.append((link, True))
            for source in reversed(sources(link)):
                is_new = source.operation in _LINKS and source not in seen
                if is_new and self.is_computed(source) and not self.is_known(source, body):
                    stack.append((source, False))
        depth, self.depth = self.depth, 0
        for link in chain[:-1]:
            self.value(link, body)
        self.depth = depth

    def is_known(self, node: Node, body: Body) -> bool:
        """Whether a value needs no more statements where the body stands."""
        is_kept = node in self.kept and self.is_in_main_loop(body)
        return is_kept or self.outcome(node, body) is not None or node in self.home(node, body).known

    def outcome(self, node: Node, body: Body) -> bool | None:
        """The outcome of a test, where it is known at the position of the body."""
        return self.home(node, body).assumed.get(node) if node.dtype == BOOL else None

    def home(self, node: Node, body: Body) -> Body:
        """The outermost body that knows all the indices that the value needs."""
        needed = node.axes
        while body.parent is not None and not (body.assumed and self.depends_on_assumed(node, body)):
            outer = body.parent
            # Where elements are looked up, an axis has another index than around it.
            if any(axis not in outer.index or outer.index[axis] != body.index[axis] for axis in needed):
                break
            body = outer
        return body

    def depends_on_assumed(self, node: Node, body: Body) -> bool:
        assert self.spec is not None
        stack, known = [node], body.depends
        while stack:
            current = stack[-1]
            is_loaded = current in self.done or current not in self.spec.passes
            is_end = is_loaded or current in body.assumed or current.operation in REDUCTIONS
            inputs = () if is_end else sources(current)
            missing = [source for source in inputs if source not in known]
            if missing:
                stack += missing
                continue
            stack.pop()
            known[current] = current in body.assumed or any(known[source] for source in inputs)
        return known[node]

    def is_of_other_row(self, node: Node, body: Body) -> bool:
        """Whether the body stands for another row of a value than that of the loop around."""
        rows = self.rows
        return rows in node.axes and rows in body.index and body.index[rows] != LoopIndex(rows)

    def is_loaded(self, node: Node, body: Body) -> bool:
        """Whether the value is in memory when the body runs."""
        if self.is_of_other_row(node, body):
            return self.complete_buffer(node) is not None
        is_of_nest = self.spec is not None and node in self.spec.passes
        if body.is_elsewhere and self.target.shares_rows and is_of_nest:
            return False
        return not self.is_computed(node)

    def complete_buffer(self, node: Node) -> Buffer | None:
        """The buffer that has all rows of a value; None where this loop over the rows stores them."""
        is_made_here = self.spec is not None and node in self.made
        return None if is_made_here else self.buffers.place.get(node)

    def is_computed(self, node: Node) -> bool:
        """Whether the value is computed here, and not loaded."""
        is_of_nest = self.spec is not None and node in self.spec.passes and node not in self.done
        return is_of_nest or self.buffer_of(node) is None

    def buffer_of(self, node: Node) -> Buffer | None:
        """The buffer that has a value, as seen from the nest."""
        return self.tiles.get(node) or self.buffers.where(node, self.number)

    def new_value(self, node: Node, body: Body, dtype: DType | None = None) -> Value:
        """A value of a body; each row of a tile has one of its own."""
        if not body.is_tile:
            return Value(node)
        return Value(node, self.buffers.tile(f"v{node.number}_lane", dtype or node.dtype, (), self.number))

    def placed(self, node: Node, body: Body) -> Operand:
        """Add the statements that compute a value to the body."""
        if node.operation is Op.IOTA:
            value = self.new_value(node, body)
            body.add(Position(value, body.index[node.axes[0].find()] if node.axes else Zero()))
            return value
        slot = self.buffers.slot_of(node)
        if slot is not None:
            value = self.new_value(node, body)
            body.add(LoadScalar(value, slot))
            return value
        if self.is_loaded(node, body):
            return self.loaded(node, body)
        if node.operation in _MOVES:
            return _MOVES[node.operation](self, node, body)
        label = self.label_of_test(node, body)
        if label is not None:
            return self.label_test(node, label, body)
        outcome = self.outcome(base(node.inputs[0]), body) if node.operation is Op.WHERE else None
        if outcome is not None:
            # What is not chosen need not be anywhere.
            return self.alias(node, self.value(node.inputs[1 if outcome else 2], body), body)
        return self.computed(node, [self.value(source, body) for source in node.inputs], body)

    def computed(self, node: Node, operands: list[Operand], body: Body) -> Operand:
        """An elementwise operation; one whose outcome is known becomes its operand or a number."""
        condition = operands[0] if operands else None
        if isinstance(condition, Literal) and condition.dtype == BOOL:
            if node.operation is Op.WHERE:
                return self.alias(node, operands[1 if condition.number else 2], body)
            if node.operation is Op.BROADCAST_TO:
                return condition
            if node.operation is Op.LOGICAL_NOT:
                return Literal(not condition.number, BOOL)
            if node.operation is Op.ASTYPE:
                return Literal(condition.number, node.dtype)
        value = self.new_value(node, body)
        body.add(Compute(value, tuple(operands)))
        return value

    def alias(self, node: Node, operand: Operand, body: Body) -> Operand:
        """The operand itself, in a tile only where each row of the tile has one."""
        if not body.is_tile or not isinstance(operand, Value) or operand.buffer is not None:
            return operand
        value = self.new_value(node, body)
        body.add(Gathered(value, operand, None))
        return value

    def loaded(self, node: Node, body: Body) -> Value:
        is_of_other_row = self.is_of_other_row(node, body)
        buffer = self.complete_buffer(node) if is_of_other_row else self.buffer_of(node)
        assert buffer is not None, f"{node} is not in memory"
        value = self.new_value(node, body)
        body.add(Load(value, node, buffer, self.index_in(buffer, node, body)))
        return value

    def index_in(self, buffer: Buffer, node: Node, body: Body) -> tuple[Index, ...]:
        """The index of a value's element in a buffer, at the position of the body."""
        if buffer.kind is BufferKind.TILE:
            return tuple(body.index[axis.find()] for axis in buffer.axes)
        axes = node.axes
        if buffer.kind is BufferKind.ROW:
            axes = tuple(axis for axis in axes if axis is not self.rows)
        return tuple(
            BlockRow()
            if buffer.kind is BufferKind.BLOCK and body.index[axis] == LoopIndex(axis) and axis is self.rows
            else body.index[axis]
            for axis in axes
        )

    def label_of_test(self, node: Node, body: Body) -> Node | None:
        """The label that a comparison in the main loop compares the column's position with."""
        if node.operation is not Op.EQUAL or not (self.tests_labels and self.is_in_main_loop(body)):
            return None
        for position, other in (node.inputs, node.inputs[::-1]):
            is_position = base(position).operation is Op.IOTA and self.main not in base(other).axes
            # At looked-up positions even a value of the row is computed in the loop.
            if is_position and self.main not in self.home(base(other), body).index:
                return other
        return None

    def label_test(self, node: Node, label: Node, body: Body) -> Operand:
        value = self.new_value(node, body)
        body.add(LabelTest(value, self.value(label, body)))
        return value

    # Values at looked-up positions

    def taken_along_axis(self, node: Node, body: Body) -> Operand:
        """The element at a looked-up column, which may itself be computed there."""
        scores = base(node.inputs[0])
        axis = next((axis for axis in scores.axes if axis not in node.axes), None)
        index, checked = self.checked_index(node, base(node.inputs[1]), axis, body)
        there = body if axis is None else body.at(axis, index)
        operand = self.value(scores, there)
        if checked is None or not self.target.masks_outside:
            return self.alias(node, operand, body)
        value = self.new_value(node, body)
        body.add(Gathered(value, operand, checked))
        return value

    def taken(self, node: Node, body: Body) -> Operand:
        """The element of a vector at a looked-up index."""
        vector = base(node.inputs[0])
        # A view may have dimensions of 1 beside the vector's own.
        axis = node.inputs[0].shape[0]
        index, checked = self.checked_index(node, base(node.inputs[1]), axis, body)
        masked = checked if self.target.masks_outside else None
        if axis is None:
            operand = self.value(vector, body)
            if masked is None:
                return self.alias(node, operand, body)
            value = self.new_value(node, body)
            body.add(Gathered(value, operand, masked))
            return value
        if vector.operation is Op.IOTA:
            # The element of 0, 1, 2, ... at an index is the index.
            value = self.new_value(node, body)
            body.add(Position(value, index))
            return value
        buffer = self.buffers.where(vector, self.number)
        assert buffer is not None, f"{vector} is not in memory"
        value = self.new_value(node, body)
        body.add(Load(value, vector, buffer, (index,), masked))
        return value

    def gathered(self, node: Node, body: Body) -> Operand:
        """The element at looked-up indices, which may itself be computed there."""
        seen, attribute = node.inputs[0], node.attribute_as(Gather)
        index: dict[Axis, Index] = {}
        checked: list[Value] = []
        for axis, place in zip(seen.shape, attribute.places, strict=True):
            if place >= 0:
                along = node.shape[place]
                if axis is not None and along is not None:
                    index[axis.find()] = body.index[along.find()]
                continue
            looked_up = base(node.inputs[-place])
            found, check = self.looked_up_index(node, looked_up, axis, body)
            checked += [] if check is None else [check]
            if axis is not None:
                index[axis.find()] = found
        there = body.at_all(index)
        operand = self.value(seen, there)
        if not checked or not self.target.masks_outside:
            return self.alias(node, operand, body)
        for check in checked:
            value = self.new_value(node, body)
            body.add(Gathered(value, operand, check))
            operand = value
        return operand

    def looked_up_index(
        self, node: Node, index: Node, axis: Axis | None, body: Body
    ) -> tuple[Index, Value | None]:
        """An index of a gather, inside the axis for any data, and what checked it."""
        bounds = node.attribute_as(Gather).bounds
        if bounds is Bounds.CHECKED:
            return self.checked_index(node, index, axis, body)
        operand = self.value(index, body)
        if bounds is Bounds.INSIDE or self.is_chosen(node, body):
            return operand, None
        value = self.index_value(index, body)
        body.add(ClampIndex(value, operand, axis))
        return value, None

    def is_chosen(self, node: Node, body: Body) -> bool:
        """Whether the loop around runs over those positions only that choose the element."""
        outcomes = node.attribute_as(Gather).tests
        tests = node.sources[len(node.sources) - len(outcomes) :]
        return all(self.outcome(test, body) is outcome for test, outcome in zip(tests, outcomes, strict=True))

    def index_value(self, index: Node, body: Body) -> Value:
        """A value for an index that is made to be inside."""
        if not body.is_tile:
            return Value(index)
        return Value(index, self.buffers.tile(f"v{index.number}_inside_lane", INT64, (), self.number))

    def copied(self, node: Node, body: Body) -> Operand:
        """The element of the input at the same position, which may be another place of the same axes."""
        seen = node.inputs[0]
        source = base(seen)
        dimensions = seen.attribute.dimensions if isinstance(seen.attribute, View) else range(source.ndim)
        index = {
            dimension: body.index[axis.find()]
            for dimension, axis in zip(dimensions, node.shape, strict=True)
            if dimension is not None and axis is not None
        }
        value = self.new_value(node, body)
        if source.operation is Op.IOTA:
            body.add(Position(value, index.get(0, Zero())))
            return value
        buffer = self.buffers.where(source, self.number)
        assert buffer is not None, f"{source} is not in memory"
        where = tuple(index[dimension] for dimension, axis in enumerate(source.shape) if axis is not None)
        body.add(Load(value, source, buffer, where))
        return value

    def checked_index(
        self, node: Node, index: Node, axis: Axis | None, body: Body
    ) -> tuple[Index, Value | None]:
        """The index that a value is taken at, inside the axis for any data, and what checked it."""
        operand = self.value(index, body)
        if is_inside(index, axis):
            return operand, None
        value = self.index_value(index, body)
        watched = not (self.target.looks_at_arguments and is_argument(index))
        body.add(CheckIndex(value, operand, axis, self.buffers.flag_of(node) if watched else None))
        return value, value


_MOVES = {
    Op.TAKE_ALONG_AXIS: Values.taken_along_axis,
    Op.TAKE: Values.taken,
    Op.COPY: Values.copied,
    Op.GATHER: Values.gathered,
}
