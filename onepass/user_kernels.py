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

    function: takes arrays, numbers, strings and None, and lists, tuples, dicts and dataclasses of them, and
              returns such. Another object, as `self` or settings, is itself: its attributes are read at every
              call. The function may call other kernels, which become part of it. It must not write into its
              arguments: that is a TypeError. A method, a partial or a callable object may be a kernel too.
    donate:   the names of arguments whose memory the results may take: do not use what was given for them
              after the call. A permission that a backend may leave unused; the eager one does.
    returns:  a function of the same signature, with the names in its attribute `donate`. Where it has no
              parameter `out` of its own and no **kwargs, it also takes `out=`: arrays that take the results,
              in the structure of the result, with None for fresh ones. Each has exactly its result's shape
              and dtype; it may be an argument.
    raises:   ValueError for a donated name that is no parameter. A call raises TypeError for an argument of
              another kind and for arrays of two libraries, ValueError for arrays on two devices.

    The function runs where its arrays are, on the backend that `use_backend` and ONEPASS_BACKEND allow. Its
    dtypes are those that it has without `kernel`: Python numbers are weak, and NumPy scalars and arrays of
    shape () are not. `+=` on an array that the function made changes it under all of its names, as in NumPy.

    What compiles runs once with symbolic arrays, and again where something else than numbers in arrays has
    changed: a form of the arguments, the outcome of a comparison of numbers, what `float`, `int` or `range`
    was told, a captured value (of closures, globals, defaults, attributes, and what functions called read).
    Captured arrays are arguments: they are fetched anew at every call. What cannot be seen is what code does
    beyond Python's names: a random generator drawn from, a clock or a file read, a large array (over 1 MiB)
    that NumPy itself computed with and that was changed in place, an object of a C extension that changes.

    Under "auto" a function that cannot be compiled runs operation by operation, with a RuntimeWarning that
    says why; then it has begun to run twice in that call. Under "numba" and "cupy" the same is an error.
    """
    if function is None:
        return lambda given: kernel(given, donate=donate)
    if not callable(function):
        raise TypeError(f"kernel: got {function!r}; expected a function.")
    if isinstance(function, staticmethod):
        function = function.__func__
    try:
        signature = inspect.signature(function)
    except ValueError:
        raise TypeError(
            f"kernel: got {function!r}, whose parameters Python does not know; expected a function. "
            "Wrap it in one."
        ) from None
    names = (donate,) if isinstance(donate, str) else tuple(donate)
    for name in names:
        if name not in signature.parameters:
            raise ValueError(
                f"kernel: donate names {name!r}; expected parameters of {name_of(function)}{signature}."
            )

    return dispatched_by_user(function, names)
