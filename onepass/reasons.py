"""Why a call is not compiled: the text of a warning under "auto", of an error under "numba" and "cupy"."""

from __future__ import annotations

import dis
import os
import re
import traceback
from types import TracebackType

import array_api_compat
import numpy

from .backends import FOLDER, NotUsableError, WritesArgumentError

_HERE = os.path.dirname(os.path.abspath(__file__))
_LIBRARIES = tuple(os.path.dirname(str(module.__file__)) + os.sep for module in (numpy, array_api_compat))
# In a checkout this folder is not inside of the one above.
_BACKENDS = str(FOLDER.absolute())


def raise_if_error(name: str, refused: Exception, backend: str) -> None:
    """Raise the error of a call that cannot be compiled; return if the call runs without the compiler."""
    if isinstance(refused, WritesArgumentError):
        raise refused.with_traceback(None)  # on every backend
    if backend == "auto":
        return
    if _is_of_compiler(refused) or _is_of_user(refused):
        raise refused.with_traceback(None)
    raise TypeError(reason(name, refused)) from None


def reason(name: str, refused: Exception) -> str:
    """Why a call cannot be compiled, in one sentence with the kernel, the operation and the line."""
    if _is_of_compiler(refused):
        return str(refused)
    if isinstance(refused, RecursionError):
        refused = RecursionError("its operations are nested too deeply")
    message = str(refused).strip().partition("\n")[0].rstrip(".")
    message = re.sub(r"\S*<locals>\.", "", message)  # where a function is defined in ours
    if "SymbolicArray" in message or "<symbolic" in message:
        message += "; use functions of array_namespace(x) or of NumPy, and methods of arrays"
    return f"{name}: cannot be compiled: {type(refused).__name__}: {message} ({_line(refused)})."


def _is_of_compiler(error: Exception) -> bool:
    """Whether the compiler raised the error on purpose, with kernel and line in its text."""
    return hasattr(error, "of_trace") or isinstance(error, NotUsableError)


def _is_of_user(error: Exception) -> bool:
    """Whether code outside the compiler raised the error on purpose: the user's function, or a check."""
    innermost: TracebackType | None = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None:
        return False
    file = innermost.tb_frame.f_code.co_filename
    if file.startswith(_LIBRARIES) or _is_compiler(file):
        return False
    instruction = innermost.tb_frame.f_code.co_code[innermost.tb_lasti]
    return dis.opname[instruction] == "RAISE_VARARGS" or not isinstance(error, TypeError | AttributeError)


def _is_compiler(file: str) -> bool:
    return os.path.abspath(file).startswith(_BACKENDS + os.sep)


def _line(error: Exception) -> str:
    """The innermost line outside this library."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        folder = os.path.dirname(os.path.abspath(frame.filename))
        if folder != _HERE and not _is_compiler(frame.filename):
            return f"{frame.filename}, line {frame.lineno}"
    return "in the compiler"
