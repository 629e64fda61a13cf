"""Functions of the namespace that the arrays' own library computes: sorting, cumulative sums, searching."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from ..ir.attributes import LibraryCall
from ..ir.dtypes import INT64, DType
from ..ir.graph import Axis, Node
from ..ir.operations import Op
from .dtype_names import dtype_given
from .elementwise import broadcast_shape
from .looks import axes_of
from .promotion import cast
from .reductions import wide
from .shapes import position_of, same_dtype
from .symbolic import SymbolicArray, as_symbolic, in_order_of, of_array, trace_of


def call(
    function: str,
    arrays: Sequence[SymbolicArray],
    sizes: Sequence[int],
    dtype: DType,
    part: int | None = None,
    **options: Hashable,
) -> SymbolicArray:
    """A function of `ir.library`, whose result has these sizes and this dtype."""
    trace = arrays[0].tracer
    attribute = LibraryCall(function, tuple(sorted(options.items())), part)
    nodes = [array.node for array in arrays]
    made = trace.node(Op.LIBRARY, nodes, attribute, shape=_along(nodes, tuple(sizes)), dtype=dtype)
    return SymbolicArray(trace, made)


def _along(nodes: Sequence[Node], sizes: tuple[int, ...]) -> tuple[Axis | None, ...]:
    """The first array's own axes where the result has its shape."""
    return nodes[0].shape if nodes[0].sizes() == sizes else axes_of(sizes)


@of_array
def sort(x: Any, /, *, axis: Any = -1, descending: Any = False, stable: Any = True) -> Any:
    """The elements in order along an axis."""
    axis = position_of(x, axis)
    options = {"axis": axis, "descending": bool(descending), "stable": bool(stable)}
    return in_order_of(x, call("sort", [x], x.node.sizes(), x.node.dtype, **options))


@of_array
def argsort(x: Any, /, *, axis: Any = -1, descending: Any = False, stable: Any = True) -> Any:
    """The indices that put the elements in order along an axis."""
    axis = position_of(x, axis)
    options = {"axis": axis, "descending": bool(descending), "stable": bool(stable)}
    return call("argsort", [x], x.node.sizes(), INT64, **options)


@of_array
def cumulative_sum(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: Any = False) -> Any:
    """The sums of all elements up to each along an axis; with a 0 in front if `include_initial`."""
    return _cumulative("cumulative_sum", x, axis, dtype, include_initial)


@of_array
def cumulative_prod(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: Any = False) -> Any:
    """The products of all elements up to each along an axis; with a 1 in front if `include_initial`."""
    return _cumulative("cumulative_prod", x, axis, dtype, include_initial)


def _cumulative(function: str, x: Any, axis: Any, dtype: Any, include_initial: Any) -> Any:
    if axis is None:
        if x.ndim != 1:
            raise x.tracer.error(
                ValueError, f"{function} of shape {x.node.sizes()} without an axis; expected an axis"
            )
        axis = 0
    position = position_of(x, axis)
    summed = wide(x.node.dtype) if dtype is None else dtype_given(x.tracer, function, dtype)
    sizes = list(x.node.sizes())
    sizes[position] += bool(include_initial)
    options = {"axis": position, "include_initial": bool(include_initial)}
    return in_order_of(x, call(function, [cast(x.tracer, x, summed)], sizes, summed, **options))


def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Where each element of x2 would be put into the ordered vector x1."""
    trace = trace_of((x1, x2))
    arrays = same_dtype(trace, "searchsorted", (x1, x2))
    if arrays[0].ndim != 1 or side not in ("left", "right"):
        raise trace.error(
            ValueError,
            f"searchsorted in shape {arrays[0].node.sizes()}, side {side!r}; expected a vector and "
            "'left' or 'right'",
        )
    sizes = arrays[1].node.sizes()
    if sorter is not None:
        arrays.append(as_symbolic(trace, sorter))
    return call("searchsorted", arrays, sizes, INT64, side=side)


def nextafter(x1: Any, x2: Any, /) -> Any:
    """The next floating-point number from x1 towards x2."""
    trace = trace_of((x1, x2))
    a, b = same_dtype(trace, "nextafter", (x1, x2))
    if not a.node.dtype.is_float:
        raise trace.error(TypeError, f"nextafter of dtype {a.dtype}; expected float")
    shape = broadcast_shape(trace, "nextafter", [a.node, b.node])
    sizes = tuple(1 if axis is None else axis.size for axis in shape)
    return call("nextafter", [a, b], sizes, a.node.dtype)
