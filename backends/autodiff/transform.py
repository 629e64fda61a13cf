"""Functions of a trace that are differentiated: values, gradients, vector-Jacobian products.

Takes a function and the arguments of a call in a trace; adds its value and its gradients to the graph:

    value_and_gradients(lambda x: xp.sum(x * x), "loss", (x,), {}, (0,))    gives    sum(x * x), and x + x
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..common.libraries import is_real_array, library_of
from ..common.trees import StructureError, leaves, leaves_like, map_leaves, named_leaves
from ..ir.attributes import MarkKind
from ..trace.creation import running_trace
from ..trace.marks import marked
from ..trace.promotion import cast
from ..trace.symbolic import Length, SymbolicArray, as_symbolic
from ..trace.trace import definition
from ..trace.tracer import Trace
from .reverse import pull_back
from .shaping import is_variable, or_zeros, snapshot
from .targets import Target, described


class Differentiated(NamedTuple):
    """The result of a function whose derivative is taken.

    aux:   what the function returned beside the value
    grads: one for each argument that was asked for, in its structure
    """

    value: Any
    aux: Any
    grads: tuple[Any, ...]


@contextmanager
def _differentiating(trace: Trace) -> Iterator[None]:
    """In this context kernels that have derivatives of their own leave them in the trace."""
    trace.derivatives += 1
    try:
        yield
    finally:
        trace.derivatives -= 1


def value_and_gradients(
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    argnums: Sequence[int],
    names: Sequence[str],
    *,
    has_aux: bool,
) -> Differentiated:
    """The value of a call, and the gradients with respect to some of its arguments.

    name:   of the transformation and the function, for messages
    names:  of the arguments
    raises: TypeError and ValueError for arguments that are not real floating-point, and for a value that is
            no scalar
    """
    trace, target = running_trace(), Target(name, definition(function))
    given = list(args)
    variables: list[list[SymbolicArray]] = []
    for number in argnums:
        given[number], found = _with_variables(trace, target, args[number], names[number], is_strict=True)
        variables.append(found)
    with _differentiating(trace):
        returned = function(*given, **kwargs)
    value, aux = _value_of(trace, target, returned, has_aux=has_aux)
    flat = [variable for found in variables for variable in found]
    one = cast(trace, trace.constant(1.0), value.node.dtype, weak=value.node.weak)
    cotangents = pull_back(trace, [value.node], [one], [variable.node for variable in flat])
    each = iter(or_zeros(cotangents, flat))
    grads = tuple(_in_structure(args[number], each) for number in argnums)
    return Differentiated(value, aux, grads)


def vector_jacobian_product(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], names: Sequence[str]
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The result of a call, and the function from its cotangent to those of the arguments.

    raises: TypeError and ValueError for a cotangent that does not fit the result
    """
    trace, target = running_trace(), Target(name, definition(function))
    given, variables = [], []
    for argument, path in zip(args, names, strict=True):
        with_variables, found = _with_variables(trace, target, argument, path, is_strict=False)
        given.append(with_variables)
        variables += found
    with _differentiating(trace):
        result = function(*given)
    kept = snapshot(result)

    def backward(cotangent: Any) -> tuple[Any, ...]:
        outputs, seeds = _matched(trace, target, kept, cotangent)
        nodes = [variable.node for variable in variables]
        found = pull_back(trace, [out.node for out in outputs], seeds, nodes)
        each = iter(or_zeros(found, variables))
        return tuple(_in_structure(argument, each) for argument in args)

    return result, backward


# Arguments


