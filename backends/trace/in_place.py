"""Augmented assignment and assignment to elements. Nodes of the graph never change; symbolic arrays do.

`d -= 1` gives the symbolic array `d` the node of `d - 1`. All names bound to `d` see the change, and so do
views of `d`, which read the current node of their base. Writing into an argument is an error.
"""

from __future__ import annotations

from typing import Any

import numpy

from ..ir.attributes import BroadcastTo
from ..ir.dtypes import BOOL
from ..ir.operations import Op
from .promotion import cast
from .symbolic import SymbolicArray, WritesArgumentError, as_symbolic, source_line, view


def assign(target: SymbolicArray, value: SymbolicArray) -> SymbolicArray:
    """`target` with the elements of `value`; or `value`, if `target` is an immutable number."""
    if target.node.weak:
        return value
    root = target
    while root.base is not None:
        root = root.base
    if not root.owner and target.ndim == 0 and not (target.is_box or root.ndim):
        return value  # for NumPy an immutable scalar: Python rebinds the name
    trace = target.trace
    _require_not_an_argument(root)
    if value.node.sizes() != target.node.sizes():
        raise trace.error(
            ValueError,
            f"an array of shape {target.node.sizes()} cannot take a result of shape {value.node.sizes()}",
        )
    if not numpy.can_cast(value.dtype, target.dtype, "same_kind"):
        raise trace.error(
            TypeError, f"an array of dtype {target.dtype} cannot take a result of dtype {value.dtype}"
        )
    target.node = cast(trace, value, target.node.dtype).node
    target.known, target.depends = None, frozenset()
    return target


def _require_not_an_argument(root: SymbolicArray) -> None:
    if root.owner:
        raise root.trace.error(
            WritesArgumentError,
            f"writes into the argument {root.owner}; expected arguments to be unchanged. Copy it first, for "
            "example with xp.asarray(..., copy=True)",
        )


def write_at(target: SymbolicArray, key: Any, value: Any) -> None:
    """`target[key] = value`, for a key that selects all elements, or a mask."""
    from .elementwise import apply, broadcast_shape

    trace = target.trace
    root = target
    while root.base is not None:
        root = root.base
    _require_not_an_argument(root)
    new = as_symbolic(trace, value)
    if isinstance(key, SymbolicArray) and key.node.dtype == BOOL:
        if new.ndim:
            raise trace.error(
                TypeError, "assignment of an array to the elements of a mask is not supported; use xp.where"
            )
        mask = view(key, (*range(key.ndim), *[None] * (target.ndim - key.ndim)))
        assign(target, cast(trace, apply(Op.WHERE, mask, new, target), target.node.dtype))
        return
    keys = key if isinstance(key, tuple) else (key,)
    if any(isinstance(part, SymbolicArray) for part in keys):
        raise trace.error(
            TypeError, "assignment to elements by computed indices is not supported by the compiler"
        )
    # Reading raises if the compiler does not support the key.
    part = target[key]
    shape = broadcast_shape(trace, "assignment", [part.node, new.node])
    node = trace.graph.node(
        Op.BROADCAST_TO,
        (cast(trace, new, part.node.dtype).node,),
        BroadcastTo(part.node.shape),
        shape=part.node.shape,
        dtype=part.node.dtype,
        line=source_line(),
    )
    if len(shape) != part.ndim:
        raise trace.error(ValueError, f"shape {part.node.sizes()} cannot take shape {new.node.sizes()}")
    assign(part, SymbolicArray(trace, node))
