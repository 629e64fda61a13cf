"""Emitted source as modules whose machine code is kept on disk.

What the source has to keep to: every function is decorated `@cfunc(signature, ..., cache=CACHE)` or
`@njit(signature, ..., cache=CACHE)`, where `CACHE` is a name that the module is given before it runs; it is
False where no folder can be used. Because of the signatures all compiling, and all use of the cache, happens
while the module loads, where errors of the cache are repaired. Runtime helpers are imported absolutely, as in
`from onepass.backends.cpu.runtime.pointers import ...`, and have no cache of their own.
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

# The modules of this folder that end up in the machine code of programs: what emitted text imports, and what
# those modules import in turn. Numba does not look at their text when it loads a program from the disk.
HELPERS = ("blas", "machine_code", "pointers", "portable_blas", "threads", "vector_intrinsics", "vector_math")

# How the names of all files here begin: a name and a hash.
_OURS = re.compile(r"\w+_[0-9a-f]{24}\.")


def clear() -> None:
    """Delete what `load` has put into the folder and Numba's files beside it; nothing else."""
    patterns = ("*.py", "*.cubin", "*.tmp", "__pycache__/*.nb*")
    for path in [path for pattern in patterns for path in folder().glob(pattern)]:
        if _OURS.match(path.name):
            _forget_machine_code(path)
            with contextlib.suppress(OSError):
                path.unlink()


def load(source: str, name: str) -> types.ModuleType:
    """The module that `source` is, with machine code from the disk where it was compiled before.

    The same source gives the same module. Where the folder cannot be used, it is compiled in memory, and the
    first time in a process a RuntimeWarning says so. Errors in the source itself are raised.
    """
    stem = re.sub(r"\W", "_", name, flags=re.ASCII)[:60] + "_" + _hash(source)
    with forks.compiling:
        if stem in _modules:
            return _modules[stem]
        module, trouble = _load_kept(source, stem)
        if module is None:
            module = _run(source, stem, f"<onepass {stem}>", cached=False)
        _modules[stem] = module
    if trouble is not None:
        warn(trouble)
    return module


def _load_kept(source: str, stem: str) -> tuple[types.ModuleType | None, Exception | None]:
    """The module on machine code from the disk, or None and why the disk cannot be used."""
    from numba.core.errors import NumbaError

    path = folder() / f"{stem}.py"
    trouble: Exception | None = None
    for _ in range(2):
        try:
            private_folder()
            _place(path, source.encode())
            _require_private_machine_code(path)
        except FileNotFoundError as error:  # somebody has deleted the folder meanwhile
            trouble = error
            continue
        except OSError as error:
            return None, error
        try:
            return _run(source, stem, str(path), cached=True), None
        except NumbaError:
            raise
        except Exception as error:
            # A damaged file of Numba's raises nearly anything: UnpicklingError, EOFError, ValueError, OSError
            # or LLVM's RuntimeError. What is there goes, and is made anew.
            trouble = error
            _forget_machine_code(path)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                break
    return None, trouble


def _run(source: str, stem: str, filename: str, *, cached: bool) -> types.ModuleType:
    module = types.ModuleType(stem)
    module.__file__ = filename
    vars(module)["CACHE"] = cached
    if not cached:
        # So that errors show the lines of a file that does not exist.
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    # Numba looks its functions' module up by name when it loads them from the disk.
    sys.modules[stem] = module
    try:
        exec(compile(source, filename, "exec"), vars(module))
    except BaseException:
        del sys.modules[stem]
        raise
    return module


def _require_private_machine_code(path: Path) -> None:
    """Raise an OSError unless the machine code of the source at `path` can be nobody else's."""
    kept = path.with_name("__pycache__")
    # Numba would make it with the permissions that the umask leaves.
    kept.mkdir(mode=0o700, exist_ok=True)
    require_private(kept, f"{path.stem}.*", may_lie_in_closed=True)
    elsewhere = _machine_code_folder(path)
    if elsewhere not in (None, kept):
        require_private(elsewhere, f"{path.stem}.*")


def _place(path: Path, content: bytes) -> None:
    """Have `content` at `path`, also when other processes do the same now."""
    if _holds(path, content):
        return
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        # Windows replaces no file that another process reads; that one has put the same there.
        if not _holds(path, content):
            raise


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _forget_machine_code(path: Path) -> None:
    """Delete what Numba keeps for the source at `path`, wherever it does that."""
    kept = _machine_code_folder(path)
    if kept is not None:
        with contextlib.suppress(OSError):
            for file in list(kept.glob(f"{path.stem}.*")):
                file.unlink(missing_ok=True)


def _machine_code_folder(path: Path) -> Path | None:
    """Where Numba keeps machine code of the source at `path`; None where it finds no folder to write into."""
    from numba.core.caching import FunctionCache

    numba_cache: Any = FunctionCache
    probe: dict[str, Any] = {}
    exec(compile("def probe(): pass", str(path), "exec"), probe)
    try:
        return Path(numba_cache(probe["probe"]).cache_path)
    except (OSError, RuntimeError):
        return None


def _hash(source: str) -> str:
    """Of all that machine code depends on and Numba does not look at itself."""
    import llvmlite
    import numba

    parts = [
        source,
        # The layer above, which is there by the time that a program is compiled.
        f"onepass {vars(sys.modules['onepass'])['__version__']}",
        f"numba {numba.__version__}",
        f"llvmlite {llvmlite.__version__}",
        f"{sys.implementation.name} {sys.version}",
        # Machine code for Intel's vector library does not link where that is not installed.
        f"svml {getattr(numba.config, 'USING_SVML', False)}",
        *_helper_texts(),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@functools.cache
def _helper_texts() -> list[str]:
    folder = Path(__file__).parent
    return [f"{name}\0{(folder / f'{name}.py').read_text(encoding='utf-8')}" for name in HELPERS]
