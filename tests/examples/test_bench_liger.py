"""The peer on Liger's kernels, with functions of PyTorch that write where Liger's write."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bench_stand_ins import HEAD, LOSS, STEP

from bench import peers
from bench.workloads import make_data

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from bench import gpu_torch  # noqa: E402
from bench.peers import torch_eager  # noqa: E402


class GradientOverLogits(torch.autograd.Function):
    """The cross-entropy of Liger: its forward leaves the gradient where the logits were."""

    @staticmethod
    def forward(ctx: Any, logits: Any, labels: Any) -> Any:
        loss = torch.nn.functional.cross_entropy(logits, labels)
        grad = torch.softmax(logits, 1)
        grad[torch.arange(len(labels)), labels] -= 1
        logits.copy_(grad / len(labels))
        ctx.save_for_backward(logits.detach())
        return loss

    @staticmethod
    def backward(ctx: Any, grad_loss: Any) -> Any:
        return ctx.saved_tensors[0], None


def fused_linear_cross_entropy(x: Any, weight: Any, labels: Any) -> Any:
    return torch.nn.functional.cross_entropy(torch.nn.functional.linear(x, weight), labels)


@pytest.fixture
def liger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    functional = types.ModuleType("liger_kernel.transformers.functional")
    functional.__dict__["liger_cross_entropy"] = GradientOverLogits.apply
    functional.__dict__["liger_fused_linear_cross_entropy"] = fused_linear_cross_entropy
    for name in ("liger_kernel", "liger_kernel.transformers"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, functional.__name__, functional)
    monkeypatch.setattr(gpu_torch, "DEVICE", "cpu")
    monkeypatch.delitem(sys.modules, "bench.peers.liger_gpu", raising=False)
    yield peers.load("liger_gpu")
    sys.modules.pop("bench.peers.liger_gpu", None)


def assert_like_pytorch(results: Any, workload: Any, loss_of: Any) -> None:
    expected = torch_eager.loss_and_grads(workload, make_data(workload), loss_of)()
    assert len(results) == len(expected)
    for mine, theirs in zip(results, expected, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine.detach().numpy(), theirs.numpy(), rtol=1e-5, atol=1e-7)


def test_logits_are_put_back(liger: Any) -> None:
    call = liger.prepare(LOSS, make_data(LOSS))
    assert_like_pytorch(call(), LOSS, torch_eager.cross_entropy)
    with pytest.raises(AssertionError):  # of the gradient, which is where the logits were
        assert_like_pytorch(call(), LOSS, torch_eager.cross_entropy)
    call.restore()
    assert_like_pytorch(call(), LOSS, torch_eager.cross_entropy)


def test_a_head_has_the_gradient_of_our_weight(liger: Any) -> None:
    call = liger.prepare(HEAD, make_data(HEAD))
    assert_like_pytorch(call(), HEAD, torch_eager.head_loss)


def test_networks_are_left_out(liger: Any) -> None:
    with pytest.raises(peers.OtherWorkError, match="only cross-entropies and heads in float32"):
        liger.prepare(STEP, make_data(STEP))


@pytest.mark.parametrize("triton", [False, True])
def test_a_missing_triton_is_said(triton: bool, liger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu_torch, "has_triton", lambda: triton)
    for name in ("liger_gpu", "torch_compile_gpu", "torch_compile_tf32_gpu"):
        assert ("Triton is not installed" in peers.load(name).missing()) != triton
    assert peers.load("torch_eager_gpu").missing() == ""
