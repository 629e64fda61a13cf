"""The stages of a program, and the fusion groups of each stage.

Takes the outputs of a simplified graph; gives a schedule. A value is local to the rows of its first axis. A
sum over the rows is complete when all rows are done, so a value that uses it is computed in a later stage. A
stage has one fusion group for each axis that is looped over. Groups of one stage do not need each other's
results.

`loss, x.T @ grad` of a network becomes one stage with one group over the rows of x: the loss and the product
are sums that it leaves. `x - mean(x, axis=0)` becomes two: the sum over rows first, then a loop that uses it.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, insort
from dataclasses import dataclass, field

from ..ir.attributes import Gather, Transposes
from ..ir.graph import Axis, Node, base, sources, walk
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op

# An expression of so many additions is computed again in another loop rather than stored for it.
CHEAP = 8

NUMBERS = (Op.CONSTANT, Op.SCALAR, Op.SIZE)

_LEAVES = frozenset({Op.INPUT, *NUMBERS, Op.IOTA})
_REDUCING = frozenset(REDUCTIONS)


class Role(enum.Enum):
    """How a value comes to be.

    LEAF:   it is there, or is known from the indices alone
    NUMBER: it has no axes; every worker computes it for itself
    ROW:    local to the rows of its group
    SUM:    combined over all the rows of its group
    WHOLE:  a product of whole arrays that has no rows to share out
    """

    LEAF = enum.auto()
    NUMBER = enum.auto()
    ROW = enum.auto()
    SUM = enum.auto()
    WHOLE = enum.auto()


def role(node: Node) -> Role:
    """How a value comes to be."""
    if node.operation in _LEAVES:
        return Role.LEAF
    if node.operation is Op.MATMUL:
        how = node.attribute_as(Transposes)
        if node.inputs[0].shape[0] is None:
            return Role.WHOLE
        return Role.SUM if how.transpose_a and not how.by_result else Role.ROW
    if node.operation in _REDUCING:
        return Role.ROW if node.sources[0].axes[0] in node.axes else Role.SUM
    return Role.ROW if node.axes else Role.NUMBER


def is_by_result(node: Node) -> bool:
    """Whether a value is a product over rows that is computed for some rows of the result at a time."""
    return node.operation is Op.MATMUL and node.attribute_as(Transposes).by_result


def row_axis(node: Node) -> Axis:
    """The axis whose rows a "row" or "sum" value is computed in."""
    if is_by_result(node):
        return node.axes[0]
    if node.operation is Op.MATMUL or node.operation in REDUCTIONS:
        return base(node.inputs[0]).axes[0] if node.operation in REDUCTIONS else node.inputs[0].axes[0]
    return node.axes[0]


def is_inline(node: Node) -> bool:
    """Whether a value is so cheap, and made of nothing but leaves, that every loop computes it for itself."""
    return _inline_cost(node) <= CHEAP


def _inline_cost(node: Node) -> int:
    if role(node) in (Role.LEAF, Role.NUMBER):
        return 0
    if node.operation not in ELEMENTWISE and node.operation is not Op.BROADCAST_TO:
        return CHEAP + 1
    own = ELEMENTWISE[node.operation].cost if node.operation in ELEMENTWISE else 0
    total = own
    for source in sources(node):
        if total > CHEAP:
            break
        total += _inline_cost(source)
    return total


def is_taken_whole(consumer: Node, position: int) -> bool:
    """Whether a value's consumer reads all of it for every row."""
    if consumer.operation is Op.MATMUL:
        if role(consumer) is Role.WHOLE or is_by_result(consumer):
            return True
        return role(consumer) is Role.ROW and position == 1
    if consumer.operation is Op.GATHER:
        return position == 0 and not keeps_rows(consumer)
    # A copy has the same elements in other places.
    return consumer.operation is Op.COPY or (consumer.operation is Op.TAKE and position == 0)


def keeps_rows(gather: Node) -> bool:
    """Whether a row of a gather is made of the same row of what it looks up in."""
    seen = gather.inputs[0]
    rows = base(seen).axes
    for axis, place in zip(seen.shape, gather.attribute_as(Gather).places, strict=True):
        if axis is not None and axis.find() is rows[0]:
            found = gather.shape[place] if place >= 0 else None
            return found is not None and found.find() is gather.axes[0]
    return False


def must_be_complete(source: Node, consumer: Node, position: int) -> bool:
    """Whether all of `source` must be in memory before the loop of `consumer` starts."""
    how = role(source)
    if how in (Role.LEAF, Role.NUMBER):
        return False
    if how in (Role.SUM, Role.WHOLE) or role(consumer) is Role.NUMBER:
        return True
    if is_taken_whole(consumer, position):
        # What is cheap is computed again, at the index.
        return consumer.operation is not Op.GATHER or not is_inline(source)
    if row_axis(source) is row_axis(consumer):
        return False
    return not is_inline(source)


@dataclass(eq=False)
class FusionGroup:
    """All that one loop over the rows of an axis computes.

    stores: row values that are in memory afterwards
    sums:   sums over the rows that it leaves
    inside: all values that it computes
    reads:  of those looked at so far, the inputs that it computes and reads row by row
    """

    stage: int
    axis: Axis
    stores: list[Node] = field(default_factory=list)
    sums: list[Node] = field(default_factory=list)
    inside: set[Node] = field(default_factory=set)
    reads: dict[Node, list[Node]] = field(default_factory=dict)


