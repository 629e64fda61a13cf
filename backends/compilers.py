"""The compiling backends: a call compiled for the CPU or for the GPU, and what they compile for.

Takes a function and a call; gives a program, which is called with the leaves of calls of that signature:

    program = compile_for_cpu(function, "relu", (x,), {}, donated=(), static=frozenset())
    program([x])

llvmlite, CuPy and all that needs them are imported by the first call, so that `import onepass` stays fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .common.forks import compile_lock
from .common.settings import SettingError
from .ir.dtypes import DTYPES, FLOATS, HALVES
from .registry import cpu_why_not, not_usable, report_broken

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
    """A program for calls like this one, compiled by LLVM.

    donated: numbers of leaves whose memory the results may take
    static:  numbers of leaves whose values are constants of the program
    raises:  NotUsableError if LLVM does not work here; other errors if the call cannot be compiled
    """
    if why_not := cpu_why_not():
        raise not_usable("numba", why_not)
    try:
        with compile_lock:  # a fork during the import would leave a half imported module in the child
            from .cpu.program import CpuProgram
            from .cpu.runtime.entry import require_compiler
        require_compiler()
    except Exception as error:  # a broken installation of llvmlite raises errors of many classes
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

    from .cpu.text import CpuText
    from .cuda.text import cuda_text

    explanation = CpuText(function, name, args, kwargs, donated).explanation()
    return replace(explanation, cuda=cuda_text(function, name, args, kwargs, donated))


def describe_cpu_backend() -> list[str]:
    """Lines about the matrix products, threads and cache folder of programs for the CPU."""
    try:
        from .common.cache_folder import folder
        from .cpu.runtime import blas, threads
    except Exception as error:  # a broken installation raises errors of many classes
        return [f"compiled kernels: {error}"]
    try:
        count = f"up to {threads.worker_count()} threads (ONEPASS_THREADS)"
    except SettingError as error:
        count = str(error)
    return [
        f"compiled kernels: {count}; matrix products by {blas.load()}",
        f"compiled kernels are cached in {folder()}",
    ]
