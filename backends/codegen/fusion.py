"""The steps of a fusion group: matrix products of a block of rows, and loop nests over its rows, in turn.

Takes a fusion group; gives its steps. A nest passes over each row as often as its reductions demand: softmax
takes the maximum in pass 0, the sum of the exponentials in pass 1, and divides in pass 2. For the step of a
network with one hidden layer the steps are

    hidden = x @ w1            product
    relu                       nest 0
    logits = relu @ w2         product
    cross-entropy, gradient    nest 1: three passes over the row of logits
    ...                        products of the backward pass, and the nest with the mask of the ReLU
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir.graph import Axis, Node, sources
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op
from .stages import CHEAP, FusionGroup, Role, is_taken_whole, must_be_complete, role


@dataclass(eq=False)
class NestSpec:
    """What one loop nest computes: a walk over the rows of a block.

    stores: row values that are in memory afterwards
    sums:   sums over the rows that it adds to
    passes: of every value that it computes, the pass over the row that computes it
    kept:   values of one pass that a later pass reads, and that cost too much to be computed again
    loaded: values that it finds in memory
    """

    stores: list[Node] = field(default_factory=list)
    sums: list[Node] = field(default_factory=list)
    passes: dict[Node, int] = field(default_factory=dict)
    kept: dict[Node, None] = field(default_factory=dict)
    loaded: set[Node] = field(default_factory=set)

    @property
    def last_pass(self) -> int:
        return max(self.passes.values(), default=0)


@dataclass(frozen=True)
class FusedGroup:
    """The steps of a fusion group for each block of rows.

    steps:        products, as the nodes that they are, and loop nests
    block_values: values that are in memory for the rows of the block only
    """

    group: FusionGroup
    steps: tuple[Node | NestSpec, ...]
    block_values: tuple[Node, ...]


def fuse(group: FusionGroup) -> FusedGroup:
    """Put what a group computes into steps."""
    inside = sorted(group.inside, key=lambda node: node.number)
    complete = set(group.stores)
    step = _numbers_of_steps(inside, group)
    products = [node for node in inside if node.operation is Op.MATMUL]

    # Every row value that a product reads, that is looked up or kept, is stored by the loop of its step.
    goals: dict[int, list[Node]] = {}
    blocks: list[Node] = [node for node in products if role(node) is Role.ROW and node not in complete]
    for node in inside:
        for source in _inside(node, group):
            is_read = node.operation is Op.MATMUL or _is_looked_up(node, source, group)
            if is_read and source.operation is not Op.MATMUL:
                goals.setdefault(step[source], []).append(source)
                if source not in complete:
                    blocks.append(source)
    for node in group.stores:
        if node.operation is not Op.MATMUL:
            goals.setdefault(step[node], []).append(node)
    sums: dict[int, list[Node]] = {}
    for node in group.sums:
        if node.operation is not Op.MATMUL:
            sums.setdefault(step[node], []).append(node)

    loops: dict[int, NestSpec] = {}
    stored: set[Node] = set(products)
    made_in: dict[Node, NestSpec] = {}
    for number in sorted(goals.keys() | sums.keys()):
        loop = loops[number] = NestSpec(sorted(set(goals.get(number, [])), key=_number), sums.get(number, []))
        _find_inside(loop, group, stored, made_in, blocks)
        stored.update(loop.stores)
    for loop in loops.values():
        _find_passes(loop, group)
    products_of: dict[int, list[Node]] = {}
    for node in products:
        products_of.setdefault(step[node], []).append(node)
    steps: list[Node | NestSpec] = []
    for number in sorted(products_of.keys() | loops.keys()):
        steps += products_of.get(number, [])
        if number in loops:
            steps.append(loops[number])
    return FusedGroup(group, tuple(steps), tuple(sorted(set(blocks), key=_number)))


def _numbers_of_steps(inside: list[Node], group: FusionGroup) -> dict[Node, int]:
    """The step that computes each value: behind those of what it reads from memory."""
    step: dict[Node, int] = {}
    for node in inside:
        step[node] = 1 if node.operation is Op.MATMUL else 0
        for source in _inside(node, group):
            before = step[source]
            if node.operation is Op.MATMUL:
                step[node] = max(step[node], before + (2 if source.operation is Op.MATMUL else 1))
            else:
                is_stored = source.operation is Op.MATMUL or _is_looked_up(node, source, group)
                step[node] = max(step[node], before + (1 if is_stored else 0))
    return step


def _is_looked_up(node: Node, source: Node, group: FusionGroup) -> bool:
    """Whether elements of a value are looked up that cost too much to be computed at each index."""
    if node.operation is not Op.GATHER or source is not node.sources[0] or is_row_number(source, group):
        return False
    # What has other rows is computed again at each index; it would not be here if it were not cheap.
    return not is_taken_whole(node, 0) and expression_cost(source, group, frozenset()) > CHEAP


def _has_other_rows(node: Node, group: FusionGroup) -> bool:
    """Whether a value of two dimensions is not of the rows of a group: it is computed at looked-up rows."""
    return len(node.axes) > 1 and node.axes[0] is not group.axis.find()


def _number(node: Node) -> int:
    return node.number


def _inside(node: Node, group: FusionGroup) -> list[Node]:
    """The inputs that this group computes and this value reads row by row."""
    found = group.reads.get(node)
    if found is None:
        found = group.reads[node] = [
            source
            for position, source in enumerate(sources(node))
            if source in group.inside
            and role(source) is Role.ROW
            and not must_be_complete(source, node, position)
        ]
    return found


def _find_inside(
    loop: NestSpec, group: FusionGroup, stored: set[Node], made_in: dict[Node, NestSpec], blocks: list[Node]
) -> None:
    """All that the loop computes; what an earlier one computed at some expense, that one stores."""
    stack = loop.stores + loop.sums
    computed: set[Node] = set()
    while stack:
        node = stack.pop()
        if node in computed:
            continue
        computed.add(node)
        for source in _inside(node, group):
            earlier = made_in.get(source)
            if source not in stored and earlier is not None and _is_worth_storing(source, group):
                earlier.stores.append(source)
                stored.add(source)
                blocks.append(source)
            if source in stored:
                loop.loaded.add(source)
            else:
                stack.append(source)
    # In the order of the graph: that of a set depends on addresses, and so would the text.
    for node in sorted(computed, key=_number):
        made_in.setdefault(node, loop)
        loop.passes[node] = 0


def _is_worth_storing(node: Node, group: FusionGroup) -> bool:
    if _has_other_rows(node, group):
        return False
    if node.operation in REDUCTIONS:
        return True
    return expression_cost(node, group, frozenset()) > CHEAP


def expression_cost(node: Node, group: FusionGroup, there: frozenset[Node] | set[Node]) -> int:
    """Additions an element, down to what is there; what is one number a row counts for nothing."""
    free = node in there or role(node) in (Role.LEAF, Role.NUMBER) or is_row_number(node, group)
    if free or node.operation is Op.MATMUL:
        return 0
    if node.operation in REDUCTIONS:
        return 0  # a number a row by then
    own = ELEMENTWISE[node.operation].cost if node.operation in ELEMENTWISE else 1
    total = own
    for source in sources(node):
        if total > 4 * CHEAP:
            break
        total += expression_cost(source, group, there)
    return total


def is_row_number(node: Node, group: FusionGroup) -> bool:
    """Whether a value is one number a row."""
    return all(axis is group.axis.find() for axis in node.axes)


def column_axis(node: Node, group: FusionGroup) -> Axis | None:
    """The axis within a row that a value runs over."""
    return next((axis for axis in node.axes if axis is not group.axis.find()), None)


def _find_passes(loop: NestSpec, group: FusionGroup) -> None:
    computed = sorted(loop.passes, key=_number)
    for node in computed:
        number = 0
        for position, source in enumerate(sources(node)):
            if source in loop.passes and not is_taken_whole(node, position):
                along = source.operation in REDUCTIONS and role(source) is Role.ROW
                number = max(number, loop.passes[source] + (1 if along else 0))
        loop.passes[node] = number
    # A reduction's pass is that of the loop over the columns that it runs in; its users come one later.
    last = last_passes(loop, group, computed)
    there: set[Node] = set(loop.loaded)
    stores = set(loop.stores)
    for node in computed:
        if column_axis(node, group) is None or node.operation in REDUCTIONS or _has_other_rows(node, group):
            continue
        is_used_later = last[node] > loop.passes[node]
        if is_used_later and node not in stores and expression_cost(node, group, there) > CHEAP:
            loop.kept[node] = None
            there.add(node)
        elif node in stores:
            there.add(node)


def last_passes(loop: NestSpec, group: FusionGroup, computed: list[Node]) -> dict[Node, int]:
    """The last pass that uses each value, itself or through what is computed from it there."""
    last = dict(loop.passes)
    stores = set(loop.stores)
    for user in reversed(computed):
        ends = column_axis(user, group) is None or user.operation in REDUCTIONS or user in stores
        number = loop.passes[user] if ends else last[user]
        for source in sources(user):
            if source in last:
                last[source] = max(last[source], number)
    return last