@dataclass
class Schedule:
    """What runs when."""

    outputs: list[Node]
    groups: list[FusionGroup]
    whole: dict[Node, int]  # products of whole arrays, with their stages
    complete: list[Node]  # values that are in memory as a whole, in the order of their making
    stages: int


def schedule(outputs: list[Node]) -> Schedule:
    """Put everything that the outputs need into stages and groups."""
    nodes = [node for node in walk(outputs) if node.operation is not Op.VIEW]
    users: dict[Node, list[tuple[Node, int]]] = {node: [] for node in nodes}
    for node in nodes:
        for position, source in enumerate(sources(node)):
            users[source].append((node, position))
    ends = {base(node) for node in outputs}
    earliest = _earliest(nodes)

    # What has to be left behind by a loop, and the latest stage that is early enough for its users.
    goals = [
        node
        for node in nodes
        if role(node) is Role.SUM
        or (role(node) is Role.ROW and node in ends)
        or (role(node) is Role.ROW and any(must_be_complete(node, *user) for user in users[node]))
    ]
    stage = _as_late_as_useful(nodes, goals, users, earliest)

    groups: dict[tuple[int, int], FusionGroup] = {}
    numbers = {axis: i for i, axis in enumerate(_axes_in_order(nodes))}
    for node in sorted(goals, key=lambda goal: (stage[goal], goal.number)):
        key = stage[node], numbers[row_axis(node)]
        group = groups.setdefault(key, FusionGroup(key[0], row_axis(node)))
        (group.sums if role(node) is Role.SUM else group.stores).append(node)
    ordered = [groups[key] for key in sorted(groups)]
    _fill(ordered)

    whole = {node: earliest[node] for node in nodes if role(node) is Role.WHOLE}
    last = max([group.stage for group in ordered] + list(whole.values()), default=-1)
    complete = [node for group in ordered for node in group.sums + group.stores]
    return Schedule(outputs, ordered, whole, complete + list(whole), last + 1)


def _axes_in_order(nodes: list[Node]) -> list[Axis]:
    found: dict[Axis, None] = {}
    for node in nodes:
        found.update(dict.fromkeys(node.axes))
        for source in node.inputs:
            found.update(dict.fromkeys(source.axes))
    return list(found)


def _earliest(nodes: list[Node]) -> dict[Node, int]:
    """The first stage that can compute each value."""
    earliest: dict[Node, int] = {}
    # The first stage that can read all of a value.
    complete: dict[Node, int] = {}
    for node in nodes:
        time = 0
        for position, source in enumerate(sources(node)):
            is_whole = must_be_complete(source, node, position) or role(source) in (Role.LEAF, Role.NUMBER)
            time = max(time, complete[source] if is_whole else earliest[source])
        earliest[node] = time
        complete[node] = time if role(node) in (Role.LEAF, Role.NUMBER) else time + 1
    return earliest


def _as_late_as_useful(
    nodes: list[Node],
    goals: list[Node],
    users: dict[Node, list[tuple[Node, int]]],
    earliest: dict[Node, int],
) -> dict[Node, int]:
    """The stage of every goal: a loop that runs anyway may as well do it, if that is early enough."""
    stage = dict(earliest)
    never = 1 << 30
    # By axis: the stages that have a loop over it, sorted, once for each goal.
    running: dict[Axis, list[int]] = {}
    for goal in sorted(goals, key=lambda goal: earliest[goal]):
        running.setdefault(row_axis(goal), []).append(earliest[goal])
    ends = set(goals)
    # The first stage that computes a value, or needs a number; users come later among the nodes.
    first: dict[Node, int] = {}
    for node in reversed(nodes):
        needed, latest = [], never
        for user, position in users[node]:
            if must_be_complete(node, user, position):
                latest = min(latest, first[user])
            else:
                needed.append(first[user])
        if node in ends:
            stage[node] = _moved(running[row_axis(node)], earliest[node], latest)
            needed.append(stage[node])
        elif role(node) is Role.WHOLE:
            needed.append(stage[node])
        first[node] = min(needed, default=never)
    return stage


def _moved(running: list[int], earliest: int, latest: int) -> int:
    """The last of the running stages before `latest`, to which a goal moves from its earliest one."""
    before = bisect_left(running, latest)
    found = max(earliest, running[before - 1]) if before else earliest
    del running[bisect_left(running, earliest)]
    insort(running, found)
    return found


def _fill(groups: list[FusionGroup]) -> None:
    """What each group computes: all that its goals need and that no memory holds."""
    made_in = {node: group for group in groups for node in group.stores}
    stored = set(made_in)
    for group in groups:
        stack = group.sums + group.stores
        while stack:
            node = stack.pop()
            if node in group.inside:
                continue
            group.inside.add(node)
            for position, source in enumerate(sources(node)):
                if role(source) is not Role.ROW or must_be_complete(source, node, position):
                    continue
                earlier = made_in.get(source)
                if earlier is not None and earlier.stage < group.stage:
                    if source not in stored and is_expensive(source):
                        earlier.stores.append(source)
                        stored.add(source)
                    if source in stored:
                        continue
                stack.append(source)
        for node in group.inside:
            made_in.setdefault(node, group)


def is_expensive(node: Node) -> bool:
    """Whether a value is kept for a later loop rather than computed again from what that loop reads."""
    return node.operation is Op.MATMUL or node.operation in REDUCTIONS
