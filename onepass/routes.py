"""The routes of a kernel: how calls of each signature run, found out in the first of them."""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy

# A limit on memory for programs that call with ever new shapes.
MAX_ROUTES = 1024


class Route(NamedTuple):
    """How calls of one signature run.

    library:   of the arrays
    compiling: the choices of a backend under which calls with this library are compiled
    run:       takes (function, args, kwargs) and runs the kernel operation by operation
    normalise: whether arguments have to be normalised first: NumPy scalars, or keywords for positions
    compiled:  takes (args, kwargs, leaves, out) and runs the compiled kernel; None if no backend compiles it
    refused:   whether compiling has failed
    device:    the CuPy device to make current for a call; None for other libraries
    """

    library: str
    compiling: tuple[str, ...]
    run: Callable[..., Any]
    normalise: bool
    compiled: Callable[..., Any] | None
    refused: bool = False
    device: int | None = None


class Routes(dict[Hashable, Route]):
    """Routes by signature. A route is dropped when an object in its signature is deleted."""

    def keep(self, key: Hashable, values: list[Any], route: Route) -> Route:
        """Add a route, and return it.

        values: the leaves of the call
        """
        if len(self) >= MAX_ROUTES:
            self.clear()
        self[key] = route
        for leaf in values:
            if isinstance(leaf, types.FunctionType) or _is_compared_by_identity(leaf):
                self._drop_with(leaf, key)
        return route

    def _drop_with(self, leaf: Any, key: Hashable) -> None:
        reference = weakref.ref(self)

        def drop() -> None:
            routes = reference()
            if routes is not None:
                routes.pop(key, None)

        try:
            weakref.finalize(leaf, drop).atexit = False
        except TypeError:
            return


def _is_compared_by_identity(leaf: Any) -> bool:
    """Whether signatures compare the leaf by identity."""
    return not isinstance(leaf, numpy.ndarray | int | float | str | None) and hasattr(leaf, "__dict__")
