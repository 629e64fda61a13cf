"""NumPy's reductions of symbolic arrays, with NumPy's options: `np.sum(x, axis=1, where=mask, initial=2)`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..ir.dtypes import BOOL
from ..ir.operations import Op
from . import library_calls, namespace, reductions, shapes
from .elementwise import apply
from .numpy_arguments import NO_VALUE, accepting_list, array_of, finished, is_given, is_kept
from .promotion import cast
from .symbolic import as_symbolic, view


def _reduction(function: Callable[..., Any], identity: Any) -> Callable[..., Any]:
    """A reduction with NumPy's options.

    identity: takes a dtype; gives the value of the elements that `where` leaves out
    """

    def reduction(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = NO_VALUE,
        where: Any = True,
    ) -> Any:
        x = array_of(a)
        if where is not True and where is not NO_VALUE:
            x = apply(Op.WHERE, where, x, identity(x.node.dtype))
        more = {"dtype": dtype} if is_given(dtype) else {}
        found = function(x, axis=axis, keepdims=is_kept(keepdims), **more)
        if is_given(initial):
            if found.node.dtype == BOOL:
                initial = bool(initial)
            found = _JOINED[function.__name__](found, initial)
        return finished(found, out=out)

    return reduction


_JOINED: dict[str, Callable[..., Any]] = {
    "sum": lambda a, b: a + b,
    "prod": lambda a, b: a * b,
    "max": lambda a, b: apply(Op.MAXIMUM, a, b),
    "min": lambda a, b: apply(Op.MINIMUM, a, b),
}


def _lowest(dtype: Any) -> Any:
    return -math.inf if dtype.is_float else False if dtype == BOOL else dtype.lowest


def _highest(dtype: Any) -> Any:
    return math.inf if dtype.is_float else True if dtype == BOOL else dtype.highest


_sum = _reduction(reductions.sum, lambda dtype: 0)
_prod = _reduction(reductions.prod, lambda dtype: 1)


def _max(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    return _reduction(reductions.max, _lowest)(a, axis, None, out, keepdims, **options)


def _min(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    return _reduction(reductions.min, _highest)(a, axis, None, out, keepdims, **options)


def _any(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
    return _reduction(reductions.any, lambda dtype: False)(a, axis, None, out, keepdims, where=where)


def _all(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
    return _reduction(reductions.all, lambda dtype: True)(a, axis, None, out, keepdims, where=where)


def _mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    x = array_of(a)
    if is_given(dtype):
        x = namespace.astype(x, dtype)
    if where is not True and where is not NO_VALUE:
        mask = cast(x.tracer, as_symbolic(x.tracer, where), BOOL)
        counted = cast(x.tracer, shapes.broadcast_to(mask, x.shape), reductions.as_float(x).node.dtype)
        keep = is_kept(keepdims)
        total = reductions.sum(apply(Op.WHERE, mask, x, 0) * 1.0, axis=axis, keepdims=keep)
        count = reductions.sum(counted, axis=axis, keepdims=keep)
        return finished(total / count, out=out, is_unsafe=True)
    keep = is_kept(keepdims)
    return finished(reductions.mean(x, axis=axis, keepdims=keep), out=out, is_unsafe=True)


def _spread(function: Callable[..., Any]) -> Callable[..., Any]:
    def spread(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: Any = 0,
        keepdims: Any = False,
        *,
        correction: Any = NO_VALUE,
    ) -> Any:
        x = namespace.astype(array_of(a), dtype) if is_given(dtype) else array_of(a)
        less = correction if is_given(correction) else ddof
        keep = is_kept(keepdims)
        return finished(function(x, axis=axis, correction=less, keepdims=keep), out=out, is_unsafe=True)

    return spread


def _arg_extreme(function: Callable[..., Any]) -> Callable[..., Any]:
    def extreme(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        keep = is_kept(keepdims)
        return finished(function(array_of(a), axis=axis, keepdims=keep), out=out)

    return extreme


def _count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    return reductions.count_nonzero(array_of(a), axis=axis, keepdims=bool(keepdims))


def _ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return finished(_max(a, axis, None, keepdims) - _min(a, axis, None, keepdims), out=out)


def _average(
    a: Any, axis: Any = None, weights: Any = None, returned: Any = False, *, keepdims: Any = False
) -> Any:
    x = array_of(a)
    if weights is None:
        return _mean(x, axis, keepdims=keepdims)
    w = array_of(weights, a)
    dtype = namespace.result_type(x, w) if x.node.dtype.is_float else namespace.result_type(x, w, "float64")
    x, w = namespace.astype(x, dtype), namespace.astype(w, dtype)
    if w.ndim < x.ndim and axis is not None:
        position = shapes.position_of(x, axis)
        w = view(w, tuple(0 if d == position else None for d in range(x.ndim)))
    total = reductions.sum(shapes.broadcast_to(w, x.shape), axis=axis, keepdims=bool(keepdims))
    found = reductions.sum(x * w, axis=axis, keepdims=bool(keepdims)) / total
    return (found, total) if returned else found


def _ignoring_nan(function: Callable[..., Any]) -> Callable[..., Any]:
    def ignoring(a: Any, axis: Any = None, *args: Any, **options: Any) -> Any:
        x = array_of(a)
        return function(x, axis, *args, where=~apply(Op.ISNAN, x), **options)

    return ignoring


def _cumulative(function: Callable[..., Any]) -> Callable[..., Any]:
    def cumulative(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        x = array_of(a)
        x, axis = (shapes.reshape(x, (-1,)), 0) if axis is None else (x, axis)
        return finished(function(x, axis=axis, dtype=dtype), out=out)

    return cumulative


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("max", "amax"), _max),
    **dict.fromkeys(("min", "amin"), _min),
    "sum": _sum,
    "prod": _prod,
    "any": _any,
    "all": _all,
    "mean": _mean,
    "var": _spread(reductions.var),
    "std": _spread(reductions.std),
    "argmax": _arg_extreme(reductions.argmax),
    "argmin": _arg_extreme(reductions.argmin),
    "count_nonzero": _count_nonzero,
    "ptp": _ptp,
    "average": _average,
    "nansum": _ignoring_nan(_sum),
    "nanprod": _ignoring_nan(_prod),
    "nanmean": _ignoring_nan(_mean),
    "nanmax": _ignoring_nan(lambda x, axis, **options: _max(x, axis, **options)),
    "nanmin": _ignoring_nan(lambda x, axis, **options: _min(x, axis, **options)),
    "cumsum": _cumulative(library_calls.cumulative_sum),
    "cumprod": _cumulative(library_calls.cumulative_prod),
    "cumulative_sum": accepting_list(library_calls.cumulative_sum),
    "cumulative_prod": accepting_list(library_calls.cumulative_prod),
}
