"""The interpreter of graphs: every operation in two libraries, and the memory that it uses."""

from __future__ import annotations

import tracemalloc
from typing import Any

import array_api_compat.numpy as xp
import array_api_strict
import numpy as np
import pytest
from array_api_compat import array_namespace
from graph_values import TracedCall, assert_passes_keep_values
from onepass.backends.ir import interpret as interpreter
from onepass.backends.ir.attributes import Leaf
from onepass.backends.ir.dtypes import FLOAT32, FLOAT64
from onepass.backends.ir.graph import Axis, Graph
from onepass.backends.ir.interpret import interpret, takes_out
from onepass.backends.ir.operations import Op
from onepass.backends.trace.trace import trace
from operation_check import numbers
from test_operations import INTEGERS, binary, unary, whole

LIBRARIES = [xp, array_api_strict]


def name(library: Any) -> str:
    return str(library.__name__)


def test_every_operation_has_a_function() -> None:
    assert set(interpreter._OPERATIONS) == set(Op)


@pytest.mark.parametrize("library", LIBRARIES, ids=name)
@pytest.mark.parametrize("shape", [(5, 40), (0, 3), ()], ids=str)
def test_functions_of_one_number(shape: tuple[int, ...], library: Any) -> None:
    small = numbers(shape, "float32")
    inside = np.asarray(np.tanh(small))
    positive = np.asarray(np.abs(numbers(shape, "float32", 1)) * 5)
    above = np.asarray(np.abs(small) + np.float32(1.25))
    special = numbers(shape, "float32", special=True)
    assert_passes_keep_values(TracedCall(unary, special, small, inside, positive, above, xp=library))


@pytest.mark.parametrize("library", LIBRARIES, ids=name)
def test_functions_of_two_numbers(library: Any) -> None:
    for first, second in (((5, 40), (5, 40)), ((5, 1), (3,))):
        call = TracedCall(binary, numbers(first, "float64"), numbers(second, "float64", 1), 0.75, xp=library)
        assert_passes_keep_values(call, is_exact=False)  # NumPy has a logaddexp of its own


@pytest.mark.parametrize("library", LIBRARIES, ids=name)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers(dtype: str, library: Any) -> None:
    random = np.random.default_rng(0)
    low = 0 if dtype.startswith("u") else -3
    a, b = random.integers(low, 4, (5, 4)).astype(dtype), random.integers(1, 5, (5, 4)).astype(dtype)
    assert_passes_keep_values(TracedCall(whole, np.abs(numbers((5, 1), "float32")), a, b, 2, xp=library))


def test_picked_elements() -> None:
    def picks(x: Any, labels: Any, vector: Any) -> Any:
        xp = array_namespace(x)
        rows = xp.take_along_axis(x, labels[:, None], axis=1)
        return rows * 2, xp.take(vector, labels), xp.take(vector, labels[:, None]), xp.take(vector, 1)

    x, vector = numbers((3, 4), "float64"), numbers((4,), "float64", 1)
    for dtype in INTEGERS:
        labels = np.array([0, 3, -2 if dtype.startswith("i") else 1], dtype)
        assert_passes_keep_values(TracedCall(picks, x, labels, vector))


def test_arrays_of_half_precision_stand_for_float32() -> None:
    x = np.array([0.1, 0.2, 2048], "float16")
    traced = trace(lambda x: x + 1, "kernel", (x,), {}, takes_halves=True)
    (got,) = interpret(traced.outputs, [x], xp)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, x.astype("float32") + np.float32(1))


def test_a_library_s_functions_are_asked_for_out() -> None:
    assert [
        op for op in (Op.ADD, Op.EXP, Op.LESS, Op.LOGICAL_NOT, Op.BITWISE_AND) if not takes_out(xp, op)
    ] == []
    assert [op for op in Op if takes_out(array_api_strict, op)] == []
    assert [op for op in (Op.ASTYPE, Op.WHERE, Op.SUM, Op.INPUT) if takes_out(xp, op)] == []


def test_results_go_into_the_memory_of_dead_values() -> None:
    def chain(x: Any) -> Any:
        xp = array_namespace(x)
        y = x * 2
        for _ in range(10):
            y = xp.tanh(y + 1) - xp.expand_dims(xp.sum(y, axis=1), axis=1)
        return y, y > 0

    x = numbers((100, 1000), "float64")
    before = x.copy()
    call = TracedCall(chain, x)
    call.values("trace")  # what the library keeps
    tracemalloc.start()
    values = call.values("trace")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # y, tanh(y + 1) and a copy of the mask: three of them where nothing is used again.
    assert peak < 3.5 * x.nbytes
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(values.arrays[0], call.eager().arrays[0])


def test_a_view_keeps_its_memory() -> None:
    def turned(x: Any) -> Any:
        xp = array_namespace(x)
        y = x + 1
        turned = y.T
        z = xp.exp(y)  # the last that reads y itself
        return z + turned, xp.sqrt(z * 2) - turned, turned * 0.5

    for shape in ((4, 4), (3, 3)):
        assert_passes_keep_values(TracedCall(turned, np.abs(numbers(shape, "float64"))))


def test_a_result_that_is_not_its_node_s_is_an_error() -> None:
    graph, axis = Graph(), Axis(3)
    x = graph.node(Op.INPUT, (), Leaf(0), shape=(axis,), dtype=FLOAT32)
    wide = graph.node(Op.NEGATIVE, (x,), shape=(axis,), dtype=FLOAT64)
    message = r"^interpret: v1: .*: got an array of dtype float32 and shape \(3,\); expected float64"
    with pytest.raises(TypeError, match=message):
        interpret([wide], [np.ones(3, np.float32)], xp)
