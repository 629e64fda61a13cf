"""CUDA C++ kernels executed on the host, for their numbers and their synchronisation."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from guarded_memory import broken_guards, guarded, guarded_copy, is_guarded

__all__ = ["SCHEDULES", "HostCudaError", "HostModule", "check_guards", "guarded", "guarded_copy", "why_not"]

SCHEDULES = ("forward", "reverse", "random", "unfair")
HEADER = Path(__file__).with_name("cuda_on_host.h")
RUNTIME = Path(__file__).with_name("cuda_on_host.cpp")
FIBERS = Path(__file__).with_name("cuda_on_host_fibers.h")
FLAGS = [
    "-std=c++20",
    "-O1",
    "-w",
    "-ffp-contract=off",
    "-fno-gnu-unique",
    "-fPIC",
    "-shared",
    "-Wl,-Bsymbolic",
]
# A variable that is never set is then a large negative number, not the zero it often happens to be.
NEVER_SET = "-ftrivial-auto-var-init=pattern"

_one_launch = threading.Lock()  # the fibers of the runtime are the process's


class HostCudaError(RuntimeError):
    """Source that g++ refuses, or a launch that a device would not have survived; the text says where."""


@functools.cache
def why_not() -> str | None:
    """Why CUDA cannot be executed here, or None where it can."""
    compiler = shutil.which("g++")
    if platform.system() != "Linux" or compiler is None:
        return "needs Linux with g++"
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=True).stdout
    # The first that can fill variables with a pattern.
    return None if int(version.split(".")[0]) >= 12 else f"needs g++ 12, found {version.strip()}"


def check_guards() -> None:
    """HostCudaError where a guard of a living array was written to; `launch` does this by itself."""
    if errors := broken_guards():
        raise HostCudaError("\n".join(errors))


def _folder() -> Path:
    named = os.environ.get("ONEPASS_HOST_CUDA_CACHE")
    folder = Path(named or Path(tempfile.gettempdir(), f"onepass-host-cuda-{os.getuid()}"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise HostCudaError(f"{folder} belongs to somebody else; name a folder in ONEPASS_HOST_CUDA_CACHE")
    return folder


@functools.cache
def _compiler_identity() -> bytes:
    found = subprocess.run(["g++", "-dumpfullversion", "-dumpmachine"], capture_output=True, check=True)
    return found.stdout


def _compiled(source: str, *extra: str) -> Path:
    """The shared object of a source, compiled once for all processes."""
    digest = hashlib.sha256(_compiler_identity())
    for part in (*FLAGS, *extra, HEADER.read_text(), FIBERS.read_text(), source):
        digest.update(part.encode() + b"\0")
    path = _folder() / f"{digest.hexdigest()[:32]}.so"
    if path.exists():
        return path
    # Written beside it and renamed: whoever else compiles it now never sees half a file.
    handle, name = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
    os.close(handle)
    try:
        header = [f"-I{HEADER.parent}", "-include", HEADER.name]
        command = ["g++", *FLAGS, *extra, *header, "-x", "c++", "-", "-o", name]
        result = subprocess.run(command, input=source, capture_output=True, text=True)
        if result.returncode:
            raise HostCudaError(f"g++ refuses the source:\n{result.stderr[:4000]}")
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


@functools.cache
def _runtime() -> ctypes.CDLL:
    path = _compiled(RUNTIME.read_text(), "-O2")
    library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    library.cuda_on_host_launch.argtypes = [
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_ulonglong,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_size_t,
    ]
    return library


class HostModule:
    """CUDA C++ source, compiled for the host.

    source: `extern "C"` kernels whose parameters are pointers, `long long` and `double`
    names:  of the kernels to launch
    raises: HostCudaError, with what g++ says
    """

    def __init__(self, source: str, names: Sequence[str]) -> None:
        if reason := why_not():
            raise HostCudaError(reason)
        _runtime()  # a module's own symbols need it
        self.source = source
        entries = "".join(
            f'extern "C" void host_launch_{name}(const cuda_on_host::Word* words)'
            f" {{ cuda_on_host::call({name}, words); }}\n"
            f'extern "C" const char* host_kinds_{name}() {{ return cuda_on_host::kinds({name}); }}\n'
            for name in names
        )
        self._library = ctypes.CDLL(str(_compiled(f"{source}\n{entries}", NEVER_SET)))
        self._kinds: dict[str, str] = {}
        for name in names:
            kinds = self._library[f"host_kinds_{name}"]
            kinds.restype = ctypes.c_char_p
            self._kinds[name] = kinds().decode()

    def launch(
        self,
        name: str,
        grid: int,
        threads: int,
        arguments: Sequence[int | float | np.ndarray[Any, Any]],
        *,
        shared: int = 0,
        cluster: int = 1,
        schedule: str = "forward",
        seed: int = 0,
        alignment_offset: int = 0,
        strict: bool = False,
        seconds: int = 60,
    ) -> None:
        """Run a kernel to its end, its threads in an order that `schedule` and `seed` choose.

        grid:      blocks, a multiple of `cluster`
        arguments: an address or a `long long`, a `double`, or an array: one of `guarded` is passed as it is,
                   any other as a guarded copy, 16-byte aligned plus `alignment_offset`, and copied back
        shared:    bytes of dynamic shared memory a block
        strict:    copies end (but for 15 bytes) where memory ends, so that reading on is an error, not a NaN
        seconds:   of processor time, then it is taken to run for ever
        raises:    HostCudaError: a divergent barrier or shuffle, a write beyond or to a read-only array
        """
        copies: dict[int, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = {}
        given: list[int | float] = []
        for argument in arguments:
            if isinstance(argument, np.ndarray) and not is_guarded(argument):
                # An array that is given twice stays one.
                if id(argument) not in copies:
                    copies[id(argument)] = argument, guarded_copy(argument, alignment_offset, fence=strict)
                argument = copies[id(argument)][1]
            given.append(argument.ctypes.data if isinstance(argument, np.ndarray) else argument)
        words = self._words(name, given)
        message = ctypes.create_string_buffer(4096)
        with _one_launch:
            failed = _runtime().cuda_on_host_launch(
                name.encode(),
                ctypes.cast(self._library[f"host_launch_{name}"], ctypes.c_void_p),
                words.ctypes.data,
                grid,
                threads,
                shared,
                cluster,
                SCHEDULES.index(schedule),
                seed,
                seconds,
                message,
                len(message),
            )
        errors = [message.value.decode()] if failed else []
        errors += [f"kernel {name}: {found}" for found in broken_guards()]
        for array, copy in copies.values():
            if not array.flags.writeable and array.tobytes() != copy.tobytes():
                errors.append(
                    f"kernel {name}: wrote to a read-only {array.dtype} array of shape {array.shape}"
                )
        if errors:
            raise HostCudaError("\n".join(errors))
        for array, copy in copies.values():
            if array.flags.writeable:
                array[...] = copy

    def _words(self, name: str, given: Sequence[int | float]) -> np.ndarray[Any, Any]:
        kinds = self._kinds[name]
        if len(given) != len(kinds):
            raise HostCudaError(f"kernel {name} takes {len(kinds)} arguments, got {len(given)}")
        words = np.zeros(max(1, len(given)), np.int64)
        for position, (kind, value) in enumerate(zip(kinds, given, strict=True)):
            if kind == "d":
                words[position : position + 1].view(np.float64)[0] = value
            elif isinstance(value, (int, np.integer)):
                words[position] = value
            else:
                what = {"p": "a pointer", "i": "a long long"}[kind]
                raise HostCudaError(f"kernel {name}: argument {position} is {what}, got {value!r}")
        return words
