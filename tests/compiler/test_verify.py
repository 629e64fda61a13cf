"""Graphs that are not well formed, one for each check of the verifier; and when it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from onepass.backends.codegen import lower
from onepass.backends.codegen.passes import PASSES, Pass, State
from onepass.backends.ir import verify as verifier
from onepass.backends.ir.attributes import (
    BroadcastTo,
    Constant,
    Iota,
    Leaf,
    Reduction,
    Size,
    Transposes,
    View,
)
from onepass.backends.ir.dtypes import BOOL, FLOAT16, FLOAT32, FLOAT64, INT32, INT64
from onepass.backends.ir.expected_shapes import Alignment
from onepass.backends.ir.graph import Axis, Graph, Node, Shape
from onepass.backends.ir.operations import Op
from onepass.backends.ir.verify import VerificationError, verify

import onepass as op


class Built:
    """A graph with arguments x (3, 4), y (3, 4), matrix (4, 3), labels (3, 1), mask (3, 4), and a number."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.n, self.k = Axis(3), Axis(4)
        self.x = self.argument((self.n, self.k))
        self.y = self.argument((self.n, self.k))
        self.matrix = self.argument((Axis(4), Axis(3)))
        self.labels = self.argument((self.n, None), INT32)
        self.mask = self.argument((self.n, self.k), BOOL)
        self.number = self.graph.node(Op.SCALAR, (), Leaf(5), dtype=FLOAT64, weak=True)

    def argument(self, shape: Shape, dtype: Any = FLOAT32) -> Node:
        return self.graph.node(Op.INPUT, (), Leaf(len(self.graph.nodes)), shape=shape, dtype=dtype)

    def add(self, *inputs: Node) -> Node:
        return self.graph.node(
            Op.ADD, inputs, shape=(self.n, self.k), dtype=FLOAT32, line="kernel.py, line 7"
        )

    def node(self, operation: Op, *inputs: Node, **more: Any) -> Node:
        """A node of x's shape and dtype, where nothing else is said."""
        return self.graph.node(operation, inputs, **{"shape": (self.n, self.k), "dtype": FLOAT32, **more})


def reordered(g: Built) -> Node:
    made = g.add(g.x, g.y)
    g.graph.nodes[0], g.graph.nodes[1] = g.y, g.x
    return made


def cycle(g: Built) -> Node:
    made = g.add(g.x, g.y)
    made.inputs = (g.x, made)
    return made


def of_another_graph(g: Built) -> Node:
    # Of two nodes with one number, a walk over the graph meets the first.
    return g.add(g.y, Built().y)


def output_of_another_graph(g: Built) -> Node:
    return Built().x


def negative_leaf(g: Built) -> Node:
    return g.graph.node(Op.INPUT, (), Leaf(-1), shape=(g.n,), dtype=FLOAT32)


def half(g: Built) -> Node:
    return g.argument((g.n,), FLOAT16)


