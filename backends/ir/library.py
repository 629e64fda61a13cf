"""Functions of the arrays' library that a program calls on whole arrays: what no loop nest computes.

Takes: a namespace of the array API standard, options, arrays. Gives: an array, or a tuple of them.

    call("sort", xp, {"axis": 1, "descending": False, "stable": True}, [x])    gives    xp.sort(x, axis=1)

The table is closed: a graph can call nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy

# Of the standard, by their own names.
_OF_STANDARD = (
    *("sort", "argsort", "cumulative_sum", "cumulative_prod", "nextafter"),
    *("matmul", "argmax", "argmin"),
)
_OF_LINALG = (
    *("cholesky", "det", "eigh", "eigvalsh", "inv"),
    *("qr", "slogdet", "solve", "svd", "svdvals"),
)


def call(function: str, xp: Any, options: Mapping[str, Any], arrays: Sequence[Any]) -> Any:
    """The result of a function of the table."""
    return FUNCTIONS[function](xp, *arrays, **options)


def _of_standard(name: str) -> Callable[..., Any]:
    return lambda xp, *arrays, **options: getattr(xp, name)(*arrays, **options)


def _of_linalg(name: str) -> Callable[..., Any]:
    return lambda xp, *arrays, **options: getattr(xp.linalg, name)(*arrays, **options)


def _key(key: Sequence[Any], indices: Sequence[Any]) -> tuple[Any, ...]:
    """A key of indexing: slices as (start, stop, step), integers, and None for the next of the indices."""
    arrays = iter(indices)
    return tuple(
        next(arrays) if part is None else slice(*part) if isinstance(part, tuple) else part for part in key
    )


def _with_tolerance(name: str) -> Callable[..., Any]:
    return lambda xp, array, rtol=None: getattr(xp.linalg, name)(array, rtol=rtol)


def _searchsorted(xp: Any, ordered: Any, wanted: Any, sorter: Any = None, *, side: str) -> Any:
    return xp.searchsorted(ordered, wanted, side=side, sorter=sorter)


def is_jax(xp: Any) -> bool:
    """Whether a namespace is JAX's."""
    return str(xp.__name__).startswith("jax")


def narrowed_by_jax(dtype: Any) -> Any:
    """A dtype as JAX makes arrays of it: of 32 bits where 64 are not enabled."""
    import jax

    return jax.dtypes.canonicalize_dtype(dtype)


def with_elements(xp: Any, array: Any, key: Any, value: Any) -> Any:
    """A copy of the array with a value at some places; of several values for one place the last one."""
    if is_jax(xp):  # whose arrays never change
        return array.at[key].set(value)
    made = xp.asarray(array, copy=True)
    made[key] = value
    return made


def _assigned(xp: Any, array: Any, value: Any, *indices: Any, key: Sequence[Any]) -> Any:
    try:
        return with_elements(xp, array, _key(key, indices), value)
    except IndexError:
        if isinstance(array, numpy.ndarray):
            raise
    # The standard has no assignment to elements at indices.
    groups = _grouped(xp, array, _numbers_at(xp, array.shape, key, indices), value)
    chosen = xp.where(groups.ends > groups.starts, groups.at(xp, groups.ends - 1), xp.reshape(array, (-1,)))
    return xp.reshape(chosen, array.shape)


def _added_at(xp: Any, array: Any, value: Any, *indices: Any, key: Sequence[Any]) -> Any:
    """A copy of the array with values added at some places, which may be the same ones, in their order."""
    if is_jax(xp):
        return array.at[_key(key, indices)].add(value)
    if hasattr(xp, "add") and hasattr(xp.add, "at"):
        made = xp.asarray(array, copy=True)
        if isinstance(made, numpy.ndarray) and _is_of_rows(key, made.ndim):
            _add_at_rows(made, indices, value)
        else:
            xp.add.at(made, _key(key, indices), value)
        return made
    numbers = _numbers_at(xp, array.shape, key, indices)
    flat = xp.reshape(array, (-1,))
    if hasattr(flat, "index_add"):  # of PyTorch
        values = xp.reshape(xp.broadcast_to(value, numbers.shape), (-1,))
        return xp.reshape(flat.index_add(0, xp.reshape(numbers, (-1,)), values), array.shape)
    groups = _grouped(xp, array, numbers, value)
    most = int(xp.max(groups.ends - groups.starts)) if flat.shape[0] else 0
    for turn in range(most):
        place = groups.starts + turn
        flat = flat + xp.where(place < groups.ends, groups.at(xp, place), xp.zeros_like(flat))
    return xp.reshape(flat, array.shape)


