"""NumPy's functions of single elements: choices, limits, comparisons, elements at indices.

Takes symbolic arrays and options as NumPy does; gives a symbolic array, or writes into one:

    np.where(x > 0, x, 0.0)          chooses
    np.clip(x, -1.0, 1.0)            limits
    np.take(x, [0, 2], axis=1)       looks up
    np.put_along_axis(x, i, v, 1)    writes
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from ..ir.dtypes import BOOL, INT64
from ..ir.operations import Op
from . import creation, namespace, products, reductions, shapes
from .elementwise import apply
from .in_place import assign, require_casts, write_at
from .numpy_arguments import NO_VALUE, array_of, finished, flattened, unsupported
from .promotion import cast
from .symbolic import NeedsOwnArraysError, SymbolicArray, as_symbolic, copy_of, trace_of, view


def _where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    if x is None and y is None:
        raise trace_of((condition,)).error(
            TypeError, "np.where of a condition alone has a shape that depends on values; pass x and y"
        )
    values = [numpy.asarray(v) if isinstance(v, list | tuple) else v for v in (condition, x, y)]
    return apply(Op.WHERE, *values)


def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    found = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        found = apply(Op.WHERE, condition, choice, found)
    return found


def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **options: Any) -> Any:
    low = options.pop("min", a_min)
    high = options.pop("max", a_max)
    if options:
        raise unsupported(a, f"np.clip with {', '.join(options)}=")
    low, high = (None if value is NO_VALUE else value for value in (low, high))
    return finished(namespace.clip(array_of(a, low, high), low, high), out=out)


def _round(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    x = array_of(a)
    decimals = decimals.__index__()
    if x.node.dtype == BOOL and decimals:
        raise x.tracer.error(TypeError, "round of bools to decimals; expected numbers")
    if not x.node.dtype.is_float and decimals < 0:
        if x.node.dtype.bits < 32:
            raise x.tracer.error(TypeError, f"round of {x.dtype} to tens, which may overflow; cast it first")
        tens = 10**-decimals
        whole = cast(x.tracer, apply(Op.ROUND, x / float(tens)), INT64) * tens
        return finished(cast(x.tracer, whole, x.node.dtype), out=out)
    if decimals == 0 or not x.node.dtype.is_float:
        return finished(apply(Op.ROUND, x), out=out)
    scale = 10.0 ** abs(decimals)
    found = apply(Op.ROUND, x * scale) / scale if decimals > 0 else apply(Op.ROUND, x / scale) * scale
    return finished(found, out=out)


def _nan_to_num(x: Any, copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    array = array_of(x)
    if not array.node.dtype.is_float:
        return copy_of(array) if copy else array
    limits = numpy.finfo(array.node.dtype.name)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    found = apply(Op.WHERE, apply(Op.ISNAN, array), nan, array)
    found = apply(Op.WHERE, array == math.inf, high, found)
    found = apply(Op.WHERE, array == -math.inf, low, found)
    return found if copy else assign(array, found)


def _isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: Any = False) -> Any:
    x, y = array_of(a, b), array_of(b, a)
    close = apply(Op.ABS, x - y) <= atol + rtol * apply(Op.ABS, y)
    found = apply(Op.WHERE, apply(Op.ISFINITE, y), close, x == y)
    if equal_nan:
        found = apply(Op.LOGICAL_OR, found, apply(Op.LOGICAL_AND, apply(Op.ISNAN, x), apply(Op.ISNAN, y)))
    return found


def _allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: Any = False) -> Any:
    return reductions.all(_isclose(a, b, rtol, atol, equal_nan))


def _array_equal(a1: Any, a2: Any, equal_nan: Any = False) -> Any:
    x, y = array_of(a1, a2), array_of(a2, a1)
    if x.node.sizes() != y.node.sizes():
        return False
    same = x == y
    if equal_nan and x.node.dtype.is_float and y.node.dtype.is_float:
        same = apply(Op.LOGICAL_OR, same, apply(Op.LOGICAL_AND, x != x, y != y))
    return reductions.all(same)


def _isin(element: Any, test_elements: Any, assume_unique: Any = False, invert: Any = False, **_: Any) -> Any:
    return namespace.isin(array_of(element, test_elements), array_of(test_elements, element), invert=invert)


def _take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    x = array_of(a, indices)
    x = flattened(x) if axis is None else x
    size = x.node.sizes()[0 if axis is None else shapes.position_of(x, axis)]
    if mode != "raise":
        index = as_symbolic(x.tracer, numpy.asarray(indices) if isinstance(indices, list) else indices)
        indices = namespace.clip(index, 0, size - 1) if mode == "clip" else index % size
    return finished(products.take(x, indices, axis=0 if axis is None else axis), out=out)


def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    x = array_of(arr, indices)
    return products.take_along_axis(
        flattened(x) if axis is None else x, indices, axis=0 if axis is None else axis
    )


def _unravel_index(indices: Any, shape: Any, order: str = "C") -> Any:
    if order != "C":
        raise unsupported(indices, f"np.unravel_index in the order {order!r}")
    index, found = array_of(indices), []
    for size in reversed(shapes.shape_given(shape)):
        found.append(index % size)
        index = index // size
    return tuple(reversed(found))


def _put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    x = array_of(arr)
    position = shapes.position_of(x, axis)
    key = []
    for dimension, size in enumerate(x.node.sizes()):
        along = creation.arange(size)
        places = tuple(0 if d == dimension else None for d in range(x.ndim))
        key.append(indices if dimension == position else view(along, places))
    write_at(x, tuple(key), values)


def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    if not isinstance(dst, SymbolicArray):
        raise trace_of((src,)).error(NeedsOwnArraysError, "np.copyto of a symbolic array into a real one")
    source = array_of(src, dst)
    if casting != "same_kind":
        raise unsupported(dst, f"np.copyto with casting={casting!r}")
    if not source.node.weak or source.node.dtype.is_float:
        require_casts(dst.tracer, source, dst.dtype)
    write_at(dst, Ellipsis, src if where is True else apply(Op.WHERE, where, source, dst))


def _fill_diagonal(a: Any, val: Any, wrap: Any = False) -> None:
    size = min(a.node.sizes())
    mask = creation.eye(*a.node.sizes(), dtype="bool") if a.ndim == 2 else None
    if mask is None or (wrap and a.node.sizes()[0] > size):
        raise a.tracer.error(TypeError, "np.fill_diagonal of other than matrices is not supported")
    write_at(a, mask, val)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("round", "around"), _round),
    **dict.fromkeys(("isin", "in1d"), _isin),
    "where": _where,
    "select": _select,
    "clip": _clip,
    "nan_to_num": _nan_to_num,
    "isclose": _isclose,
    "allclose": _allclose,
    "array_equal": _array_equal,
    "take": _take,
    "unravel_index": _unravel_index,
    "take_along_axis": _take_along_axis,
    "put_along_axis": _put_along_axis,
    "copyto": _copyto,
    "fill_diagonal": _fill_diagonal,
}
