"""NumPy's functions of symbolic arrays: what `np.sum(x, axis=1)` calls.

Takes a function of NumPy and its arguments, as `__array_function__` gets them; gives what the same call makes
of real arrays, as symbolic ones. The functions of the table have NumPy's signatures, and call those of the
namespace.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from . import (
    fft,
    namespace,
    numpy_calculus,
    numpy_creation,
    numpy_elements,
    numpy_joins,
    numpy_linalg,
    numpy_order,
    numpy_products,
    numpy_reductions,
    numpy_shapes,
)
from .numpy_arguments import accepting_list
from .symbolic import SymbolicArray, trace_of

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **numpy_reductions.FUNCTIONS,
    **numpy_order.FUNCTIONS,
    **numpy_shapes.FUNCTIONS,
    **numpy_joins.FUNCTIONS,
    **numpy_products.FUNCTIONS,
    **numpy_linalg.FUNCTIONS,
    **numpy_elements.FUNCTIONS,
    **numpy_creation.FUNCTIONS,
    **numpy_calculus.FUNCTIONS,
    "real": accepting_list(namespace.real),
    "imag": accepting_list(namespace.imag),
    "result_type": namespace.result_type,
    "can_cast": namespace.can_cast,
    "iscomplexobj": lambda x: False,
    "isrealobj": lambda x: True,
    **{f"fft.{name}": getattr(fft, name) for name in ("fftshift", "ifftshift")},
}


def array_function(
    self: SymbolicArray, function: Any, types: Sequence[type], args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """`__array_function__` of symbolic arrays."""
    own = (getattr(function, "__module__", None) or "numpy").removeprefix("numpy").lstrip(".").strip("_")
    name = f"{own}.{function.__name__}" if own in ("linalg", "fft") else function.__name__
    found = FUNCTIONS.get(name)
    if found is None:
        own_trace = trace_of((self,))
        why = namespace.UNSUPPORTED.get(function.__name__)
        what = f"np.{name} {why}, which is" if why else f"np.{name} is"
        raise own_trace.error(TypeError, f"{what} not supported by the compiler; use a function of xp")
    try:
        inspect.signature(found).bind(*args, **options)
    except TypeError as error:
        raise trace_of((self,)).error(
            TypeError, f"np.{name}: {error}, of what the compiler supports"
        ) from None
    return found(*args, **options)
