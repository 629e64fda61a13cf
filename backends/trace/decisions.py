"""Decisions: Python values of symbolic numbers that a kernel needed in the trace, as for an `if`.

A number argument is symbolic. `if lr > 0.5` asks for a truth value. The trace goes on with the value in this
call, and later calls may use the program only if they have the same outcome. Not `lr` is compared, but

    t0 = values[1]
    t1 = t0 > 0.5
    bool(t1) == True
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy

from ..ir.attributes import Constant, Leaf, Size
from ..ir.dtypes import PYTHON_TYPES, numpy_dtype
from ..ir.graph import Node, walk
from ..ir.operations import Op

PYTHON = {
    Op.ADD: "{} + {}",
    Op.SUBTRACT: "{} - {}",
    Op.MULTIPLY: "{} * {}",
    Op.DIVIDE: "{} / {}",
    Op.FLOOR_DIVIDE: "{} // {}",
    Op.REMAINDER: "{} % {}",
    Op.POW: "{} ** {}",
    Op.NEGATIVE: "-{}",
    Op.LESS: "{} < {}",
    Op.LESS_EQUAL: "{} <= {}",
    Op.GREATER: "{} > {}",
    Op.GREATER_EQUAL: "{} >= {}",
    Op.EQUAL: "{} == {}",
    Op.NOT_EQUAL: "{} != {}",
    Op.ABS: "abs({})",
}
_LEAVES = (Op.SCALAR, Op.INPUT, Op.CONSTANT, Op.SIZE)
_SAME = (Op.ASTYPE, Op.MARK)

# How each kind of value is compared: floats by all their bits, because of -0.0 and NaN.
QUESTIONS = {
    "bool": "bool({})",
    "int": "int({})",
    "index": "{}",
    "float": "float({}).hex()",
    "str": "repr({})",
    "hash": "repr({})",
}


class Decision(NamedTuple):
    """One value that the kernel needed.

    node:   the symbolic number
    test:   a Python expression of it, whose outcome must be the same in later calls
    leaves: numbers of the leaves that it is computed from
    """

    node: Node
    test: str
    outcome: Any
    leaves: frozenset[int]
    line: str


def can_be_computed(node: Node, known: set[Node]) -> bool:
    """Whether Python can compute the number from the leaves of a call.

    known: numbers that it can compute; new ones are added
    """
    found = list(walk([node], known))
    if not all(n.operation in PYTHON or n.operation in (*_LEAVES, *_SAME) for n in found):
        return False
    known.update(found)
    return True


def statements(nodes: Iterable[Node], constant: Callable[[Any], str], known: dict[Node, str]) -> list[str]:
    """Python statements that compute numbers from `values`, the leaves of a call.

    constant: makes a name for a value
    known:    names of numbers that are computed already; new ones are added
    """
    lines = []
    for node in walk(nodes, known):
        known[node] = f"t{len(known)}"
        lines.append(f"{known[node]} = {_expression(node, constant, known)}")
    return lines


def _expression(node: Node, constant: Callable[[Any], str], known: dict[Node, str]) -> str:
    if node.operation in (Op.SCALAR, Op.INPUT):
        value = f"values[{node.attribute_as(Leaf).number}]"
        # Of an array the number that it holds now: an outcome must not change where the array does.
        return value if node.operation is Op.SCALAR else f"{value}[()]"
    if node.operation is Op.SIZE:
        return str(node.attribute_as(Size).axis.find().size)
    number = PYTHON_TYPES[node.dtype] if node.weak else numpy_dtype(node.dtype).type
    if node.operation is Op.CONSTANT:
        return constant(number(node.attribute_as(Constant).value))
    operands = [known[source] for source in node.inputs]
    if node.operation in _SAME:
        return f"{constant(number)}({operands[0]})"
    return PYTHON[node.operation].format(*operands)


def compute(node: Node, values: Sequence[Any], numbers: dict[Node, Any]) -> Any:
    """The value of a number for the leaves of a call.

    numbers: values that are known already; new ones are added
    """
    constants: dict[str, Any] = {"values": values}

    def constant(value: Any) -> str:
        name = f"c{len(constants)}"
        constants[name] = value
        return name

    new = list(walk([node], numbers))
    inputs = dict.fromkeys(source for each in new for source in each.inputs if source in numbers)
    known = {source: constant(numbers[source]) for source in inputs}
    # As in kernels, division by zero and overflow of NumPy scalars give values and no warnings.
    with numpy.errstate(all="ignore"):
        exec("\n".join(statements(new, constant, known)), constants)
    numbers.update((each, constants[known[each]]) for each in new)
    return numbers[node]


def decided_by_signature(node: Node) -> bool:
    """Whether all calls of a signature agree on the truth of a number, or of a comparison with 0 or 1."""
    if node.operation is Op.SCALAR:
        return node.weak
    if node.operation not in _COMPARISONS:
        return False
    kinds = {source.operation for source in node.inputs}
    fixed = [source.attribute for source in node.inputs if isinstance(source.attribute, Constant)]
    return kinds == {Op.SCALAR, Op.CONSTANT} and node.weak and fixed[0].value in (0, 1)


_COMPARISONS = (Op.LESS, Op.LESS_EQUAL, Op.GREATER, Op.GREATER_EQUAL, Op.EQUAL, Op.NOT_EQUAL)
