"""Passes with bugs: the verifier sees what is not well formed, the interpreter what has other values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from array_api_compat import array_namespace
from graph_values import TracedCall, Values, assert_same_values
from onepass.backends.ir.attributes import Constant, Leaf, Reduction, Transposes, View
from onepass.backends.ir.dtypes import FLOAT32, FLOAT64
from onepass.backends.ir.expected_shapes import Alignment
from onepass.backends.ir.graph import Node, walk
from onepass.backends.ir.operations import Op
from onepass.backends.ir.verify import VerificationError
from operation_check import numbers

# Changes a node, where that is one that it is for.
Bug = Callable[[Node], bool]


def swap_operands(node: Node) -> bool:
    """a - b becomes b - a."""
    if node.operation not in (Op.SUBTRACT, Op.DIVIDE):
        return False
    node.inputs = node.inputs[::-1]
    return True


def change_dtype(node: Node) -> bool:
    if not node.dtype.is_float:
        return False
    node.dtype = FLOAT32 if node.dtype is FLOAT64 else FLOAT64
    return True


def drop_dimension(node: Node) -> bool:
    if not node.shape:
        return False
    node.shape = node.shape[1:]
    return True


def reduce_along_another(node: Node) -> bool:
    if not isinstance(node.attribute, Reduction) or node.inputs[0].ndim != 2:
        return False
    node.attribute = Reduction((1,) if node.attribute.dimensions == (0,) else (0,))
    return True


def view_another_way(node: Node) -> bool:
    if not isinstance(node.attribute, View) or node.ndim < 2:
        return False
    node.attribute = View(node.attribute.dimensions[::-1])
    return True


def transpose_factor(node: Node) -> bool:
    if not isinstance(node.attribute, Transposes):
        return False
    node.attribute = Transposes(not node.attribute.transpose_a, node.attribute.transpose_b)
    return True


def forget_sign(node: Node) -> bool:
    if node.operation is not Op.NEGATIVE:
        return False
    node.operation = Op.ABS
    return True


def take_another_leaf(node: Node) -> bool:
    if not isinstance(node.attribute, Leaf):
        return False
    node.attribute = Leaf(node.attribute.number + 1)
    return True


def take_another_number(node: Node) -> bool:
    if not isinstance(node.attribute, Constant) or type(node.attribute.value) is not float:
        return False
    node.attribute = Constant(node.attribute.value + 1)
    return True


BUGS: list[Bug] = [
    swap_operands,
    change_dtype,
    drop_dimension,
    reduce_along_another,
    view_another_way,
    transpose_factor,
    forget_sign,
    take_another_leaf,
    take_another_number,
]


def network(x: Any, w: Any, b: Any) -> Any:
    """All kinds of nodes; each of them matters for the result."""
    xp = array_namespace(x)
    z = xp.tanh(x @ w + b) / 3.7
    p = xp.exp(z - xp.max(z, axis=1, keepdims=True))
    p = p / xp.sum(p, axis=1, keepdims=True)
    return xp.mean(-z * p), x.T @ (p - 0.5), xp.sum(p, axis=0) * xp.astype(xp.arange(4), p.dtype)


def is_possible(bug: Bug, node: Node) -> bool:
    before = vars(node).copy()
    possible = bug(node)
    vars(node).update(before)
    return possible


def check(call: TracedCall, values: Values) -> None:
    """Verify the graph of a call, and compare its values."""
    call.state.verify("a pass with a bug", Alignment.RESOLVED)
    assert_same_values(call.values("a pass with a bug"), values)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_seen(bug: Bug) -> None:
    args = numbers((5, 3), "float64"), numbers((3, 4), "float64", 1), numbers((4,), "float64", 2)
    call = TracedCall(network, *args)
    *_, values = call.after_each()
    nodes = [node for node in walk(call.state.outputs) if is_possible(bug, node)]
    assert nodes
    for node in nodes:
        before = vars(node).copy()
        bug(node)
        with pytest.raises((VerificationError, AssertionError, IndexError, TypeError, ValueError)):
            check(call, values)
        vars(node).update(before)
    check(call, values)
