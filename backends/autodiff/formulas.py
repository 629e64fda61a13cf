"""Operations that are differentiated by way of a formula of other operations.

The derivative of a product by one of its factors is the product of the others. A quotient by that factor
would fail at 0, so a product is differentiated as products of pairs, pairs of pairs, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..ir.attributes import MarkKind
from ..trace import linalg
from ..trace import namespace as xp
from ..trace.marks import marked
from ..trace.symbolic import SymbolicArray


def by_formula(
    formula: Callable[..., Any], g: SymbolicArray, inputs: Sequence[SymbolicArray], position: int
) -> Any:
    """The cotangent of an input of an operation that a formula computes as well.

    g: the cotangent of the result
    """
    from .reverse import pull_back  # which uses the rules that use this function

    variable = marked(inputs[position], MarkKind.VARIABLE)
    out = formula(*inputs[:position], variable, *inputs[position + 1 :])
    return pull_back(g.tracer, [out.node], [g], [variable.node])[0]


def product_of_halves(x: Any, along: tuple[int, ...]) -> Any:
    """The product along some dimensions."""
    kept = tuple(d for d in range(x.ndim) if d not in along)
    sizes = x.node.sizes()
    x = xp.permute_dims(x, (*along, *kept))
    x = xp.reshape(x, (math.prod(sizes[d] for d in along), *(sizes[d] for d in kept)))
    if not x.node.sizes()[0]:
        return xp.ones(x.node.sizes()[1:], dtype=x.dtype)
    while x.node.sizes()[0] > 1:
        count = x.node.sizes()[0]
        half = count // 2
        product = x[:half] * x[half : 2 * half]
        x = product if count == 2 * half else xp.concat([product, x[2 * half :]], axis=0)
    return x[0]


def products_up_to(x: Any, along: int) -> Any:
    """The products of all elements up to each along a dimension, in steps of 1, 2, 4, ..."""
    sizes = list(x.node.sizes())
    count, step = sizes[along], 1
    before = [slice(None)] * along
    while step < count:
        sizes[along] = step
        ones = xp.ones(tuple(sizes), dtype=x.dtype)
        x = x * xp.concat([ones, x[(*before, slice(0, count - step))]], axis=along)
        step *= 2
    return x


def matrix_power(x: Any, exponent: int) -> Any:
    """The power of square matrices, by squares of the matrix."""
    if exponent < 0:
        return matrix_power(linalg.inv(x), -exponent)
    made = None
    while exponent:
        if exponent % 2:
            made = x if made is None else xp.matmul(made, x)
        exponent //= 2
        x = xp.matmul(x, x) if exponent else x
    return xp.zeros_like(x) if made is None else made
