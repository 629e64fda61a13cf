"""The result of a compiled call: where its arrays are made, and the tree that they are returned in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from . import memory
from .destinations import Wanted
from .graph import Axis, Node
from .numba_dialect import kept_number
from .plan import Memory, Plan
from .schedule import base
from .symbolic import SymbolicArray
from .trace import Traced
from .trees import fields_of, is_record, leaves, map_leaves, with_fields


def allocation(
    result: Memory, shape: tuple[int, ...]
) -> tuple[Callable[..., Any], tuple[int, ...], numpy.dtype[Any]]:
    """How a fresh array for a result is made: function, shape, dtype."""
    dtype = numpy.dtype(result.dtype)
    is_small = math.prod(shape) * dtype.itemsize < memory.LARGE
    return numpy.empty if is_small else memory.empty, shape, dtype


def shape_of(result: Memory, plan: Plan, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape in which the kernel returns it first, unless that is a transposition."""
    for node, shape in zip(plan.schedule.outputs, shapes, strict=True):
        if plan.place.get(base(node)) is result and _kept(node) == base(node).axes:
            return shape
    return tuple(axis.size for axis in result.axes)


def _kept(node: Node) -> tuple[Axis, ...]:
    """The axes of a result in its own order."""
    return tuple(axis.find() for axis in node.shape if axis is not None)


def wanted(traced: Traced) -> Any:
    """The tree of the result, with what a destination must be in place of every array that is computed."""

    def leaf(value: Any) -> Any:
        if not isinstance(value, SymbolicArray):
            return value
        node = value.node
        return Wanted(node.sizes(), numpy.dtype(node.dtype), is_number=not node.sizes())

    return map_leaves(leaf, traced.result)


def places(traced: Traced, plan: Plan) -> list[Memory | None]:
    """For every leaf of the result the memory that is written as that leaf and nothing else, if there is one.

    Not for numbers, for what is returned transposed, and for memory that is returned more than once.
    """
    nodes = iter(plan.schedule.outputs)
    found: list[Memory | None] = []
    for leaf in leaves(traced.result):
        node = next(nodes) if isinstance(leaf, SymbolicArray) else None
        straight = node is not None and _kept(node) == base(node).axes
        found.append(plan.place.get(base(node)) if node is not None and straight else None)
    everywhere = [plan.place.get(base(node)) for node in plan.schedule.outputs]
    return [place if everywhere.count(place) == 1 else None for place in found]


def builder(
    traced: Traced,
    plan: Plan,
    slots: Mapping[Node, int],
    arguments: Sequence[Memory],
    given: Mapping[Memory, tuple[int, ...]],
) -> Callable[..., Any]:
    """A function of (arguments, fresh, numbers, whole) that makes the result's tree.

    slots: where among the numbers results without dimensions are left
    given: the shapes of the arrays that the program works with
    """
    constants: dict[str, Any] = {"numpy": numpy, "of_number": _of_number, "with_fields": with_fields}
    texts = {m: f"arguments[{i}]" for i, m in enumerate(arguments)}
    texts |= {m: f"fresh[{i}]" for i, m in enumerate(plan.of_kind("result"))}
    nodes = iter(plan.schedule.outputs)
    returned: set[Memory] = set()

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
            if _kept(node) != source.axes:
                order = tuple(source.axes.index(axis) for axis in _kept(node))
                text += f".reshape({tuple(axis.size for axis in source.axes)}).transpose({order})"
            if shape != given[place] or _kept(node) != source.axes:
                text += f".reshape({shape})"
            # Equal values are computed once, but who writes into one result means no other.
            text += ".copy()" * (place in returned)
            returned.add(place)
            return text
        number = kept_number(node.dtype, str(slots[source]))
        if node.weak:
            return f"{ {'float64': 'float', 'int64': 'int', 'bool': 'bool'}[node.dtype] }({number})"
        if shape:
            return f"of_number({shape}, {constant(numpy.dtype(node.dtype))}, {number})"
        return f"{constant(numpy.dtype(node.dtype).type)}({number})"

    def tree(value: Any) -> str:
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return f"{constant(type(value))}({', '.join(map(tree, value))})"
        if isinstance(value, list | tuple):
            items = ", ".join(map(tree, value))
            if type(value) is list:
                return f"[{items}]"
            return f"({items}{',' if value else ''})"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{constant(key)}: {tree(item)}" for key, item in value.items()) + "}"
        if is_record(value):
            fields = ", ".join(f"{name!r}: {tree(item)}" for name, item in fields_of(value).items())
            return f"with_fields({constant(with_fields(value, {}))}, {{{fields}}})"
        return leaf(value)

    made: Callable[..., Any] = eval(
        f"lambda arguments, fresh, numbers, whole: {tree(traced.result)}", constants
    )
    return made


def _of_number(shape: tuple[int, ...], dtype: numpy.dtype[Any], number: float) -> Any:
    """numpy.full for arrays of one element, at a third of its price."""
    array = numpy.empty(shape, dtype)
    array.fill(number)
    return array
