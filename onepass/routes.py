"""The routes of a kernel: how calls of each signature run, found out in the first of them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from .backends import Planned, is_compared_by_identity
from .compilation import CompiledKernel

# A limit on memory for programs that call with ever new shapes. A network that is trained on batches of 300
# sizes in turn stays below it; if it did not, each of its calls would be traced anew.
MAX_ROUTES = 512


@dataclass(slots=True, eq=False)
class Route:
    """How calls of one signature run.

    library:      of the arrays
    run:          takes (function, args, kwargs) and runs the kernel operation by operation
    compiled:     the compiled kernel; None if no backend compiles it
    compiling:    the choices of a backend under which calls run the compiled kernel
    planned:      runs calls that are not compiled, by programs of NumPy; None for calls that have none
    check_values: whether the values of the next call have to be checked
    normalise:    whether arguments have to be normalised first, because they have NumPy scalars
    device:       the CuPy device to make current for a call; None for other libraries
    used:         whether a call has found the route since `Routes` last asked
    watched:      weak references to the objects in the signature, which drop the route
    """

    library: str
    run: Callable[..., Any]
    compiled: CompiledKernel | None = None
    compiling: tuple[str, ...] = ()
    planned: Planned | None = None
    check_values: bool = False
    normalise: bool = False
    device: int | None = None
    used: bool = False
    watched: list[weakref.ref[Any]] = field(default_factory=list)


class Routes(dict[Hashable, Route]):
    """Routes by signature, at most MAX_ROUTES.

    The oldest route makes room for a new one. If a call has used it, it gets a second chance: it becomes the
    youngest, and the next one goes. So a call only has to set `used`.

    A route is also dropped when an object in its signature is deleted.
    """

    def keep(self, key: Hashable, values: list[Any], route: Route) -> Route:
        """Add a route, and return it.

        values: the leaves of the call
        """
        while len(self) >= MAX_ROUTES:
            self._drop_oldest()
        for leaf in values:
            if is_compared_by_identity(leaf):
                self._drop_with(leaf, key, route)
        self[key] = route
        return route

    def _drop_oldest(self) -> None:
        """Drop the oldest route, or give it a second chance."""
        try:
            key = next(iter(self), None)
        except RuntimeError:  # another thread, or an object that is deleted now, changed the routes
            return
        route = self.pop(key, None)
        if route is not None and route.used:
            route.used = False
            self[key] = route

    def _drop_with(self, leaf: Any, key: Hashable, route: Route) -> None:
        """Drop a route when an object is deleted."""
        reference = weakref.ref(self)

        def drop(_: Any) -> None:
            routes = reference()
            if routes is not None:
                routes.pop(key, None)

        try:
            # The route holds the weak reference, so nothing stays behind if the route goes before the object.
            route.watched.append(weakref.ref(leaf, drop))
        except TypeError:
            return
