"""The array namespace's functions of shape: they move dimensions of 1, permute, and repeat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..ir.attributes import BroadcastTo, Size
from ..ir.graph import Axis, Shape
from ..ir.operations import Op
from .elementwise import broadcast_shape
from .symbolic import SymbolicArray, as_symbolic, trace_of, view
from .symbolic import where as _line

if TYPE_CHECKING:
    from .tracer import Trace


def axis_of_length(trace: Trace, length: Any) -> Axis | None:
    """The axis of a length: that of the array it was asked of, or a constant one."""
    if isinstance(length, SymbolicArray):
        if length.node.operation is Op.SIZE:
            return length.node.attribute_as(Size).axis
        length = int(length)
    if not isinstance(length, int):
        raise trace.error(TypeError, f"a size must be an integer; got {length!r}")
    return None if length == 1 else Axis(length)


def broadcast_to(x: Any, /, shape: Any) -> Any:
    """x repeated along the dimensions where `shape` is larger."""
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
        line=_line(),
    )
    return SymbolicArray(trace, node)


def broadcast_arrays(*arrays: Any) -> Any:
    """The arrays, each in the shape that they have together."""
    trace = trace_of(arrays)
    shape = broadcast_shape(trace, "broadcast_arrays", [as_symbolic(trace, array).node for array in arrays])
    return [broadcast_to(array, tuple(map(trace.size, shape))) for array in arrays]


def expand_dims(x: Any, /, *, axis: int = 0) -> Any:
    """A dimension of 1 put in at `axis`."""
    axis = axis + x.ndim + 1 if axis < 0 else axis
    dimensions: list[int | None] = list(range(x.ndim))
    return view(x, (*dimensions[:axis], None, *dimensions[axis:]))


def squeeze(x: Any, /, axis: Any) -> Any:
    """Dimensions of 1 taken out."""
    out = {position % x.ndim for position in (axis if isinstance(axis, tuple) else (axis,))}
    for position in out:
        if x.node.shape[position] is not None:
            raise x.trace.error(ValueError, f"squeeze of axis {position} of shape {x.node.sizes()}")
    return view(x, tuple(position for position in range(x.ndim) if position not in out))


def permute_dims(x: Any, /, axes: tuple[int, ...]) -> Any:
    """The dimensions in another order."""
    return view(x, tuple(position % x.ndim for position in axes))


def matrix_transpose(x: Any, /) -> Any:
    """The last two dimensions exchanged."""
    return view(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """One dimension moved to another place."""
    order = [position for position in range(x.ndim) if position != source % x.ndim]
    order.insert(destination % x.ndim, source % x.ndim)
    return view(x, tuple(order))


def reshape(x: Any, /, shape: Any, *, copy: Any = None) -> Any:
    """Another shape that only puts in or takes out dimensions of 1."""
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
            f"reshape of shape {own} to {tuple(sizes)}; the compiler knows only those that put in or take "
            "out dimensions of 1",
        )
    kept = iter(position for position, n in enumerate(own) if n != 1)
    return view(x, tuple(None if n == 1 else next(kept) for n in sizes))
