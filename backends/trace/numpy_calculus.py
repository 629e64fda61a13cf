"""NumPy's functions of sampled functions: differences, integrals, interpolation, polynomials."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from ..ir.dtypes import BOOL
from ..ir.operations import Op
from . import library_calls, namespace, products, reductions, shapes
from .elementwise import apply
from .numpy_arguments import NO_VALUE, array_of, flattened, is_given, unsupported
from .symbolic import SymbolicArray, as_symbolic, view


def _diff(a: Any, n: Any = 1, axis: Any = -1, prepend: Any = NO_VALUE, append: Any = NO_VALUE) -> Any:
    given = {k: v for k, v in (("prepend", prepend), ("append", append)) if is_given(v)}
    return shapes.diff(array_of(a), n=n, axis=axis, **given)


def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    if to_end is not None or to_begin is not None:
        raise unsupported(ary, "np.ediff1d with to_end= or to_begin=; use np.concatenate")
    x = flattened(array_of(ary))
    return x[1:] - x[:-1]


def _gradient(f: Any, *spacing: Any, axis: Any = None, edge_order: Any = 1) -> Any:
    x = array_of(f)
    if x.node.dtype == BOOL:
        raise x.tracer.error(TypeError, "np.gradient of bools; expected numbers")
    x = reductions.as_float(x)
    axes = range(x.ndim) if axis is None else shapes.positions_of(x, axis)
    steps = list(spacing) * len(axes) if len(spacing) == 1 else list(spacing) or [1.0] * len(axes)
    if edge_order != 1 or any(as_symbolic(x.tracer, step).ndim for step in steps):
        raise x.tracer.error(TypeError, "np.gradient of uneven spacing or edge_order 2 is not supported")
    found = []
    for along, step in zip(axes, steps, strict=True):
        ahead = (slice(None),) * along
        if x.node.sizes()[along] < 2:
            raise x.tracer.error(ValueError, f"np.gradient of shape {x.node.sizes()}; expected two elements")

        def part(start: Any, end: Any, ahead: tuple[Any, ...] = ahead) -> Any:
            return x[(*ahead, slice(start, end))]

        inside = (part(2, None) - part(None, -2)) / (2.0 * step)
        first, last = (part(1, 2) - part(0, 1)) / step, (part(-1, None) - part(-2, -1)) / step
        found.append(shapes.concat([first, inside, last], axis=along))
    return found[0] if len(found) == 1 else tuple(found)


def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    values = array_of(y)
    position = shapes.position_of(values, axis)
    ahead = (slice(None),) * position
    if x is not None:
        points = array_of(x, y)
        dx = shapes.diff(points, axis=-1 if points.ndim == 1 else position)
        if points.ndim == 1:
            dx = view(dx, tuple(0 if d == position else None for d in range(values.ndim)))
    both = values[(*ahead, slice(1, None))] + values[(*ahead, slice(None, -1))]
    return reductions.sum(dx * both / 2.0, axis=position)


def _polyval(p: Any, x: Any) -> Any:
    array = array_of(x, p)
    if isinstance(p, list | tuple) and not any(isinstance(part, SymbolicArray) for part in p):
        p = numpy.asarray(p)
    found: Any = array * 0
    for coefficient in p:
        found = found * array + coefficient
    return found


def _sinc(x: Any) -> Any:
    array = array_of(x) * math.pi
    safe = apply(Op.WHERE, array == 0, 1.0, array)
    return apply(Op.WHERE, array == 0, 1.0, apply(Op.SIN, safe) / safe)


def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    array, points, values = (array_of(part, x, xp, fp) for part in (x, xp, fp))
    if period is not None:
        raise array.tracer.error(TypeError, "np.interp with a period is not supported by the compiler")
    count = points.node.sizes()[0]
    place = namespace.clip(library_calls.searchsorted(points, array, side="right") - 1, 0, max(count - 2, 0))
    x0, x1 = products.take(points, place), products.take(points, place + 1)
    y0, y1 = products.take(values, place), products.take(values, place + 1)
    inside = (y1 - y0) / (x1 - x0) * (array - x0) + y0
    found = apply(Op.WHERE, array < points[0], values[0] if left is None else left, inside)
    return apply(Op.WHERE, array >= points[-1], values[-1] if right is None else right, found)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("trapezoid", "trapz"), _trapezoid),
    "diff": _diff,
    "ediff1d": _ediff1d,
    "gradient": _gradient,
    "polyval": _polyval,
    "sinc": _sinc,
    "interp": _interp,
}
