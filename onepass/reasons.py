"""Why a call is not compiled, in words: a warning under "auto", an error where a backend was asked for."""

from __future__ import annotations

import dis
import os
import traceback
from types import TracebackType

from .backends import registry
from .backends.codegen.coalesce import TooManyDimensionsError
from .backends.registry import NotUsableError
from .backends.trace.symbolic import WritesArgumentError

_HERE = os.path.dirname(os.path.abspath(__file__))
# In a checkout this folder does not lie in the one above.
_BACKENDS = os.path.dirname(os.path.abspath(registry.__file__))


def to_raise(name: str, refused: Exception, backend: str) -> None:
    """Raise what a call that cannot be compiled raises; nothing where "auto" runs it anyway."""
    if isinstance(refused, WritesArgumentError):
        raise refused.with_traceback(None)  # on every backend
    if backend == "auto":
        return
    if _is_of_ours(refused) or _is_of_the_user(refused):
        raise refused.with_traceback(None)
    raise TypeError(reason(name, refused)) from None


def reason(name: str, refused: Exception) -> str:
    """A sentence that names the kernel, the operation and the line."""
    if _is_of_ours(refused):
        return str(refused)
    if isinstance(refused, RecursionError):
        refused = RecursionError("its operations are nested too deeply")
    said = str(refused).strip().partition("\n")[0].rstrip(".")
    return f"{name}: cannot be compiled: {type(refused).__name__}: {said} ({_line(refused)})."


def _is_of_ours(error: Exception) -> bool:
    """Whether the tracer said it, with kernel and line."""
    return hasattr(error, "of_trace") or isinstance(error, TooManyDimensionsError | NotUsableError)


def _is_of_the_user(error: Exception) -> bool:
    """Whether code outside of the compiler raised it on purpose: the user's, or a check of an argument."""
    innermost: TracebackType | None = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None:
        return False
    file = innermost.tb_frame.f_code.co_filename
    if "numpy" in file or "array_api_compat" in file or _is_compiler(file):
        return False
    instruction = innermost.tb_frame.f_code.co_code[innermost.tb_lasti]
    return dis.opname[instruction] == "RAISE_VARARGS" or not isinstance(error, TypeError | AttributeError)


def _is_compiler(file: str) -> bool:
    return os.path.abspath(file).startswith(_BACKENDS + os.sep)


def _line(error: Exception) -> str:
    """The innermost line that is not ours."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        folder = os.path.dirname(os.path.abspath(frame.filename))
        if folder != _HERE and not _is_compiler(frame.filename):
            return f"{frame.filename}, line {frame.lineno}"
    return "in the compiler"
