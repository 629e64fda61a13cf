"""When a result may be written over an argument that was donated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir.dtypes import FLOAT32
from ..ir.graph import Node, base, sources
from ..ir.operations import REDUCTIONS, Op
from .fusion import RowLoop, column_axis
from .stages import Phase, is_taken_whole, kind

if TYPE_CHECKING:
    from .plan import Plan


def may_take(plan: Plan, result: Node, given: Node, reads_rows_first: bool) -> bool:
    """Whether `result` can be written over `given`: nobody needs an element of it once it is written.

    reads_rows_first: see `make_plan`
    """
    if kind(result) != "row" or result.dtype != given.dtype or result.operation is Op.MATMUL:
        return False
    if result.dtype == FLOAT32 and plan.half_of(result) != plan.place[given].half:
        return False
    # Equal axes, and not only equal sizes: then whoever reads it reads the element he is about to write.
    if result.axes != given.axes or [a is None for a in result.shape] != [a is None for a in given.shape]:
        return False
    # Single numbers are made wherever they are needed, also when all loops are done.
    if any(kind(node) == "number" and given in sources(node) for node in plan.schedule.when):
        return False
    home = next(phase for phase in plan.schedule.phases if result in phase.kept)
    for inside in plan.bodies:
        phase = inside.phase
        reads = any(
            base(source) is given for node in phase.inside | set(phase.sums) for source in node.inputs
        )
        if not reads or phase.section < home.section:
            continue
        if phase is not home or len(inside.steps) != 1 or not isinstance(inside.steps[0], RowLoop):
            return False
        if not _is_read_in_time(inside.steps[0], phase, result, given, reads_rows_first):
            return False
    return not any(
        base(source) is given for node in plan.schedule.whole for source in node.inputs
    ) and not any(
        base(source) is given
        for phase in plan.schedule.phases
        if phase.section >= home.section
        for node in phase.inside
        for position, source in enumerate(node.inputs)
        if is_taken_whole(node, position)
    )


def comes_before(node: Node, written: Node, loop: RowLoop, phase: Phase) -> bool:
    """Whether a value that is stored or added up is one of the row's, of no later turn than `written`.

    Where rows are read first it has been computed when the first element of `written` is stored.
    """
    value = base(node.inputs[0]) if kind(node) == "sum" else node
    if column_axis(value, phase) is not None or value.operation in REDUCTIONS:
        return False
    return loop.levels.get(value, 0) <= loop.levels[written]


def _is_read_in_time(loop: RowLoop, phase: Phase, result: Node, given: Node, reads_rows_first: bool) -> bool:
    """Whether all that reads `given` does so before, or at the element where, `result` is written."""
    column = column_axis(result, phase)
    if not reads_rows_first and any(
        node.operation is Op.TAKE_ALONG_AXIS and given in _reads(node, loop) for node in loop.levels
    ):
        return False
    ends = [*loop.stores, *loop.sums, *loop.carried]
    ends += [node for node in loop.levels if node.operation in REDUCTIONS and kind(node) == "row"]
    for node in ends:
        if node is result or given not in _reads(node, loop):
            continue
        if reads_rows_first and column is not None and comes_before(node, result, loop, phase):
            continue
        source = base(node.inputs[0]) if node.operation in REDUCTIONS else node
        level = loop.levels.get(source if kind(node) == "sum" else node, 0)
        same_loop = column_axis(source, phase) is column
        # Within one loop everything is read before anything is written; different loops of a level, and what
        # a row has one of, come in an order of their own.
        in_time = level < loop.levels[result] or (level == loop.levels[result] and same_loop)
        if not in_time or (column is None and not same_loop):
            return False
    return True


def _reads(node: Node, loop: RowLoop) -> set[Node]:
    """What is read in the level of this value for it; a reduction has read its input in its own level."""
    found: set[Node] = set()
    stack = [node]
    while stack:
        for source in sources(stack.pop()):
            found.add(source)
            if source in loop.levels and source.operation not in REDUCTIONS and source not in loop.carried:
                stack.append(source)
    return found
