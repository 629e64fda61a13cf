"""Which calls are compiled, and the compiled kernel for calls of one signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from .backends import (
    COMPILED_DTYPES,
    COMPILING_CHOICES,
    Specializations,
    SymbolicArray,
    by_parameter,
    compile_for_cpu,
    compile_for_gpu,
    cpu_why_not,
    leaves,
    library_of,
    not_usable,
)
from .out import OutArgument
from .requirements import describe

# The ways in which arguments are out arrays as well, that are kept for one signature.
MAX_ALIASED = 16


def has_traced(tree: Any) -> bool:
    """Whether a symbolic array is among the arguments: the call is part of another kernel's trace."""
    return any(isinstance(leaf, SymbolicArray) for leaf in leaves(tree))


def is_compilable(library: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the compiling backend for `library` takes the dtypes of the arrays."""
    names = [leaf.dtype.name for leaf in leaves((args, kwargs)) if library_of(leaf) == library]
    return bool(names) and all(name in COMPILED_DTYPES[library] for name in names)


def require_compilable(backend: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise for a call that "numba" or "cupy", chosen by name, cannot compile.

    raises: TypeError for arrays of other dtypes; NotUsableError if llvmlite does not work here
    """
    library = {"numba": "numpy", "cupy": "cupy"}.get(backend)
    if library is None:
        return
    if is_compilable(library, args, kwargs):
        if library == "numpy" and (why_not := cpu_why_not()):
            raise not_usable(backend, why_not)
        return
    arrays = [leaf for leaf in leaves((args, kwargs)) if library_of(leaf) == library]
    unknown = [array for array in arrays if array.dtype.name not in COMPILED_DTYPES[library]]
    got = describe((unknown or arrays)[0]) if arrays else "no arrays"
    known = "float16, bfloat16, float32 or float64" if library == "cupy" else "float32 or float64"
    raise TypeError(
        f"{name}: got {got}; expected arrays of {known} (and of integers and bools) for the backend "
        f"{backend!r}. Convert with .astype({library}.float32), or use the backend "
        f"{'numpy' if library == 'numpy' else 'auto'!r}."
    )


def compiled_for(
    library: str,
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    donate: tuple[str, ...] = (),
    options: frozenset[str] = frozenset(),
    retraces: dict[str, int],
) -> CompiledKernel | None:
    """The kernel compiled for calls of this signature, at its first call; None if no backend compiles it.

    donate:   names of the arguments whose memory the results may take
    options:  names of the arguments whose values are constants of a program
    retraces: see `Specializations`
    """
    if library not in COMPILING_CHOICES or not is_compilable(library, args, kwargs):
        return None
    if library == "numpy" and cpu_why_not():
        return None
    static = frozenset(leaves_of(function, args, kwargs, tuple(options)))
    donated = leaves_of(function, args, kwargs, donate)
    return CompiledKernel(library, function, name, static, donated, retraces)


def can_be_planned(library: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether NumPy programs can be planned for the arrays of a call."""
    if library != "numpy" or not is_compilable(library, args, kwargs):
        return False
    arrays = [leaf for leaf in leaves((args, kwargs)) if library_of(leaf) == library]
    return all(type(array) is numpy.ndarray for array in arrays)


class CompiledKernel:
    """A kernel for calls of one signature: its specializations, and those for calls with aliased `out=`.

    static:  numbers of the leaves whose values are constants of a program
    donated: numbers of the leaves whose memory the results may take
    run:     takes (args, kwargs, leaves) and runs a call without `out=`
    """

    __slots__ = (
        "_aliased",
        "_donated",
        "_function",
        "_library",
        "_name",
        "_plain",
        "_retraces",
        "_static",
        "run",
    )

    def __init__(
        self,
        library: str,
        function: Callable[..., Any],
        name: str,
        static: frozenset[int],
        donated: tuple[int, ...],
        retraces: dict[str, int],
    ) -> None:
        self._library, self._function, self._name = library, function, name
        self._static, self._donated, self._retraces = static, donated, retraces
        self._plain = self._specializations(donated)
        self._aliased: dict[tuple[int, ...], Specializations] = {}  # by donated leaves
        self.run = self._plain.run

    def run_into(self, out: Any, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]) -> Any:
        """Run a call with `out=`.

        values: the leaves of (args, kwargs)
        """
        given, specializations = OutArgument(out), self._plain
        # An argument that is an out array as well may be overwritten before all of it is read: donate it.
        if aliased := given.aliased(values):
            specializations = self._with_donated((*self._donated, *aliased))
        program, inputs = specializations.select(args, kwargs, values)
        return program(inputs, given.match(self._name, self._library, program.out_specs, program.out_orders))

    def _with_donated(self, donated: tuple[int, ...]) -> Specializations:
        known = self._aliased.get(donated)
        if known is None:
            if len(self._aliased) >= MAX_ALIASED:
                self._aliased.clear()
            known = self._aliased[donated] = self._specializations(donated)
        return known

    def _specializations(self, donated: tuple[int, ...]) -> Specializations:
        compile_call = compile_for_cpu if self._library == "numpy" else compile_for_gpu
        function, name, static = self._function, self._name, self._static

        # A closure that had `self` would be a cycle, which only the garbage collector frees.
        def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return compile_call(function, name, args, kwargs, donated, static)

        return Specializations(make, self._retraces)


def leaves_of(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], names: tuple[str, ...]
) -> tuple[int, ...]:
    """The numbers of the leaves of (args, kwargs) that belong to the parameters called `names`."""
    if not names:
        return ()
    of_leaf = [
        parameter for parameter, _, value in by_parameter(function, args, kwargs) for _ in leaves(value)
    ]
    return tuple(index for index, parameter in enumerate(of_leaf) if parameter in names)
