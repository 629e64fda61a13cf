"""Kernels that have a backward of their own: how a call of one is traced where a gradient is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class OwnBackward:
    """The backward of a kernel, and what its results are the gradients of.

    function: takes the gradient with respect to the kernel's result, then arguments of the kernel by name,
              and the result of the kernel as `out`
    covered:  names of the parameters of the kernel, in the order of the gradients. Other arguments are
              differentiated through the kernel's own operations
    """

    function: Callable[..., Any]
    covered: tuple[str, ...]

    def gradients(self, owner: str, cotangent: Any, available: Mapping[str, Any]) -> Sequence[Any]:
        """One gradient for each covered argument.

        available: the arguments of the kernel and its result, by name
        """
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        given = {p.name: available[p.name] for p in parameters if p.name in available}
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            given = {**{name: value for name, value in available.items() if name != "out"}, **given}
        found = self.function(cotangent, **given)
        if len(self.covered) == 1:
            is_wrapped = isinstance(found, tuple) and not isinstance(available[self.covered[0]], tuple)
            return found if is_wrapped and len(found) == 1 else (found,)
        if not isinstance(found, tuple | list) or len(found) != len(self.covered):
            is_several = isinstance(found, tuple | list)
            got = f"{len(found)} gradients" if is_several else "None" if found is None else "one gradient"
            raise TypeError(
                f"the backward of {owner} returned {got}; expected {len(self.covered)}, for "
                f"{', '.join(self.covered)}. Return None for an argument without a gradient."
            )
        return found


def users_backward(
    name: str, signature: inspect.Signature, backward: Callable[..., Any] | None
) -> OwnBackward | None:
    """The backward that a user gives for a kernel.

    name, signature: of the kernel
    raises:          TypeError for what is no function of a gradient and arguments of the kernel
    """
    if backward is None:
        return None
    if not callable(backward):
        raise TypeError(f"kernel: got backward={backward!r}; expected a function.")
    covered = tuple(p.name for p in signature.parameters.values() if p.kind in POSITIONAL)
    known = {*signature.parameters, "out"}
    grad_out, *others = inspect.signature(backward).parameters.values() or (None,)
    unknown = [
        p.name
        for p in others
        if p.kind is p.POSITIONAL_ONLY
        or (p.name not in known and p.default is p.empty and p.kind is not p.VAR_KEYWORD)
    ]
    if grad_out is None or grad_out.kind not in POSITIONAL or unknown or not covered:
        raise TypeError(
            f"kernel: the backward of {name} has the parameters {inspect.signature(backward)}; expected the "
            f"gradient with respect to the result first, and then some of {', '.join([*covered, 'out'])}, by "
            "name."
        )
    return OwnBackward(backward, covered)


def call_inside(
    name: str,
    function: Callable[..., Any],
    signature: inspect.Signature,
    own: OwnBackward,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """A call of a kernel with a backward of its own, in the trace of a function that is differentiated."""
    from .backends import call_with_own_derivative

    bound = signature.bind(*args, **kwargs)
    arguments = dict(bound.arguments)
    bound.apply_defaults()
    defaults = dict(bound.arguments)

    def call(changed: dict[str, Any]) -> Any:
        bound.arguments.update(changed)
        return function(*bound.args, **bound.kwargs)

    def backward(cotangent: Any, given: dict[str, Any], out: Any) -> Sequence[Any]:
        available = {**defaults, **given, "out": out}
        found = own.gradients(name, cotangent, available)
        return [grad for key, grad in zip(own.covered, found, strict=True) if key in arguments]

    covered = [key for key in own.covered if key in arguments]
    return call_with_own_derivative(call, name, arguments, covered, backward)
