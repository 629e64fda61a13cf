"""Augmented assignment and assignment to elements. Nodes of the graph never change; symbolic arrays do.

`d -= 1` gives the symbolic array `d` the node of `d - 1`. All names bound to `d` see the change, and so do
views of `d`, which read the current node of their base. Writing into an argument is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from ..ir.attributes import BroadcastTo, LibraryCall
from ..ir.graph import Node
from ..ir.operations import Op
from .elementwise import apply, broadcast_shape
from .indexing import basic, is_every_position, looked_up, mask_of, parsed, positions, without_lists_of_bools
from .indices import require_indices
from .masked import MaskedValues
from .promotion import cast, require_fits
from .symbolic import SymbolicArray, WritesArgumentError, as_symbolic, is_immutable, root_of, view

if TYPE_CHECKING:
    from .tracer import Trace


def require_casts(trace: Trace, value: Any, dtype: Any) -> None:
    """Raise NumPy's error for a result that an array of a dtype cannot take in place."""
    if not numpy.can_cast(value.dtype, dtype, "same_kind"):
        raise trace.error(TypeError, f"an array of dtype {dtype} cannot take a result of dtype {value.dtype}")


def assign(target: SymbolicArray, value: SymbolicArray, *, is_unsafe: bool = False) -> SymbolicArray:
    """`target` with the elements of `value`; or `value`, if `target` is an immutable number.

    is_unsafe: whether `value` may have any dtype, as in an assignment to elements
    """
    if target.node.weak or (is_immutable(target) and not is_unsafe):
        return value  # Python rebinds the name
    trace = target.tracer
    _require_not_an_argument(root_of(target))
    if value.node.sizes() != target.node.sizes():
        raise trace.error(
            ValueError,
            f"an array of shape {target.node.sizes()} cannot take a result of shape {value.node.sizes()}",
        )
    if not is_unsafe:
        require_casts(trace, value, target.dtype)
    target.node = cast(trace, value, target.node.dtype).node
    target.known, target.depends = None, frozenset()
    return target


def _require_not_an_argument(root: SymbolicArray) -> None:
    if root.owner:
        raise root.tracer.error(
            WritesArgumentError,
            f"writes into {root.owner}; expected arguments to be unchanged. Copy it first, for "
            "example with xp.asarray(..., copy=True)",
        )


def write_at(target: SymbolicArray, key: Any, value: Any) -> None:
    """`target[key] = value`."""
    trace = target.tracer
    _require_not_an_argument(root_of(target))
    key = without_lists_of_bools(target, key)
    mask = mask_of(target, key)
    if mask is not None:
        _write_at_mask(target, mask, value)
        return
    if isinstance(value, MaskedValues):
        raise trace.error(TypeError, "elements at a mask can be assigned to the same mask only; use xp.where")
    new = as_symbolic(trace, _as_array(trace, value))
    require_fits(trace, new, target.node.dtype)
    found = parsed(target, key)
    if not found.arrays:
        part = basic(target, found.entries)
        if part.node is new.node:
            return  # what `target[key] += value` has written already
        assign(part, _broadcast(trace, new, part.node, "assignment"), is_unsafe=True)
    elif not _write_at_labels(target, found.entries, new):
        _write_at_indices(target, found.entries, new)


def _as_array(trace: Trace, value: Any) -> Any:
    """A list of numbers as an array."""
    return numpy.asarray(value) if isinstance(value, list | tuple) else value


def _broadcast(trace: Trace, new: SymbolicArray, target: Node, function: str) -> SymbolicArray:
    """A value in the shape and dtype of what it is assigned to; leading dimensions of 1 are left out."""
    while new.ndim > target.ndim and new.node.shape[0] is None:
        new = view(new, tuple(range(1, new.ndim)))
    shape = broadcast_shape(trace, function, [target, new.node])
    sizes = tuple(1 if axis is None else axis.size for axis in shape)
    if sizes != target.sizes():
        raise trace.error(
            ValueError, f"{function} of shape {new.node.sizes()} to elements of shape {target.sizes()}"
        )
    node = cast(trace, new, target.dtype).node
    if node.sizes() != target.sizes():
        attribute = BroadcastTo(target.shape)
        node = trace.node(Op.BROADCAST_TO, (node,), attribute, shape=target.shape, dtype=target.dtype)
    return SymbolicArray(trace, node)


