"""The parts of a traced call: what loop nests compute, and what the arrays' library computes between them.

Takes a traced call; gives its parts, in the order in which they run. A solve between two formulas gives

    compiled    v1, v2 = two sums of the arguments
    library     v3 = solve(v1, v2)
    compiled    the result, from v3

Every operation of the table has an implementation in the library as well (`ir.interpret`). The library
computes what no loop nest can: operations on whole arrays, and values that do not fit two nested loops.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy

from ..ir.attributes import Attribute, BroadcastTo, Gather, Iota, Reduction, Size
from ..ir.dtypes import PYTHON_TYPES, numpy_dtype, python_dtype
from ..ir.graph import Axis, Node, Shape, base, walk
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op
from ..trace.indices import require_indices
from ..trace.symbolic import SymbolicArray, current_trace
from ..trace.trace import Traced, trace
from . import moves  # noqa: F401 - gives `simplify` its moves
from .coalesce import nodes_of_many_dimensions
from .simplify import ReshapeError, Simplified

# Moves of elements: a loop nest computes them if it computes a value from them.
MOVES = frozenset({Op.SLICE, Op.RESHAPE, Op.CONCAT, Op.GATHER, Op.UPDATE})
# To choose among more arrays in a loop costs more than to join them in memory first.
MOST_JOINED = 8
# The same limit for updates of updates.
MOST_UPDATES = 4
# Elements of a reduction across an argument that the library does.
MOST_ACROSS = 2048

_NUMBERS = frozenset({Op.CONSTANT, Op.SCALAR, Op.SIZE, Op.IOTA})
# Operations whose result has the memory of their input.
_VIEWS = frozenset({Op.VIEW, Op.SLICE, Op.RESHAPE, Op.BROADCAST_TO})


@dataclass(frozen=True)
class Part:
    """The nodes that one program, or the library, computes.

    inputs:  arrays and numbers of the call, and results of earlier parts
    nodes:   in the order in which they are computed
    outputs: the nodes that later parts or the result need
    """

    inputs: tuple[Node, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Node, ...]
    is_compiled: bool


@dataclass
class Split:
    """A graph while it is split.

    of_library: nodes that the library computes
    """

    outputs: list[Node]
    of_library: set[Node] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.nodes = list(walk(self.outputs))
        self.of_library |= {node for node in self.nodes if node.operation is Op.LIBRARY}
        self._leave_to_library()
        # What depends on no array is computed wherever it is needed.
        self.free: set[Node] = set()
        for node in self.nodes:
            is_free = node.operation in _NUMBERS or node.operation in (*ELEMENTWISE, *_VIEWS)
            is_free = is_free and node not in self.of_library
            if is_free and all(source in self.free for source in node.inputs):
                self.free.add(node)

    def _leave_to_library(self) -> None:
        """Moves that only the library reads, and those of too many arrays."""
        users: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for source in node.inputs:
                users[source].append(node)
        long = _long_moves(self.nodes)
        ends = set(self.outputs)
        for node in reversed(self.nodes):
            if is_across(node):
                self.of_library.add(node)
            if node.operation not in MOVES:
                continue
            is_read_by_library = node not in ends and all(user in self.of_library for user in users[node])
            if is_read_by_library or node in long:
                self.of_library.add(node)

    def times(self) -> dict[Node, int]:
        """The turn in which each node is computed: even turns are the library's, odd ones are programs."""
        found: dict[Node, int] = {}
        for node in self.nodes:
            if node in self.free or node.operation is Op.INPUT:
                continue
            earliest = max((found.get(source, 0) for source in node.inputs), default=0)
            is_odd = node not in self.of_library
            found[node] = earliest if earliest % 2 == is_odd else earliest + 1
        self._delay(found)
        return found

    def _delay(self, times: dict[Node, int]) -> None:
        """An operation of elements that only later parts need is done there, and its result not stored."""
        users: dict[Node, int] = {}
        ends = set(self.outputs)
        for node in reversed(self.nodes):
            if node not in times:
                continue
            can_wait = node.operation in ELEMENTWISE and node not in self.of_library
            if can_wait and node not in ends and node in users and node.ndim:
                latest = users[node] if users[node] % 2 else users[node] - 1
                if all(source not in times or times[source] < times[node] for source in node.inputs):
                    times[node] = max(times[node], latest)
            for source in node.inputs:
                users[source] = min(users.get(source, times[node]), times[node])

    def parts(self) -> list[Part]:
        """All parts, in the order in which they run."""
        times = self.times()
        late = [node for node in self.outputs if node in self.free]
        last = max(times.values(), default=0)
        alone = last if last % 2 else last + 1
        needed_by: dict[int, dict[Node, None]] = {}
        for node in self.nodes:
            if node in times:
                needed_by.setdefault(times[node], {})[node] = None
        if late:
            needed_by.setdefault(alone, {})
        ends = set(self.outputs)
        read_in: dict[Node, set[int]] = {}
        for node, time in times.items():
            for source in node.inputs:
                read_in.setdefault(source, set()).add(time)
        made = []
        for time in sorted(needed_by):
            own = needed_by[time]
            roots = [*own, *(late if time == alone else ())]
            nodes = [n for n in walk(roots, set(times) - set(own)) if n in own or n in self.free]
            outputs = [n for n in own if n in ends or read_in.get(n, {time}) - {time}]
            outputs += late if time == alone else []
            made.append(_part(nodes, list(dict.fromkeys(outputs)), is_compiled=bool(time % 2)))
        return made


