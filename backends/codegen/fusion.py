"""The inside of a phase: products of a block of rows, and loops over its rows, in turn.

A row loop goes over each row as often as its reductions demand: once for the maximum, once for what is
computed with the maximum, and so on. These turns are its levels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir.graph import Axis, Node, sources
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op
from .stages import CHEAP, Phase, is_taken_whole, kind, must_be_complete


@dataclass(eq=False)
class Product:
    """A matrix product of a block of rows: node of it, added up over the blocks if it is a sum."""

    node: Node


@dataclass(eq=False)
class RowLoop:
    """One walk over the rows of a block.

    stores:  row values that are to be in memory afterwards
    sums:    sums over the rows
    levels:  of every value that is computed in it
    carried: values of a level that a later one reads from a buffer of one row
    """

    stores: list[Node] = field(default_factory=list)
    sums: list[Node] = field(default_factory=list)
    levels: dict[Node, int] = field(default_factory=dict)
    carried: list[Node] = field(default_factory=list)
    loaded: set[Node] = field(default_factory=set)  # what it finds in memory

    @property
    def last_level(self) -> int:
        return max(self.levels.values(), default=0)


@dataclass(eq=False)
class Body:
    """What a phase does with each block."""

    phase: Phase
    steps: list[Product | RowLoop]
    blocks: list[Node]  # values that are kept for the block only


def body(phase: Phase) -> Body:
    """Put what a phase computes into steps."""
    inside = sorted(phase.inside, key=lambda node: node.number)
    step: dict[Node, int] = {}
    for node in inside:
        step[node] = 1 if node.operation is Op.MATMUL else 0
        for source in _inside(node, phase):
            before = step[source]
            if node.operation is Op.MATMUL:
                step[node] = max(step[node], before + (2 if source.operation is Op.MATMUL else 1))
            else:
                step[node] = max(step[node], before + (1 if source.operation is Op.MATMUL else 0))
    products = [node for node in inside if node.operation is Op.MATMUL]

    # Every row value that a product reads, or that is kept, is stored by the loop of its step.
    goals: dict[int, list[Node]] = {}
    blocks: list[Node] = [node for node in products if kind(node) == "row" and node not in phase.kept]
    for node in products:
        for source in _inside(node, phase):
            if source.operation is not Op.MATMUL:
                goals.setdefault(step[source], []).append(source)
                if source not in phase.kept:
                    blocks.append(source)
    for node in phase.kept:
        if node.operation is not Op.MATMUL:
            goals.setdefault(step[node], []).append(node)
    sums: dict[int, list[Node]] = {}
    for node in phase.sums:
        if node.operation is not Op.MATMUL:
            sums.setdefault(step[node], []).append(node)

    loops: dict[int, RowLoop] = {}
    stored: set[Node] = set(products)
    made_in: dict[Node, RowLoop] = {}
    for number in sorted(goals.keys() | sums.keys()):
        loop = loops[number] = RowLoop(sorted(set(goals.get(number, [])), key=_number), sums.get(number, []))
        _find_inside(loop, phase, stored, made_in, blocks)
        stored.update(loop.stores)
    for loop in loops.values():
        _find_levels(loop, phase)
    steps: list[Product | RowLoop] = []
    for number in sorted({step[node] for node in products} | loops.keys()):
        steps += [Product(node) for node in products if step[node] == number]
        if number in loops:
            steps.append(loops[number])
    return Body(phase, steps, sorted(set(blocks), key=_number))


def _number(node: Node) -> int:
    return node.number


def _inside(node: Node, phase: Phase) -> list[Node]:
    """The inputs that this phase computes and this value reads row by row."""
    return [
        source
        for position, source in enumerate(sources(node))
        if source in phase.inside and kind(source) == "row" and not must_be_complete(source, node, position)
    ]


def _find_inside(
    loop: RowLoop, phase: Phase, stored: set[Node], made_in: dict[Node, RowLoop], blocks: list[Node]
) -> None:
    """All that the loop computes; what an earlier one computed at some expense, that one stores."""
    stack = loop.stores + loop.sums
    computed: set[Node] = set()
    while stack:
        node = stack.pop()
        if node in computed:
            continue
        computed.add(node)
        for source in _inside(node, phase):
            earlier = made_in.get(source)
            if source not in stored and earlier is not None and _is_worth_storing(source, phase):
                earlier.stores.append(source)
                stored.add(source)
                blocks.append(source)
            if source in stored:
                loop.loaded.add(source)
            else:
                stack.append(source)
    for node in sorted(computed, key=_number):  # a set has the order of addresses
        made_in.setdefault(node, loop)
        loop.levels[node] = 0


def _is_worth_storing(node: Node, phase: Phase) -> bool:
    if node.operation in REDUCTIONS:
        return True
    return expression_cost(node, phase, frozenset()) > CHEAP


def expression_cost(node: Node, phase: Phase, there: frozenset[Node] | set[Node]) -> int:
    """Additions an element, down to what is there; what is one number a row counts for nothing."""
    free = node in there or kind(node) in ("leaf", "number") or is_row_number(node, phase)
    if free or node.operation is Op.MATMUL:
        return 0
    if node.operation in REDUCTIONS:
        return 0  # a number a row by then
    own = ELEMENTWISE[node.operation].cost if node.operation in ELEMENTWISE else 1
    total = own
    for source in sources(node):
        if total > 4 * CHEAP:
            break
        total += expression_cost(source, phase, there)
    return total


def is_row_number(node: Node, phase: Phase) -> bool:
    """Whether a value is one number a row."""
    return all(axis is phase.axis.find() for axis in node.axes)


def column_axis(node: Node, phase: Phase) -> Axis | None:
    """The axis within a row that a value runs over."""
    return next((axis for axis in node.axes if axis is not phase.axis.find()), None)


def _find_levels(loop: RowLoop, phase: Phase) -> None:
    computed = sorted(loop.levels, key=_number)
    for node in computed:
        level = 0
        for position, source in enumerate(sources(node)):
            if source in loop.levels and not is_taken_whole(node, position):
                along = source.operation in REDUCTIONS and kind(source) == "row"
                level = max(level, loop.levels[source] + (1 if along else 0))
        loop.levels[node] = level
    # A reduction's level is that of the loop over the columns that it runs in; its users come one later.
    last = last_levels(loop, phase, computed)
    there: set[Node] = set(loop.loaded)
    for node in computed:
        if column_axis(node, phase) is None or node.operation in REDUCTIONS:
            continue
        is_used_later = last[node] > loop.levels[node]
        if is_used_later and node not in loop.stores and expression_cost(node, phase, there) > CHEAP:
            loop.carried.append(node)
            there.add(node)
        elif node in loop.stores:
            there.add(node)


def last_levels(loop: RowLoop, phase: Phase, computed: list[Node]) -> dict[Node, int]:
    """The last level in which each value is asked for, directly or through what is computed from it there."""
    last = dict(loop.levels)
    for user in reversed(computed):
        ends = column_axis(user, phase) is None or user.operation in REDUCTIONS or user in loop.stores
        level = loop.levels[user] if ends else last[user]
        for source in sources(user):
            if source in last:
                last[source] = max(last[source], level)
    return last
