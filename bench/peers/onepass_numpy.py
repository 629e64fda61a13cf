"""onepass with the backend "numpy", as a user writes it. The other backends run the same code."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import onepass as op

from ..workloads import LEARNING_RATES, Data, Workload

TITLE = "onepass numpy"
COPIES_OF_LOGITS = 6.5


def missing() -> str:
    return why_not("numpy")


def version() -> str:
    return op.__version__


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    return on_backend("numpy", work(workload, data))


# Entered once, as in a user's program, and kept: a discarded context manager would leave the context.
_in_force = ExitStack()


def why_not(backend: str) -> str:
    why: str = op.backends()[backend].why_not
    return why


def on_backend(backend: str, call: Callable[[], Any]) -> Callable[[], Any]:
    """Select `backend` for the rest of the process and return `call`."""
    _in_force.enter_context(op.use_backend(backend))
    return call


def work(workload: Workload, data: Data) -> Callable[[], Any]:
    if workload.kind == "cross-entropy":
        return lambda: op.softmax_cross_entropy_with_grad(data.x, data.labels)
    if workload.kind == "linear head":
        return lambda: linear_head(data.x, data.params[0][0], data.labels)
    return training_step(workload, data)


@op.kernel
def linear_head(x: Any, weight: Any, labels: Any) -> Any:
    loss, grad_logits = op.softmax_cross_entropy_with_grad(op.linear(x, weight), labels)
    return loss, grad_logits @ weight.T, x.T @ grad_logits


def training_step(workload: Workload, data: Data) -> Callable[[], Any]:
    params = [(weight.copy(), bias.copy()) for weight, bias in data.params]
    batches = data.batches(workload.rows)
    options: Any = {"activation": workload.activation, "loss": workload.loss, "l2": workload.l2}
    lr = LEARNING_RATES[workload.optimizer]

    @op.kernel(donate="params")
    def sgd(params: Any, x: Any, labels: Any) -> Any:
        loss, grads = op.mlp_loss_and_grads(params, x, labels, **options)
        return loss, op.sgd_step(params, grads, lr)

    @op.kernel(donate=("params", "state"))
    def adam(params: Any, state: Any, x: Any, labels: Any) -> Any:
        loss, grads = op.mlp_loss_and_grads(params, x, labels, **options)
        params, state = op.adam_step(params, grads, state, lr)
        return loss, params, state

    if workload.optimizer == "sgd":

        def call() -> Any:
            nonlocal params
            for x, labels in batches:
                loss, params = sgd(params, x, labels)
            return loss, params

        return call

    state = op.adam_init(params)

    def adam_call() -> Any:
        nonlocal params, state
        for x, labels in batches:
            loss, params, state = adam(params, state, x, labels)
        return loss, params

    return adam_call
