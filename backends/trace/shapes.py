"""The manipulation functions of the namespace of symbolic arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy
from numpy.exceptions import AxisError

from ..ir.attributes import Concat, Size
from ..ir.graph import Axis, Shape
from ..ir.operations import Op
from .elementwise import broadcast_shape
from .looks import Broadcast, Reshaped
from .promotion import cast, common_dtype
from .strides import order_of_result, reshaped, strides_of
from .symbolic import Length, SymbolicArray, as_symbolic, copy_of, look_at, of_array, trace_of, view

if TYPE_CHECKING:
    from .tracer import Trace


def axis_of_length(trace: Trace, length: Any) -> Axis | None:
    """The axis for a length: that of the array whose size it is, or a new one."""
    array = length.array if isinstance(length, Length) else length
    if isinstance(array, SymbolicArray):
        if array.node.operation is Op.SIZE:
            return array.node.attribute_as(Size).axis
        length = int(array)
    if not hasattr(length, "__index__") or isinstance(length, bool):
        raise trace.error(TypeError, f"a size must be an integer; got {length!r}")
    length = length.__index__()
    if length < 0:
        raise trace.error(ValueError, f"a size must not be negative; got {length}")
    return None if length == 1 else Axis(length)


def shape_given(shape: Any) -> Sequence[Any]:
    """A shape as a sequence of sizes; one size is a shape of one dimension."""
    return shape if isinstance(shape, tuple | list) else (shape,)


def position_of(x: Any, axis: Any, ndim: int | None = None) -> int:
    """The dimension that an axis means, from the end where it is negative."""
    ndim = x.ndim if ndim is None else ndim
    if not hasattr(axis, "__index__"):
        raise x.tracer.error(TypeError, f"got the axis {axis!r}; expected an integer")
    position = axis.__index__()
    if not -ndim <= position < ndim:
        raise x.tracer.error(
            AxisError, f"axis {position} is out of bounds for {ndim} dimensions, shape {x.node.sizes()}"
        )
    return int(position % ndim)


def positions_of(x: Any, axes: Any, ndim: int | None = None) -> tuple[int, ...]:
    """The dimensions that one axis or several axes mean, each at most once."""
    found = tuple(position_of(x, axis, ndim) for axis in shape_given(axes))
    if len(set(found)) < len(found):
        raise x.tracer.error(ValueError, f"got the axes {axes}; expected each at most once")
    return found


def broadcast_to(x: Any, /, shape: Any) -> Any:
    """x broadcast to a shape."""
    trace = trace_of((x,))
    array = as_symbolic(trace, x)
    target: Shape = tuple(axis_of_length(trace, length) for length in shape_given(shape))
    sizes = tuple(1 if axis is None else axis.size for axis in target)
    padded = (None,) * (len(target) - array.ndim) + array.node.shape
    if len(padded) != len(target) or any(
        own is not None and (new is None or own.size != new.size)
        for own, new in zip(padded, target, strict=True)
    ):
        raise trace.error(ValueError, f"broadcast_to of shape {array.node.sizes()} to {sizes}")
    return look_at(array, Broadcast(target))


def broadcast_arrays(*arrays: Any) -> Any:
    """The arrays, broadcast to their common shape."""
    trace = trace_of(arrays)
    shape = broadcast_shape(trace, "broadcast_arrays", [as_symbolic(trace, array).node for array in arrays])
    return tuple(broadcast_to(array, tuple(map(trace.size, shape))) for array in arrays)


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that arrays of these shapes broadcast to."""
    return numpy.broadcast_shapes(*(tuple(int(size) for size in shape) for shape in shapes))


@of_array
def expand_dims(x: Any, /, *, axis: Any = 0) -> Any:
    """x with new dimensions of size 1 at `axis`, as counted in the result."""
    ndim = x.ndim + len(shape_given(axis))
    new = positions_of(x, axis, ndim)
    own = iter(range(x.ndim))
    return view(x, tuple(None if position in new else next(own) for position in range(ndim)))


