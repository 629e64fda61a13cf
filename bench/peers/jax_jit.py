"""JAX: the whole call in one jit with donated parameters. An epoch is one scan over the batches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..workloads import LEARNING_RATES, Data, Workload

TITLE = "JAX jit"
COPIES_OF_LOGITS = 2.5


def missing() -> str:
    return ""


def version() -> str:
    return str(jax.__version__)


# Not annotated in JAX.
_computed: Any = jax.block_until_ready


def prepare(workload: Workload, data: Data, computed: Callable[[Any], Any] = _computed) -> Callable[[], Any]:
    """computed: applied to each result before it is returned"""
    config: Any = jax.config
    config.update("jax_enable_x64", workload.dtype == "float64")
    if workload.kind == "training step":
        return training_step(workload, data, computed)
    labels = jnp.asarray(data.labels)
    inputs = (jnp.asarray(data.x), *(jnp.asarray(weight) for weight, _ in data.params))
    loss_of = head_loss if workload.kind == "linear head" else cross_entropy_of_inputs
    value_and_grads = jax.jit(jax.value_and_grad(loss_of))

    def call() -> Any:
        loss, grads = computed(value_and_grads(inputs, labels))
        return loss, *grads

    return call


def cross_entropy(logits: Any, labels: Any) -> Any:
    chosen = jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen)


def hinge(scores: Any, labels: Any) -> Any:
    chosen = jnp.take_along_axis(scores, labels[:, None], axis=-1)
    margins = jnp.maximum(scores - chosen + 1, 0)
    # The margin of the label itself is always 1.
    return jnp.mean(jnp.sum(margins, axis=-1) - 1)


def squared_error(scores: Any, targets: Any) -> Any:
    return jnp.mean((scores - targets) ** 2)


LOSSES = {
    "softmax_cross_entropy": cross_entropy,
    "multiclass_hinge": hinge,
    "mean_squared_error": squared_error,
}


def cross_entropy_of_inputs(inputs: Any, labels: Any) -> Any:
    return cross_entropy(inputs[0], labels)


def head_loss(inputs: Any, labels: Any) -> Any:
    return cross_entropy(inputs[0] @ inputs[1], labels)


def training_step(workload: Workload, data: Data, computed: Callable[[Any], Any]) -> Callable[[], Any]:
    params: Any = [(jnp.array(weight), jnp.array(bias)) for weight, bias in data.params]
    state: Any = ()
    if workload.optimizer == "adam":
        state = (jnp.zeros((), jnp.int32), *(jax.tree.map(jnp.zeros_like, params) for _ in range(2)))
    stacked = (workload.batches, workload.rows, -1)
    xs = jnp.asarray(data.x.reshape(stacked))
    ys = jnp.asarray(data.labels.reshape(stacked if data.labels.ndim == 2 else stacked[:2]))
    activation = jax.nn.sigmoid if workload.activation == "sigmoid" else jax.nn.relu
    lr = LEARNING_RATES[workload.optimizer]

    def loss_of(params: Any, x: Any, labels: Any) -> Any:
        hidden = x
        for weight, bias in params[:-1]:
            hidden = activation(hidden @ weight + bias)
        loss = LOSSES[workload.loss](hidden @ params[-1][0] + params[-1][1], labels)
        if workload.l2:
            loss += 0.5 * workload.l2 * sum(jnp.sum(weight * weight) for weight, _ in params)
        return loss

    def update(params: Any, grads: Any, state: Any) -> Any:
        if workload.optimizer == "sgd":
            return jax.tree.map(lambda p, g: p - lr * g, params, grads), state
        step, mean, square = state[0] + 1, state[1], state[2]
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, grads)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, grads)
        rate, root = lr / (1 - 0.9**step), jnp.sqrt(1 - 0.999**step)
        params = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + 1e-8), params, mean, square
        )
        return params, (step, mean, square)

    def one_batch(carried: Any, batch: Any) -> Any:
        params, state = carried
        loss, grads = jax.value_and_grad(loss_of)(params, *batch)
        return update(params, grads, state), loss

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def run(params: Any, state: Any, xs: Any, ys: Any) -> Any:
        if workload.batches == 1:
            (params, state), loss = one_batch((params, state), (xs[0], ys[0]))
            return loss, params, state
        (params, state), losses = jax.lax.scan(one_batch, (params, state), (xs, ys))
        return losses[-1], params, state

    def call() -> Any:
        nonlocal params, state
        loss, params, state = computed(run(params, state, xs, ys))
        return loss, params

    return call
