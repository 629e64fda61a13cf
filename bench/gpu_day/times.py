"""Device times of onepass: cross-entropies and copies of the same bytes, training steps, heads, TF32."""

from __future__ import annotations

import functools
import importlib
import math
import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import onepass as op

from .. import gpu
from .timing import Times

SHAPES = ((4096, 8192), (256, 131072), (4096, 1000), (1024, 10), (300, 3), (8192, 32000))
# Number of rows, then the width of every layer.
NETWORKS = ((300, 2, 100, 3), (1024, 784, 1024, 10))
HEADS = ((8192, 256, 131072),)
DTYPES = ("float32", "bfloat16")
# A copy of fewer bytes takes no longer than its launch.
LEAST_COPIED = 64 << 20


def dtype_of(name: str) -> Any:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def cross_entropies(times: Times, xp: Any, shapes: Sequence[tuple[int, int]]) -> None:
    """xp: CuPy; in a test NumPy"""
    for n, k in shapes:
        for name in DTYPES:
            logits = xp.random.default_rng(1).standard_normal((n, k), dtype="float32").astype(dtype_of(name))
            labels = xp.asarray(np.random.default_rng(0).integers(0, k, n))
            moved = 2 * logits.nbytes
            times.measure(
                f"cross-entropy {n}x{k} {name}",
                functools.partial(op.softmax_cross_entropy_with_grad, logits, labels),
                least_bytes=moved,
            )
            if moved >= LEAST_COPIED:
                target = xp.empty_like(logits)
                times.measure(
                    f"copy of the same bytes {n}x{k} {name}",
                    functools.partial(xp.copyto, target, logits),
                    least_bytes=moved,
                )


def training_steps(
    times: Times, xp: Any, networks: Sequence[tuple[int, ...]], dtype: str, label: str = ""
) -> None:
    """Loss, gradients and update as one program. A step starts from the parameters of the last one."""

    @op.kernel(donate="params")
    def sgd(params: Any, x: Any, labels: Any) -> Any:
        loss, grads = op.mlp_loss_and_grads(params, x, labels, l2=1e-3)
        return loss, op.sgd_step(params, grads, 0.1)

    @op.kernel(donate=("params", "state"))
    def adam(params: Any, state: Any, x: Any, labels: Any) -> Any:
        loss, grads = op.mlp_loss_and_grads(params, x, labels, l2=1e-3)
        return loss, *op.adam_step(params, grads, state)

    for rows, *widths in networks:
        # Two products for each layer, and a third for all except the first.
        operations = 2 * rows * sum(a * b * (3 if i else 2) for i, (a, b) in enumerate(pairwise(widths)))
        name = f"{rows}-{'-'.join(map(str, widths))} {dtype}{label}"
        times.measure(f"step {name}", _sgd_call(sgd, xp, rows, widths, dtype), operations=operations)
        times.measure(f"Adam step {name}", _adam_call(adam, xp, rows, widths, dtype), operations=operations)


def _network(xp: Any, rows: int, widths: Sequence[int], dtype: str) -> Any:
    """Parameters, x and labels."""
    random, kind = np.random.default_rng(0), dtype_of(dtype)
    params = [
        (xp.asarray((random.standard_normal((d, k)) / math.sqrt(d)).astype(kind)), xp.zeros(k, kind))
        for d, k in pairwise(widths)
    ]
    x = xp.asarray(random.standard_normal((rows, widths[0])).astype(kind))
    return params, x, xp.asarray(random.integers(0, widths[-1], rows))


def _sgd_call(step: Callable[..., Any], xp: Any, *network: Any) -> Callable[[], Any]:
    params, x, labels = _network(xp, *network)

    def call() -> Any:
        nonlocal params
        loss, params = step(params, x, labels)
        return loss

    return call


def _adam_call(step: Callable[..., Any], xp: Any, *network: Any) -> Callable[[], Any]:
    params, x, labels = _network(xp, *network)
    state = op.adam_init(params)

    def call() -> Any:
        nonlocal params, state
        loss, params, state = step(params, state, x, labels)
        return loss

    return call


def heads(times: Times, xp: Any, shapes: Sequence[tuple[int, int, int]], dtype: str, label: str = "") -> None:
    @op.kernel
    def head(x: Any, weight: Any, labels: Any) -> Any:
        loss, grad = op.softmax_cross_entropy_with_grad(op.linear(x, weight), labels)
        return loss, grad @ weight.T, x.T @ grad

    for n, d, k in shapes:
        random, kind = np.random.default_rng(0), dtype_of(dtype)
        x = xp.asarray(random.standard_normal((n, d), dtype=np.float32)).astype(kind)
        weight = (xp.random.default_rng(2).standard_normal((d, k), dtype="float32") / 16).astype(kind)
        labels = xp.asarray(random.integers(0, k, n))
        times.measure(
            f"head {n}x{d}->{k} {dtype}{label}",
            functools.partial(head, x, weight, labels),
            operations=6 * n * d * k,
            calls=3,
        )


def products_in_tf32(cupy: Any) -> None:
    """Set the effect of CUPY_TF32=1 in a process that has already computed products in float32."""
    cupy._core.set_compute_type(np.dtype("float32"), cupy._core._routines_linalg.COMPUTE_TYPE_TF32)


def main() -> None:
    cupy = importlib.import_module("cupy")
    times = Times(Path(os.environ["OUT"], "times.json"), gpu.CupyClock())
    with op.use_backend("cupy"):
        cross_entropies(times, cupy, SHAPES)
        for dtype in DTYPES:
            training_steps(times, cupy, NETWORKS if dtype == "float32" else NETWORKS[1:], dtype)
            heads(times, cupy, HEADS, dtype)
        # The calls below make new kernels, because a recorded graph keeps its precision.
        products_in_tf32(cupy)
        training_steps(times, cupy, NETWORKS[1:], "float32", " TF32")
        heads(times, cupy, HEADS, "float32", " TF32")


if __name__ == "__main__":
    main()
