"""JAX: `jax.jit(jax.value_and_grad(loss))`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..workloads import FOCUS, L2, LAYER_NORM_EPS, TEMPERATURE, Data, Workload, arguments_of
from . import jax_jit
from .jax_jit import cross_entropy

TITLE = jax_jit.TITLE
COPIES_OF_LOGITS = jax_jit.COPIES_OF_LOGITS

missing = jax_jit.missing
version = jax_jit.version

# Not annotated in JAX.
_computed: Any = jax.block_until_ready


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    numpy_arguments, argnums = arguments_of(workload, data)
    arguments = jax.tree.map(jnp.asarray, numpy_arguments)
    value_and_grads = jax.jit(jax.value_and_grad(LOSSES[workload.title], argnums))
    return lambda: _computed(value_and_grads(*arguments))


def mlp(params: Any, x: Any, labels: Any) -> Any:
    hidden = x
    for weight, bias in params[:-1]:
        hidden = jax.nn.relu(hidden @ weight + bias)
    weight, bias = params[-1]
    penalty = sum(jnp.sum(weight * weight) for weight, _ in params)
    return cross_entropy(hidden @ weight + bias, labels) + 0.5 * L2 * penalty


def gelu_mlp(params: Any, x: Any, labels: Any) -> Any:
    (weight1, bias1), (weight2, bias2) = params
    hidden = jax.nn.gelu(x @ weight1 + bias1, approximate=True)
    return cross_entropy(hidden @ weight2 + bias2, labels)


def layer_norm_and_head(params: Any, x: Any, labels: Any) -> Any:
    (scale, shift), (weight, bias) = params
    mean = jnp.mean(x, axis=1, keepdims=True)
    variance = jnp.var(x, axis=1, keepdims=True)
    hidden = (x - mean) * jax.lax.rsqrt(variance + LAYER_NORM_EPS) * scale + shift
    return cross_entropy(hidden @ weight + bias, labels)


def focal_loss(logits: Any, labels: Any) -> Any:
    log_probs = jax.nn.log_softmax(logits)
    chosen = jnp.take_along_axis(log_probs, labels[:, None], axis=-1)[:, 0]
    return -jnp.mean((1 - jnp.exp(chosen)) ** FOCUS * chosen)


def info_nce(anchors: Any, others: Any) -> Any:
    logits = normalised(anchors) @ normalised(others).T / TEMPERATURE
    return cross_entropy(logits, jnp.arange(anchors.shape[0]))


def normalised(x: Any) -> Any:
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def vae(params: Any, x: Any, noise: Any) -> Any:
    (w_in, b_in), (w_mean, b_mean), (w_var, b_var), (w_latent, b_latent), (w_out, b_out) = params
    hidden = jax.nn.relu(x @ w_in + b_in)
    mean, log_variance = hidden @ w_mean + b_mean, hidden @ w_var + b_var
    latent = mean + jnp.exp(0.5 * log_variance) * noise
    logits = jax.nn.relu(latent @ w_latent + b_latent) @ w_out + b_out
    reconstruction = -jnp.sum(x * jax.nn.log_sigmoid(logits) + (1 - x) * jax.nn.log_sigmoid(-logits))
    divergence = -0.5 * jnp.sum(1 + log_variance - mean**2 - jnp.exp(log_variance))
    return (reconstruction + divergence) / x.shape[0]


def head(x: Any, weight: Any, labels: Any) -> Any:
    return cross_entropy(x @ weight, labels)


LOSSES: dict[str, Callable[..., Any]] = {
    "MLP": mlp,
    "GELU MLP": gelu_mlp,
    "layer norm and head": layer_norm_and_head,
    "focal loss": focal_loss,
    "InfoNCE": info_nce,
    "VAE": vae,
    "head": head,
}
