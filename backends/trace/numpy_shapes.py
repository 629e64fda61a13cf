"""NumPy's functions that give one array another shape, or its elements another order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import shapes
from .numpy_arguments import accepting_list, array_of, flattened
from .strides import is_contiguous, strides_of
from .symbolic import copy_of, view


def reshape(a: Any, /, shape: Any = None, order: str = "C", *, newshape: Any = None, copy: Any = None) -> Any:
    """np.reshape, in C order or in Fortran order."""
    x = array_of(a)
    shape = newshape if shape is None else shape
    if order == "F":
        given = tuple(reversed(shapes.shape_given(shape)))
        return shapes.reshape(x.T, given).T
    if order != "C":
        raise x.tracer.error(
            TypeError, f"reshape in the order {order!r} is not supported; expected 'C' or 'F'"
        )
    return shapes.reshape(x, shape, copy=copy)


def ravel(a: Any, order: str = "C") -> Any:
    """np.ravel: all elements as a vector; a view where they lie in C order, else a copy."""
    x = array_of(a)
    if order == "F":
        x = x.T
    elif order != "C":
        raise x.tracer.error(TypeError, f"ravel in the order {order!r} is not supported; expected 'C' or 'F'")
    # NumPy copies elements that do not lie in C order, even where `reshape` would give a view.
    return flattened(x if is_contiguous(x.node.sizes(), strides_of(x)) else copy_of(x))


def transpose(a: Any, axes: Any = None) -> Any:
    """np.transpose: the dimensions in another order, by default reversed."""
    x = array_of(a)
    return x.T if axes is None else shapes.permute_dims(x, axes)


def _swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    x = array_of(a)
    order = list(range(x.ndim))
    one, other = shapes.position_of(x, axis1), shapes.position_of(x, axis2)
    order[one], order[other] = other, one
    return view(x, tuple(order))


def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    return shapes.moveaxis(array_of(a), source, destination)


def _rollaxis(a: Any, axis: Any, start: Any = 0) -> Any:
    x = array_of(a)
    place = shapes.position_of(x, axis)
    start = start + x.ndim if start < 0 else start
    return shapes.moveaxis(x, place, start - (place < start))


def _squeeze(a: Any, axis: Any = None) -> Any:
    return shapes.squeeze(array_of(a), axis=axis)


def _expand_dims(a: Any, axis: Any) -> Any:
    return shapes.expand_dims(array_of(a), axis=axis)


def at_least(ndim: int) -> Callable[..., Any]:
    """np.atleast_1d, 2d or 3d: a function whose results have at least so many dimensions."""

    def with_dimensions(*arrays: Any) -> Any:
        found = []
        for array in arrays:
            x = array_of(array)
            missing = max(ndim - x.ndim, 0)
            before = 1 if ndim == 3 and x.ndim == 1 else 0 if ndim == 3 and x.ndim == 2 else missing
            places = (*[None] * before, *range(x.ndim), *[None] * (missing - before))
            found.append(view(x, places))
        return found[0] if len(found) == 1 else tuple(found)

    return with_dimensions


def _flip(m: Any, axis: Any = None) -> Any:
    return shapes.flip(array_of(m), axis=axis)


def _rot90(m: Any, k: Any = 1, axes: Any = (0, 1)) -> Any:
    x = array_of(m)
    for _ in range(k % 4):
        x = _swapaxes(_flip(x, axes[1]), *axes)
    return x


def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    return shapes.roll(array_of(a), shift, axis=axis)


def _broadcast_to(array: Any, shape: Any, subok: Any = False) -> Any:
    return shapes.broadcast_to(array_of(array), shape)


def _broadcast_arrays(*arrays: Any, subok: Any = False) -> Any:
    return shapes.broadcast_arrays(*arrays)


def _shape(a: Any) -> Any:
    return array_of(a).shape


def _ndim(a: Any) -> Any:
    return array_of(a).ndim


def _size(a: Any, axis: Any = None) -> Any:
    return array_of(a).size if axis is None else array_of(a).shape[axis]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("permute_dims", "transpose"), transpose),
    "reshape": reshape,
    "ravel": ravel,
    "matrix_transpose": accepting_list(shapes.matrix_transpose),
    "swapaxes": _swapaxes,
    "moveaxis": _moveaxis,
    "rollaxis": _rollaxis,
    "squeeze": _squeeze,
    "expand_dims": _expand_dims,
    "atleast_1d": at_least(1),
    "atleast_2d": at_least(2),
    "atleast_3d": at_least(3),
    "flip": _flip,
    "flipud": lambda m: _flip(m, 0),
    "fliplr": lambda m: _flip(m, 1),
    "rot90": _rot90,
    "roll": _roll,
    "broadcast_to": _broadcast_to,
    "broadcast_arrays": _broadcast_arrays,
    "shape": _shape,
    "ndim": _ndim,
    "size": _size,
}
