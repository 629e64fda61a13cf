"""CUDA C++ compiled for GPUs that need not be there, and what the compiler says of registers and spills."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from onepass.backends.cuda.nvrtc import OPTIONS

# Turing, Ampere, Hopper and Blackwell: the generations that emitted programs have to compile for.
ARCHITECTURES = (75, 80, 90, 100)

# What the assembler says of each kernel when asked for it, apart from what it warns of.
_ENTRY = re.compile(r"ptxas info\s*: Compiling entry function '(\w+)'")
_FUNCTION = re.compile(r"ptxas info\s*: Function properties for (\w+)")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"ptxas info\s*: Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")
_NO_WARNING = re.compile(r"ptxas info |ptxas +\. |\s*$")


class CompileError(Exception):
    """NVRTC does not take the source; the text is its log."""


class Report(NamedTuple):
    """What a source became for one architecture; the figures are by function.

    registers:    of a thread, by kernel
    spill_bytes:  of a thread: written to memory and read again because there were too few registers
    stack_bytes:  of a thread: spills, and arrays of its own that are indexed while it runs
    shared_bytes: of a block, by kernel, as far as the source fixes them
    warnings:     what NVRTC and the assembler warn of; empty where there is nothing
    cubin:        the machine code
    """

    registers: dict[str, int]
    spill_bytes: dict[str, int]
    stack_bytes: dict[str, int]
    shared_bytes: dict[str, int]
    warnings: str
    cubin: bytes


def why_not() -> str | None:
    """Why nothing can be compiled here, as a reason to skip a test; None where it can."""
    try:
        supported = _checked(_nvrtc().nvrtcGetSupportedArchs())
    except ImportError:
        return "needs cuda-bindings: pip install cuda-bindings nvidia-cuda-nvrtc"
    except RuntimeError as error:  # the library itself is not there
        return f"needs NVRTC: pip install nvidia-cuda-nvrtc ({str(error).splitlines()[0]})"
    missing = sorted({*ARCHITECTURES} - {*supported})
    return f"NVRTC is too old or too new for sm_{missing[0]}" if missing else None


def compile_for(source: str, architecture: int, options: Sequence[str] = ()) -> Report:
    """Compile CUDA C++ for a compute capability (90 for 9.0), as the library does on a device.

    raises: CompileError with NVRTC's log
    """
    nvrtc = _nvrtc()
    program = _checked(nvrtc.nvrtcCreateProgram(source.encode(), b"kernels.cu", 0, [], []))
    try:
        every = [f"-arch=sm_{architecture}", *OPTIONS, "--ptxas-options=-v", *options]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(every), [option.encode() for option in every])
        log = _text(program, "ProgramLog").rstrip(b"\0").decode()
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise CompileError(log or str(status))
        return _report(log, _text(program, "CUBIN"))
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _report(log: str, cubin: bytes) -> Report:
    report = Report({}, {}, {}, {}, "", cubin)
    warnings, kernel, function = [], "", ""
    for line in log.splitlines():
        if entry := _ENTRY.match(line):
            kernel = entry[1]
        elif properties := _FUNCTION.match(line):  # of the kernel, or of what it calls
            function = properties[1]
        elif stack := _STACK.search(line):
            report.stack_bytes[function] = int(stack[1])
            report.spill_bytes[function] = int(stack[2]) + int(stack[3])
        elif used := _USED.match(line):
            shared = _SHARED.search(line)
            report.registers[kernel] = int(used[1])
            report.shared_bytes[kernel] = int(shared[1]) if shared else 0
        elif not _NO_WARNING.match(line):
            warnings.append(line)
    return report._replace(warnings="\n".join(warnings))


def _text(program: Any, kind: str) -> bytes:
    """The log or the machine code of a program that has been compiled."""
    size = _checked(getattr(_nvrtc(), f"nvrtcGet{kind}Size")(program))
    # Is written into; a byte more, since all bytes objects of length 1 are the same few.
    content: bytes = b" " * (size + 1)
    _checked(getattr(_nvrtc(), f"nvrtcGet{kind}")(program, content))
    return content[:size]


def _checked(answer: tuple[Any, ...]) -> Any:
    """What a call returned beside its status."""
    status, *results = answer
    if status != _nvrtc().nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"NVRTC answers {status}")
    return results[0] if results else None


@functools.cache
def _nvrtc() -> Any:
    return importlib.import_module("cuda.bindings.nvrtc")
