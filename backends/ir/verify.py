"""The verifier of graphs: it checks that a graph is well formed.

Takes: a graph, its outputs, and the name of the pass that made them. Gives: nothing; raises a
VerificationError that names the first wrong node. For an `add` of float32 and float64 it says

    after simplify: v2: float32(3) = add(v0, v1): got inputs of float32, float64; expected one dtype.

The table at the end has a row for each operation: its inputs, its attribute, its dtype and its shape.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .attributes import (
    Attribute,
    BroadcastTo,
    Concat,
    Constant,
    Gather,
    Held,
    Iota,
    Leaf,
    LibraryCall,
    Mark,
    Reduction,
    Reshape,
    Size,
    Slice,
    Transposes,
    View,
)
from .dtypes import BOOL, DTYPES, INT64, INTEGERS, PYTHON_TYPES, DType, python_dtype
from .expected_shapes import (
    Alignment,
    Dimension,
    MalformedError,
    agree,
    broadcast_shape,
    copied_shape,
    elements_of_rows_shape,
    elements_shape,
    fail,
    gathered_shape,
    iota_shape,
    joined_shape,
    no_dimensions,
    own_shape,
    product_shape,
    reduced_shape,
    reshaped_shape,
    shape_text,
    size,
    sliced_shape,
    target_shape,
    updated_shape,
    viewed_shape,
)
from .graph import Graph, Node, walk
from .operations import ELEMENTWISE, REDUCTIONS, Op, Takes, accepts

VARIABLE = "ONEPASS_VERIFY"


class VerificationError(RuntimeError):
    """A pass of the compiler made a wrong graph: a bug of this library."""


@functools.cache
def is_requested() -> bool:
    """Whether the result of every pass is verified: ONEPASS_VERIFY, read once."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def verify(graph: Graph, outputs: Iterable[Node], after: str, alignment: Alignment = Alignment.SIZES) -> None:
    """Check all nodes that the outputs need.

    after:  the pass that made the graph, for the message
    raises: VerificationError for the first node that is not well formed
    """
    outputs = list(outputs)
    for node in [*walk(outputs), *outputs]:
        try:
            _check(graph, node, alignment)
        except MalformedError as error:
            place = f" ({node.line})" if node.line else ""
            raise VerificationError(f"after {after}: {node}: {error}{place}.") from None


def _check(graph: Graph, node: Node, alignment: Alignment) -> None:
    """Run all checks of one node; later ones rely on earlier ones."""
    if not _belongs(graph, node):
        fail("a node that is not in the graph", "a node of the graph")
    row = _TABLE[node.operation]
    _check_inputs(graph, node, row)
    _check_attribute(node, row)
    _check_dtypes(node, row)
    _check_shape(node, row, alignment)


def _belongs(graph: Graph, node: Node) -> bool:
    return node.number < len(graph.nodes) and graph.nodes[node.number] is node


def _check_inputs(graph: Graph, node: Node, row: _Row) -> None:
    if row.arity is not None and len(node.inputs) != row.arity:
        fail(f"{len(node.inputs)} inputs", f"{row.arity}")
    for source in node.inputs:
        if not _belongs(graph, source):
            fail(f"the input v{source.number}, which is not in the graph", "nodes of the graph")
        if source.number >= node.number:
            fail(f"the input v{source.number}", "inputs that come before the node")


def _check_attribute(node: Node, row: _Row) -> None:
    attribute = node.attribute
    if type(attribute) is not row.attribute and type(attribute) is not row.optional:
        fail(_attribute_name(type(attribute)), _attribute_name(row.attribute))
    if isinstance(attribute, Leaf) and attribute.number < 0:
        fail(f"the leaf {attribute.number}", "a number of 0 or more")
    if isinstance(attribute, Constant):
        kind, expected = type(attribute.value), PYTHON_TYPES[python_dtype(node.dtype)]
        if kind is not expected:
            fail(f"a constant of type {kind.__name__}", f"{expected.__name__} for {node.dtype}")


def _attribute_name(attribute: type[Attribute] | type[None]) -> str:
    return "no attribute" if attribute is type(None) else f"an attribute {attribute.__name__}"


def _check_dtypes(node: Node, row: _Row) -> None:
    operands = [] if row.mixed else [source.dtype for source in node.inputs]
    if row.apart is not None:
        dtype = operands.pop(row.apart.position)
        if dtype not in row.apart.dtypes:
            allowed = ", ".join(map(str, row.apart.dtypes))
            fail(f"input {row.apart.position} of {dtype}", f"one of {allowed}")
    if len(set(operands)) > 1:
        fail(f"inputs of {', '.join(map(str, operands))}", "one dtype")
    for dtype in operands:
        if not accepts(row.takes, dtype):
            fail(f"inputs of {dtype}", f"dtypes of kind {row.takes}")
    expected = row.gives or (operands[0] if operands and not row.any_dtype else node.dtype)
    if node.dtype is not expected:
        fail(f"the dtype {node.dtype}", f"{expected}")
    if node.dtype not in DTYPES:
        fail(f"the dtype {node.dtype}", f"one of {', '.join(map(str, DTYPES))}")
    if node.weak and node.dtype not in PYTHON_TYPES:
        fail(f"a weak value of {node.dtype}", f"one of {', '.join(map(str, PYTHON_TYPES))}")


