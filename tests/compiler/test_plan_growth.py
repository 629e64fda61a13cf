"""The work of planning grows as the graph does, and no depth of a network is too much."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from onepass.backends.codegen import results
from onepass.backends.codegen.cost import Sizes
from onepass.backends.codegen.host_numbers import HostNumbers
from onepass.backends.codegen.lower import lower
from onepass.backends.codegen.plan import Plan
from onepass.backends.codegen.target import Target
from onepass.backends.cpu.target import CPU
from onepass.backends.cuda.target import CUDA
from onepass.backends.ir.nest import BufferKind, LoopNest, MatMul

import onepass as op
from onepass.compilation import leaves_of

TARGETS = {"cpu": CPU, "cuda": CUDA}
Call = tuple[Callable[..., Any], tuple[Any, ...]]
X = np.ones((50, 40), np.float32)


def planned(call: Call, target: Target, donate: tuple[str, ...] = ()) -> Plan:
    """The plan of a call, with all that a program asks of it before it is compiled."""
    function, args = call
    function = getattr(function, "__wrapped__", function)
    donated = leaves_of(function, args, {}, donate)
    lowered = lower(function, "kernel", args, {}, donated, target=target)
    plan = lowered.plan
    Sizes(plan)
    HostNumbers(plan.outputs, lowered.slot_values)
    results.places(lowered.traced, plan)
    results.number_places(lowered.traced, plan)
    for result in plan.of_kind(BufferKind.RESULT):
        results.shape_of(result, plan, lowered.shapes)
    return plan


def steps_of(run: Callable[[], Any]) -> int:
    """How many functions of Python are called."""
    count = 0

    def see(_frame: Any, event: str, _value: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def network(layers: int) -> Call:
    def step(params: Any, x: Any, labels: Any, lr: Any) -> Any:
        loss, grads = op.mlp_loss_and_grads(params, x, labels)
        return loss, op.sgd_step(params, grads, lr)

    params = [(np.ones((8, 8), np.float32), np.zeros(8, np.float32)) for _ in range(layers)]
    return step, (params, np.ones((16, 8), np.float32), np.zeros(16, np.int64), 0.1)


def adam(arrays: int) -> Call:
    params = [np.ones((10 + i, 7), np.float32) for i in range(arrays)]
    return op.adam_step, (params, params, op.adam_init(params), 0.001)


def chain(links: int) -> Call:
    """Every link reads the one before twice."""

    def kernel(x: Any) -> Any:
        for _ in range(links):
            x = x * 0.99 + x
        return x

    return kernel, (X,)


def chain_of_numbers(links: int) -> Call:
    def kernel(x: Any, a: Any) -> Any:
        for _ in range(links):
            a = a * 0.99 + a
        return x * a, a

    return kernel, (X, 1.5)


def decisions(count: int) -> Call:
    def kernel(x: Any, a: Any) -> Any:
        for _ in range(count):
            a = a * 1.5
            if a > 3:
                x = x + 1
        return x

    return kernel, (X, 4.0)


def captured_arrays(count: int) -> Call:
    captured = [X + i for i in range(count)]

    def kernel(x: Any) -> Any:
        for array in captured:
            x = x * array
        return x

    return kernel, (X,)


def results_of_one_shape(count: int) -> Call:
    def kernel(params: Any) -> Any:
        return [op.softmax(array) for array in params], sum(params)

    return kernel, ([X + i for i in range(count)],)


def normalised_layers(count: int) -> Call:
    """Every layer ends a stage."""

    def kernel(x: Any, weights: Any) -> Any:
        xp = array_namespace(x)
        for weight in weights:
            x = x @ weight
            x = (x - xp.mean(x, axis=0)) / xp.std(x, axis=0)
        return x

    return kernel, (np.ones((64, 8), np.float32), [np.ones((8, 8), np.float32)] * count)


def losses(count: int) -> Call:
    """Every loss is several passes over the row of the one before."""

    def kernel(x: Any, labels: Any) -> Any:
        found = []
        for _ in range(count):
            loss, grad = op.softmax_cross_entropy_with_grad(x, labels)
            found.append(loss)
            x = x - grad
        return found, x

    return kernel, (X, np.zeros(50, np.int64))


GROWING = [
    network,
    adam,
    chain,
    chain_of_numbers,
    decisions,
    captured_arrays,
    results_of_one_shape,
    normalised_layers,
]
# A row that stays in registers has a second form, in which every pass computes the values before it again.
CASES = [*((make, target) for make in GROWING for target in TARGETS), (losses, "cpu")]


@pytest.mark.parametrize(("make", "target"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_twice_the_graph_takes_twice_the_steps(make: Callable[[int], Call], target: str) -> None:
    few, many = make(20), make(40)
    donate = ("params", "state") if make in (adam, results_of_one_shape, network) else ()
    planned(few, TARGETS[target], donate)  # what is done once in a process
    steps = [steps_of(lambda call=call: planned(call, TARGETS[target], donate)) for call in (few, many)]
    assert steps[1] < 2.2 * steps[0]


@pytest.mark.parametrize("target", TARGETS)
def test_a_network_of_300_layers_is_planned(target: str) -> None:
    plan = planned(network(300), TARGETS[target], ("params",))
    (loop,) = plan.stages[0].loops
    products = [step for step in loop.steps if isinstance(step, MatMul)]
    nests = [step for step in loop.steps if isinstance(step, LoopNest)]
    # Forward, for the weights, and for the inputs of all layers but the first.
    assert len(products) == 300 + 300 + 299
    assert len(nests) >= 300


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("make", [chain, chain_of_numbers])
def test_a_chain_of_any_length_is_planned(make: Callable[[int], Call], target: str) -> None:
    planned(make(2000), TARGETS[target])


@pytest.mark.parametrize("target", TARGETS)
def test_a_long_chain_behind_a_lookup_is_planned(target: str) -> None:
    """The element at a column is computed there, without the loop over the columns."""

    def kernel(x: Any, labels: Any) -> Any:
        xp = array_namespace(x)
        for _ in range(60):
            x = xp.take_along_axis(x, labels[:, None], axis=1) + x
        return x

    planned((kernel, (X, np.zeros(50, np.int64))), TARGETS[target])
