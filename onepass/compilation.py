"""Which calls a compiling backend takes, and the compiled kernel for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .backends.common.forks import compiling
from .backends.common.libraries import library_of
from .backends.common.trees import leaves
from .backends.ir.dtypes import DTYPES, HALVES, dtype_of
from .backends.registry import NotUsableError, not_usable, numba_why_not, report_broken
from .backends.specializations import Kernel
from .backends.trace.symbolic import SymbolicArray
from .backends.trace.trace import by_parameter
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
    dtypes = [dtype_of(array.dtype.name) for array in arrays]
    known = (*DTYPES, *(HALVES if library == "cupy" else ()))
    return all(dtype in known for dtype in dtypes) and any(
        dtype is not None and dtype.is_float for dtype in dtypes
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
    got = next(
        (array for array in arrays if dtype_of(array.dtype.name) not in DTYPES), arrays[0] if arrays else None
    )
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
    options: frozenset[str] = frozenset(),
    retraced: dict[str, int],
) -> Callable[..., Any] | None:
    """The kernel compiled for calls of this form, when it is called first; None where nothing compiles it.

    donate:   names of arguments whose memory the results may take
    options:  names of arguments whose numbers are part of the form
    retraced: how often the function was traced again, by what it was because of
    returns:  a function of args, kwargs, their leaves, and `out`: arrays that take results, or None
    """
    if library not in COMPILING or not is_compilable(library, args, kwargs):
        return None
    if library == "numpy" and numba_why_not():
        return None
    numbers = frozenset(leaves_of(function, args, kwargs, tuple(options)))
    donated = donated_leaves(function, args, kwargs, donate)
    kernel: Kernel | None = None
    overwriting: dict[tuple[int, ...], Kernel] = {}  # by the leaves whose memory results may take

    def kernel_for(donated: tuple[int, ...]) -> Kernel:
        new = _program_for_cpu if library == "numpy" else _program_for_gpu

        def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return new(function, name, args, kwargs, donated, numbers)

        return Kernel(make, retraced)

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
        program, everything = its.program(args, kwargs, values)
        return program(everything, given.matched(name, library, program.wanted, program.known))

    return call


def _program_for_cpu(function: Callable[..., Any], name: str, *call: Any) -> Any:
    if why_not := numba_why_not():
        raise not_usable("numba", why_not)
    try:
        with compiling:  # a fork must not leave its child a module that another thread has half imported
            from .backends.cpu.program import Program
            from .backends.cpu.runtime.threads import require_compiler
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
        from .backends.cuda.cupy_device import current_device
        from .backends.cuda.program import CudaProgram

    return CudaProgram(function, name, *call, device=current_device())


def donated_leaves(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], donate: tuple[str, ...]
) -> tuple[int, ...]:
    """The leaves of (args, kwargs) that belong to the donated arguments, and to no other."""
    return leaves_of(function, args, kwargs, donate)


def leaves_of(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], names: tuple[str, ...]
) -> tuple[int, ...]:
    """The numbers of the leaves of (args, kwargs) that belong to some parameters."""
    if not names:
        return ()
    of_leaf = [
        parameter for parameter, _, value in by_parameter(function, args, kwargs) for _ in leaves(value)
    ]
    return tuple(index for index, parameter in enumerate(of_leaf) if parameter in names)