def _check_shape(node: Node, row: _Row, alignment: Alignment) -> None:
    expected = row.shape(node, alignment)
    fits = len(expected) == node.ndim and all(
        size(mine) == theirs if isinstance(theirs, int) else agree(mine, theirs, alignment)
        for mine, theirs in zip(node.shape, expected, strict=True)
    )
    if not fits:
        got = f"the shape {shape_text(node.shape)}"
        fail(got, f"{shape_text(expected)}, along the axes of the inputs")
    if node.weak and node.shape:
        fail("a weak value with dimensions", "the shape ()")
    axes = [axis for axis in node.shape if axis is not None]
    if any(axis.size == 1 for axis in axes):
        fail("an axis of size 1", "None for a dimension of 1")
    if alignment is not Alignment.SIZES and len({axis.find() for axis in axes}) < len(axes):
        fail("two dimensions along one axis", "an axis for each dimension")
    found = tuple(axis.find() for axis in axes)
    # Not `node.axes`: that would look them up now, and keep them.
    if alignment is not Alignment.SIZES and vars(node).get("axes", found) != found:
        fail("axes that were looked up before they were lined up", "the axes of the shape")
    if alignment is Alignment.RESOLVED and any(axis.find() is not axis for axis in axes):
        fail("an axis that another one stands for", "resolved axes, as Axis.find gives them")


class _Apart(NamedTuple):
    """An input that has a dtype of its own: a condition, or indices."""

    position: int
    dtypes: tuple[DType, ...]


class _Row(NamedTuple):
    """What a node of one operation looks like.

    shape:     of the result, by the inputs and the attribute
    arity:     how many inputs it has; None for any number
    attribute: the class of its attribute
    optional:  the class of an attribute that it may have
    takes:     the kind of its inputs, which have one dtype
    gives:     the dtype of the result; None for that of the inputs
    apart:     the input that is not among these, if any
    any_dtype: whether the result has a dtype of its own
    mixed:     whether the inputs may be of any dtypes
    """

    shape: Callable[[Node, Alignment], tuple[Dimension, ...]]
    arity: int | None = 0
    attribute: type[Attribute] | type[None] = type(None)
    takes: Takes = Takes.ANY
    gives: DType | None = None
    apart: _Apart | None = None
    optional: type[Attribute] | None = None
    any_dtype: bool = False
    mixed: bool = False


_TABLE: dict[Op, _Row] = {
    **{
        op: _Row(broadcast_shape, rule.arity, takes=rule.takes, gives=rule.gives)
        for op, rule in ELEMENTWISE.items()
    },
    Op.WHERE: _Row(broadcast_shape, 3, apart=_Apart(0, (BOOL,))),
    Op.ASTYPE: _Row(broadcast_shape, 1, any_dtype=True, optional=Held),
    **dict.fromkeys(REDUCTIONS, _Row(reduced_shape, 1, Reduction)),
    **dict.fromkeys((Op.ANY, Op.ALL), _Row(reduced_shape, 1, Reduction, Takes.BOOL)),
    Op.INPUT: _Row(own_shape, attribute=Leaf),
    Op.SCALAR: _Row(no_dimensions, attribute=Leaf),
    Op.CONSTANT: _Row(no_dimensions, attribute=Constant),
    Op.SIZE: _Row(no_dimensions, attribute=Size, gives=INT64),
    Op.IOTA: _Row(iota_shape, attribute=Iota, gives=INT64),
    Op.VIEW: _Row(viewed_shape, 1, View),
    Op.BROADCAST_TO: _Row(target_shape, 1, BroadcastTo),
    Op.COPY: _Row(copied_shape, 1),
    Op.MATMUL: _Row(product_shape, 2, Transposes, Takes.FLOAT),
    Op.TAKE_ALONG_AXIS: _Row(elements_of_rows_shape, 2, apart=_Apart(1, INTEGERS)),
    Op.TAKE: _Row(elements_shape, 2, apart=_Apart(1, INTEGERS)),
    Op.SLICE: _Row(sliced_shape, 1, Slice),
    Op.UPDATE: _Row(updated_shape, 2, Slice),
    Op.RESHAPE: _Row(reshaped_shape, 1, Reshape),
    Op.CONCAT: _Row(joined_shape, None, Concat),
    Op.GATHER: _Row(gathered_shape, None, Gather, mixed=True),
    Op.LIBRARY: _Row(own_shape, None, LibraryCall, mixed=True),
    Op.MARK: _Row(broadcast_shape, 1, Mark),
}