def is_across(node: Node) -> bool:
    """Whether an argument is reduced along axes in the middle alone.

    A loop would jump from element to element of a column; the library goes over whole rows.
    """
    if node.operation not in REDUCTIONS or base(node.inputs[0]).operation is not Op.INPUT:
        return False
    sizes, dropped = node.inputs[0].sizes(), node.attribute_as(Reduction).dimensions
    along = [d in dropped for d, size in enumerate(sizes) if size != 1]
    if not along or along[0] or along[-1] or not any(along):
        return False
    # A sum of more terms is taken in parts by a loop, so that float32 loses no digits.
    return math.prod(sizes[d] for d in dropped) <= MOST_ACROSS


def _part(nodes: list[Node], outputs: list[Node], *, is_compiled: bool) -> Part:
    own = {node for node in nodes if node.operation is not Op.SCALAR}
    inputs = dict.fromkeys(source for node in nodes for source in node.inputs if source not in own)
    inputs |= dict.fromkeys(node for node in nodes if node.operation is Op.SCALAR)
    return Part(
        tuple(inputs), tuple(node for node in nodes if node in own), tuple(outputs), is_compiled=is_compiled
    )


def _long_moves(nodes: Iterable[Node]) -> set[Node]:
    """Moves of too many arrays for one loop: its text grows with their square."""
    updates: dict[Node, int] = {}  # how many replaced parts an array has
    found = set()
    for node in nodes:
        if node.operation is Op.UPDATE:
            updates[node] = 1 + updates.get(node.inputs[0], 0)
        is_joined_of_many = node.operation is Op.CONCAT and len(node.inputs) > MOST_JOINED
        if is_joined_of_many or updates.get(node, 0) > MOST_UPDATES:
            found.add(node)
    return found


def needs_parts(traced: Traced) -> bool:
    """Whether a traced call has operations that one program cannot compute together."""
    return bool(Split(traced.outputs).of_library)


def split(traced: Traced) -> list[Part]:
    """The parts of a traced call."""
    found = Split(traced.outputs)
    while True:
        parts = found.parts()
        hard = {
            node
            for part in parts
            if part.is_compiled
            for node in _too_hard(traced, part)
            if node.operation not in (Op.INPUT, Op.CONSTANT, Op.SCALAR)
        }
        if not hard - found.of_library:
            return parts
        found = Split(found.outputs, found.of_library | hard)


