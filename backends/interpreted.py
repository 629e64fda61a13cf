"""Derivatives operation by operation: for arrays that no backend compiles for, and on request.

Takes a function and a call; gives a program, as a compiling backend does, that evaluates the graph of the
call in the namespace of its arrays:

    program = InterpretedProgram(derivative, "loss", (tensor,), {}, "torch")
    program([tensor])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat
import numpy

from .common.libraries import device_of, is_half, is_real_array, library_of
from .common.trees import leaves, map_leaves
from .eager import astype, common_half
from .ir.dtypes import dtype_of, numpy_dtype
from .ir.graph import Node
from .ir.interpret import SHARING, Call, Interpreter
from .ir.operations import Op
from .trace.dtype_names import dtype_name
from .trace.symbolic import SymbolicArray
from .trace.trace import trace


class InterpretedProgram:
    """The graph of a call, evaluated for calls of its form.

    kernel, guards, captured: as of a compiled program
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        library: str,
    ) -> None:
        arrays = [leaf for leaf in leaves((args, kwargs)) if library_of(leaf) == library]
        arrays = [array for array in arrays if not isinstance(array, numpy.generic)]
        traced = trace(function, name, *map_leaves(_stand_in, (args, kwargs)), library=library)
        self.kernel, self.guards = name, traced.guards
        self.captured: list[Any] = traced.trace.captured
        self._checks = traced.trace.call_checks
        self._first_captured = traced.trace.first_captured
        self._outputs, self._result = traced.outputs, traced.result
        self._interpreter: Interpreter | None = None  # made in the first call
        self._library = library
        # Sums of half precision are accumulated in float32; results are rounded where all arguments are.
        self._half = common_half([array for array in arrays if is_real_array(array)])

    def __call__(self, values: Sequence[Any]) -> Any:
        """The result for the leaves of a call of this form, with captured arrays behind them."""
        everything = [*values, *self.captured] if len(values) == self._first_captured else list(values)
        for number, check in self._checks:
            check(everything[number])
        first = next(
            (v for v in everything if library_of(v) == self._library and not isinstance(v, numpy.generic)),
            numpy.zeros(()),
        )
        xp = array_api_compat.array_namespace(first)
        device = None if self._library == "numpy" else device_of(first)
        with numpy.errstate(all="ignore"):
            if self._interpreter is None:
                self._interpreter = Interpreter(self._outputs, xp)
            found = iter(self._interpreter(Call(everything, {}, xp, device)))
        given = {id(value) for value in everything}

        def leaf(symbol: Any) -> Any:
            if not isinstance(symbol, SymbolicArray):
                return symbol
            array = next(found)
            if self._half is not None and is_real_array(array):
                array = astype(array, self._half)
            array = self._own(xp, symbol.node, array, given)
            given.add(id(array))
            return array

        return map_leaves(leaf, self._result)

    def _own(self, xp: Any, node: Node, array: Any, given: set[int]) -> Any:
        """A result that shares no memory with an argument or another result; a number where NumPy has one."""
        if self._library == "numpy" and not numpy.ndim(array):
            return array.item() if node.weak else array[()]
        if id(array) not in given and node.operation not in (Op.INPUT, *SHARING):
            return array
        return array.clone() if self._library == "torch" else xp.asarray(array, copy=True)


def _stand_in(leaf: Any) -> Any:
    """A NumPy array of the shape and dtype of any library's, which takes no memory; float32 for halves."""
    if library_of(leaf) is None:
        return leaf
    if isinstance(leaf, numpy.ndarray | numpy.generic) and not leaf.ndim:
        # A number that the function may ask for.
        return leaf.astype("float32") if is_half(leaf) else leaf
    dtype = dtype_of(dtype_name(leaf.dtype))
    if dtype is None:
        return leaf  # the trace says what it is
    name = "float32" if dtype.is_half else numpy_dtype(dtype)
    return numpy.broadcast_to(numpy.zeros((), name), tuple(leaf.shape))
