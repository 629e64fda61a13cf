"""Derivatives on arrays of PyTorch and JAX: inside of their own transformations, and stopped gradients."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace

import onepass as op

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]])


def loss(x: Any) -> Any:
    xp = array_namespace(x)
    largest = op.stop_gradient(xp.max(x, axis=1, keepdims=True))
    return xp.sum(xp.log(xp.sum(xp.exp(x - largest), axis=1)) + largest[:, 0])


SOFTMAX = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)


@pytest.mark.needs(name="torch")
def test_tensors() -> None:
    torch = importlib.import_module("torch")
    x = torch.tensor(X)
    value, grad = op.value_and_grad(loss)(x)
    assert isinstance(grad, torch.Tensor)
    np.testing.assert_allclose(float(value), np.log(np.exp(X).sum(axis=1)).sum())
    np.testing.assert_allclose(grad.numpy(), SOFTMAX)
    _, backward = op.vjp(op.softmax, x)
    expected = op.softmax_backward(X, SOFTMAX)
    np.testing.assert_allclose(backward(x)[0].numpy(), expected, atol=1e-15)
    half = op.grad(loss)(x.to(torch.bfloat16))
    assert half.dtype == torch.bfloat16
    np.testing.assert_allclose(half.float().numpy(), SOFTMAX, atol=1e-2)


@pytest.mark.needs(name="torch")
def test_pytorch_differentiates_a_derivative() -> None:
    torch = importlib.import_module("torch")
    x = torch.nn.Parameter(torch.tensor(X))
    gradient = op.grad(loss)(x)
    gradient.pow(2).sum().backward()
    expected = op.grad(lambda x: (op.grad(loss)(x) ** 2).sum())(X)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)
    assert not op.stop_gradient(x).requires_grad
    # The same by PyTorch alone: the stopped maximum is a constant for it too.
    x.grad = None
    loss(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), SOFTMAX)


@pytest.mark.needs(name="torch")
def test_a_function_of_pytorch_is_an_error_that_says_what_to_write() -> None:
    torch = importlib.import_module("torch")
    with pytest.raises(TypeError, match=r"use functions of array_namespace\(x\)"):
        op.grad(lambda x: torch.exp(x).sum())(torch.tensor(X))


@pytest.mark.needs(name="jax")
def test_jax_transforms_a_derivative() -> None:
    jax = importlib.import_module("jax")
    x = jax.numpy.asarray(X, dtype="float32")
    for derivative in (op.grad(loss), jax.jit(op.grad(loss)), jax.grad(loss)):
        got = derivative(x)
        assert got.dtype == np.float32
        np.testing.assert_allclose(np.asarray(got), SOFTMAX, rtol=1e-5)
    twice = jax.grad(lambda x: (op.grad(loss)(x) ** 2).sum())(x)
    expected = op.grad(lambda x: (op.grad(loss)(x) ** 2).sum())(X)
    np.testing.assert_allclose(np.asarray(twice), expected, rtol=1e-4, atol=1e-6)
    each = jax.vmap(op.grad(lambda row: loss(row[None, :])))(x)
    np.testing.assert_allclose(np.asarray(each), SOFTMAX, rtol=1e-5)
    with pytest.raises(TypeError, match=r"use functions of array_namespace\(x\)"):
        op.grad(lambda x: jax.numpy.exp(x).sum())(x)
