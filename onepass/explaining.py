"""`op.explain`: what a compiling backend makes of a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .backends.registry import numba_why_not
from .compilation import donated_leaves, is_compilable, require_compilable
from .dispatch import KernelFunction

if TYPE_CHECKING:
    from .backends.codegen.explain import Explanation


def explain(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation:
    """The plan that the compiler makes for function(*args, **kwargs); nothing is computed.

    function: a kernel of the library, an `@kernel`, or any function in plain array API
    args, kwargs: as for a call: NumPy arrays of float32 and float64, with numbers and integer arrays beside
    returns:  an Explanation: print it to read the graph, the sections and phases with their products and
              loops, bytes moved, operations, memory held, and the emitted program; the figures are its
              attributes `bytes_moved`, `operations` and `bytes_held`, the text is `text` and `source`, and
              `cuda` is the program that a GPU runs for the same call
    raises:   TypeError for arrays that are not compiled for, or an operation that the compiler does not know;
              RuntimeError where Numba is not installed
    """
    name = getattr(function, "__name__", "kernel")
    why_not = numba_why_not()
    if why_not:
        raise RuntimeError(f"explain: the backend 'numba' is not usable here: {why_not}.")
    if not callable(function):
        raise TypeError(f"explain: got {function!r}; expected a function and its arguments.")
    if isinstance(function, KernelFunction):
        args, kwargs = function.normalised(args, kwargs)
    if not is_compilable("numpy", args, kwargs):
        require_compilable("numba", name, args, kwargs)
    from .backends.cpu.program import Program
    from .backends.cuda.text import cuda_text

    inside = inspect.unwrap(function)
    donated = donated_leaves(inside, args, kwargs, getattr(function, "donate", ()))
    explanation = Program(function, name, args, kwargs, donated, compiled=False).explanation()
    return replace(explanation, cuda=cuda_text(function, name, args, kwargs, donated))