def _write_at_mask(target: SymbolicArray, mask: SymbolicArray, value: Any) -> None:
    trace = target.tracer
    if isinstance(value, MaskedValues):
        if not value.fits(MaskedValues(target, mask)):
            raise trace.error(TypeError, "elements at one mask cannot be assigned to another; use xp.where")
        new = value.whole
    else:
        new = as_symbolic(trace, _as_array(trace, value))
        require_fits(trace, new, target.node.dtype)
        if new.ndim > target.ndim - mask.ndim and any(new.node.shape):
            raise trace.error(
                TypeError,
                f"assignment of shape {new.node.sizes()} to the elements at a mask depends on how many there "
                "are; use xp.where",
            )
    whole = view(mask, (*range(mask.ndim), *[None] * (target.ndim - mask.ndim)))
    new = cast(trace, new, target.node.dtype)
    assign(target, apply(Op.WHERE, whole, new, target), is_unsafe=True)


def _write_at_labels(target: SymbolicArray, entries: Sequence[Any], new: SymbolicArray) -> bool:
    """x[arange(n), labels] = values, of a matrix: a choice for each element, which loops make as they go."""
    trace = target.tracer
    if (
        target.ndim != 2
        or len(entries) != 2
        or not all(isinstance(entry, SymbolicArray) for entry in entries)
    ):
        return False
    rows, labels = entries
    count, columns = target.node.sizes()
    if not is_every_position(rows.node, count) or labels.node.sizes() != (count,):
        return False
    if new.node.sizes() not in ((), (1,), (count,)):
        return False
    require_indices(trace, Op.TAKE, labels, columns)
    column = positions(trace, columns)
    # The label as the position that it means, from the end where it is negative.
    label = trace.node(Op.TAKE, (column.node, labels.node), shape=labels.node.shape, dtype=column.node.dtype)
    test = apply(Op.EQUAL, column, view(SymbolicArray(trace, label), (0, None)))
    if new.ndim:
        new = view(new, (0, None))
    new = cast(trace, new, target.node.dtype)
    assign(target, apply(Op.WHERE, test, new, target), is_unsafe=True)
    return True


def _write_at_indices(target: SymbolicArray, entries: Sequence[Any], new: SymbolicArray) -> None:
    if any(entry is None for entry in entries):
        # The same elements of a view that has the new dimensions.
        target = basic(target, [entry if entry is None else slice(None) for entry in entries])
        entries = [slice(None) if entry is None else entry for entry in entries]
    part = looked_up(target, entries)
    if part.node is new.node:
        return
    new = _broadcast(target.tracer, new, part.node, "assignment")
    assign(target, put("assigned", target, entries, new), is_unsafe=True)


def put(function: str, target: SymbolicArray, entries: Sequence[Any], new: SymbolicArray) -> SymbolicArray:
    """The array with values at looked-up places, by a function of the library."""
    trace = target.tracer
    indices = [entry.node for entry in entries if isinstance(entry, SymbolicArray)]
    key = tuple(
        None if isinstance(entry, SymbolicArray) else entry if isinstance(entry, int) else _triple(entry)
        for entry in entries
    )
    node = trace.node(
        Op.LIBRARY,
        (target.node, new.node, *indices),
        LibraryCall(function, (("key", key),)),
        shape=target.node.shape,
        dtype=target.node.dtype,
    )
    return SymbolicArray(trace, node)


def _triple(entry: slice) -> tuple[Any, Any, Any]:
    return entry.start, entry.stop, entry.step
