"""Which calls a compiling backend takes, and the compiled kernel for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy

from .backends.operations import DTYPES, FLOATS
from .backends.registry import numba_why_not, report_broken
from .backends.symbolic import SymbolicArray
from .backends.trees import leaves
from .requirements import describe

# The choices under which NumPy arrays are compiled for.
COMPILING = ("auto", "numba")


def has_traced(tree: Any) -> bool:
    """Whether a symbolic array is among the arguments: the call is part of another kernel's trace."""
    return any(isinstance(leaf, SymbolicArray) for leaf in leaves(tree))


def is_compilable(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the arrays are NumPy's, of dtypes that the compiler knows, real ones among them."""
    arrays = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, numpy.ndarray | numpy.float32)]
    names = [array.dtype.name for array in arrays]
    return all(name in DTYPES for name in names) and any(name in FLOATS for name in names)


def require_compilable(backend: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise a TypeError for a call that was asked to be compiled and cannot be."""
    if backend != "numba" or is_compilable(args, kwargs):
        return
    arrays = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, numpy.ndarray)]
    got = next((array for array in arrays if array.dtype.name not in DTYPES), arrays[0] if arrays else None)
    raise TypeError(
        f"{name}: the backend 'numba' was asked for and got {describe(got) if arrays else 'no arrays'}; it "
        "compiles for arrays of float32 and float64, with integers and bools beside them. Convert with "
        ".astype(numpy.float32), or use the backend 'numpy'."
    )


def compiled_for(
    library: str,
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    donate: tuple[str, ...] = (),
    options: bool = False,
) -> Callable[..., Any] | None:
    """The kernel compiled for calls of this form, when it is called first; None where nothing compiles it.

    donate:  names of arguments whose memory the results may take
    options: integers given by name are part of the form
    """
    if library != "numpy" or not is_compilable(args, kwargs) or numba_why_not():
        return None
    numbers = frozenset(
        index
        for index, (parameter, leaf) in enumerate(_leaves_by_parameter(function, args, kwargs))
        if options and parameter in kwargs and type(leaf) is int and type(kwargs[parameter]) is int
    )
    donated = donated_leaves(function, args, kwargs, donate)
    kernel: Callable[..., Any] | None = None

    def call(args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]) -> Any:
        nonlocal kernel
        if kernel is None:
            try:
                from .backends.numba_backend import Kernel
            except Exception as error:  # Numba refuses versions of NumPy and Python in ways of its own
                raise report_broken("numba", error) from error
            kernel = Kernel(function, name, numbers, donated)
        return kernel(args, kwargs, values)

    return call


def donated_leaves(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], donate: tuple[str, ...]
) -> tuple[int, ...]:
    """The leaves of (args, kwargs) that belong to the donated arguments."""
    named = _leaves_by_parameter(function, args, kwargs) if donate else []
    return tuple(index for index, (parameter, _) in enumerate(named) if parameter in donate)


def _leaves_by_parameter(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[tuple[str, Any]]:
    """The leaves of (args, kwargs) in their order, each with the name of its parameter."""
    names = list(inspect.signature(function).parameters)
    found = []
    for position, value in enumerate(args):
        # What is beyond the names belongs to the last of them, *args.
        found += [(names[min(position, len(names) - 1)], leaf) for leaf in leaves(value)]
    for parameter, value in kwargs.items():
        found += [(parameter, leaf) for leaf in leaves(value)]
    return found
