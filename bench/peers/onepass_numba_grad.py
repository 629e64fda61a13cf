"""`op.value_and_grad` of losses as a user writes them, with the backend "numba"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from array_api_compat import array_namespace

import onepass as op

from ..workloads import FOCUS, L2, LAYER_NORM_EPS, TEMPERATURE, Data, Workload, arguments_of
from . import onepass_numba, onepass_numpy

TITLE = "onepass value_and_grad"
COPIES_OF_LOGITS = onepass_numba.COPIES_OF_LOGITS

version = onepass_numba.version
missing = onepass_numba.missing


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    arguments, argnums = arguments_of(workload, data)
    value_and_grads = op.value_and_grad(LOSSES[workload.title], argnums)
    return onepass_numpy.on_backend("numba", lambda: value_and_grads(*arguments))


def mlp(params: Any, x: Any, labels: Any) -> Any:
    xp = array_namespace(x)
    hidden = x
    for weight, bias in params[:-1]:
        hidden = op.relu(hidden @ weight + bias)
    weight, bias = params[-1]
    penalty = sum(xp.sum(weight * weight) for weight, _ in params)
    return op.softmax_cross_entropy(hidden @ weight + bias, labels) + 0.5 * L2 * penalty


def gelu_mlp(params: Any, x: Any, labels: Any) -> Any:
    (weight1, bias1), (weight2, bias2) = params
    return op.softmax_cross_entropy(gelu(x @ weight1 + bias1) @ weight2 + bias2, labels)


def gelu(x: Any) -> Any:
    xp = array_namespace(x)
    return 0.5 * x * (1 + xp.tanh(0.7978845608028654 * (x + 0.044715 * x**3)))


def layer_norm_and_head(params: Any, x: Any, labels: Any) -> Any:
    xp = array_namespace(x)
    (scale, shift), (weight, bias) = params
    mean = xp.mean(x, axis=1, keepdims=True)
    variance = xp.var(x, axis=1, keepdims=True)
    hidden = (x - mean) / xp.sqrt(variance + LAYER_NORM_EPS) * scale + shift
    return op.softmax_cross_entropy(hidden @ weight + bias, labels)


def focal_loss(logits: Any, labels: Any) -> Any:
    xp = array_namespace(logits)
    cross_entropy = op.softmax_cross_entropy(logits, labels, reduction="none")
    return xp.mean((1 - xp.exp(-cross_entropy)) ** FOCUS * cross_entropy)


def info_nce(anchors: Any, others: Any) -> Any:
    xp = array_namespace(anchors)
    logits = normalised(anchors) @ normalised(others).T / TEMPERATURE
    return op.softmax_cross_entropy(logits, xp.arange(anchors.shape[0]))


def normalised(x: Any) -> Any:
    xp = array_namespace(x)
    return x / xp.sqrt(xp.sum(x * x, axis=1, keepdims=True))


def vae(params: Any, x: Any, noise: Any) -> Any:
    xp = array_namespace(x)
    (w_in, b_in), (w_mean, b_mean), (w_var, b_var), (w_latent, b_latent), (w_out, b_out) = params
    hidden = op.relu(x @ w_in + b_in)
    mean, log_variance = hidden @ w_mean + b_mean, hidden @ w_var + b_var
    latent = mean + xp.exp(0.5 * log_variance) * noise
    logits = op.relu(latent @ w_latent + b_latent) @ w_out + b_out
    reconstruction = op.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = -0.5 * xp.sum(1 + log_variance - mean**2 - xp.exp(log_variance))
    return (reconstruction + divergence) / x.shape[0]


def head(x: Any, weight: Any, labels: Any) -> Any:
    return op.softmax_cross_entropy(x @ weight, labels)


LOSSES: dict[str, Callable[..., Any]] = {
    "MLP": mlp,
    "GELU MLP": gelu_mlp,
    "layer norm and head": layer_norm_and_head,
    "focal loss": focal_loss,
    "InfoNCE": info_nce,
    "VAE": vae,
    "head": head,
}
