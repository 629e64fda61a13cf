"""Cotangents in the shape and dtype of their values: sums over broadcast dimensions, and zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..common.trees import map_leaves
from ..ir.attributes import Constant
from ..ir.graph import Node
from ..ir.operations import Op
from ..trace import namespace as xp
from ..trace.promotion import cast
from ..trace.symbolic import SymbolicArray, copy_of, view


def as_cotangent(array: SymbolicArray, node: Node) -> SymbolicArray:
    """An array in the shape and dtype of a node, summed where the node was broadcast."""
    array = summed_to(array, node.sizes())
    if array.node.sizes() != node.sizes():
        array = xp.broadcast_to(array, node.sizes())
    return cast(array.tracer, array, node.dtype, weak=node.weak)


def summed_to(array: SymbolicArray, sizes: tuple[int, ...]) -> SymbolicArray:
    """The transpose of broadcasting from these sizes."""
    own = array.node.sizes()
    new = len(own) - len(sizes)
    along = [d for d in range(len(own)) if d < new or (sizes[d - new] == 1 and own[d] != 1)]
    if not along:
        return array
    total: SymbolicArray = xp.sum(array, axis=tuple(along), keepdims=True)
    return view(total, tuple(range(new, len(own))))


def zeros_like(node: Node, array: SymbolicArray) -> SymbolicArray:
    """Zeros in the shape and dtype of a node, in the trace of an array."""
    zero = cast(array.tracer, array.tracer.constant(0.0), node.dtype, weak=node.weak)
    made: SymbolicArray = xp.broadcast_to(zero, node.sizes()) if node.shape else zero
    return made


def is_zero(node: Node) -> bool:
    """Whether all elements are known to be 0."""
    while node.operation in (Op.BROADCAST_TO, Op.ASTYPE, Op.VIEW):
        node = node.inputs[0]
    return node.operation is Op.CONSTANT and node.attribute_as(Constant).value == 0


def is_variable(leaf: Any) -> bool:
    """Whether a leaf is an array, or a number, that has cotangents."""
    return type(leaf) is SymbolicArray and leaf.node.dtype.is_float


def or_zeros(
    cotangents: Sequence[SymbolicArray | None], arrays: Sequence[SymbolicArray]
) -> list[SymbolicArray]:
    """The cotangents of arrays; zeros where there is none."""
    return [
        zeros_like(array.node, array) if cotangent is None else cotangent
        for cotangent, array in zip(cotangents, arrays, strict=True)
    ]


def snapshot(tree: Any) -> Any:
    """A tree of the arrays as they are now: the function may write into its own afterwards."""
    return map_leaves(lambda leaf: copy_of(leaf) if type(leaf) is SymbolicArray else leaf, tree)
