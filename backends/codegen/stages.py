"""The schedule: which loops over rows there are, in which order, and what each of them is to leave behind.

A value is local to the rows of its first axis. A sum over rows is complete only when all rows are done, so
what uses it comes in a later section. Sections follow each other; in a section there is one phase for every
axis that is looped over, and phases of one section do not need each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir.attributes import MatMul
from ..ir.graph import Axis, Node, base, sources, walk
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op

# An expression of so many additions is computed again in another loop rather than stored for it.
CHEAP = 8

NUMBERS = (Op.CONSTANT, Op.SCALAR, Op.SIZE)


def kind(node: Node) -> str:
    """How a value comes to be.

    "leaf":   it is there, or is known from the indices alone
    "number": it has no axes; every thread computes it for itself
    "row":    local to the rows of its phase
    "sum":    combined over all the rows of its phase
    "whole":  a product of whole arrays that has no rows to share out
    """
    if node.operation is Op.INPUT or node.operation in NUMBERS or node.operation is Op.IOTA:
        return "leaf"
    if node.operation is Op.MATMUL:
        transposed = node.attribute_as(MatMul).transpose_a
        rows = node.inputs[0].shape[0]
        return "whole" if rows is None else "sum" if transposed else "row"
    if node.operation in REDUCTIONS:
        source = base(node.inputs[0])
        return "row" if source.axes[0] in node.axes else "sum"
    return "row" if node.axes else "number"


def phase_axis(node: Node) -> Axis:
    """The axis whose rows a "row" or "sum" value is computed in."""
    if node.operation is Op.MATMUL or node.operation in REDUCTIONS:
        first = node.inputs[0] if node.operation is Op.MATMUL else base(node.inputs[0])
        return next(axis for axis in first.shape if axis is not None).find()
    return node.axes[0]


def is_inline(node: Node) -> bool:
    """Whether a value is so cheap, and made of nothing but leaves, that every loop computes it for itself."""
    return _inline_cost(node) <= CHEAP


def _inline_cost(node: Node) -> int:
    if kind(node) in ("leaf", "number"):
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
        return kind(consumer) == "whole" or (kind(consumer) == "row" and position == 1)
    # A copy has the same elements in other places.
    return consumer.operation is Op.COPY or (consumer.operation is Op.TAKE and position == 0)


def must_be_complete(source: Node, consumer: Node, position: int) -> bool:
    """Whether all of `source` must be in memory before the loop of `consumer` starts."""
    how = kind(source)
    if how in ("leaf", "number"):
        return False
    if how in ("sum", "whole") or is_taken_whole(consumer, position) or kind(consumer) == "number":
        return True
    if phase_axis(source) is phase_axis(consumer):
        return False
    return not is_inline(source)


@dataclass(eq=False)
class Phase:
    """One loop over the rows of an axis."""

    section: int
    axis: Axis
    kept: list[Node] = field(default_factory=list)  # row values that are to be in memory afterwards
    sums: list[Node] = field(default_factory=list)
    inside: set[Node] = field(default_factory=set)  # all that is computed in it


@dataclass
class Schedule:
    """What runs when."""

    outputs: list[Node]
    phases: list[Phase]
    whole: dict[Node, int]  # products of whole arrays, with their sections
    complete: list[Node]  # values that are in memory as a whole, in the order of their making
    sections: int
    when: dict[Node, int]  # the section from whose start on a sum, a whole product or a number is known

    def phases_of(self, section: int) -> list[Phase]:
        return [phase for phase in self.phases if phase.section == section]


def schedule(outputs: list[Node]) -> Schedule:
    """Put everything that the outputs need into sections and phases."""
    nodes = [node for node in walk(outputs) if node.operation is not Op.VIEW]
    users: dict[Node, list[tuple[Node, int]]] = {node: [] for node in nodes}
    for node in nodes:
        for position, source in enumerate(sources(node)):
            users[source].append((node, position))
    ends = {base(node) for node in outputs}
    earliest, known = _times(nodes)

    # What has to be left behind by a loop, and the latest section that is early enough for its users.
    goals = [
        node
        for node in nodes
        if kind(node) == "sum"
        or (kind(node) == "row" and node in ends)
        or (kind(node) == "row" and any(must_be_complete(node, *user) for user in users[node]))
    ]
    section = _as_late_as_useful(nodes, goals, users, earliest)

    phases: dict[tuple[int, int], Phase] = {}
    numbers = {axis: i for i, axis in enumerate(_axes_in_order(nodes))}
    for node in sorted(goals, key=lambda goal: (section[goal], goal.number)):
        key = section[node], numbers[phase_axis(node)]
        phase = phases.setdefault(key, Phase(key[0], phase_axis(node)))
        (phase.sums if kind(node) == "sum" else phase.kept).append(node)
    ordered = [phases[key] for key in sorted(phases)]
    _fill(ordered)

    whole = {node: earliest[node] for node in nodes if kind(node) == "whole"}
    last = max([phase.section for phase in ordered] + list(whole.values()), default=-1)
    of_sum = {node: phase.section + 1 for phase in ordered for node in phase.sums}
    when: dict[Node, int] = {}
    for node in nodes:
        if kind(node) in ("leaf", "number"):
            when[node] = max([when[source] for source in sources(node)], default=0)
        else:
            when[node] = of_sum.get(node, known[node])
    complete = [node for phase in ordered for node in phase.sums + phase.kept]
    return Schedule(outputs, ordered, whole, complete + list(whole), last + 1, when)


def _axes_in_order(nodes: list[Node]) -> list[Axis]:
    found: dict[Axis, None] = {}
    for node in nodes:
        found.update(dict.fromkeys(node.axes))
        for source in node.inputs:
            found.update(dict.fromkeys(source.axes))
    return list(found)


def _times(nodes: list[Node]) -> tuple[dict[Node, int], dict[Node, int]]:
    """The first section that can compute each value, and the first that can read all of it."""
    earliest: dict[Node, int] = {}
    known: dict[Node, int] = {}
    for node in nodes:
        time = 0
        for position, source in enumerate(sources(node)):
            complete = must_be_complete(source, node, position) or kind(source) in ("leaf", "number")
            time = max(time, known[source] if complete else earliest[source])
        earliest[node] = time
        known[node] = time if kind(node) in ("leaf", "number") else time + 1
    return earliest, known


def _as_late_as_useful(
    nodes: list[Node],
    goals: list[Node],
    users: dict[Node, list[tuple[Node, int]]],
    earliest: dict[Node, int],
) -> dict[Node, int]:
    """The section of every goal: a loop that runs anyway may as well do it, if that is early enough."""
    section = dict(earliest)
    never = 1 << 30
    # The first section that computes a value, or needs a number; users come later among the nodes.
    first: dict[Node, int] = {}
    for node in reversed(nodes):
        complete = [user for user in users[node] if must_be_complete(node, *user)]
        needed = [first[user] for user, _ in users[node] if (user, _) not in complete]
        if node in goals:
            latest = min((first[user] for user, _ in complete), default=never)
            same = [section[goal] for goal in goals if phase_axis(goal) is phase_axis(node)]
            section[node] = max(
                t
                for t in [*same, section[node]]
                if earliest[node] <= t and (t < latest or t == earliest[node])
            )
            needed.append(section[node])
        elif kind(node) == "whole":
            needed.append(section[node])
        first[node] = min(needed, default=never)
    return section


def _fill(phases: list[Phase]) -> None:
    """What each phase computes: all that its goals need and that no memory holds."""
    made_in: dict[Node, Phase] = {}
    for phase in phases:
        for node in phase.kept:
            made_in.setdefault(node, phase)
    for phase in phases:
        stack = phase.sums + phase.kept
        while stack:
            node = stack.pop()
            if node in phase.inside:
                continue
            phase.inside.add(node)
            for position, source in enumerate(sources(node)):
                if kind(source) != "row" or must_be_complete(source, node, position):
                    continue
                earlier = made_in.get(source)
                if earlier is not None and earlier.section < phase.section:
                    if source not in earlier.kept and is_expensive(source):
                        earlier.kept.append(source)
                    if source in earlier.kept:
                        continue
                stack.append(source)
        for node in phase.inside:
            made_in.setdefault(node, phase)


def is_expensive(node: Node) -> bool:
    """Whether a value is kept for a later loop rather than computed again from what that loop reads."""
    return node.operation is Op.MATMUL or node.operation in REDUCTIONS
