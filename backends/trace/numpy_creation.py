"""NumPy's functions that make new arrays from symbolic ones: copies, arrays like others, grids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from . import creation, namespace, shapes
from .numpy_arguments import array_of, unsupported
from .promotion import common_dtype
from .symbolic import SymbolicArray, as_symbolic, copy_of, in_order_of, trace_of


def copy(a: Any, order: str = "K", subok: Any = False) -> Any:
    """np.copy: a new array, in the order in memory that NumPy gives it."""
    x = array_of(a)
    made = copy_of(x) if order == "C" else in_order_of(x, copy_of(x))
    made.is_box = True
    return made


def _like(function: Callable[..., Any]) -> Callable[..., Any]:
    def like(
        a: Any, dtype: Any = None, order: str = "K", subok: Any = True, shape: Any = None, **_: Any
    ) -> Any:
        x = array_of(a)
        kind = x.dtype if dtype is None else dtype
        made = function(x.shape if shape is None else shape, dtype=kind)
        return made if shape is not None or order == "C" else in_order_of(x, made)

    return like


def _full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: Any = True,
    shape: Any = None,
    **_: Any,
) -> Any:
    x = array_of(a, fill_value)
    if isinstance(fill_value, SymbolicArray) and fill_value.ndim:
        made = namespace.astype(fill_value, x.dtype if dtype is None else dtype)
        return copy_of(shapes.broadcast_to(made, x.shape if shape is None else shape))
    return creation.full(
        x.shape if shape is None else shape, fill_value, dtype=x.dtype if dtype is None else dtype
    )


def _linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: Any = True,
    retstep: Any = False,
    dtype: Any = None,
    axis: Any = 0,
    **_: Any,
) -> Any:
    trace = trace_of((start, stop))
    ends = [as_symbolic(trace, end) for end in (start, stop)]
    if retstep or any(end.ndim for end in ends):
        raise trace.error(
            TypeError, "np.linspace of arrays, or with retstep=, is not supported by the compiler"
        )
    if dtype is None:
        dtype, weak = common_dtype(trace, "linspace", [*ends, trace.constant(1.0)])
        dtype = "float64" if weak else dtype.name
    return creation.linspace(start, stop, num, endpoint=endpoint, dtype=dtype)


def _meshgrid(*arrays: Any, copy: Any = True, sparse: Any = False, indexing: str = "xy") -> Any:
    if sparse or not copy:
        raise unsupported(arrays[0], "np.meshgrid with sparse=True or copy=False")
    return creation.meshgrid(*arrays, indexing=indexing)


def _vander(x: Any, N: Any = None, increasing: Any = False) -> Any:  # noqa: N803 - NumPy's name
    array = array_of(x)
    # NumPy's powers are of the dtype of the array and an integer.
    array = array + numpy.int64(0) * creation.arange(1)
    count = array.node.sizes()[0] if N is None else N.__index__()
    powers = [creation.ones_like(array)]
    while len(powers) < count:
        powers.append(powers[-1] * array)
    return shapes.stack(powers[:count] if increasing else powers[:count][::-1], axis=1)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "astype": lambda x, dtype, copy=True, device=None: namespace.astype(array_of(x), dtype, copy=copy),
    "copy": copy,
    "zeros_like": _like(creation.zeros),
    "ones_like": _like(creation.ones),
    "empty_like": _like(creation.zeros),
    "full_like": _full_like,
    "tril": lambda m, k=0: creation.tril(array_of(m), k=k),
    "triu": lambda m, k=0: creation.triu(array_of(m), k=k),
    "linspace": _linspace,
    "meshgrid": _meshgrid,
    "vander": _vander,
}
