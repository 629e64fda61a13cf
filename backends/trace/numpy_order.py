"""NumPy's functions of elements in order: sorting, searching, quantiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from ..ir.dtypes import BOOL, FLOAT64
from ..ir.operations import Op
from . import library_calls, reductions, shapes
from .elementwise import apply
from .numpy_arguments import array_of, finished, flattened
from .promotion import cast
from .symbolic import SymbolicArray, view


def _sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    x = array_of(a)
    return library_calls.sort(flattened(x) if axis is None else x, axis=0 if axis is None else axis)


def _argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    x = array_of(a)
    return library_calls.argsort(flattened(x) if axis is None else x, axis=0 if axis is None else axis)


def _partition(a: Any, kth: Any, axis: Any = -1, **_: Any) -> Any:
    return _sort(a, axis)


def _argpartition(a: Any, kth: Any, axis: Any = -1, **_: Any) -> Any:
    return _argsort(a, axis)


def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    return library_calls.searchsorted(array_of(a, v), array_of(v, a), side=side, sorter=sorter)


def _digitize(x: Any, bins: Any, right: Any = False) -> Any:
    side = "left" if right else "right"
    return library_calls.searchsorted(array_of(bins, x), array_of(x, bins), side=side)


def _quantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, method: str = "linear",
    keepdims: Any = False, **_: Any,
) -> Any:  # fmt: skip
    x = array_of(a)
    if method != "linear" or isinstance(q, SymbolicArray):
        raise x.tracer.error(TypeError, "quantiles of another method, or of computed q, are not supported")
    if x.node.dtype == BOOL:
        raise x.tracer.error(TypeError, "quantiles of bools; expected numbers")
    parts = numpy.asarray(q, dtype=float)
    if not ((parts >= 0) & (parts <= 1)).all():
        raise x.tracer.error(ValueError, "Quantiles must be in the range [0, 1]")
    ordered = _Ordered(x, axis)

    def one(part: float) -> Any:
        place = part * (ordered.count - 1)
        low = max(math.floor(place), 0)
        share = place - low
        # NumPy computes with several q in float64, and with one q in the dtype of the array.
        strong = float if not parts.ndim else numpy.float64
        below, above = ordered.at(low), ordered.at(low + 1)
        if share >= 0.5:
            found = above - (above - below) * strong(1 - share)
        else:
            found = below + (above - below) * strong(share)
        return apply(Op.WHERE, ordered.is_nan, math.nan, found)

    found = (
        one(float(parts)) if not parts.ndim else shapes.stack([one(float(part)) for part in parts.ravel()])
    )
    if keepdims and parts.ndim:
        raise x.tracer.error(TypeError, "several quantiles with keepdims are not supported by the compiler")
    return finished(ordered.with_dimensions(found) if keepdims else found, out=out, is_unsafe=True)


class _Ordered:
    """The sorted elements along an axis, or of the whole array."""

    def __init__(self, x: SymbolicArray, axis: Any) -> None:
        self._ndim, self._axis = x.ndim, axis
        x = reductions.as_float(x)
        x, self._position = (flattened(x), 0) if axis is None else (x, shapes.position_of(x, axis))
        self._elements = library_calls.sort(x, axis=self._position)
        self.count = x.node.sizes()[self._position]
        if not self.count:
            raise x.tracer.error(ValueError, f"quantiles of no elements, of shape {x.node.sizes()}")
        self.is_nan = reductions.any(apply(Op.ISNAN, x), axis=self._position)

    def at(self, place: int) -> Any:
        """The elements at a position in the order; the last ones if it is beyond the end."""
        return self._elements[(*(slice(None),) * self._position, min(place, self.count - 1))]

    def with_dimensions(self, found: Any) -> Any:
        """A result with the reduced dimensions as dimensions of size 1."""
        if self._axis is None:
            return view(found, (None,) * self._ndim)
        return shapes.expand_dims(found, axis=self._position)


def _percentile(a: Any, q: Any, axis: Any = None, *args: Any, **options: Any) -> Any:
    return _quantile(a, numpy.asarray(q, dtype=float) / 100.0, axis, *args, **options)


def _median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, keepdims: Any = False
) -> Any:
    x = array_of(a)
    if x.node.dtype == BOOL:
        x = cast(x.tracer, x, FLOAT64)
    ordered = _Ordered(x, axis)
    below, above = ordered.at((ordered.count - 1) // 2), ordered.at(ordered.count // 2)
    found = below if ordered.count % 2 else (below + above) / 2.0
    found = apply(Op.WHERE, ordered.is_nan, math.nan, found)
    return finished(ordered.with_dimensions(found) if keepdims else found, out=out, is_unsafe=True)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sort": _sort,
    "argsort": _argsort,
    "partition": _partition,
    "argpartition": _argpartition,
    "searchsorted": _searchsorted,
    "digitize": _digitize,
    "quantile": _quantile,
    "percentile": _percentile,
    "median": _median,
}
