"""Functions of the arrays' library that a program calls on whole arrays: what no loop nest computes.

Takes: a namespace of the array API standard, options, arrays. Gives: an array, or a tuple of them.

    call("sort", xp, {"axis": 1, "descending": False, "stable": True}, [x])    gives    xp.sort(x, axis=1)

The table is closed: a graph can call nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# Of the standard, by their own names.
_OF_STANDARD = (
    *("sort", "argsort", "cumulative_sum", "cumulative_prod", "nextafter"),
    *("matmul", "argmax", "argmin"),
)
_OF_LINALG = (
    *("cholesky", "det", "eigh", "eigvalsh", "inv", "matrix_power"),
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
    return with_elements(xp, array, _key(key, indices), value)


def _added_at(xp: Any, array: Any, value: Any, *indices: Any, key: Sequence[Any]) -> Any:
    """A copy of the array with values added at some places, which may be the same ones, in their order."""
    place = _key(key, indices)
    if is_jax(xp):
        return array.at[place].add(value)
    if hasattr(xp, "add") and hasattr(xp.add, "at"):
        made = xp.asarray(array, copy=True)
        xp.add.at(made, place, value)
        return made
    return _added_to_each(xp, array, place, value)


def _added_to_each(xp: Any, array: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The same for libraries that add at no indices: the sum of all values for each element, in its order.

    Values are sorted by their places; a cumulative sum would lose digits, so they are added in rounds, in
    each of which every place gets one value at most.
    """
    numbers = xp.reshape(xp.arange(math.prod(array.shape)), array.shape)[place]
    flat = xp.reshape(numbers, (-1,))
    values = xp.reshape(xp.broadcast_to(value, numbers.shape), (-1,))
    made = xp.reshape(xp.asarray(array, copy=True), (-1,))
    order = xp.argsort(flat, stable=True)
    flat, values = xp.take(flat, order), xp.take(values, order)
    while flat.shape[0]:
        is_first = xp.concat([xp.ones((1,), dtype=xp.bool), flat[1:] != flat[:-1]])
        (first,) = xp.nonzero(is_first)
        places = xp.take(flat, first)
        made = with_elements(xp, made, (places,), xp.take(made, places) + xp.take(values, first))
        flat, values = flat[~is_first], values[~is_first]
    return xp.reshape(made, array.shape)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _of_standard(name) for name in _OF_STANDARD},
    **{name: _of_linalg(name) for name in _OF_LINALG},
    **{name: _with_tolerance(name) for name in ("matrix_rank", "pinv")},
    "searchsorted": _searchsorted,
    "assigned": _assigned,
    "added_at": _added_at,
}
