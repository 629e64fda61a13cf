"""CUDA C++ as machine code, compiled by the NVRTC that CuPy has and kept on the disk.

CuPy's RawModule would do the same, but always asks for subnormal numbers to be flushed to zero.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

from ..common import cache_folder
from ..common.private import NotPrivateError, require_private

# No fused multiply-add: NVRTC fuses in some places only, and programs of one formula would differ in bits.
OPTIONS = ("-std=c++17", "-default-device", "-fmad=false")


def machine_code(cupy: Any, source: str, capability: int) -> bytes:
    """What a device of this compute capability loads; from the disk where it was compiled before.

    raises: RuntimeError with NVRTC's log; emitted source that does not compile is a bug of this library
    """
    # The library's folder is a flat one of such names; `.tmp` is cleared with it.
    path = cache_folder.folder() / f"cuda_{_hash(cupy, source, capability)}.cubin"
    try:
        require_private(path.parent)
    except NotPrivateError as error:
        cache_folder.warn(error)
        return _compile(cupy.cuda.nvrtc, source, capability)
    except OSError:  # not there yet, or nothing that can be read
        pass
    code = _kept(path)
    if code is None:
        code = _compile(cupy.cuda.nvrtc, source, capability)
        _keep(path, code)
    return code


def _compile(nvrtc: Any, source: str, capability: int) -> bytes:
    supported = nvrtc.getSupportedArchs()
    # A device that is newer than NVRTC takes assembler text of an older one, which its driver translates.
    exact = capability in supported
    architecture = max((known for known in supported if known <= capability), default=capability)
    program = nvrtc.createProgram(source, "kernels.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*OPTIONS, f"-arch={'sm' if exact else 'compute'}_{architecture}"))
        code: bytes = nvrtc.getCUBIN(program) if exact else nvrtc.getPTX(program)
    except nvrtc.NVRTCError as error:
        raise RuntimeError(
            f"onepass emitted CUDA C++ that NVRTC does not compile for compute capability "
            f"{capability / 10}. This is a bug of onepass; please report it with this log ({error}):\n"
            f"{nvrtc.getProgramLog(program)}"
        ) from error
    finally:
        nvrtc.destroyProgram(program)
    return code


def _hash(cupy: Any, source: str, capability: int) -> str:
    """Of all that the machine code depends on."""
    parts = (source, capability, OPTIONS, cupy.cuda.nvrtc.getVersion(), cupy.__version__)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _kept(path: Path) -> bytes | None:
    """What `_keep` has put there; None where it is not there, or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, code = content[:32], content[32:]
    return code if hashlib.sha256(code).digest() == digest else None


def _keep(path: Path, code: bytes) -> None:
    """For the next process; without it that one compiles again, which takes a fraction of a second."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        cache_folder.private_folder()
        temporary.write_bytes(hashlib.sha256(code).digest() + code)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