def _with_variables(
    trace: Trace, target: Target, argument: Any, path: str, *, is_strict: bool
) -> tuple[Any, list[SymbolicArray]]:
    """An argument with marks for its arrays, and these marks.

    is_strict: whether arrays that are not floating-point are errors; else they are left as they are
    """
    variables: list[SymbolicArray] = []
    paths = (place for place, _ in named_leaves(argument, path))

    def variable(leaf: Any) -> Any:
        place = next(paths)
        if leaf is None or isinstance(leaf, str):
            return leaf
        if isinstance(leaf, Length) or not isinstance(leaf, SymbolicArray):
            if library_of(leaf) is None and not isinstance(leaf, int | float):
                if not is_strict:
                    return leaf
                raise target.error(
                    trace,
                    TypeError,
                    f"the argument {place} is of type {type(leaf).__name__}; expected arrays of "
                    "floating-point numbers, or trees of them",
                )
            leaf = as_symbolic(trace, leaf)
        if not leaf.node.dtype.is_float:
            if not is_strict:
                return leaf
            raise target.error(
                trace,
                TypeError,
                f"the argument {place} has dtype {leaf.dtype}; expected floating-point numbers. "
                "Convert it with xp.astype, or leave it out of argnums",
            )
        variables.append(marked(leaf, MarkKind.VARIABLE, owner=f"the argument {place}"))
        return variables[-1]

    marked_argument = map_leaves(variable, argument)
    if is_strict and not variables:
        raise target.error(
            trace,
            TypeError,
            f"the argument {path} is {described(argument)}; expected floating-point arrays in it",
        )
    return marked_argument, variables


def _in_structure(argument: Any, grads: Iterator[SymbolicArray]) -> Any:
    """The gradients in the structure of an argument; None where it has no floating-point numbers."""

    def grad(leaf: Any) -> Any:
        if type(leaf) is SymbolicArray:
            is_float = leaf.node.dtype.is_float
        else:  # what is an argument of the derivative only: a number of the kernel, a captured array
            is_float = type(leaf) is float or (library_of(leaf) is not None and is_real_array(leaf))
        return next(grads) if is_float else None

    return map_leaves(grad, argument)


# Results


def _value_of(trace: Trace, target: Target, returned: Any, *, has_aux: bool) -> tuple[SymbolicArray, Any]:
    """The value and the rest of what a function returned."""
    aux = None
    if has_aux:
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise target.error(
                trace,
                TypeError,
                f"the function returned {described(returned)}; expected a tuple (value, aux), because of "
                "has_aux=True",
            )
        returned, aux = returned
    if isinstance(returned, Length):
        returned = returned.array
    if library_of(returned) is not None and type(returned) is not SymbolicArray:
        returned = as_symbolic(trace, returned)
    is_number = type(returned) is SymbolicArray or isinstance(returned, int | float)
    if not is_number:
        advice = "Return (value, aux) and pass has_aux=True" if isinstance(returned, tuple) else "Return one"
        raise target.error(
            trace,
            TypeError,
            f"the function returned {described(returned)}; expected a scalar, an array of shape (). {advice}",
        )
    if type(returned) is not SymbolicArray:
        returned = trace.constant(returned)
    if returned.node.shape:
        raise target.error(
            trace,
            ValueError,
            f"the function returned an array of shape {returned.node.sizes()}; expected a scalar, an "
            "array of shape (). Reduce it with xp.sum or xp.mean, or use vjp",
        )
    if not returned.node.dtype.is_float:
        raise target.error(
            trace,
            TypeError,
            f"the function returned a value of dtype {returned.dtype}; expected a scalar of a "
            "floating-point dtype",
        )
    return returned, aux


def _matched(
    trace: Trace, target: Target, result: Any, cotangent: Any
) -> tuple[list[SymbolicArray], list[SymbolicArray]]:
    """The floating-point arrays of a result, and their cotangents; None stands for 0."""
    try:
        given = leaves_like(cotangent, result)
    except StructureError:
        raise target.error(
            trace, TypeError, f"got {described(cotangent)} as cotangent; expected the structure of the result"
        ) from None
    outputs, seeds = [], []
    for out, array in zip(leaves(result), given, strict=True):
        if array is None or not is_variable(out):
            continue
        seed = as_symbolic(trace, array)
        if seed.node.sizes() != out.node.sizes():
            raise target.error(
                trace,
                ValueError,
                f"got a cotangent of shape {seed.node.sizes()}; expected {out.node.sizes()}, the shape of "
                "the result",
            )
        outputs.append(out)
        seeds.append(cast(trace, seed, out.node.dtype, weak=out.node.weak))
    return outputs, seeds
