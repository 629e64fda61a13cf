"""Functions of emitted texts as machine code, kept on disk for other processes.

    address = load("def double(x, n): ...", "double", (Pointer(FLOAT64), INT64), "double")

The first process compiles the text, and writes an object file into the cache folder. Others load it, without
reading the text. The name of a file says all that machine code depends on, by a hash.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import llvmlite
from llvmlite import binding

from ...common.cache_folder import folder, private_folder, warn
from ...common.forks import compile_lock
from ...common.private import require_private
from . import machine_code
from .values import Type

# The modules that make machine code of a text, below the folder `backends`: this room's, and the dtypes.
HELPERS = (
    *(f"cpu/llvm/{name}.py" for name in ("cache", "machine_code", "names", "operations", "translate")),
    *(f"cpu/llvm/{name}.py" for name in ("values", "vector_math", "writer")),
    "ir/dtypes.py",
)

# How the names of all cached files begin: a name and a hash.
_OURS = re.compile(r"\w+_[0-9a-f]{24}\.")

_addresses: dict[str, int] = {}


def clear() -> None:
    """Delete the files that onepass has put into the cache folder; nothing else."""
    for pattern in ("*.o", "*.cubin", "*.tmp"):
        for path in folder().glob(pattern):
            if _OURS.match(path.name):
                with contextlib.suppress(OSError):
                    path.unlink()


def load(text: str, entry: str, types: Sequence[Type], name: str) -> int:
    """The address of a function of a text.

    types: of its arguments
    name:  what the file is called, before a hash
    The same text gives the same address. Without a usable cache folder it is compiled in memory, and the
    first time in a process a RuntimeWarning says so. Errors of the text itself are raised.
    """
    stem = re.sub(r"\W", "_", name, flags=re.ASCII)[:60] + "_" + _hash(f"{entry}{[*map(str, types)]}\n{text}")
    if stem in _addresses:
        return _addresses[stem]
    problem: Exception | None = None
    with compile_lock:
        if stem not in _addresses:
            code, problem = _read(stem)
            if code is None:
                code = _compiled(text, entry, types, stem)
                problem = problem or _write(stem, code)
            machine_code.load(code)
            _addresses[stem] = machine_code.address_of_function(stem)
    if problem is not None:
        warn(problem)
    return _addresses[stem]


def _compiled(text: str, entry: str, types: Sequence[Type], public: str) -> bytes:
    # Not earlier: what is on disk needs no translator.
    from .names import NAMES
    from .translate import translate

    return machine_code.machine_code(translate(text, {entry: (types, public)}, NAMES))


def _read(stem: str) -> tuple[bytes | None, Exception | None]:
    """The machine code on disk, or None; and why the folder cannot be used."""
    try:
        path = private_folder() / f"{stem}.o"
        content = path.read_bytes()
        require_private(path.parent, path.name)
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, error
    checksum, code = content[:_CHECKSUM], content[_CHECKSUM:]
    return (code if _checksum(stem, code) == checksum else None), None


_CHECKSUM = hashlib.sha256().digest_size


def _checksum(stem: str, code: bytes) -> bytes:
    """What a file begins with. LLVM would end the process for one that was cut off, changed or renamed."""
    return hashlib.sha256(f"{stem}\0".encode() + code).digest()


def _write(stem: str, code: bytes) -> Exception | None:
    """Put machine code on disk; other processes may do the same at the same time. Returns what went wrong."""
    problem: OSError | None = None
    for _ in range(2):
        temporary = folder() / f"{stem}.{uuid.uuid4().hex}.tmp"
        try:
            private_folder()
            temporary.write_bytes(_checksum(stem, code) + code)
            os.replace(temporary, folder() / f"{stem}.o")
            return None
        except OSError as error:
            problem = error
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                break
            # Another process may have deleted the folder. And Windows does not replace a file that another
            # process reads; that process wrote the same content.
            if _read(stem)[0] is not None:
                return None
    return problem


def _hash(text: str) -> str:
    """A hash of all that machine code depends on."""
    parts = [
        text,
        # Of the layer above, which is imported by the time that a program is compiled.
        f"onepass {vars(sys.modules['onepass'])['__version__']}",
        f"llvmlite {llvmlite.__version__} LLVM {binding.llvm_version_info} {sys.platform}",
        machine_code.processor(),
        machine_code.features(),
        *helper_texts(),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@functools.cache
def helper_texts() -> list[str]:
    """The source of the modules that make machine code: a change in them makes other machine code."""
    backends = Path(__file__).parents[2]
    return [f"{name}\0{(backends / name).read_text(encoding='utf-8')}" for name in HELPERS]