@of_array
def squeeze(x: Any, /, axis: Any = None) -> Any:
    """x without the dimensions of size 1 at `axis`; by default without all of them."""
    if axis is None:
        out: tuple[int, ...] = tuple(d for d in range(x.ndim) if x.node.shape[d] is None)
    else:
        out = positions_of(x, axis)
    for position in out:
        if x.node.shape[position] is not None:
            raise x.tracer.error(ValueError, f"squeeze of axis {position} of shape {x.node.sizes()}")
    return view(x, tuple(position for position in range(x.ndim) if position not in out))


@of_array
def permute_dims(x: Any, /, axes: Any) -> Any:
    """x with its dimensions in another order."""
    order = positions_of(x, axes)
    if len(order) != x.ndim:
        raise x.tracer.error(ValueError, f"permute_dims of shape {x.node.sizes()} by {tuple(axes)}")
    return view(x, order)


@of_array
def matrix_transpose(x: Any, /) -> Any:
    """x with its last two dimensions exchanged."""
    return x.mT


@of_array
def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """x with dimensions moved to other places."""
    sources, destinations = positions_of(x, source), positions_of(x, destination)
    if len(sources) != len(destinations):
        raise x.tracer.error(ValueError, f"moveaxis of {source} to {destination}: expected as many of both")
    order = [position for position in range(x.ndim) if position not in sources]
    for place, position in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, position)
    return view(x, tuple(order))


@of_array
def reshape(x: Any, /, shape: Any, *, copy: Any = None) -> Any:
    """x in another shape, its elements in C order; a size of -1 follows from the others."""
    sizes = [length.__index__() for length in shape_given(shape)]
    own = x.node.sizes()
    if sizes.count(-1) == 1:
        others = math.prod(size for size in sizes if size != -1)
        if others == 0 or math.prod(own) % others:
            raise x.tracer.error(ValueError, f"cannot reshape an array of shape {own} into {tuple(sizes)}")
        sizes[sizes.index(-1)] = math.prod(own) // others
    if math.prod(own) != math.prod(sizes) or any(size < 0 for size in sizes):
        raise x.tracer.error(ValueError, f"cannot reshape an array of shape {own} into {tuple(sizes)}")
    x = copy_of(x) if copy else x
    # NumPy copies where no strides show the elements in that order.
    x = x if reshaped(own, strides_of(x), sizes) is not None else copy_of(x)
    if [n for n in own if n != 1] == [n for n in sizes if n != 1]:
        kept = iter(position for position, n in enumerate(own) if n != 1)
        return view(x, tuple(None if n == 1 else next(kept) for n in sizes))
    return look_at(x, Reshaped(tuple(sizes)))


def same_dtype(trace: Trace, function: str, arrays: Sequence[Any]) -> list[SymbolicArray]:
    """The arrays in their common dtype."""
    symbolic = [as_symbolic(trace, array) for array in arrays]
    dtype, _ = common_dtype(trace, function, symbolic)
    return [cast(trace, array, dtype) for array in symbolic]


def concat(arrays: Any, /, *, axis: Any = 0) -> Any:
    """The arrays one after another along an axis; flattened first where that is None."""
    trace = trace_of(tuple(arrays))
    given = same_dtype(trace, "concat", arrays)
    if not given:
        raise trace.error(ValueError, "concat of no arrays; expected at least one")
    if axis is None:
        given, axis = [reshape(array, (-1,)) for array in given], 0
    first = given[0]
    along = position_of(first, axis)
    for array in given[1:]:
        mine, theirs = list(array.node.sizes()), list(first.node.sizes())
        if (
            array.ndim != first.ndim
            or mine[:along] + mine[along + 1 :] != theirs[:along] + theirs[along + 1 :]
        ):
            raise trace.error(
                ValueError,
                f"concat of shapes {first.node.sizes()} and {array.node.sizes()} along axis {along}; "
                "expected the same sizes along all others",
            )
    if len(given) == 1:
        return copy_of(first)
    total = sum(array.node.sizes()[along] for array in given)
    shape = [next((n.node.shape[d] for n in given if n.node.shape[d]), None) for d in range(first.ndim)]
    shape[along] = None if total == 1 else Axis(total)
    nodes = [array.node for array in given]
    node = trace.node(Op.CONCAT, nodes, Concat(along), shape=tuple(shape), dtype=first.node.dtype)
    made = SymbolicArray(trace, node)
    made.order = order_of_result(node.sizes(), given)
    return made


