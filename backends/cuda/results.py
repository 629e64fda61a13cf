"""Results of a program on the GPU: how a result without dimensions is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..codegen.plan import Plan
from ..codegen.results import NumberText
from ..ir.graph import Node, base


def number_of_array(plan: Plan, python_number: Callable[[Node], int | None]) -> NumberText:
    """For programs that leave each number in an array of its own, which is among `scalars`.

    python_number: the position of a result that is a Python number, which is among `integers`
    """
    returned: set[Node] = set()

    def text(node: Node, shape: tuple[int, ...], constant: Callable[[Any], str]) -> str:
        source = base(node)
        position = python_number(source)
        if position is not None:
            return f"integers[{position}]"
        array = f"scalars[{list(plan.slots.outputs).index(source)}]" + f".reshape({shape})" * bool(shape)
        array += ".copy()" * (source in returned)
        returned.add(source)
        return array

    return text
