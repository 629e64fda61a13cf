"""The values of a traced call after each pass of the compiler, by the interpreter of graphs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import array_api_compat.numpy
import numpy as np
from onepass.backends.codegen.passes import PASSES, Pass, after_trace
from onepass.backends.common.trees import leaves
from onepass.backends.ir.graph import walk
from onepass.backends.ir.interpret import interpret
from onepass.backends.ir.operations import Op
from onepass.backends.trace.symbolic import SymbolicArray
from onepass.backends.trace.trace import trace

import onepass as op

# Passes may add up other terms, in another order: these are rounded elsewhere then.
ROUNDED_ELSEWHERE = {Op.SUM, Op.PROD, Op.MATMUL, Op.POW}
# Of the largest element; an error of a pass is larger, one of rounding smaller.
TOLERANCE = 100


class Values(NamedTuple):
    """The arrays of a result.

    is_exact: whether no pass may change a bit of them
    """

    after: str
    arrays: list[Any]
    is_exact: bool


class TracedCall:
    """A call that was traced.

    xp: the namespace in which it is evaluated
    """

    def __init__(
        self, function: Callable[..., Any], *args: Any, xp: Any = array_api_compat.numpy, **kwargs: Any
    ) -> None:
        self._xp = xp
        self._call = function, args, kwargs
        self.traced = trace(function, getattr(function, "__name__", "kernel"), args, kwargs)
        self.state = after_trace(self.traced)

    def eager(self) -> Values:
        """What the function itself gives in NumPy, where the compiled result has arrays."""
        function, args, kwargs = self._call
        with op.use_backend("numpy"), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, of the mean of no elements
            result = leaves(function(*args, **kwargs))
        traced = leaves(self.traced.result)
        arrays = [a for a, symbol in zip(result, traced, strict=True) if isinstance(symbol, SymbolicArray)]
        return Values("nothing", list(map(np.asarray, arrays)), is_exact=True)

    def values(self, after: str) -> Values:
        """The values of the graph as it is now, in the shapes in which the kernel returns them."""
        _, args, kwargs = self._call
        given = [*leaves((args, kwargs)), *self.traced.trace.captured]
        given = [self._xp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in given]
        with np.errstate(all="ignore"):
            arrays = interpret(self.state.outputs, given, self._xp, scalars=self.state.slots)
        shaped = [
            np.asarray(array).reshape(node.sizes())
            for array, node in zip(arrays, self.traced.outputs, strict=True)
        ]
        operations = {node.operation for node in walk(self.state.outputs)}
        return Values(after, shaped, not operations & ROUNDED_ELSEWHERE)

    def after_each(self, passes: tuple[Pass, ...] = PASSES) -> Iterator[Values]:
        """The values after the trace and after every pass."""
        yield self.values("trace")
        for each in passes:
            each.run(self.state)
            yield self.values(each.name)


def assert_same_values(got: Values, expected: Values) -> None:
    """The same dtypes and shapes; the same bits where no operation may be rounded elsewhere."""
    for number, (mine, theirs) in enumerate(zip(got.arrays, expected.arrays, strict=True)):
        about = f"result {number} after {got.after}, against {expected.after}"
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape), about
        if expected.is_exact or theirs.dtype.kind != "f":
            assert mine.tobytes() == theirs.tobytes(), about
            continue
        scale = np.abs(theirs[np.isfinite(theirs)]).max(initial=0)
        allowed = TOLERANCE * np.finfo(theirs.dtype).eps * float(scale)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=allowed, err_msg=about)


def assert_passes_keep_values(call: TracedCall, *, is_exact: bool = True) -> None:
    """Eager against the trace, and each graph against the one before.

    is_exact: whether the trace has the operations of eager NumPy
    """
    before = call.eager()._replace(is_exact=is_exact)
    for values in call.after_each():
        assert_same_values(values, before)
        # Numbers that become scalars of the call are the same numbers.
        before = values._replace(is_exact=True) if values.after == "simplify" else values