def stack(arrays: Any, /, *, axis: Any = 0) -> Any:
    """The arrays along a new axis."""
    trace = trace_of(tuple(arrays))
    given = [as_symbolic(trace, array) for array in arrays]
    for array in given[1:]:
        if array.node.sizes() != given[0].node.sizes():
            raise trace.error(
                ValueError, f"stack of shapes {given[0].node.sizes()} and {array.node.sizes()}; expected one"
            )
    if not given:
        raise trace.error(ValueError, "stack of no arrays; expected at least one")
    position = position_of(given[0], axis, given[0].ndim + 1)
    return concat([expand_dims(array, axis=position) for array in given], axis=position)


@of_array
def unstack(x: Any, /, *, axis: Any = 0) -> Any:
    """The arrays at each position along an axis."""
    position = position_of(x, axis)
    before = (slice(None),) * position
    return tuple(x[(*before, place)] for place in range(x.node.sizes()[position]))


@of_array
def flip(x: Any, /, *, axis: Any = None) -> Any:
    """x in the reverse order along some axes, or along all."""
    axes = range(x.ndim) if axis is None else positions_of(x, axis)
    return x[tuple(slice(None, None, -1 if d in axes else None) for d in range(x.ndim))] if x.ndim else x


@of_array
def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """x shifted along some axes; elements beyond the end come in at the beginning."""
    if axis is None:
        return reshape(roll(reshape(x, (-1,)), shift, axis=0), x.node.sizes())
    axes = shape_given(axis)
    shifts = shape_given(shift)
    shifts = [*shifts] * len(axes) if len(shifts) == 1 else shifts
    axes = [*axes] * len(shifts) if len(axes) == 1 else axes
    if len(axes) != len(shifts):
        raise x.tracer.error(ValueError, f"roll by {shift} along {axis}; expected as many of both")
    for by, along in zip(shifts, axes, strict=True):
        position = position_of(x, along)
        size = x.node.sizes()[position]
        by = by.__index__() % size if size else 0
        if by:
            before = (slice(None),) * position
            x = concat(
                [x[(*before, slice(size - by, None))], x[(*before, slice(0, size - by))]], axis=position
            )
    return copy_of(x)


@of_array
def repeat(x: Any, repeats: Any, /, *, axis: Any = None) -> Any:
    """x with each element repeated, along an axis or flattened."""
    if isinstance(repeats, list | tuple) or getattr(repeats, "ndim", 0) > 0:
        raise x.tracer.error(
            TypeError, "repeat by an array has a shape that depends on values; expected one number"
        )
    count = repeats.__index__()
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    position = position_of(x, axis)
    sizes = x.node.sizes()
    wide = broadcast_to(
        expand_dims(x, axis=position + 1), (*x.shape[: position + 1], count, *x.shape[position + 1 :])
    )
    return copy_of(reshape(wide, (*sizes[:position], sizes[position] * count, *sizes[position + 1 :])))


@of_array
def tile(x: Any, repetitions: Any, /) -> Any:
    """x repeated along each dimension."""
    counts = [count.__index__() for count in shape_given(repetitions)]
    counts = [1] * (x.ndim - len(counts)) + counts
    x = view(x, (*[None] * (len(counts) - x.ndim), *range(x.ndim)))
    sizes = x.node.sizes()
    places = tuple(part for d in range(x.ndim) for part in (None, d))
    wide = view(x, places)
    target = [part for count, size in zip(counts, sizes, strict=True) for part in (count, size)]
    return copy_of(reshape(broadcast_to(wide, target), [c * n for c, n in zip(counts, sizes, strict=True)]))


@of_array
def diff(x: Any, /, *, axis: Any = -1, n: Any = 1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along an axis, n times."""
    position = position_of(x, axis)
    parts = [part for part in (prepend, x, append) if part is not None]
    if len(parts) > 1:
        sizes = x.node.sizes()
        one = (*sizes[:position], 1, *sizes[position + 1 :])
        parts = [broadcast_to(part, one) if not as_symbolic(x.tracer, part).ndim else part for part in parts]
        x = concat(parts, axis=position)
    before = (slice(None),) * position
    for _ in range(n.__index__()):
        later, earlier = x[(*before, slice(1, None))], x[(*before, slice(None, -1))]
        x = later != earlier if str(x.dtype) == "bool" else later - earlier
    return x
