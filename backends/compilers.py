"""The compiling backends: a call compiled for the CPU or for the GPU, and what they compile for.

Takes a function and a call; gives a program, which is called with the leaves of calls of that signature:

    program = compile_for_cpu(function, "relu", (x,), {}, donated=(), static=frozenset())
    program([x])

llvmlite, CuPy and all that needs them are imported by the first call, so that `import onepass` stays fast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import array_api_compat
import array_api_compat.numpy

from .common.forks import compile_lock
from .common.libraries import device_of, library_of
from .common.settings import SettingError
from .common.trees import leaves
from .ir.dtypes import DTYPES, HALVES
from .registry import cpu_why_not, not_usable, report_broken

if TYPE_CHECKING:
    from .codegen.explain import Explanation
    from .codegen.parts import Part
    from .trace.trace import Traced

# By library of the arrays: the choices of `use_backend` under which calls are compiled.
COMPILING_CHOICES = {"numpy": ("auto", "numba"), "cupy": ("auto", "cupy")}

# By library of the arrays: names of the dtypes that a compiled call may have.
COMPILED_DTYPES = {"numpy": frozenset(map(str, DTYPES)), "cupy": frozenset(map(str, (*DTYPES, *HALVES)))}


def use_openmp_of(library: Path) -> None:
    """Run parallel stages of programs for the CPU on the OpenMP threads that a library uses, in this process.

    library: a shared library that depends on the OpenMP runtime
    Without effect where LLVM does not work: then there are no programs.
    """
    if cpu_why_not():
        return
    try:
        with compile_lock:
            from .cpu.runtime.threads import use_openmp
    except Exception as error:  # a broken installation of llvmlite raises errors of many classes
        report_broken("numba", error)
    else:
        use_openmp(library)


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

    def program(part: Callable[..., Any], given: tuple[Any, ...], free: tuple[int, ...]) -> Any:
        return CpuProgram(part, name, given, {}, free)

    def whole(traced: Traced) -> Any:
        return CpuProgram(function, name, args, kwargs, donated, static, traced=traced)

    traced = functools.partial(_traced, function, name, args, kwargs, static, takes_halves=False)

    def in_parts(traced: Traced, parts: Sequence[Part]) -> Any:
        from .codegen.chain import Chain

        return Chain(traced, parts, program, array_api_compat.numpy, donated=donated)

    return whole_or_parts(traced, whole, in_parts)


def _traced(*call: Any, takes_halves: bool) -> Traced:
    from .trace.trace import trace

    return trace(*call, takes_halves=takes_halves)


def whole_or_parts(
    trace: Callable[[], Traced],
    whole: Callable[[Traced], Any],
    in_parts: Callable[[Traced, Sequence[Part]], Any],
) -> Any:
    """What `whole` makes of a call that one program can do, or what `in_parts` makes of its parts."""
    from .codegen.coalesce import TooManyDimensionsError
    from .codegen.parts import needs_parts, split

    traced = trace()
    if not needs_parts(traced):
        try:
            return whole(traced)
        except TooManyDimensionsError:
            traced = trace()
    return in_parts(traced, split(traced))


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
        from .cuda.program import CudaProgram, require_one_place

    device = current_device()

    def program(part: Callable[..., Any], given: tuple[Any, ...], free: tuple[int, ...]) -> Any:
        return CudaProgram(part, name, given, {}, free, device=device)

    def whole(traced: Traced) -> Any:
        return CudaProgram(function, name, args, kwargs, donated, static, device=device, traced=traced)

    array = next(leaf for leaf in leaves((args, kwargs)) if library_of(leaf) == "cupy")
    traced = functools.partial(_traced, function, name, args, kwargs, static, takes_halves=True)

    def in_parts(traced: Traced, parts: Sequence[Part]) -> Any:
        from .codegen.chain import Chain

        captured = traced.trace.captured
        require_one_place(name, [*leaves((args, kwargs)), *captured], len(captured))
        xp, place = array_api_compat.array_namespace(array), ("cupy", device_of(array))
        return Chain(traced, parts, program, xp, donated=donated, place=place)

    return whole_or_parts(traced, whole, in_parts)


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

    def explained(*call: Any) -> Explanation:
        return replace(CpuText(*call).explanation(), cuda=cuda_text(*call))

    def whole(_: Traced) -> Explanation:
        return explained(function, name, args, kwargs, donated)

    def in_parts(traced: Traced, parts: Sequence[Part]) -> Explanation:
        from .codegen.explain import explain_parts
        from .codegen.parts import Replay, stand_ins

        found = [
            explained(Replay(part, traced.trace.names), name, stand_ins(part), {})
            if part.is_compiled
            else part
            for part in parts
        ]
        return explain_parts(name, found)

    traced = functools.partial(_traced, function, name, args, kwargs, frozenset(), takes_halves=False)
    made: Explanation = whole_or_parts(traced, whole, in_parts)
    return made


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
