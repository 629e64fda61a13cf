"""The shape functions of the namespace of symbolic arrays: views that permute, insert and remove axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..ir.attributes import BroadcastTo, Size
from ..ir.graph import Axis, Shape
from ..ir.operations import Op
from .elementwise import broadcast_shape
from .symbolic import SymbolicArray, as_symbolic, of_array, source_line, trace_of, view

if TYPE_CHECKING:
    from .tracer import Trace


def axis_of_length(trace: Trace, length: Any) -> Axis | None:
    """The axis for a length: that of the array whose size it is, or a new one."""
    if isinstance(length, SymbolicArray):
        if length.node.operation is Op.SIZE:
            return length.node.attribute_as(Size).axis
        length = int(length)
    if not isinstance(length, int):
        raise trace.error(TypeError, f"a size must be an integer; got {length!r}")
    return None if length == 1 else Axis(length)


def broadcast_to(x: Any, /, shape: Any) -> Any:
    """x broadcast to a shape."""
    trace = trace_of((x,))
    array = as_symbolic(trace, x)
    shape = shape if isinstance(shape, tuple | list) else (shape,)
    target: Shape = tuple(axis_of_length(trace, length) for length in shape)
    sizes = tuple(1 if axis is None else axis.size for axis in target)
    padded = (None,) * (len(target) - array.ndim) + array.node.shape
    if len(padded) != len(target) or any(
        own is not None and (new is None or own.size != new.size)
        for own, new in zip(padded, target, strict=True)
    ):
        raise trace.error(ValueError, f"broadcast_to of shape {array.node.sizes()} to {sizes}")
    node = trace.graph.node(
        Op.BROADCAST_TO,
        (array.node,),
        BroadcastTo(target),
        shape=target,
        dtype=array.node.dtype,
        line=source_line(),
    )
    return SymbolicArray(trace, node)


def broadcast_arrays(*arrays: Any) -> Any:
    """The arrays, broadcast to their common shape."""
    trace = trace_of(arrays)
    shape = broadcast_shape(trace, "broadcast_arrays", [as_symbolic(trace, array).node for array in arrays])
    return [broadcast_to(array, tuple(map(trace.size, shape))) for array in arrays]


@of_array
def expand_dims(x: Any, /, *, axis: int = 0) -> Any:
    """x with a new dimension of size 1 at `axis`."""
    axis = axis + x.ndim + 1 if axis < 0 else axis
    dimensions: list[int | None] = list(range(x.ndim))
    return view(x, (*dimensions[:axis], None, *dimensions[axis:]))


@of_array
def squeeze(x: Any, /, axis: Any) -> Any:
    """x without some dimensions of size 1."""
    out = {position % x.ndim for position in (axis if isinstance(axis, tuple) else (axis,))}
    for position in out:
        if x.node.shape[position] is not None:
            raise x.trace.error(ValueError, f"squeeze of axis {position} of shape {x.node.sizes()}")
    return view(x, tuple(position for position in range(x.ndim) if position not in out))


@of_array
def permute_dims(x: Any, /, axes: tuple[int, ...]) -> Any:
    """x with its dimensions in another order."""
    return view(x, tuple(position % x.ndim for position in axes))


@of_array
def matrix_transpose(x: Any, /) -> Any:
    """x with its last two dimensions exchanged."""
    return view(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@of_array
def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """x with one dimension moved to another place."""
    order = [position for position in range(x.ndim) if position != source % x.ndim]
    order.insert(destination % x.ndim, source % x.ndim)
    return view(x, tuple(order))


@of_array
def reshape(x: Any, /, shape: Any, *, copy: Any = None) -> Any:
    """x in a shape that only inserts or removes dimensions of size 1."""
    shape = shape if isinstance(shape, tuple | list) else (shape,)
    sizes = [int(length) for length in shape]
    own = x.node.sizes()
    if -1 in sizes:
        others = -math.prod(sizes)
        if others == 0 or math.prod(own) % others:
            raise x.trace.error(ValueError, f"reshape of shape {own} to {tuple(sizes)}")
        sizes[sizes.index(-1)] = math.prod(own) // others
    if [n for n in own if n != 1] != [n for n in sizes if n != 1]:
        raise x.trace.error(
            ValueError if math.prod(own) != math.prod(sizes) else TypeError,
            f"reshape of shape {own} to {tuple(sizes)}; the compiler only inserts and removes dimensions of "
            "size 1",
        )
    kept = iter(position for position, n in enumerate(own) if n != 1)
    return view(x, tuple(None if n == 1 else next(kept) for n in sizes))
