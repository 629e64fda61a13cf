"""Which calls a compiling backend takes, and the compiled kernel for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .backends.forks import compiling
from .backends.kernel import Kernel
from .backends.libraries import library_of
from .backends.operations import DTYPES, FLOATS, HALVES
from .backends.registry import NotUsableError, not_usable, numba_why_not, report_broken
from .backends.symbolic import SymbolicArray
from .backends.trees import leaves
from .destinations import Given
from .requirements import describe

# The library of the arrays -> the choices under which they are compiled for.
COMPILING = {"numpy": ("auto", "numba"), "cupy": ("auto", "cupy")}


def has_traced(tree: Any) -> bool:
    """Whether a symbolic array is among the arguments: the call is part of another kernel's trace."""
    return any(isinstance(leaf, SymbolicArray) for leaf in leaves(tree))


def is_compilable(library: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the arrays are of dtypes that the library's compiling backend knows, real ones among them."""
    arrays = [leaf for leaf in leaves((args, kwargs)) if library_of(leaf) == library]
    names = [array.dtype.name for array in arrays]
    halves = HALVES if library == "cupy" else ()
    return all(name in (*DTYPES, *halves) for name in names) and any(
        name in (*FLOATS, *halves) for name in names
    )


def require_compilable(backend: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise a TypeError for a call that was asked to be compiled and cannot be, or a NotUsableError."""
    library = {"numba": "numpy", "cupy": "cupy"}.get(backend)
    if library is None:
        return
    if is_compilable(library, args, kwargs):
        if library == "numpy" and (why_not := numba_why_not()):
            raise not_usable(backend, why_not)
        return
    arrays = [leaf for leaf in leaves((args, kwargs)) if library_of(leaf) == library]
    got = next((array for array in arrays if array.dtype.name not in DTYPES), arrays[0] if arrays else None)
    known = "float16, bfloat16, float32 and float64" if library == "cupy" else "float32 and float64"
    raise TypeError(
        f"{name}: the backend {backend!r} was asked for and got {describe(got) if arrays else 'no arrays'}; "
        f"it compiles for arrays of {known}, with integers and bools beside them. Convert with "
        f".astype({library}.float32), or use the backend {'numpy' if library == 'numpy' else 'auto'!r}."
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
    returns: a function of args, kwargs, their leaves, and `out`: arrays that take results, or None
    """
    if library not in COMPILING or not is_compilable(library, args, kwargs):
        return None
    if library == "numpy" and numba_why_not():
        return None
    numbers = frozenset(
        index
        for index, (parameter, leaf) in enumerate(_leaves_by_parameter(function, args, kwargs))
        if options and parameter in kwargs and type(leaf) is int and type(kwargs[parameter]) is int
    )
    donated = donated_leaves(function, args, kwargs, donate)
    kernel: Kernel | None = None
    overwriting: dict[tuple[int, ...], Kernel] = {}  # by the leaves whose memory results may take

    def kernel_for(donated: tuple[int, ...]) -> Kernel:
        new = _program_for_cpu if library == "numpy" else _program_for_gpu

        def make(args: tuple[Any, ...], kwargs: dict[str, Any], numbers: frozenset[int]) -> Any:
            return new(function, name, args, kwargs, donated, numbers)

        return Kernel(make, numbers)

    def call(args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any], out: Any) -> Any:
        nonlocal kernel
        if kernel is None:
            kernel = kernel_for(donated)
        if out is None:
            return kernel(args, kwargs, values)
        given, its = Given(out), kernel
        # An argument that is to be overwritten may be overwritten while it is read.
        if free := given.overwritten(values):
            free = (*donated, *free)
            its = overwriting.get(free) or overwriting.setdefault(free, kernel_for(free))
        program = its.program(args, kwargs, values)
        return program(values, given.matched(name, library, program.wanted, program.known))

    return call


def _program_for_cpu(function: Callable[..., Any], name: str, *call: Any) -> Any:
    if why_not := numba_why_not():
        raise not_usable("numba", why_not)
    try:
        with compiling:  # a fork must not leave its child a module that another thread has half imported
            from .backends.numba_backend import Program
            from .backends.threads import require_compiler
        if why_not := numba_why_not():  # it may have been told so by a file that it reads when it is imported
            raise not_usable("numba", why_not)
        require_compiler()
    except NotUsableError:
        raise
    except Exception as error:  # Numba refuses versions of NumPy and Python in ways of its own
        raise report_broken("numba", error) from error
    return Program(function, name, *call)


def _program_for_gpu(function: Callable[..., Any], name: str, *call: Any) -> Any:
    with compiling:
        from .backends.cuda_backend import CudaProgram
        from .backends.cupy_device import current_device

    return CudaProgram(function, name, *call, device=current_device())


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
