"""`op.explain`: the graph, plan and program that the compiler makes of a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .backends import cpu_why_not, explanation_of
from .compilation import is_compilable, leaves_of, require_compilable
from .dispatch import KernelFunction

if TYPE_CHECKING:
    from .backends import Explanation


def explain(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation:
    """The plan that the compiler makes for function(*args, **kwargs); nothing is computed.

    function: a kernel of the library, an `@kernel`, or any function of arrays
    args, kwargs: as for a call: NumPy arrays of float32 or float64, and numbers and integer arrays
    returns:  an Explanation. `print` shows the graph, the plan with its matrix products and loops, bytes
              moved, operations, memory held, and the emitted program; a notebook shows the same as HTML, with
              the long parts folded. Its attributes: the figures
              `bytes_moved`, `operations` and `bytes_held`; the plan `text`; the CPU program `source`; `cuda`,
              the program that a GPU runs for the same call
    raises:   TypeError for arrays of other dtypes, or an operation that the compiler does not support;
              RuntimeError if llvmlite does not work here
    """
    name = getattr(function, "__name__", "kernel")
    why_not = cpu_why_not()
    if why_not:
        raise RuntimeError(f"explain: the backend 'numba' is not usable here: {why_not}.")
    if not callable(function):
        raise TypeError(f"explain: got {function!r}; expected a function and its arguments.")
    if isinstance(function, KernelFunction):
        args, kwargs = function.normalised(args, kwargs)
    if not is_compilable("numpy", args, kwargs):
        require_compilable("numba", name, args, kwargs)
    donated = leaves_of(inspect.unwrap(function), args, kwargs, getattr(function, "donate", ()))
    return explanation_of(function, name, args, kwargs, donated)
