"""The ranges of numeric options. NaN is out of every range.

A number in an array is checked in every call, if reading it does not wait for a device. A Python number is
checked once for each signature: two numbers of one signature, such as 0.1 and 0.2, are in the same ranges. A
symbolic number, inside a trace, is checked in every call of the kernel that is traced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from .backends import SymbolicArray, can_be_read, check_in_every_call, checks_are_on

# Takes the name of a kernel and its arguments; raises a ValueError. Returns whether all later calls of the
# same signature pass too.
ValueCheck: TypeAlias = Callable[..., bool]
# The same for the name of a kernel, the name of an option, and its value.
RangeCheck: TypeAlias = Callable[[str, str, Any], bool]


def _range(low: float, high: float, words: str) -> RangeCheck:
    """The check of a number in [low, high].

    A signature tells whether a Python number is negative, 0, below 1, 1, above 1, or NaN. So for these limits
    it decides: 0, 1, the number below 1, and infinities.
    """

    def check(name: str, option: str, value: Any) -> bool:
        if type(value) is float or type(value) is int:
            if not low <= value <= high:
                raise ValueError(f"{name}: {option} is {value}; expected {words}.")
            return True
        if isinstance(value, SymbolicArray):
            check_in_every_call(value, lambda actual: check(name, option, actual))
        elif (number := _number(value)) is not None:
            check(name, option, number)
        return False

    return check


def _pair(holds: Callable[[float, float], bool], words: str) -> RangeCheck:
    """The check of two numbers; passes if one of them cannot be read now."""

    def check(name: str, option: str, value: Any) -> bool:
        first, second = (_number(part) for part in value)
        if first is not None and second is not None and not holds(first, second):
            raise ValueError(f"{name}: {option} is {tuple(value)}; expected {words}.")
        return False

    return check


def _number(value: Any) -> float | None:
    """The value as a Python number; None if it cannot be read now."""
    if isinstance(value, SymbolicArray):
        return None
    if isinstance(value, int | float):
        return float(value)
    if not can_be_read(value, may_wait=checks_are_on()):
        return None
    # PyTorch warns about `float` of a tensor that requires a gradient.
    return float(value.detach() if hasattr(value, "detach") else value)


_at_least_0 = _range(0, math.inf, "a number >= 0")
_below_1 = _range(0, math.nextafter(1, 0), "a number in [0, 1)")


def _betas(name: str, option: str, value: Any) -> bool:
    decided = [_below_1(name, f"{option}[{index}]", beta) for index, beta in enumerate(value)]
    return all(decided)


RANGES: dict[str, RangeCheck] = {
    "lr": _at_least_0,
    "weight_decay": _at_least_0,
    "momentum": _at_least_0,
    "eps": _at_least_0,
    "l2": _at_least_0,
    "strength": _at_least_0,
    "alpha": _below_1,
    "rho": _below_1,
    "betas": _betas,
    "etas": _pair(
        lambda shrink, grow: 0 < shrink < 1 < grow < math.inf,
        "two numbers with 0 < etas[0] < 1 < etas[1]",
    ),
    "step_sizes": _pair(
        lambda smallest, largest: 0 <= smallest <= largest,
        "two numbers with 0 <= step_sizes[0] <= step_sizes[1]",
    ),
    "label_smoothing": _range(0, 1, "a number in [0, 1]"),
    "margin": _range(-math.inf, math.inf, "a number"),
}

# The options that are pairs of numbers.
PAIRS = ("betas", "etas", "step_sizes")


def no_values_to_check(*_: Any, **__: Any) -> bool:
    """The check_values of kernels whose arguments may have any values."""
    return True


def check_options(*, state: int | None = None, **positions: int) -> ValueCheck:
    """A check_values of numeric options that are passed by name, or at these positions.

    state: the position of an optimiser's state, whose number of steps is checked if it has one
    """
    by_position = [(position, option, RANGES[option]) for option, position in positions.items()]

    def check_values(name: str, *args: Any, **kwargs: Any) -> bool:
        decided = True
        for position, option, check in by_position:
            if position < len(args):
                decided = check(name, option, args[position]) and decided
        for option, value in kwargs.items():
            if option in RANGES:
                decided = RANGES[option](name, option, value) and decided
        if state is not None and "step" in args[state]:
            decided = _at_least_0(name, "state['step']", args[state]["step"]) and decided
        return decided

    return check_values