MALFORMED: list[tuple[str, Callable[[Built], Node], str]] = [
    ("reordered", reordered, "got a node that is not in the graph; expected a node of the graph"),
    ("a cycle", cycle, "got the input v6; expected inputs that come before the node"),
    ("another graph", of_another_graph, "got the input v1, which is not in the graph; expected nodes of"),
    ("another graph's output", output_of_another_graph, "got a node that is not in the graph; expected"),
    ("inputs", lambda g: g.add(g.x), "got 1 inputs; expected 2"),
    ("no attribute", lambda g: g.node(Op.SUM, g.x), "got no attribute; expected an attribute Reduction"),
    (
        "an attribute",
        lambda g: g.node(Op.ADD, g.x, g.y, attribute=Leaf(0)),
        "got an attribute Leaf; expected no attribute",
    ),
    (
        "another attribute",
        lambda g: g.node(Op.VIEW, g.x, attribute=Reduction((0, 1))),
        "got an attribute Reduction; expected an attribute View",
    ),
    ("a negative leaf", negative_leaf, "got the leaf -1; expected a number of 0 or more"),
    (
        "a constant",
        lambda g: g.node(Op.CONSTANT, attribute=Constant(1), shape=()),
        "got a constant of type int; expected float for float32",
    ),
    (
        "dtypes of inputs",
        lambda g: g.add(g.x, g.number),
        "got inputs of float32, float64; expected one dtype",
    ),
    (
        "the kind of inputs",
        lambda g: g.node(Op.SQRT, g.labels, shape=(g.n, None), dtype=INT32),
        "got inputs of int32; expected dtypes of kind float",
    ),
    (
        "the dtype of a comparison",
        lambda g: g.node(Op.LESS, g.x, g.y),
        "got the dtype float32; expected bool",
    ),
    (
        "the dtype of a sum",
        lambda g: g.node(Op.NEGATIVE, g.x, dtype=FLOAT64),
        "got the dtype float64; expected",
    ),
    (
        "the dtype of a view",
        lambda g: g.node(Op.VIEW, g.x, attribute=View((1, 0)), shape=(g.k, g.n), dtype=FLOAT64),
        "got the dtype float64; expected float32",
    ),
    (
        "the dtype of a size",
        lambda g: g.node(Op.SIZE, attribute=Size(g.n), shape=(), dtype=INT32),
        "got the dtype int32; expected int64",
    ),
    ("half precision", half, "got the dtype float16; expected one of float32, float64, int8"),
    (
        "a condition",
        lambda g: g.node(Op.WHERE, g.x, g.x, g.y),
        "got input 0 of float32; expected one of bool",
    ),
    (
        "indices",
        lambda g: g.node(Op.TAKE_ALONG_AXIS, g.x, g.x),
        "got input 1 of float32; expected one of int8, int16",
    ),
    (
        "the kind of an any",
        lambda g: g.node(Op.ANY, g.x, attribute=Reduction((1,)), shape=(g.n,)),
        "got inputs of float32; expected dtypes of kind bool",
    ),
    (
        "a weak dtype",
        lambda g: g.node(Op.SCALAR, attribute=Leaf(6), shape=(), weak=True),
        "got a weak value of float32; expected one of float64, int64, bool",
    ),
    (
        "a weak array",
        lambda g: g.node(Op.VIEW, g.number, attribute=View((None,)), shape=(None,), dtype=FLOAT64, weak=True),
        r"got a weak value with dimensions; expected the shape \(\)",
    ),
    (
        "the shape",
        lambda g: g.node(Op.ADD, g.x, g.y, shape=(g.n,)),
        r"got the shape \(3\); expected \(3, 4\), along the axes of the inputs",
    ),
    (
        "the shape of a number",
        lambda g: g.node(Op.CONSTANT, attribute=Constant(1.0)),
        r"got the shape \(3, 4\); expected \(\), along",
    ),
    (
        "the shape of indices",
        lambda g: g.node(Op.IOTA, attribute=Iota(g.n), shape=(g.k,), dtype=INT64),
        r"got the shape \(4\); expected \(3\), along",
    ),
    (
        "inputs that do not broadcast",
        lambda g: g.add(g.x, g.matrix),
        "got v2 of size 4 in dimension -2; expected size 3 and the same axis as the other inputs",
    ),
    (
        "broadcasting to fewer",
        lambda g: g.node(Op.BROADCAST_TO, g.x, attribute=BroadcastTo((g.k,)), shape=(g.k,)),
        r"got an input of shape \(3, 4\); expected one that broadcasts to \(4\)",
    ),
    (
        "broadcasting to another size",
        lambda g: g.node(Op.BROADCAST_TO, g.x, attribute=BroadcastTo((g.n, g.n)), shape=(g.n, g.n)),
        r"got an input of shape \(3, 4\); expected one that broadcasts to \(3, 3\)",
    ),
    (
        "a copy of another size",
        lambda g: g.node(Op.COPY, g.x, shape=(g.n, g.n)),
        r"got the shape \(3, 3\); expected \(3, 4\)",
    ),
    (
        "a view out of range",
        lambda g: g.node(Op.VIEW, g.x, attribute=View((0, 2))),
        "got the dimensions 0, 2; expected each at most once, of the 2 of v0",
    ),
    (
        "a view of one dimension twice",
        lambda g: g.node(Op.VIEW, g.x, attribute=View((0, 0))),
        "got the dimensions 0, 0; expected each at most once, of the 2 of v0",
    ),
    (
        "a view that loses elements",
        lambda g: g.node(Op.VIEW, g.x, attribute=View((0, None)), shape=(g.n, None)),
        "got a view without dimension 1, of size 4; expected all dimensions but of 1",
    ),
    (
        "a sum out of range",
        lambda g: g.node(Op.SUM, g.x, attribute=Reduction((-1,)), shape=(g.n,)),
        "got the dimensions -1; expected each at most once, of the 2 of v0",
    ),
    (
        "a sum of another shape",
        lambda g: g.node(Op.SUM, g.x, attribute=Reduction((0,)), shape=(g.n,)),
        r"got the shape \(3\); expected \(4\)",
    ),
    (
        "factors of one dimension",
        lambda g: g.node(Op.MATMUL, g.x, g.number, attribute=Transposes()),
        "got inputs of float32, float64; expected one dtype",
    ),
    (
        "factors that do not fit",
        lambda g: g.node(Op.MATMUL, g.x, g.y, attribute=Transposes()),
        "got inner dimensions of 4 and 3; expected one axis, or one size",
    ),
    (
        "a product of another shape",
        lambda g: g.node(Op.MATMUL, g.x, g.matrix, attribute=Transposes()),
        r"got the shape \(3, 4\); expected \(3, 3\)",
    ),
    (
        "a factor that is a vector",
        lambda g: g.node(Op.MATMUL, g.x, g.argument((g.k,)), attribute=Transposes()),
        "got inputs of 2 dimensions and 1 dimensions; expected two each",
    ),
    (
        "an element of each row of others",
        lambda g: g.node(Op.TAKE_ALONG_AXIS, g.matrix, g.labels, shape=(g.n, None)),
        r"got inputs of shapes \(4, 3\) at \(3, 1\); expected \(N, K\) at \(N, 1\)",
    ),
    (
        "elements of a matrix",
        lambda g: g.node(Op.TAKE, g.x, g.labels, shape=(g.n, None)),
        "got an input of 2 dimensions; expected a vector",
    ),
    (
        "an axis of size 1",
        lambda g: g.argument((Axis(1),)),
        "got an axis of size 1; expected None for a dimension of 1",
    ),
]


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case[0])
def test_a_malformed_graph_is_named(case: tuple[str, Callable[[Built], Node], str]) -> None:
    _, build, message = case
    built = Built()
    verify(built.graph, built.graph.nodes, "trace", Alignment.RESOLVED)
    node = build(built)
    with pytest.raises(VerificationError, match=rf"^after simplify: v\d+: .*: {message}.*\.$"):
        verify(built.graph, [node], "simplify")


