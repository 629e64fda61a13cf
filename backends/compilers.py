"""The compiling backends: a call compiled for the CPU or for the GPU, and what they compile for.

Takes a function and a call; gives a program, which is called with the leaves of calls of that signature:

    program = compile_for_cpu(function, "relu", (x,), {}, donated=(), static=frozenset())
    program([x])

Numba, CuPy and all that needs them are imported by the first call, so that `import onepass` stays fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .common.forks import compile_lock
from .ir.dtypes import DTYPES, FLOATS, HALVES
from .registry import NotUsableError, not_usable, numba_why_not, report_broken

if TYPE_CHECKING:
    from .codegen.explain import Explanation

# By library of the arrays: the choices of `use_backend` under which calls are compiled.
COMPILING_CHOICES = {"numpy": ("auto", "numba"), "cupy": ("auto", "cupy")}

# By library of the arrays: names of the dtypes that a compiled call may have, and of those it needs one of.
COMPILED_DTYPES = {"numpy": frozenset(map(str, DTYPES)), "cupy": frozenset(map(str, (*DTYPES, *HALVES)))}
COMPILED_FLOATS = {"numpy": frozenset(map(str, FLOATS)), "cupy": frozenset(map(str, (*FLOATS, *HALVES)))}


def compile_for_cpu(
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    donated: tuple[int, ...],
    static: frozenset[int],
) -> Any:
    """A program for calls like this one, compiled by Numba.

    donated: numbers of leaves whose memory the results may take
    static:  numbers of leaves whose values are constants of the program
    raises:  NotUsableError if Numba does not work here; other errors if the call cannot be compiled
    """
    if why_not := numba_why_not():
        raise not_usable("numba", why_not)
    try:
        with compile_lock:  # a fork during the import would leave a half imported module in the child
            from .cpu.program import CpuProgram
            from .cpu.runtime.threads import require_compiler
        if why_not := numba_why_not():  # Numba reads a configuration file when it is imported
            raise not_usable("numba", why_not)
        require_compiler()
    except NotUsableError:
        raise
    except Exception as error:  # Numba raises different errors for versions that it does not support
        raise report_broken("numba", error) from error
    return CpuProgram(function, name, args, kwargs, donated, static)


def compile_for_gpu(
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    donated: tuple[int, ...],
    static: frozenset[int],
) -> Any:
    """A program for calls like this one, as CUDA kernels for the current CuPy device.

    donated, static: as for `compile_for_cpu`
    """
    with compile_lock:
        from .cuda.cupy_device import current_device
        from .cuda.program import CudaProgram

    return CudaProgram(function, name, args, kwargs, donated, static, device=current_device())


def explanation_of(
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    donated: tuple[int, ...],
) -> Explanation:
    """The graph, plan and emitted text of a call for the CPU, with the CUDA text of the same call."""
    from dataclasses import replace

    from .cpu.program import CpuProgram
    from .cuda.text import cuda_text

    explanation = CpuProgram(function, name, args, kwargs, donated, compiled=False).explanation()
    return replace(explanation, cuda=cuda_text(function, name, args, kwargs, donated))


def describe_cpu_backend() -> list[str]:
    """Lines about the matrix products, threads and cache folder of programs for the CPU; imports Numba."""
    try:
        from .common.cache_folder import folder
        from .cpu.runtime import blas, threads
    except Exception as error:  # a broken installation of Numba raises errors of many classes
        return [f"compiled kernels: {error}"]
    return [
        f"compiled kernels: matrix products by {blas.load()}; up to {threads.worker_count()} threads",
        f"compiled kernels are cached in {folder()}",
    ]
