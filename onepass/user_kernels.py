"""`@kernel`: a function of the user's, in plain array API, run like the kernels of the library."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar, overload

from .destinations import Function
from .dispatch import dispatched_by_user, name_of

P = ParamSpec("P")
R = TypeVar("R")


@overload
def kernel(function: Callable[P, R], /, *, donate: str | Iterable[str] = ()) -> Function[P, R]: ...
@overload
def kernel(
    function: None = None, /, *, donate: str | Iterable[str] = ()
) -> Callable[[Callable[P, R]], Function[P, R]]: ...
def kernel(
    function: Callable[P, R] | None = None, /, *, donate: str | Iterable[str] = ()
) -> Function[P, R] | Callable[[Callable[P, R]], Function[P, R]]:
    """Make a kernel of a function that is written in plain array API.

    Use it as `@kernel`, `@kernel(donate="params")` or `kernel(function, donate=...)`.

    function: takes arrays, numbers, strings and None, and lists, tuples and dicts of them, and returns such.
              It must not change its arguments. It may call other kernels, which become part of it.
    donate:   the names of arguments whose memory the results may take: do not use what was given for them
              after the call. A permission that a backend may leave unused; the eager one does.
    returns:  a function of the same signature, with the names in its attribute `donate`. Where it has no
              parameter `out` of its own and no **kwargs, it also takes `out=`: arrays that take the results,
              in the structure of the result, with None for fresh ones. Each has exactly its result's shape
              and dtype; it may be an argument.
    raises:   ValueError for a donated name that is no parameter. A call raises TypeError for an argument of
              another kind and for arrays of two libraries, ValueError for arrays on two devices.

    The function runs where its arrays are, on the backend that `use_backend` and ONEPASS_BACKEND allow.
    NumPy's scalars of float64, integer and bool types count as Python numbers, which never promote.
    """
    if function is None:
        return lambda given: kernel(given, donate=donate)
    if not callable(function):
        raise TypeError(f"kernel: got {function!r}; expected a function.")
    if isinstance(function, staticmethod):
        function = function.__func__
    signature = inspect.signature(function)
    names = (donate,) if isinstance(donate, str) else tuple(donate)
    for name in names:
        if name not in signature.parameters:
            raise ValueError(
                f"kernel: donate names {name!r}; expected parameters of {name_of(function)}{signature}."
            )

    return dispatched_by_user(function, names)