def test_the_message_has_the_line_of_the_kernel() -> None:
    built = Built()
    with pytest.raises(VerificationError, match=r"expected 2 \(kernel\.py, line 7\)\.$"):
        verify(built.graph, [built.add(built.x)], "simplify")


def test_a_node_shows_its_inputs_by_their_numbers() -> None:
    built = Built()
    assert repr(built.add(built.x, built.y)) == "v6: float32(3, 4) = add(v0, v1)"


def test_after_simplification_what_is_lined_up_is_one_axis() -> None:
    built = Built()
    other = built.argument((Axis(3), built.k))
    made = built.add(built.x, other)
    verify(built.graph, [made], "trace", Alignment.SIZES)
    with pytest.raises(VerificationError, match=r"expected size 3 and the same axis as the other inputs"):
        verify(built.graph, [made], "simplify", Alignment.AXES)
    assert other.shape[0] is not None
    built.n.unify(other.shape[0])
    verify(built.graph, [made], "simplify", Alignment.AXES)
    with pytest.raises(VerificationError, match="got an axis that another one stands for; expected"):
        verify(built.graph, [made], "coalesce", Alignment.RESOLVED)


def test_axes_are_looked_up_when_they_are_lined_up() -> None:
    """A node keeps its axes once they were asked for."""
    built = Built()
    other = built.argument((Axis(3), built.k))
    assert len(other.axes) == 2
    assert other.shape[0] is not None
    built.n.unify(other.shape[0])
    made = built.add(built.x, other)
    with pytest.raises(VerificationError, match="got axes that were looked up before they were lined up"):
        verify(built.graph, [made], "simplify", Alignment.AXES)


def test_after_simplification_a_value_has_each_axis_once() -> None:
    built = Built()
    square = built.argument((built.n, built.n))
    verify(built.graph, [square], "trace", Alignment.SIZES)
    with pytest.raises(VerificationError, match="got two dimensions along one axis; expected"):
        verify(built.graph, [square], "simplify", Alignment.AXES)


def test_the_rows_of_both_factors_of_a_sum_are_one_axis() -> None:
    built = Built()
    other = built.argument((Axis(3), Axis(2)))
    made = built.node(
        Op.MATMUL, built.x, other, attribute=Transposes(transpose_a=True), shape=(Axis(4), Axis(2))
    )
    verify(built.graph, [made], "trace", Alignment.SIZES)
    with pytest.raises(VerificationError, match="got inner dimensions of 3 and 3; expected one axis, or one"):
        verify(built.graph, [made], "simplify", Alignment.AXES)


def test_every_operation_has_a_row() -> None:
    assert set(verifier._TABLE) == set(Op)


def test_it_runs_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verifier.is_requested()
    for value, is_requested in {"0": False, "": False, "1": True}.items():
        monkeypatch.setenv(verifier.VARIABLE, value)
        assert verifier.is_requested.__wrapped__() is is_requested
    monkeypatch.delenv(verifier.VARIABLE)
    assert not verifier.is_requested.__wrapped__()


@pytest.mark.parametrize("backend", ["auto", "numba"])
def test_a_bug_of_a_pass_is_no_reason_to_run_a_kernel_in_another_way(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(state: State) -> None:
        state.outputs[0].dtype = FLOAT64

    passes = (*PASSES, Pass("a pass with a bug", change, Alignment.RESOLVED))
    monkeypatch.setattr(lower, "PASSES", passes)
    kernel = op.kernel(lambda x: array_namespace(x).exp(x))
    with op.use_backend(backend), pytest.raises(VerificationError, match=r"^after a pass with a bug: v1: "):
        kernel(np.ones(3, np.float32))
