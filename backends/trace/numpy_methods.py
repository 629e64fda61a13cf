"""Methods and attributes of NumPy's arrays, of symbolic arrays: `x.reshape(3, -1)`, `x.nbytes`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy

from . import library_calls, namespace, shapes
from .in_place import assign, write_at
from .numpy_arguments import flattened
from .numpy_creation import copy
from .numpy_functions import FUNCTIONS
from .numpy_shapes import ravel, reshape, transpose
from .strides import is_contiguous, strides_of
from .symbolic import SymbolicArray, copy_of


def _astype(x: Any, dtype: Any, *_: Any, copy: Any = True, **__: Any) -> Any:
    return namespace.astype(x, dtype, copy=copy)


def _fill(x: Any, value: Any) -> None:
    write_at(x, Ellipsis, value)


def _item(x: Any, *place: Any) -> Any:
    if len(place) == 1 and isinstance(place[0], tuple):
        (place,) = place
    if len(place) == 1:
        return shapes.reshape(x, (-1,))[place[0].__index__()].as_python_number()
    if len(place) != x.ndim and (place or x.node.axes):
        raise x.tracer.error(
            ValueError, f"item{place} of shape {x.node.sizes()}; expected an index of one element"
        )
    return (x[tuple(i.__index__() for i in place)] if place else shapes.reshape(x, ())).as_python_number()


def _sort_in_place(x: Any, axis: Any = -1, **_: Any) -> None:
    assign(x, library_calls.sort(x, axis=axis))


def _shape_of(shape: tuple[Any, ...]) -> Any:
    """The shape of a method that takes it as one argument or as several."""
    return shape[0] if len(shape) == 1 else shape


def _with_shape(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method that takes a shape as one argument or as several."""
    return lambda x, *shape, **options: function(x, _shape_of(shape), **options)


METHODS: dict[str, Callable[..., Any]] = {
    **{
        name: FUNCTIONS[name]
        for name in (
            *("sum", "prod", "any", "all", "mean", "var", "std", "max", "min", "argmax", "argmin", "ptp"),
            *("cumsum", "cumprod", "argsort", "searchsorted", "ravel", "swapaxes", "squeeze", "repeat"),
            *("dot", "trace", "diagonal", "clip", "round", "take", "argpartition"),
        )
    },
    "reshape": _with_shape(reshape),
    "transpose": lambda x, *axes: transpose(x, _shape_of(axes) if axes else None),
    "flatten": lambda x, order="C": copy_of(ravel(x, order)),
    "astype": _astype,
    "fill": _fill,
    "item": _item,
    "view": lambda x: x[...],
    "copy": lambda x, order="C": copy(x, order),
    "sort": _sort_in_place,
    "conj": namespace.real,
    "conjugate": namespace.real,
}


def attribute(self: SymbolicArray, name: str) -> Any:
    """`__getattr__` of symbolic arrays: a method of NumPy's arrays."""
    if name in METHODS:
        return functools.partial(METHODS[name], self)
    if name == "real":
        return self
    if name == "flat":
        if not is_contiguous(self.node.sizes(), strides_of(self)):
            raise self.tracer.error(
                TypeError, ".flat of elements that do not lie in C order is not supported; use .reshape(-1)"
            )
        return flattened(self)
    if name in ("itemsize", "nbytes"):
        size = numpy.dtype(self.node.dtype.name).itemsize
        return size if name == "itemsize" else size * math.prod(self.node.sizes())
    if name.startswith("__"):  # libraries look for protocols on any object
        raise AttributeError(name)
    raise self.tracer.error(
        AttributeError,
        f".{name} of a symbolic array is not supported by the compiler; use a function of xp",
    )
