"""Functions of the arrays' library that a program calls on whole arrays: what no loop nest computes.

Takes: a namespace of the array API standard, options, arrays. Gives: an array, or a tuple of them.

    call("sort", xp, {"axis": 1, "descending": False, "stable": True}, [x])    gives    xp.sort(x, axis=1)

The table is closed: a graph can call nothing else.
"""

from __future__ import annotations

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


def _assigned(xp: Any, array: Any, value: Any, *indices: Any, key: Sequence[Any]) -> Any:
    """A copy of the array with a value at some places; of several values for one place the last one."""
    made = xp.asarray(array, copy=True)
    made[_key(key, indices)] = value
    return made


def _added_at(xp: Any, array: Any, value: Any, *indices: Any, key: Sequence[Any]) -> Any:
    """A copy of the array with values added at some places, which may be the same ones, in their order."""
    made = xp.asarray(array, copy=True)
    xp.add.at(made, _key(key, indices), value)
    return made


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _of_standard(name) for name in _OF_STANDARD},
    **{name: _of_linalg(name) for name in _OF_LINALG},
    **{name: _with_tolerance(name) for name in ("matrix_rank", "pinv")},
    "searchsorted": _searchsorted,
    "assigned": _assigned,
    "added_at": _added_at,
}
