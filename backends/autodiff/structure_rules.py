"""Derivatives of reductions, products, views, moves and library calls: a function for each operation.

A function takes the cotangent of the result, the node, its inputs, and the position of the input whose
cotangent it gives:

    v1 = sum(v0) [0]    gives    broadcast_to(g, the shape of v0)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from ..ir.attributes import Concat, Gather, LibraryCall, Reduction, Slice, View
from ..ir.dtypes import INT64
from ..ir.graph import Node
from ..ir.operations import Op
from ..trace import namespace as xp
from ..trace.indexing import positions
from ..trace.library_calls import call
from ..trace.looks import Permuted, Sliced
from ..trace.promotion import cast
from ..trace.symbolic import SymbolicArray, view
from .formulas import by_formula, product_of_halves
from .library_rules import LIBRARY_RULES
from .shaping import summed_to, zeros_like

Rule = Callable[[SymbolicArray, Node, Sequence[SymbolicArray], int], Any]


def _out(node: Node, inputs: Sequence[SymbolicArray]) -> SymbolicArray:
    return SymbolicArray(inputs[0].tracer, node)


# Reductions


def _sum(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    (x,) = inputs
    return xp.broadcast_to(_along(g, node), x.node.sizes())


def _along(g: SymbolicArray, node: Node) -> SymbolicArray:
    """A result of a reduction, in a shape that broadcasts with its input."""
    made: SymbolicArray = xp.expand_dims(g, axis=node.attribute_as(Reduction).dimensions)
    return made


def _extreme(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    """All elements that are equal to the largest or smallest share the cotangent equally.

    Where that is NaN no element is equal to it, and all gradients are NaN.
    """
    (x,) = inputs
    is_found = x == _along(_out(node, inputs), node)
    count = xp.sum(xp.astype(is_found, g.dtype), axis=node.attribute_as(Reduction).dimensions, keepdims=True)
    none = xp.where(count == 0, math.nan, xp.astype(xp.zeros_like(count), g.dtype))
    return xp.where(is_found, _along(g, node) / count, none)


def _product(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    """By the derivative of products of halves: a quotient by each factor would fail at 0."""
    along = node.attribute_as(Reduction).dimensions
    return by_formula(lambda x: product_of_halves(x, along), g, inputs, position)


# Products


def _matmul(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    a, b = inputs
    return g @ b.T if position == 0 else a.T @ g


# Views


def _view(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    look = Permuted(node.attribute_as(View).dimensions)
    return SymbolicArray(g.tracer, look.written(g.tracer, inputs[0].node, g.node))


def _broadcast(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    return summed_to(g, inputs[0].node.sizes())


def _same(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    return g


def _reshape(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    return xp.reshape(g, inputs[0].node.sizes())


# Moves


def _slice(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    source = inputs[0].node
    look = Sliced(node.attribute_as(Slice))
    return SymbolicArray(g.tracer, look.written(g.tracer, zeros_like(source, g).node, g.node))


def _update(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    look = Sliced(node.attribute_as(Slice))
    if position:
        return SymbolicArray(g.tracer, look.read(g.tracer, g.node))
    zeros = zeros_like(inputs[1].node, g)
    return SymbolicArray(g.tracer, look.written(g.tracer, g.node, zeros.node))


def _concat(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    along = node.attribute_as(Concat).dimension
    lengths = [x.node.sizes()[along] for x in inputs]
    start = sum(lengths[:position])
    return g[(*[slice(None)] * along, slice(start, start + lengths[position]))]


def _take(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    vector, index = inputs
    return _scattered(g, vector, [index], (None,))


def _scattered(
    g: SymbolicArray, source: SymbolicArray, indices: Sequence[SymbolicArray], key: tuple[Any, ...]
) -> SymbolicArray:
    """Zeros in the shape of `source`, to which a cotangent is added at some places.

    key: None for the next of the indices, which stand beside each other, else a whole slice
    """
    zeros = zeros_like(source.node, g)
    looked_up = [d for d, part in enumerate(key) if part is None]
    sizes = source.node.sizes()
    at_indices = numpy.broadcast_shapes(*(index.node.sizes() for index in indices))
    # x[None, i] has a dimension more than x[i].
    g = xp.reshape(g, (*sizes[: looked_up[0]], *at_indices, *sizes[looked_up[-1] + 1 :]))
    return call("added_at", [zeros, g, *indices], source.node.sizes(), source.node.dtype, key=key)


def _take_along_axis(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    scores, index = inputs
    return _one_of_each(g, scores, index, 1)


def _one_of_each(g: SymbolicArray, source: SymbolicArray, index: SymbolicArray, along: int) -> SymbolicArray:
    """The cotangent of a source of which one element is read at each position of the other dimensions."""
    size = source.node.sizes()[along]
    place = view(positions(g.tracer, size), tuple(0 if d == along else None for d in range(source.ndim)))
    wanted = xp.astype(index, "int64")
    # A negative index counts from the end.
    is_read = place == xp.where(wanted < 0, wanted + size, wanted)
    made: SymbolicArray = xp.where(is_read, g, 0.0)
    return made


def _gather(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    source, *indices = inputs
    attribute = node.attribute_as(Gather)
    places = attribute.places
    indices = indices[: len(indices) - len(attribute.tests)]
    looked_up = [d for d, place in enumerate(places) if place < 0]
    kept = [place for place in places if place >= 0]
    if len(looked_up) == 1 and source.ndim == node.ndim and node.sizes()[looked_up[0]] == 1:
        (along,) = looked_up
        if all(place == d for d, place in enumerate(places) if d != along):
            return _one_of_each(g, source, indices[0], along)
    if _is_as_numpy_places(node, looked_up, kept, indices):
        key = tuple(None if place < 0 else (None, None, None) for place in places)
        own = [_without_kept(index, node.ndim, kept) for index in indices]
        return _scattered(g, source, [own[-1 - place] for place in places if place < 0], key)
    everywhere = [
        indices[-1 - place] if place < 0 else _along_result(g, node, place, size)
        for place, size in zip(places, source.node.sizes(), strict=True)
    ]
    return _scattered(g, source, everywhere, (None,) * source.ndim)


def _is_as_numpy_places(
    node: Node, looked_up: Sequence[int], kept: Sequence[int], indices: Sequence[SymbolicArray]
) -> bool:
    """Whether a gather is what NumPy makes of slices and of indices beside each other.

    looked_up: dimensions of the source
    kept:      dimensions of the result that are dimensions of the source
    """
    free = [d for d in range(node.ndim) if d not in kept]
    first = looked_up[0]
    are_neighbours = looked_up == list(range(first, looked_up[-1] + 1))
    if not are_neighbours or kept != sorted(kept) or free != list(range(first, first + len(free))):
        return False
    sizes = ((1,) * (node.ndim - index.ndim) + index.node.sizes() for index in indices)
    return all(size == 1 for each in sizes for d, size in enumerate(each) if d in kept)


def _without_kept(index: SymbolicArray, ndim: int, kept: Sequence[int]) -> SymbolicArray:
    """An index without the dimensions of the result that it does not run along."""
    new = ndim - index.ndim
    return view(index, tuple(d - new for d in range(new, ndim) if d not in kept))


def _along_result(g: SymbolicArray, node: Node, place: int, size: int) -> SymbolicArray:
    """The positions along a dimension of the result; the only one of a dimension of size 1."""
    if size == 1:
        return cast(g.tracer, g.tracer.constant(0), INT64)
    return view(positions(g.tracer, size), (0, *[None] * (node.ndim - place - 1)))


def _library(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    function = node.attribute_as(LibraryCall).function
    rule = LIBRARY_RULES.get(function)
    if rule is None:
        raise g.tracer.error(TypeError, f"{function} has no derivative in the compiler", node.line)
    return rule(g, node, inputs, position)


STRUCTURE_RULES: dict[Op, Rule] = {
    Op.SUM: _sum,
    Op.PROD: _product,
    Op.MAX: _extreme,
    Op.MIN: _extreme,
    Op.VIEW: _view,
    Op.BROADCAST_TO: _broadcast,
    Op.COPY: _same,
    Op.MARK: _same,
    Op.MATMUL: _matmul,
    Op.TAKE_ALONG_AXIS: _take_along_axis,
    Op.TAKE: _take,
    Op.SLICE: _slice,
    Op.UPDATE: _update,
    Op.RESHAPE: _reshape,
    Op.CONCAT: _concat,
    Op.GATHER: _gather,
    Op.LIBRARY: _library,
}
