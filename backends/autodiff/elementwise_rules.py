"""Derivatives of the operations of elements: a row for each operation, a function for each input.

A function takes the cotangent of the result, the result and the inputs; it gives the cotangent of its input,
in the shape of the result:

    Op.MULTIPLY: (lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)

None stands for a derivative of 0: of steps, comparisons and bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..ir.attributes import Constant
from ..ir.facts import is_sum_of_squares
from ..ir.graph import Node
from ..ir.operations import ELEMENTWISE, Op
from ..trace import namespace as xp

Rule = Callable[..., Any]


def _absolute(g: Any, out: Any, x: Any) -> Any:
    return g * xp.sign(x)


def _unless_zero(g: Any, found: Any) -> Any:
    """0 where the cotangent is 0, even if the slope is infinite: what has no influence has no gradient."""
    return xp.where(g == 0, 0.0, found)


def _sqrt(g: Any, out: Any, x: Any) -> Any:
    slope = g * 0.5 / out
    # A norm has a kink at 0, where 0 is a subgradient; the square root alone has an infinite slope there.
    return xp.where(out == 0, 0.0, slope) if is_sum_of_squares(x.node) else _unless_zero(g, slope)


def _tangent(g: Any, out: Any, x: Any) -> Any:
    return g * (1 + out * out)


def _hypot(position: int) -> Rule:
    # As for a norm, 0 at 0.
    return lambda g, out, *xs: g * xs[position] / xp.where(out == 0, 1.0, out)


def _atan2(g: Any, out: Any, y: Any, x: Any) -> Any:
    return g * x / (x * x + y * y)


def _base_of_power(g: Any, out: Any, x: Any, y: Any) -> Any:
    exponent = _number(y.node)
    if exponent is not None:
        if exponent == 0:
            return xp.zeros_like(out)
        found = g * (exponent * x ** (exponent - 1))
        return found if exponent >= 1 else _unless_zero(g, found)
    # x ** 0 is 1 for every x; at x = 0 its derivative must not be 0 * inf.
    is_constant = y == 0
    return _unless_zero(g, xp.where(is_constant, 0.0, g * (y * x ** xp.where(is_constant, 1.0, y - 1))))


def _exponent_of_power(g: Any, out: Any, x: Any, y: Any) -> Any:
    return g * (xp.log(xp.where(x == 0, 1.0, x)) * out)


def _number(node: Node) -> float | None:
    return float(node.attribute_as(Constant).value) if node.operation is Op.CONSTANT else None


def _extreme(is_chosen: Rule, *, second: bool) -> Rule:
    """Of the larger or the smaller of two numbers; equal ones share the cotangent."""

    def rule(g: Any, out: Any, x: Any, y: Any) -> Any:
        mine, other = (y, x) if second else (x, y)
        return xp.where(is_chosen(mine, other), g, xp.where(mine == other, 0.5 * g, 0.0))

    return rule


def _greater(x: Any, y: Any) -> Any:
    return x > y


def _less(x: Any, y: Any) -> Any:
    return x < y


def _copysign(g: Any, out: Any, x: Any, y: Any) -> Any:
    # 1 where the sign stays, -1 where it changes; 0 has a sign too.
    return xp.where(xp.signbit(x) == xp.signbit(y), g, -g)


def _quotient(g: Any, out: Any, x: Any, y: Any) -> Any:
    return -(g / y) * out


_KEPT: Rule = lambda g, *_: g  # noqa: E731 - one of the rules below

ELEMENTWISE_RULES: dict[Op, tuple[Rule | None, ...]] = {
    **{op: (None,) * row.arity for op, row in ELEMENTWISE.items() if row.gives is not None},
    **dict.fromkeys((Op.SIGN, Op.CEIL, Op.FLOOR, Op.ROUND, Op.TRUNC), (None,)),
    **dict.fromkeys((Op.LOGICAL_AND, Op.LOGICAL_OR, Op.LOGICAL_XOR), (None, None)),
    **dict.fromkeys((Op.BITWISE_AND, Op.BITWISE_OR, Op.BITWISE_XOR), (None, None)),
    **dict.fromkeys((Op.BITWISE_LEFT_SHIFT, Op.BITWISE_RIGHT_SHIFT), (None, None)),
    **dict.fromkeys((Op.LOGICAL_NOT, Op.BITWISE_INVERT), (None,)),
    Op.FLOOR_DIVIDE: (None, None),
    Op.ABS: (_absolute,),
    Op.NEGATIVE: (lambda g, out, x: -g,),
    Op.SQRT: (_sqrt,),
    Op.EXP: (lambda g, out, x: g * out,),
    Op.EXPM1: (lambda g, out, x: g * xp.exp(x),),
    Op.LOG: (lambda g, out, x: _unless_zero(g, g / x),),
    Op.LOG1P: (lambda g, out, x: _unless_zero(g, g / (1 + x)),),
    Op.LOG2: (lambda g, out, x: _unless_zero(g, g / (x * math.log(2))),),
    Op.LOG10: (lambda g, out, x: _unless_zero(g, g / (x * math.log(10))),),
    # The factored form is accurate if out is near 1; 1 - out^2 cancels.
    Op.TANH: (lambda g, out, x: g * ((1 - out) * (1 + out)),),
    Op.SIN: (lambda g, out, x: g * xp.cos(x),),
    Op.COS: (lambda g, out, x: -(g * xp.sin(x)),),
    Op.TAN: (_tangent,),
    Op.ASIN: (lambda g, out, x: g / xp.sqrt((1 - x) * (1 + x)),),
    Op.ACOS: (lambda g, out, x: -(g / xp.sqrt((1 - x) * (1 + x))),),
    Op.ATAN: (lambda g, out, x: g / (1 + x * x),),
    Op.SINH: (lambda g, out, x: g * xp.cosh(x),),
    Op.COSH: (lambda g, out, x: g * xp.sinh(x),),
    Op.ASINH: (lambda g, out, x: g / xp.sqrt(1 + x * x),),
    Op.ACOSH: (lambda g, out, x: g / (xp.sqrt(x - 1) * xp.sqrt(x + 1)),),
    Op.ATANH: (lambda g, out, x: g / ((1 - x) * (1 + x)),),
    Op.ADD: (_KEPT, _KEPT),
    Op.SUBTRACT: (_KEPT, lambda g, *_: -g),
    Op.MULTIPLY: (lambda g, out, x, y: g * y, lambda g, out, x, y: g * x),
    Op.DIVIDE: (lambda g, out, x, y: g / y, _quotient),
    Op.MAXIMUM: (_extreme(_greater, second=False), _extreme(_greater, second=True)),
    Op.MINIMUM: (_extreme(_less, second=False), _extreme(_less, second=True)),
    Op.REMAINDER: (_KEPT, lambda g, out, x, y: -(g * xp.floor_divide(x, y))),
    Op.ATAN2: (_atan2, lambda g, out, y, x: -(g * y / (x * x + y * y))),
    Op.HYPOT: (_hypot(0), _hypot(1)),
    Op.POW: (_base_of_power, _exponent_of_power),
    Op.COPYSIGN: (_copysign, None),
    Op.WHERE: (None, lambda g, out, c, *_: xp.where(c, g, 0.0), lambda g, out, c, *_: xp.where(c, 0.0, g)),
    Op.ASTYPE: (_KEPT,),
}