def _too_hard(traced: Traced, part: Part) -> set[Node]:
    """The nodes of a part that two nested loops cannot compute, or whose inputs they cannot read."""
    replay = Replay(part, traced.trace.names)
    again = trace(replay, traced.kernel, stand_ins(part), {})
    simplified = Simplified()
    try:
        _, outputs = simplified.run(again.outputs)
    except ReshapeError:
        return {old for old, new in replay.known.items() if new is simplified.current and old in part.nodes}
    hard = nodes_of_many_dimensions(outputs)
    if not hard:
        return set()

    of_replay = {new: old for old, new in reversed(replay.known.items())}
    known = {of_replay[simplified.origins[node]] for node in hard if simplified.origins[node] in of_replay}
    return {node for node in part.nodes if node in known or any(source in known for source in node.inputs)}


def stand_ins(part: Part) -> tuple[Any, ...]:
    """Arguments of the shapes, dtypes and types of a part's inputs; the arrays take no memory."""
    return tuple(map(_stand_in, part.inputs))


def _stand_in(node: Node) -> Any:
    if node.operation is Op.SCALAR or node.weak:
        return PYTHON_TYPES[python_dtype(node.dtype)](1)
    return numpy.broadcast_to(numpy.zeros((), numpy_dtype(node.dtype)), node.sizes())


class Replay:
    """A part of a graph as a function of its inputs, which makes the same nodes in the running trace."""

    __name__ = "part"

    def __init__(self, part: Part, names: Sequence[str]) -> None:
        self.part, self.names = part, names
        self.known: dict[Node, Node] = {}

    def __call__(self, *arrays: Any) -> tuple[Any, ...]:
        running = current_trace.get()
        assert running is not None, "a part is traced, and not called"
        graph, axes = running.graph, dict[Axis, Axis]()
        self.known = {}
        for old, array in zip(self.part.inputs, arrays, strict=True):
            node = running.constant(array).node if not isinstance(array, SymbolicArray) else array.node
            if node.dtype != old.dtype or node.weak != old.weak:
                node = graph.node(Op.ASTYPE, (node,), shape=node.shape, dtype=old.dtype, weak=old.weak)
            self.known[old] = node
            for was, now in zip(old.shape, node.shape, strict=True):
                if was is not None and now is not None:
                    axes.setdefault(was, now)
        for old in self.part.nodes:
            inputs = [self.known[source] for source in old.inputs]
            shape = _mapped(old.shape, axes)
            self.known[old] = graph.node(
                old.operation,
                inputs,
                _attribute(old.attribute, axes),
                shape=shape,
                dtype=old.dtype,
                weak=old.weak,
                line=old.line,
            )
            for index, size in lookups(old, inputs):
                require_indices(running, old.operation, SymbolicArray(running, index), size, old.line)
        return tuple(SymbolicArray(running, self.known[node]) for node in self.part.outputs)


def lookups(node: Node, inputs: Sequence[Node]) -> list[tuple[Node, int]]:
    """The indices that an operation looks up elements at, and the sizes of the dimensions."""
    if node.operation in (Op.TAKE, Op.TAKE_ALONG_AXIS):
        return [(inputs[1], inputs[0].sizes()[0 if node.operation is Op.TAKE else 1])]
    if node.operation is not Op.GATHER:
        return []
    places = node.attribute_as(Gather).places
    sizes = inputs[0].sizes()
    return [(inputs[-place], sizes[d]) for d, place in enumerate(places) if place < 0]


def _mapped(shape: Shape, axes: dict[Axis, Axis]) -> Shape:
    return tuple(None if axis is None else _mapped_axis(axis, axes) for axis in shape)


def _mapped_axis(axis: Axis, axes: dict[Axis, Axis]) -> Axis:
    return axes.setdefault(axis, Axis(axis.size))


def _attribute(attribute: Attribute | None, axes: dict[Axis, Axis]) -> Attribute | None:
    match attribute:
        case Size(axis):
            return Size(_mapped_axis(axis, axes))
        case Iota(axis):
            return Iota(None if axis is None else _mapped_axis(axis, axes))
        case BroadcastTo(shape):
            return BroadcastTo(_mapped(shape, axes))
    return attribute
