"""The text of one operation of a NumPy program: a call of NumPy, into given memory where it can be.

ufunc       v5 = add(v3, v4, v3)                    into the memory of v3
reduction   v6 = maximum.reduce(v5, 1)
where       copyto(v7, v5, where=v4)                into v7, which holds the other values
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from ..ir.attributes import BroadcastTo, Reduction, Transposes, View
from ..ir.dtypes import numpy_dtype
from ..ir.graph import Node
from ..ir.operations import REDUCTIONS, Op
from .items import Item, Kind, ufunc_of

# What the text of a program may name.
NAMES = {
    "broadcast_to": numpy.broadcast_to,
    "copyto": numpy.copyto,
    "empty": numpy.empty,
    "matmul": numpy.matmul,
    "where": numpy.where,
}

_REDUCING = {
    Op.SUM: numpy.add,
    Op.PROD: numpy.multiply,
    Op.MAX: numpy.maximum,
    Op.MIN: numpy.minimum,
    Op.ANY: numpy.logical_or,
    Op.ALL: numpy.logical_and,
}

# Of numbers: NumPy's scalars compute faster with operators, and as Python numbers do.
_OPERATORS = {Op.ADD: "+", Op.SUBTRACT: "-", Op.MULTIPLY: "*", Op.DIVIDE: "/", Op.POW: "**"}

# The rows of up to so many columns, and at least so many rows, are reduced side by side.
FEW_COLUMNS, MANY_ROWS = 16, 64

# Arrays of so many bytes are made by the function `new` of a program, which reuses memory; others by NumPy,
# which does not take page faults for them.
LARGE = 1 << 20

# Names a constant of the program.
Constant = Callable[[Any], str]


def takes_out(item: Item) -> bool:
    """Whether `statements` can compute an item into given memory."""
    operation = item.node.operation
    is_known = ufunc_of(item.node) is not None or operation in REDUCTIONS
    return bool(item.node.shape) and (is_known or operation in (Op.WHERE, Op.ASTYPE, Op.MATMUL))


def expression(item: Item, inputs: Sequence[str], constant: Constant, out: str = "") -> str | None:
    """The text of a value; None if it is no single call of NumPy that is known here.

    out: the array that takes the value, for ufuncs, reductions and products
    """
    node = item.node
    taking = f", out={out}" if out else ""
    if not node.shape and node.operation in _OPERATORS and not any(s.shape for s in item.inputs):
        return f"{inputs[0]} {_OPERATORS[node.operation]} {inputs[1]}"
    ufunc = ufunc_of(node)
    if ufunc is not None:
        return f"{constant(ufunc)}({', '.join(inputs)}{taking})"
    if node.operation in REDUCTIONS:
        return _reduction(node, inputs[0], constant, taking)
    if node.operation is Op.ASTYPE:
        dtype = numpy_dtype(node.dtype)
        return (
            f"{inputs[0]}.astype({constant(dtype)})" if node.shape else f"{constant(dtype.type)}({inputs[0]})"
        )
    if node.operation is Op.MATMUL:
        transposed = zip(inputs, node.attribute_as(Transposes).transposed, strict=True)
        factors = [f"{text}.T" * is_turned or text for text, is_turned in transposed]
        return f"matmul({', '.join(factors)}{taking})"
    if node.operation is Op.WHERE:
        return f"where({', '.join(inputs)})"
    if node.operation is Op.VIEW:
        return view(node, inputs[0])
    if node.operation is Op.BROADCAST_TO:
        sizes = tuple(1 if axis is None else axis.size for axis in node.attribute_as(BroadcastTo).shape)
        return f"broadcast_to({inputs[0]}, {sizes})"
    return None


def _reduction(node: Node, array: str, constant: Constant, taking: str) -> str:
    """The text of a reduction.

    taking: the rest of the arguments
    """
    dimensions, sizes = node.attribute_as(Reduction).dimensions, node.inputs[0].sizes()
    ufunc = constant(_REDUCING[node.operation])
    is_extreme = node.operation in (Op.MAX, Op.MIN) and dimensions == (1,) and len(sizes) == 2
    if is_extreme and 2 <= sizes[1] <= FEW_COLUMNS and sizes[0] >= MANY_ROWS:
        # NumPy reduces one row after another. This computes all rows at once.
        found = f"{array}[:, 0]"
        for column in range(1, sizes[1]):
            found = f"{ufunc}({found}, {array}[:, {column}]{taking if column == sizes[1] - 1 else ''})"
        return found
    axis = None if len(dimensions) == len(sizes) else dimensions[0] if len(dimensions) == 1 else dimensions
    dtype = constant(numpy_dtype(node.dtype)) if node.operation in (Op.SUM, Op.PROD) else "None"
    return f"{ufunc}.reduce({array}, {axis}, {dtype}{taking})"


def view(node: Node, array: str) -> str:
    """The text of a view."""
    dimensions = node.attribute_as(View).dimensions
    kept = [d for d in dimensions if d is not None]
    left_out = [d for d in range(node.inputs[0].ndim) if d not in kept]
    if kept != sorted(kept):
        array = f"{array}.transpose({(*kept, *left_out)})"
        left_out = list(range(len(kept), len(kept) + len(left_out)))
        dimensions = tuple(None if d is None else kept.index(d) for d in dimensions)
    # An index for each dimension of the array: all of it, or its only element; and new dimensions.
    parts: list[str] = []
    following = iter(dimensions)
    for own in range(node.inputs[0].ndim):
        if own in left_out:
            parts.append("0")
            continue
        for dimension in following:
            parts.append("None" if dimension is None else ":")
            if dimension is not None:
                break
    parts += ["None" for _ in following]
    return f"{array}[{', '.join(parts)}]" if any(part != ":" for part in parts) else array


def into(item: Item, inputs: Sequence[str], constant: Constant, out: str, *, holds_other: bool) -> list[str]:
    """Statements that compute an item into the array `out`.

    holds_other: whether it has the third input of `where` already
    """
    if item.node.operation is Op.WHERE:
        condition, chosen, other = inputs
        copy = [] if holds_other else [f"copyto({out}, {other})"]
        return [*copy, f"copyto({out}, {chosen}, where={condition})"]
    if item.node.operation is Op.ASTYPE:
        return [f"copyto({out}, {inputs[0]}, 'unsafe')"]
    if takes_out(item):
        return [str(expression(item, inputs, constant, out))]
    return [f"{out}[...] = {expression(item, inputs, constant)}"]


def at_labels(item: Item, name: str, inputs: Sequence[str], numbers: str) -> list[str]:
    """Statements of an item that reads or writes one element of each row.

    name:    of the value; of an array in C order that holds the first input, if the item writes into it
    inputs:  the texts of the inputs
    numbers: the numbers of the elements, counted in C order
    """
    if item.kind is Kind.TAKE:
        return [f"{name} = {inputs[0]}.reshape(-1)[{numbers}][:, None]"]
    row = f"{inputs[2]}[:, 0]" if item.inputs[2].shape else inputs[2]
    sign = "-" * (item.kind is Kind.SUBTRACT_AT)
    return [f"flat = {name}.reshape(-1)", f"flat[{numbers}] {sign}= {row}"]


def empty_text(node: Node, shape: tuple[int, ...], constant: Constant) -> str:
    """The text of a new array for values of a node."""
    dtype = numpy_dtype(node.dtype)
    is_large = math.prod(shape) * dtype.itemsize >= LARGE
    return f"{'new' if is_large else 'empty'}({shape}, {constant(dtype)})"
