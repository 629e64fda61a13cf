"""Device times of PyTorch, eager and compiled, and of Liger, for the workloads of `times.py`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from .. import gpu_torch
from .timing import Times

SHAPES = ((4096, 8192), (256, 131072))
PRODUCTS = ((8192, 256, 131072),)
# Fewer calls than for onepass: some of these take milliseconds.
CALLS = 20


def both(loss_of: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A function of logits and labels that returns the loss and its gradient."""

    def call(logits: Any, labels: Any) -> Any:
        loss = loss_of(logits, labels)
        return loss, torch.autograd.grad(loss, logits)

    return call


def compiled(loss_of: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Compile for the sizes of the first call only. Earlier compilations are discarded."""
    torch._dynamo.reset()
    made: Callable[[Any, Any], Any] = torch.compile(loss_of, dynamic=False)
    return made


def losses() -> dict[str, Callable[[Any, Any], Any]]:
    """Cross-entropy functions by name. Missing ones are reported and left out."""
    found: dict[str, Callable[[Any, Any], Any]] = {"torch eager": functional.cross_entropy}
    try:
        from liger_kernel.transformers.functional import liger_cross_entropy
    except Exception as error:  # Triton may be missing or find no driver; the exceptions vary
        print(f"no Liger: {type(error).__name__}: {str(error)[:200]}")
    else:
        # It overwrites the logits with the gradient, so only its time is valid.
        found["Liger"] = liger_cross_entropy
    if gpu_torch.has_triton():
        found["torch.compile"] = compiled(functional.cross_entropy)
    else:
        print("no torch.compile: Triton is not installed")
    return found


def cross_entropies(times: Times, shapes: Sequence[tuple[int, int]]) -> None:
    for n, k in shapes:
        for dtype in (torch.float32, torch.bfloat16):
            logits = torch.randn(n, k, device=gpu_torch.DEVICE).to(dtype).requires_grad_()
            labels = torch.randint(0, k, (n,), device=gpu_torch.DEVICE)
            for name, loss_of in losses().items():
                times.measure(
                    f"{name} cross-entropy {n}x{k} {str(dtype)[6:]}",
                    functools.partial(both(loss_of), logits, labels),
                    least_bytes=2 * logits.nbytes,
                    calls=CALLS,
                )


def products(times: Times, shapes: Sequence[tuple[int, int, int]]) -> None:
    for n, d, k in shapes:
        x, weight = torch.randn(n, d, device=gpu_torch.DEVICE), torch.randn(d, k, device=gpu_torch.DEVICE)
        out = torch.empty(n, k, device=gpu_torch.DEVICE)
        precisions: dict[str, gpu_torch.Precision] = {"float32": "highest", "float32 TF32": "high"}
        for name, precision in precisions.items():
            gpu_torch.multiply_in(precision)
            times.measure(
                f"torch product {n}x{d}->{k} {name}",
                functools.partial(torch.mm, x, weight, out=out),
                operations=2 * n * d * k,
                calls=3,
            )


def main() -> None:
    times = Times(Path(os.environ["OUT"], "times.json"), gpu_torch.TorchClock())
    cross_entropies(times, SHAPES)
    products(times, PRODUCTS)


if __name__ == "__main__":
    main()