class _Groups(NamedTuple):
    """Values in the order of the elements that they are for, and in their own order for one element.

    starts, ends: of the values for each element
    """

    values: Any
    starts: Any
    ends: Any

    def at(self, xp: Any, place: Any) -> Any:
        """The values at some places; any value where a place is none."""
        return xp.take(self.values, xp.clip(place, 0, self.values.shape[0] - 1))


def _grouped(xp: Any, array: Any, numbers: Any, value: Any) -> _Groups:
    """Values by the number of the element that they are for."""
    flat = xp.reshape(numbers, (-1,))
    order = xp.argsort(flat, stable=True)
    values = xp.take(xp.reshape(xp.broadcast_to(value, numbers.shape), (-1,)), order)
    ordered, elements = xp.take(flat, order), xp.arange(math.prod(array.shape), dtype=flat.dtype)
    starts, ends = (xp.searchsorted(ordered, elements, side=side) for side in ("left", "right"))
    return _Groups(values, starts, ends)


def _is_of_rows(key: Sequence[Any], ndim: int) -> bool:
    """Whether indices along the first dimensions are followed by all of the others."""
    count = sum(part is None for part in key)
    return 0 < count < ndim == len(key) and all(part == (None, None, None) for part in key[count:])


def _add_at_rows(made: Any, indices: Sequence[Any], value: Any) -> None:
    """numpy.add.at of rows, in the same order: with one index for each element it is five times as fast."""
    sizes = made.shape[: len(indices)]
    wrapped = [
        numpy.where(index < 0, index + size, index) for index, size in zip(indices, sizes, strict=True)
    ]
    if any(((i < 0) | (i >= size)).any() for i, size in zip(wrapped, sizes, strict=True)):
        numpy.add.at(made, tuple(indices), value)  # raises NumPy's own error
    rows = numpy.ravel_multi_index(numpy.broadcast_arrays(*wrapped), sizes)
    width = math.prod(made.shape[len(indices) :])
    places = rows.reshape(-1, 1) * width + numpy.arange(width)
    values = numpy.broadcast_to(value, (*rows.shape, *made.shape[len(indices) :]))
    numpy.add.at(made.reshape(-1), places.reshape(-1), values.reshape(-1))


def _numbers_at(xp: Any, sizes: Sequence[int], key: Sequence[Any], indices: Sequence[Any]) -> Any:
    """The numbers of the elements at a key, counted in C order."""
    looked_up = [d for d, part in enumerate(key) if not isinstance(part, tuple)]
    if looked_up != list(range(looked_up[0], looked_up[-1] + 1)):
        return xp.reshape(xp.arange(math.prod(sizes)), tuple(sizes))[_key(key, indices)]
    # Piece by piece, since the standard has no slices beside indices.
    arrays = iter(indices)
    ndim = max(index.ndim for index in indices)
    behind = len(key) - 1 - looked_up[-1]
    numbers: Any = 0
    for dimension, (part, size) in enumerate(zip(key, sizes, strict=True)):
        after = behind + (ndim + looked_up[0] - 1 - dimension if dimension < looked_up[0] else 0)
        if isinstance(part, tuple):
            after = after if dimension < looked_up[0] else len(key) - 1 - dimension
            along = xp.arange(*slice(*part).indices(size))
        else:
            along = xp.asarray(part) if part is not None else next(arrays)
            along = xp.where(along < 0, along + size, along)
        numbers = numbers * size + xp.reshape(along, (*along.shape, *[1] * after))
    return numbers


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _of_standard(name) for name in _OF_STANDARD},
    **{name: _of_linalg(name) for name in _OF_LINALG},
    **{name: _with_tolerance(name) for name in ("matrix_rank", "pinv")},
    "searchsorted": _searchsorted,
    "matrix_power": lambda xp, array, n: xp.linalg.matrix_power(array, n),
    "assigned": _assigned,
    "added_at": _added_at,
}
