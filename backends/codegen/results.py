"""The result of a compiled call: where its arrays are made, and the tree that they are returned in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy

from ..common.libraries import library_of
from ..common.out_arrays import ArraySpec
from ..common.trees import leaves, map_leaves, text_of
from ..ir.dtypes import numpy_dtype
from ..ir.graph import Node, base
from ..ir.nest import Buffer, BufferKind
from ..trace.symbolic import SymbolicArray
from ..trace.trace import Traced
from .plan import Plan


def shape_of(result: Buffer, plan: Plan, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape in which the kernel returns it first, unless that is a transposition."""
    position = plan.returned.get(result)
    return tuple(axis.size for axis in result.axes) if position is None else shapes[position]


def out_specs(traced: Traced, plan: Plan, library: str = "numpy", device: Any = None) -> Any:
    """The tree of the result, with what an out array must be in place of every array that is computed."""

    def leaf(value: Any) -> Any:
        if not isinstance(value, SymbolicArray):
            return value
        sizes, dtype = value.node.sizes(), numpy_dtype(plan.rounding.held(value.node))
        return ArraySpec(sizes, dtype, library, device, is_scalar=not sizes)

    return map_leaves(leaf, traced.result)


def places(traced: Traced, plan: Plan) -> list[Buffer | None]:
    """For every leaf of the result the memory that is written as that leaf and nothing else, if there is one.

    Not for numbers, for what is returned transposed, and for memory that is returned more than once.
    """
    if _returns_constants(traced):
        return [None] * len(leaves(traced.result))
    everywhere = Counter(plan.place.get(base(node)) for node in plan.outputs)

    def place(node: Node) -> Buffer | None:
        found = plan.place.get(base(node)) if node.axes == base(node).axes else None
        return found if everywhere[found] == 1 else None

    return [None if node is None else place(node) for node in _nodes(traced, plan)]


def number_places(traced: Traced, plan: Plan) -> list[int | None]:
    """For every leaf of the result its position among the results that are single numbers.

    Only for numbers that are returned once.
    """
    if _returns_constants(traced):
        return [None] * len(leaves(traced.result))
    everywhere = Counter(map(base, plan.outputs))
    positions = {node: number for number, node in enumerate(plan.slots.outputs)}
    return [
        None if node is None or everywhere[base(node)] > 1 else positions.get(base(node))
        for node in _nodes(traced, plan)
    ]


def _nodes(traced: Traced, plan: Plan) -> list[Node | None]:
    """The node of every leaf of the result, in the plan; None for what is not computed."""
    nodes = iter(plan.outputs)
    return [next(nodes) if isinstance(leaf, SymbolicArray) else None for leaf in leaves(traced.result)]


def _returns_constants(traced: Traced) -> bool:
    """Whether an array of the kernel's own is returned as it is; its memory may be any array's."""

    def is_array(leaf: Any) -> bool:
        # By its own type, since a symbolic array says that it is an array of NumPy's.
        known = library_of(leaf) not in (None, "traced") and not issubclass(type(leaf), numpy.generic)
        return known or issubclass(type(leaf), numpy.ndarray)

    return any(map(is_array, leaves(traced.result)))


# The text of a result without dimensions, of its node in the plan, its shape, and what names a constant.
NumberText: TypeAlias = Callable[[Node, tuple[int, ...], Callable[[Any], str]], str]


def builder(
    traced: Traced,
    plan: Plan,
    number: NumberText,
    arguments: Sequence[Buffer],
    given: Mapping[Buffer, tuple[int, ...]],
) -> Callable[..., Any]:
    """A function of (arguments, fresh, scalars, integers) that makes the result's tree.

    given: the shapes of the arrays that the program works with
    """
    constants: dict[str, Any] = {}
    texts = {m: f"arguments[{i}]" for i, m in enumerate(arguments)}
    texts |= {m: f"fresh[{i}]" for i, m in enumerate(plan.of_kind(BufferKind.RESULT))}
    nodes = iter(plan.outputs)
    returned: set[Buffer] = set()

    def constant(value: Any) -> str:
        name = f"c{len(constants)}"
        constants[name] = value
        return name

    def leaf(value: Any) -> str:
        if not isinstance(value, SymbolicArray):
            return constant(value)
        node, shape = next(nodes), value.node.sizes()
        source = base(node)
        if source.axes:
            place = plan.place[source]
            text = texts[place]
            if node.axes != source.axes:
                order = tuple(source.axes.index(axis) for axis in node.axes)
                text += f".reshape({tuple(axis.size for axis in source.axes)}).transpose({order})"
            if shape != given[place] or node.axes != source.axes:
                text += f".reshape({shape})"
            # Equal values are computed once, but who writes into one result means no other.
            text += ".copy()" * (place in returned)
            returned.add(place)
            return text
        return number(node, shape, constant)

    made: Callable[..., Any] = eval(
        f"lambda arguments, fresh, scalars, integers=None: {text_of(traced.result, leaf, constant)}",
        constants,
    )
    return made
