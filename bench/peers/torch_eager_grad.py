"""PyTorch, operation by operation: user-written losses with autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from ..workloads import FOCUS, L2, LAYER_NORM_EPS, TEMPERATURE, Data, Workload, arguments_of
from . import torch_eager

TITLE = torch_eager.TITLE
COPIES_OF_LOGITS = torch_eager.COPIES_OF_LOGITS

missing = torch_eager.missing
version = torch_eager.version


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    return value_and_grads(workload, data, LOSSES[workload.title])


def value_and_grads(workload: Workload, data: Data, loss_of: Callable[..., Any]) -> Callable[[], Any]:
    numpy_arguments, argnums = arguments_of(workload, data)
    variables: list[Any] = []

    def tensors(tree: Any, wanted: bool) -> Any:
        """The tree with tensors; those that are wanted are variables."""
        if isinstance(tree, list | tuple):
            return type(tree)(tensors(item, wanted) for item in tree)
        tensor = torch.from_numpy(tree).requires_grad_(wanted)
        if wanted:
            variables.append(tensor)
        return tensor

    arguments = [tensors(tree, place in argnums) for place, tree in enumerate(numpy_arguments)]

    def call() -> Any:
        loss = loss_of(*arguments)
        return loss.detach(), *torch.autograd.grad(loss, variables)

    return call


def mlp(params: Any, x: Any, labels: Any) -> Any:
    hidden = x
    for weight, bias in params[:-1]:
        hidden = torch.relu(torch.addmm(bias, hidden, weight))
    weight, bias = params[-1]
    penalty = sum((weight * weight).sum() for weight, _ in params)
    return functional.cross_entropy(torch.addmm(bias, hidden, weight), labels) + 0.5 * L2 * penalty


def gelu_mlp(params: Any, x: Any, labels: Any) -> Any:
    (weight1, bias1), (weight2, bias2) = params
    hidden = functional.gelu(torch.addmm(bias1, x, weight1), approximate="tanh")
    return functional.cross_entropy(torch.addmm(bias2, hidden, weight2), labels)


def layer_norm_and_head(params: Any, x: Any, labels: Any) -> Any:
    (scale, shift), (weight, bias) = params
    hidden = functional.layer_norm(x, x.shape[1:], scale, shift, LAYER_NORM_EPS)
    return functional.cross_entropy(torch.addmm(bias, hidden, weight), labels)


def focal_loss(logits: Any, labels: Any) -> Any:
    cross_entropy = functional.cross_entropy(logits, labels, reduction="none")
    return ((1 - torch.exp(-cross_entropy)) ** FOCUS * cross_entropy).mean()


def info_nce(anchors: Any, others: Any) -> Any:
    logits = functional.normalize(anchors) @ functional.normalize(others).T / TEMPERATURE
    return functional.cross_entropy(logits, torch.arange(anchors.shape[0]))


def vae(params: Any, x: Any, noise: Any) -> Any:
    (w_in, b_in), (w_mean, b_mean), (w_var, b_var), (w_latent, b_latent), (w_out, b_out) = params
    hidden = torch.relu(torch.addmm(b_in, x, w_in))
    mean, log_variance = torch.addmm(b_mean, hidden, w_mean), torch.addmm(b_var, hidden, w_var)
    latent = mean + torch.exp(0.5 * log_variance) * noise
    logits = torch.addmm(b_out, torch.relu(torch.addmm(b_latent, latent, w_latent)), w_out)
    reconstruction = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = -0.5 * (1 + log_variance - mean**2 - torch.exp(log_variance)).sum()
    return (reconstruction + divergence) / x.shape[0]


def head(x: Any, weight: Any, labels: Any) -> Any:
    return functional.cross_entropy(x @ weight, labels)


LOSSES: dict[str, Callable[..., Any]] = {
    "MLP": mlp,
    "GELU MLP": gelu_mlp,
    "layer norm and head": layer_norm_and_head,
    "focal loss": focal_loss,
    "InfoNCE": info_nce,
    "VAE": vae,
    "head": head,
}
