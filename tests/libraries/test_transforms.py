"""The library's functions inside transformations of JAX and PyTorch, traced and concrete arrays mixed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import onepass as op

N, D, K = 6, 4, 3
RANDOM = np.random.default_rng(3)
X = RANDOM.standard_normal((N, D)).astype(np.float32)
LOGITS = RANDOM.standard_normal((N, K)).astype(np.float32)
PROBS = (1 / (1 + np.exp(-LOGITS))).astype(np.float32)
LABELS = np.arange(N) % K
WEIGHT = RANDOM.standard_normal((D, K)).astype(np.float32)
BIAS = RANDOM.standard_normal(K).astype(np.float32)
CLASS_WEIGHT = np.array([1.0, 2.0, 0.5], np.float32)
TOLERANCE = {"rtol": 2e-4, "atol": 2e-5}


class Case(NamedTuple):
    """A scalar function of one array, which is traced, and of others, which are not."""

    name: str
    function: Callable[..., Any]  # of the array, then of what `others` are in the library
    at: Any
    others: tuple[Any, ...] = ()


def label_loss(name: str, **options: Any) -> Callable[..., Any]:
    return lambda scores, labels, *weight: getattr(op, name)(
        scores, labels, **options, **({"class_weight": weight[0]} if weight else {})
    )


def stepped(name: str, init: Any) -> Callable[..., Any]:
    """The sum of the squares of the parameters after two steps, of the gradients that the steps take."""

    def function(grads: Any, params: Any) -> Any:
        state = init(params)
        for _ in range(2):
            params, state = getattr(op, name)(params, grads, state, 0.1)
        return (params * params).sum()

    return function


CASES = [
    Case("softmax_cross_entropy", label_loss("softmax_cross_entropy"), LOGITS, (LABELS,)),
    Case(
        "softmax_cross_entropy of a product",
        lambda w, x, y: op.softmax_cross_entropy(x @ w, y),
        WEIGHT,
        (X, LABELS),
    ),
    Case(
        "softmax_cross_entropy with class weights and ignored labels",
        label_loss("softmax_cross_entropy", ignore_index=1, reduction="sum"),
        LOGITS,
        (LABELS, CLASS_WEIGHT),
    ),
    Case(
        "softmax_cross_entropy, smoothed",
        label_loss("softmax_cross_entropy", label_smoothing=0.1),
        LOGITS,
        (LABELS,),
    ),
    Case("soft labels", lambda labels, logits: op.softmax_cross_entropy(logits, labels), PROBS, (LOGITS,)),
    Case("nll_loss", lambda x, y: op.nll_loss(op.log_softmax(x), y), LOGITS, (LABELS,)),
    Case("multiclass_hinge", label_loss("multiclass_hinge"), LOGITS, (LABELS,)),
    Case("class weights", lambda w, x, y: op.nll_loss(x, y, class_weight=w), CLASS_WEIGHT, (LOGITS, LABELS)),
    Case("binary_cross_entropy_with_logits", op.binary_cross_entropy_with_logits, LOGITS, (PROBS,)),
    Case("binary_cross_entropy", op.binary_cross_entropy, PROBS, (PROBS[::-1].copy(),)),
    Case("mean_squared_error", op.mean_squared_error, LOGITS, (PROBS,)),
    Case(
        "half_squared_error of traced targets",
        lambda targets, predictions: op.half_squared_error(predictions, targets),
        PROBS,
        (LOGITS,),
    ),
    Case("linear", lambda w, x, b: (op.linear(x, w, b) ** 2).sum(), WEIGHT, (X, BIAS)),
    Case("a traced bias", lambda b, x, w: (op.linear(x, w, b) ** 2).sum(), BIAS, (X, WEIGHT)),
    Case("softmax", lambda x, y: (op.softmax(x) * y).sum(), LOGITS, (PROBS,)),
    Case("tanh_backward", lambda out, g: op.tanh_backward(g, out).sum(), PROBS, (LOGITS,)),
    Case("l2_penalty", lambda w: op.l2_penalty(w, 0.3), WEIGHT),
    Case("the strength of l2_penalty", lambda s, w: op.l2_penalty(w, s), np.float32(0.3), (WEIGHT,)),
    Case(
        "mlp_loss_and_grads",
        lambda w, x, y, b: op.mlp_loss_and_grads([(w, b)], x, y, l2=0.1)[0],
        WEIGHT,
        (X, LABELS, BIAS),
    ),
    Case(
        "mlp_forward of two layers",
        lambda w, x, v: (op.mlp_forward([(v, None), (w, None)], x, activation="tanh") ** 2).sum(),
        WEIGHT,
        (X, RANDOM.standard_normal((D, D)).astype(np.float32)),
    ),
    Case(
        "softmax_classifier_loss_and_grads of traced rows",
        lambda x, w, y: op.softmax_classifier_loss_and_grads([(w, None)], x, y)[0],
        X,
        (WEIGHT, LABELS),
    ),
    Case("sgd_step", lambda g, p: (op.sgd_step(p, g, 0.1, 0.2) ** 2).sum(), BIAS, (CLASS_WEIGHT,)),
    Case("a learning rate", lambda lr, p: (op.sgd_step(p, p, lr) ** 2).sum(), np.float32(0.3), (BIAS,)),
    Case("momentum_step", stepped("momentum_step", op.momentum_init), BIAS, (CLASS_WEIGHT,)),
    Case("adam_step", stepped("adam_step", op.adam_init), BIAS, (CLASS_WEIGHT,)),
    Case("adamw_step", stepped("adamw_step", op.adam_init), BIAS, (CLASS_WEIGHT,)),
    Case("rmsprop_step", stepped("rmsprop_step", op.rmsprop_init), BIAS, (CLASS_WEIGHT,)),
]
IDS = [case.name for case in CASES]


def value(case: Case, at: Any) -> float:
    """The function in float64 with NumPy."""
    others = [o.astype(np.float64) if o.dtype.kind == "f" else o for o in case.others]
    with op.use_backend("numpy"):
        return float(case.function(np.asarray(at, np.float64), *others))


def differences(case: Case) -> Any:
    """Central differences of the function."""
    at = np.asarray(case.at, np.float64)
    gradient = np.empty(at.shape)
    for index in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[index] = 1e-6
        gradient[index] = (value(case, at + step) - value(case, at - step)) / 2e-6
    return gradient


@pytest.fixture
def jax() -> Any:
    return importlib.import_module("jax")


@pytest.fixture
def torch() -> Any:
    return importlib.import_module("torch")


@pytest.mark.needs(name="jax")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_jax_grad(jax: Any, case: Case) -> None:
    others = [jax.numpy.asarray(other) for other in case.others]
    at = jax.numpy.asarray(case.at)
    expected = differences(case)
    np.testing.assert_allclose(jax.grad(case.function)(at, *others), expected, **TOLERANCE)
    alone = jax.jit(jax.grad(lambda at: case.function(at, *others)))
    np.testing.assert_allclose(alone(at), expected, **TOLERANCE)


def batched(at: Any) -> Any:
    return np.stack([at, at * np.float32(0.5), at * np.float32(0.25)])


# A third of them: what JAX compiles for one takes seconds.
@pytest.mark.needs(name="jax")
@pytest.mark.parametrize("case", CASES[::3], ids=IDS[::3])
def test_jax_vmap(jax: Any, case: Case) -> None:
    others = [jax.numpy.asarray(other) for other in case.others]
    several = batched(case.at)
    got = jax.vmap(lambda at: case.function(at, *others))(jax.numpy.asarray(several))
    np.testing.assert_allclose(got, [value(case, at) for at in several], **TOLERANCE)
    got = jax.vmap(jax.grad(lambda at: case.function(at, *others)))(jax.numpy.asarray(several))
    np.testing.assert_allclose(got[0], differences(case), **TOLERANCE)


@pytest.mark.needs(name="torch")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_torch_grad(torch: Any, case: Case) -> None:
    others = [torch.asarray(other) for other in case.others]
    at = torch.asarray(case.at)
    expected = differences(case)
    np.testing.assert_allclose(torch.func.grad(case.function)(at, *others), expected, **TOLERANCE)
    # Without the transformation, by PyTorch's own tape.
    at = at.clone().requires_grad_()
    case.function(at, *others).backward()
    np.testing.assert_allclose(at.grad, expected, **TOLERANCE)


@pytest.mark.needs(name="torch")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_torch_vmap(torch: Any, case: Case) -> None:
    others = [torch.asarray(other) for other in case.others]
    several = batched(case.at)
    got = torch.func.vmap(lambda at: case.function(at, *others))(torch.asarray(several))
    np.testing.assert_allclose(got, [value(case, at) for at in several], **TOLERANCE)
    got = torch.func.vmap(torch.func.grad(lambda at: case.function(at, *others)))(torch.asarray(several))
    np.testing.assert_allclose(got[0], differences(case), **TOLERANCE)


@pytest.mark.needs(name="jax")
@pytest.mark.needs(name="torch")
def test_labels_that_are_mapped_over(jax: Any, torch: Any) -> None:
    expected = op.softmax_cross_entropy(LOGITS, LABELS, reduction="none")

    def one_row(row: Any, label: Any) -> Any:
        return op.softmax_cross_entropy(row[None], label[None])

    got = jax.vmap(one_row)(jax.numpy.asarray(LOGITS), jax.numpy.asarray(LABELS))
    np.testing.assert_allclose(got, expected, **TOLERANCE)
    got = torch.func.vmap(one_row)(torch.asarray(LOGITS), torch.asarray(LABELS))
    np.testing.assert_allclose(got, expected, **TOLERANCE)


@pytest.mark.needs(name="torch")
def test_wrong_labels_beside_a_traced_array_are_an_error(torch: Any) -> None:
    labels = torch.asarray(LABELS + 1)
    with pytest.raises(ValueError, match=r"labels\[2\] is 3"):
        torch.func.grad(lambda w: op.softmax_cross_entropy(w, labels))(torch.asarray(LOGITS))
