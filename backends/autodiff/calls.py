"""Calls of kernels that have derivatives of their own, in the trace of a function that is differentiated.

Takes a call; marks the arguments that the derivative covers, and the results, so that reverse mode leaves the
call by its own derivative:

    v1: float32(3) = mark(v0) [argument]
    v2: float32(3) = maximum(v1, 0.0)
    v3: float32(3) = mark(v2) [result]    its cotangent g gives    g * (v3 > 0), as that of v0
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from ..common.trees import StructureError, leaves, leaves_like, map_leaves
from ..ir.attributes import MarkKind
from ..trace import namespace as xp
from ..trace.creation import running_trace
from ..trace.marks import marked
from ..trace.symbolic import SymbolicArray, as_symbolic
from ..trace.tracer import Trace
from .reverse import Cotangents, OwnDerivative
from .shaping import is_variable, or_zeros, snapshot
from .targets import described


def call_with_own_derivative(
    call: Callable[[dict[str, Any]], Any],
    owner: str,
    arguments: dict[str, Any],
    covered: Sequence[str],
    backward: Callable[[Any, dict[str, Any], Any], Sequence[Any]],
) -> Any:
    """The result of a call in a trace that has a derivative of its own.

    call:      takes the arguments by name
    covered:   names of the arguments that the derivative is with respect to
    backward:  takes the cotangent of the result, the arguments by name, and the result; gives the gradients
               of the covered arguments, each a tree in the structure of the argument, or None
    """
    trace = running_trace()
    number, first = len(trace.calls), len(trace.graph.nodes)
    trace.calls.append(None)  # calls inside of this one have later numbers
    marks: list[SymbolicArray] = []
    results: list[SymbolicArray] = []

    def as_argument(leaf: Any) -> Any:
        if not is_variable(leaf):
            return leaf
        marks.append(marked(leaf, MarkKind.ARGUMENT, number, f"an argument of {owner}"))
        return marks[-1]

    def as_result(leaf: Any) -> Any:
        if not is_variable(leaf):
            return leaf
        results.append(marked(leaf, MarkKind.RESULT, number))
        return results[-1]

    given = snapshot(arguments)
    covered_arguments = {name: map_leaves(as_argument, arguments[name]) for name in covered}
    result = map_leaves(as_result, call({**arguments, **covered_arguments}))
    out = snapshot(result)

    def own_pull_back(cotangents: Cotangents) -> Cotangents:
        each = iter(or_zeros(cotangents, results))
        cotangent = map_leaves(lambda leaf: next(each) if is_variable(leaf) else None, out)
        found: Cotangents = []
        for name, grad in zip(covered, backward(cotangent, given, out), strict=True):
            of_leaves = _grads_of(trace, owner, name, given[name], grad)
            found += [g for leaf, g in zip(leaves(given[name]), of_leaves, strict=True) if is_variable(leaf)]
        return found

    trace.calls[number] = OwnDerivative(
        first, [mark.node for mark in marks], [array.node for array in results], own_pull_back
    )
    return result


def _grads_of(trace: Trace, owner: str, name: str, argument: Any, grad: Any) -> Cotangents:
    """The gradients of the leaves of an argument, from what the backward of a kernel returned for it."""
    try:
        found = leaves_like(grad, argument)
    except StructureError:
        raise trace.error(
            TypeError,
            f"the backward of {owner} returned {described(grad)} for {name}; expected the structure of the "
            "argument",
        ) from None
    return [_grad_of(trace, owner, name, *pair) for pair in zip(leaves(argument), found, strict=True)]


def _grad_of(trace: Trace, owner: str, name: str, leaf: Any, grad: Any) -> SymbolicArray | None:
    """A gradient in the shape of its argument: that of a bias (1, K) may be (K,)."""
    if grad is None or not is_variable(leaf):
        return None
    grad = as_symbolic(trace, grad)
    own, expected = grad.node.sizes(), leaf.node.sizes()
    while len(own) > len(expected) and own[0] == 1:
        own = own[1:]
    if own != expected and own != tuple(itertools.dropwhile(lambda n: n == 1, expected)):
        raise trace.error(
            ValueError,
            f"the backward of {owner} returned a gradient of shape {own} for {name}; expected {expected}, "
            "the shape of the argument",
        )
    reshaped: SymbolicArray = xp.reshape(grad, expected) if grad.node.sizes() != expected else grad
    return reshaped
