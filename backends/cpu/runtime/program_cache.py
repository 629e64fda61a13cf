"""Loads emitted source as modules, with machine code cached on disk.

    module = load("@njit(float64(float64), cache=CACHE)\\ndef double(x): ...", "double")

Rules for the source: every function is decorated with `@cfunc(signature, ..., cache=CACHE)` or
`@njit(signature, ..., cache=CACHE)`. `load` defines `CACHE`; it is False if no cache folder can be used. With
explicit signatures, all compiling and all use of the cache happens while the module is loaded, where errors
of the cache are handled. Runtime helpers are imported absolutely, as in
`from onepass.backends.cpu.runtime.pointers import ...`, and are not cached on their own.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import linecache
import os
import re
import sys
import types
import uuid
from pathlib import Path
from typing import Any

from ...common import forks
from ...common.cache_folder import folder, private_folder, warn
from ...common.private import require_private

_modules: dict[str, types.ModuleType] = {}

# The modules of this folder whose code is compiled into programs: those that emitted text imports, and those
# that these import in turn. Numba does not check their text when it loads a program from disk.
HELPERS = ("blas", "machine_code", "pointers", "portable_blas", "threads", "vector_intrinsics", "vector_math")

# How the names of all cached files begin: a name and a hash.
_OURS = re.compile(r"\w+_[0-9a-f]{24}\.")


def clear() -> None:
    """Delete the files of `load` in the cache folder, and Numba's files for them; nothing else."""
    patterns = ("*.py", "*.cubin", "*.tmp", "__pycache__/*.nb*")
    for path in [path for pattern in patterns for path in folder().glob(pattern)]:
        if _OURS.match(path.name):
            _forget_machine_code(path)
            with contextlib.suppress(OSError):
                path.unlink()


def load(source: str, name: str) -> types.ModuleType:
    """The module of `source`, with machine code from disk if it was compiled before.

    The same source gives the same module. Without a usable cache folder it is compiled in memory, and the
    first time in a process a RuntimeWarning says so. Errors of the source itself are raised.
    """
    stem = re.sub(r"\W", "_", name, flags=re.ASCII)[:60] + "_" + _hash(source)
    with forks.compile_lock:
        if stem in _modules:
            return _modules[stem]
        module, problem = _load_cached(source, stem)
        if module is None:
            module = _run(source, stem, f"<onepass {stem}>", cached=False)
        _modules[stem] = module
    if problem is not None:
        warn(problem)
    return module


def _load_cached(source: str, stem: str) -> tuple[types.ModuleType | None, Exception | None]:
    """The module with machine code on disk, or None and why the cache cannot be used."""
    from numba.core.errors import NumbaError

    path = folder() / f"{stem}.py"
    problem: Exception | None = None
    for _ in range(2):
        try:
            private_folder()
            _place(path, source.encode())
            _require_private_machine_code(path)
        except FileNotFoundError as error:  # another process has deleted the folder
            problem = error
            continue
        except OSError as error:
            return None, error
        try:
            return _run(source, stem, str(path), cached=True), None
        except NumbaError:
            raise
        except Exception as error:
            # A damaged file raises UnpicklingError, EOFError, ValueError, OSError, LLVM's RuntimeError and
            # others. Delete the files and compile again.
            problem = error
            _forget_machine_code(path)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                break
    return None, problem


def _run(source: str, stem: str, filename: str, *, cached: bool) -> types.ModuleType:
    module = types.ModuleType(stem)
    module.__file__ = filename
    vars(module)["CACHE"] = cached
    if not cached:
        # For tracebacks: there is no such file.
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    # Numba finds the module of a function by name when it loads the function from disk.
    sys.modules[stem] = module
    try:
        exec(compile(source, filename, "exec"), vars(module))
    except BaseException:
        del sys.modules[stem]
        raise
    return module


def _require_private_machine_code(path: Path) -> None:
    """Raise an OSError if another user can have written the machine code for the source at `path`."""
    beside = path.with_name("__pycache__")
    # Numba would create it with the permissions of the umask.
    beside.mkdir(mode=0o700, exist_ok=True)
    require_private(beside, f"{path.stem}.*", parent_may_protect=True)
    elsewhere = _machine_code_folder(path)
    if elsewhere not in (None, beside):
        require_private(elsewhere, f"{path.stem}.*")


def _place(path: Path, content: bytes) -> None:
    """Write `content` to `path`; other processes may do the same at the same time."""
    if _holds(path, content):
        return
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        # Windows does not replace a file that another process reads; that process wrote the same content.
        if not _holds(path, content):
            raise


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _forget_machine_code(path: Path) -> None:
    """Delete Numba's files for the source at `path`, in whichever folder they are."""
    cached = _machine_code_folder(path)
    if cached is not None:
        with contextlib.suppress(OSError):
            for file in list(cached.glob(f"{path.stem}.*")):
                file.unlink(missing_ok=True)


def _machine_code_folder(path: Path) -> Path | None:
    """Numba's cache folder for the source at `path`; None if it finds no writable folder."""
    from numba.core.caching import FunctionCache

    numba_cache: Any = FunctionCache
    probe: dict[str, Any] = {}
    exec(compile("def probe(): pass", str(path), "exec"), probe)
    try:
        return Path(numba_cache(probe["probe"]).cache_path)
    except (OSError, RuntimeError):
        return None


def _hash(source: str) -> str:
    """A hash of all that machine code depends on and that Numba does not check itself."""
    import llvmlite
    import numba

    parts = [
        source,
        # Of the layer above, which is imported by the time that a program is compiled.
        f"onepass {vars(sys.modules['onepass'])['__version__']}",
        f"numba {numba.__version__}",
        f"llvmlite {llvmlite.__version__}",
        f"{sys.implementation.name} {sys.version}",
        # Machine code that uses Intel's vector library does not link without that library.
        f"svml {getattr(numba.config, 'USING_SVML', False)}",
        *_helper_texts(),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@functools.cache
def _helper_texts() -> list[str]:
    folder = Path(__file__).parent
    return [f"{name}\0{(folder / f'{name}.py').read_text(encoding='utf-8')}" for name in HELPERS]
