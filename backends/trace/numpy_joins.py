"""NumPy's functions that put arrays together, take them apart, or repeat elements: `np.hstack`, `np.pad`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy

from . import shapes
from .numpy_arguments import accepting_list, array_of, finished, flattened
from .numpy_shapes import at_least, ravel
from .promotion import cast
from .symbolic import SymbolicArray, as_symbolic, copy_of, view


def concatenate(arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, **_: Any) -> Any:
    """np.concatenate: the arrays one after another along an axis."""
    given = [array_of(array, *arrays) for array in arrays]
    return finished(shapes.concat(given, axis=axis), out=out, dtype=dtype)


def _stack(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, **_: Any) -> Any:
    return finished(shapes.stack([array_of(a, *arrays) for a in arrays], axis=axis), out=out, dtype=dtype)


def _hstack(arrays: Any, **options: Any) -> Any:
    given = [at_least(1)(array) for array in arrays]
    return concatenate(given, 0 if given[0].ndim == 1 else 1, **options)


def _vstack(arrays: Any, **options: Any) -> Any:
    return concatenate([at_least(2)(array) for array in arrays], 0, **options)


def _dstack(arrays: Any) -> Any:
    return concatenate([at_least(3)(array) for array in arrays], 2)


def _column_stack(arrays: Any) -> Any:
    given = [array_of(array, *arrays) for array in arrays]
    return concatenate([view(x, (0, None)) if x.ndim == 1 else x for x in given], 1)


def _split(a: Any, indices_or_sections: Any, axis: Any = 0, *, is_exact: bool = True) -> Any:
    x = array_of(a)
    position = shapes.position_of(x, axis)
    size = x.node.sizes()[position]
    if hasattr(indices_or_sections, "__index__"):
        count = indices_or_sections.__index__()
        if is_exact and size % count:
            raise x.tracer.error(ValueError, "array split does not result in an equal division")
        each, more = divmod(size, count)
        ends = numpy.cumsum([each + 1] * more + [each] * (count - more))[:-1].tolist()
    else:
        ends = [end.__index__() for end in indices_or_sections]
    before = (slice(None),) * position
    starts = [0, *ends]
    return [x[(*before, slice(s, e))] for s, e in zip(starts, [*ends, size], strict=True)]


def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    x = array_of(a)
    counts = None if isinstance(repeats, SymbolicArray) else numpy.asarray(repeats)
    if counts is not None and counts.ndim:
        x, axis = (flattened(x), 0) if axis is None else (x, axis)
        position = shapes.position_of(x, axis)
        places = numpy.repeat(numpy.arange(x.node.sizes()[position]), counts)
        return x[(*[slice(None)] * position, places)]
    return shapes.repeat(x, repeats, axis=axis)


def _tile(A: Any, reps: Any) -> Any:  # noqa: N803 - NumPy's name
    return shapes.tile(array_of(A), reps)


def pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0, **options: Any) -> Any:
    """np.pad: the array with more elements before and behind it along each axis."""
    x = array_of(array)
    widths = numpy.broadcast_to(numpy.asarray(_integers(pad_width)), (x.ndim, 2)).tolist()
    for axis, (before, after) in enumerate(widths):
        if mode == "constant":
            x = _padded_with(x, axis, (before, after), constant_values) if before or after else x
            continue
        if mode not in ("edge", "reflect", "symmetric", "wrap") or options:
            raise x.tracer.error(TypeError, f"np.pad with mode={mode!r} is not supported by the compiler")
        places = numpy.pad(numpy.arange(x.node.sizes()[axis]), (before, after), mode=mode)  # type: ignore[call-overload]
        x = x[(*(slice(None),) * axis, places)]
    return copy_of(x)


def _padded_with(x: SymbolicArray, axis: int, counts: tuple[int, int], value: Any) -> Any:
    """The array with so many equal elements before and behind it along an axis."""
    sizes, parts = list(x.node.sizes()), []
    for count in counts:
        sizes[axis] = count
        filling = cast(x.tracer, as_symbolic(x.tracer, value), x.node.dtype)
        parts.append(shapes.broadcast_to(filling, tuple(sizes)))
    return shapes.concat([parts[0], x, parts[1]], axis=axis)


def _integers(tree: Any) -> Any:
    """The integers of nested lists as Python integers."""
    return [_integers(item) for item in tree] if isinstance(tree, list | tuple) else tree.__index__()


def _append(arr: Any, values: Any, axis: Any = None) -> Any:
    if axis is None:
        return concatenate([ravel(array_of(arr, values)), ravel(array_of(values, arr))])
    return concatenate([arr, values], axis)


def _delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    x = array_of(arr)
    x, axis = (flattened(x), 0) if axis is None else (x, axis)
    position = shapes.position_of(x, axis)
    left = numpy.delete(numpy.arange(x.node.sizes()[position]), obj)
    return x[(*[slice(None)] * position, left)]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("concatenate", "concat"), concatenate),
    **dict.fromkeys(("vstack", "row_stack"), _vstack),
    "stack": _stack,
    "hstack": _hstack,
    "dstack": _dstack,
    "column_stack": _column_stack,
    "unstack": accepting_list(shapes.unstack),
    "split": _split,
    "array_split": functools.partial(_split, is_exact=False),
    "hsplit": lambda a, parts: _split(a, parts, 0 if array_of(a).ndim == 1 else 1),
    "vsplit": lambda a, parts: _split(a, parts, 0),
    "repeat": _repeat,
    "tile": _tile,
    "pad": pad,
    "append": _append,
    "delete": _delete,
}
