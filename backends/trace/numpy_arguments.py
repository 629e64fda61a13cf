"""Arguments and options of NumPy's functions of symbolic arrays: lists, `keepdims=`, `out=`, `dtype=`.

Takes an argument or a result as NumPy's functions have it; gives it as a symbolic array:

    array_of([1, x])                a symbolic array of two elements
    finished(x + y, out=target)     `target`, which the sum was written into
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from ..ir.operations import Op
from . import creation, namespace, shapes
from .elementwise import apply
from .in_place import assign
from .symbolic import NeedsOwnArraysError, SymbolicArray, as_symbolic, trace_of

# The default of some of NumPy's options: the caller gave no value, not even None.
NO_VALUE: Any = getattr(numpy, "_NoValue", None)


def array_of(x: Any, *others: Any) -> SymbolicArray:
    """An argument as a symbolic array; a list of numbers and arrays becomes one.

    others: further arguments; one of them may belong to a trace where `x` does not
    """
    if isinstance(x, list | tuple):
        return creation.asarray(x)  # type: ignore[no-any-return]
    return as_symbolic(trace_of((x, *others)), x)


def unsupported(x: Any, what: str) -> Exception:
    """The error for what the compiler does not support.

    what: the function and its options
    """
    return trace_of((x,)).error(TypeError, f"{what} is not supported by the compiler")


def is_given(value: Any) -> bool:
    """Whether the caller gave an option a value other than None."""
    return value is not NO_VALUE and value is not None


def is_kept(keepdims: Any) -> bool:
    """Whether a reduction keeps the dimensions that it reduces, as dimensions of size 1."""
    return bool(is_given(keepdims) and keepdims)


def flattened(x: SymbolicArray) -> Any:
    """All elements as a vector, in C order."""
    return shapes.reshape(x, (-1,))


def accepting_list(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the namespace whose first argument may be a list."""
    return lambda x, *args, **options: function(array_of(x), *args, **options)


def finished(
    result: Any, *, out: Any = None, dtype: Any = None, where: Any = True, is_unsafe: bool = False, **_: Any
) -> Any:
    """A result after NumPy's options: cast to `dtype`, chosen by `where`, written into `out`.

    is_unsafe: whether `out` may have any dtype
    """
    if isinstance(result, tuple):
        outs = out if isinstance(out, tuple) else (None,) * len(result)
        return tuple(finished(part, out=(one,), dtype=dtype) for part, one in zip(result, outs, strict=True))
    target = out[0] if isinstance(out, tuple) else out
    if dtype is not None:
        result = namespace.astype(result, dtype, copy=False)
    if where is not True:
        if target is None:
            raise result.tracer.error(TypeError, "where= without out= leaves elements undefined; pass out=")
        result = apply(Op.WHERE, where, result, target)
    if target is None:
        return result
    if not isinstance(target, SymbolicArray):
        raise result.tracer.error(
            NeedsOwnArraysError,
            "out= is an array of the function's own; expected one that the function computed",
        )
    return assign(target, result, is_unsafe=is_unsafe)
