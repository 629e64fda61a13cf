"""One case for each kernel of the library: its arguments, and its number of operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy

import onepass as op

# (N, K) of the arguments, and D, the columns of x for kernels with a weight.
SIZES = [(300, 3), (1024, 10), (4096, 1000)]
FEATURES = 64


@dataclass(frozen=True)
class Inputs:
    """Arguments for all kernels, created on first use. Optimisers update an (N, K) array."""

    rows: int
    columns: int
    dtype: str
    to_backend: Callable[[Any], Any]

    def _normal(self, *shape: int, seed: int = 0) -> Any:
        return self.to_backend(numpy.random.default_rng(seed).standard_normal(shape).astype(self.dtype))

    def _uniform(self, seed: int) -> Any:
        values = numpy.random.default_rng(seed).uniform(0.01, 0.99, (self.rows, self.columns))
        return self.to_backend(values.astype(self.dtype))

    @cached_property
    def z(self) -> Any:
        return self._normal(self.rows, self.columns)

    @cached_property
    def grad(self) -> Any:
        return self._normal(self.rows, self.columns, seed=1)

    @cached_property
    def p(self) -> Any:
        return self._uniform(2)

    @cached_property
    def targets(self) -> Any:
        return self._uniform(3)

    @cached_property
    def labels(self) -> Any:
        return self.to_backend(numpy.random.default_rng(4).integers(0, self.columns, self.rows))

    @cached_property
    def log_probs(self) -> Any:
        return op.log_softmax(self.z)

    @cached_property
    def x(self) -> Any:
        return self._normal(self.rows, FEATURES, seed=5)

    @cached_property
    def layer(self) -> Any:
        return self._normal(FEATURES, self.columns, seed=6), self._normal(self.columns, seed=7)

    @cached_property
    def network(self) -> Any:
        hidden = self._normal(FEATURES, FEATURES, seed=8) * 0.1, self._normal(FEATURES, seed=9)
        return [hidden, self.layer]


class Case(NamedTuple):
    """Arguments of a kernel, and its floating-point operations for each element of (N, K).

    Each sum, difference, product, quotient, root, maximum, comparison, exponential and logarithm in the
    formula of the docstring counts as one operation. Matrix products are not included.
    """

    args: Callable[[Inputs], tuple[Any, ...]]
    operations: int
    layers: int = 0  # number of layers, each with one product, and its gradients if `backward`
    backward: bool = False


def _unary(operations: int) -> Case:
    return Case(lambda i: (i.z,), operations)


def _elementwise(argument: str, forward: int, both: int, name: str) -> dict[str, Case]:
    """An elementwise loss, its `_with_grad` and its `_backward`."""
    return {
        name: Case(lambda i: (getattr(i, argument), i.targets), forward),
        f"{name}_with_grad": Case(lambda i: (getattr(i, argument), i.targets), both),
        f"{name}_backward": Case(lambda i: (1.0, getattr(i, argument), i.targets), both - forward + 2),
    }


def _of_labels(argument: str, forward: int, both: int, name: str) -> dict[str, Case]:
    """The same for a label loss. Its backward function scales the gradient of `_with_grad`."""
    return {
        name: Case(lambda i: (getattr(i, argument), i.labels), forward),
        f"{name}_with_grad": Case(lambda i: (getattr(i, argument), i.labels), both),
        f"{name}_backward": Case(lambda i: (1.0, getattr(i, argument), i.labels), both + 1),
    }


def _optimizer(name: str, init: Callable[[Any], Any], operations: int) -> Case:
    if name == "rprop_step":
        return Case(lambda i: (i.z, i.grad, init(i.z)), operations)
    return Case(lambda i: (i.z, i.grad, init(i.z), 1e-3), operations)


CASES: dict[str, Case] = {
    "relu": _unary(1),
    "relu_backward": Case(lambda i: (i.grad, i.p), 2),
    "sigmoid": _unary(5),
    "sigmoid_backward": Case(lambda i: (i.grad, i.p), 3),
    "tanh": _unary(1),
    "tanh_backward": Case(lambda i: (i.grad, i.p), 4),
    "softmax": _unary(5),
    "softmax_backward": Case(lambda i: (i.grad, i.p), 4),
    "log_softmax": _unary(5),
    "log_softmax_backward": Case(lambda i: (i.grad, i.log_probs), 4),
    **_elementwise("z", 12, 20, "binary_cross_entropy_with_logits"),
    **_elementwise("p", 9, 15, "binary_cross_entropy"),
    **_elementwise("z", 3, 5, "mean_squared_error"),
    **_elementwise("z", 3, 4, "half_squared_error"),
    **_of_labels("log_probs", 0, 1, "nll_loss"),
    **_of_labels("z", 4, 6, "softmax_cross_entropy"),
    **_of_labels("z", 4, 6, "multiclass_hinge"),
    "linear": Case(lambda i: (i.x, *i.layer), 1, layers=1),
    "linear_backward": Case(lambda i: (i.grad, i.x, i.layer[0]), 1, layers=1, backward=True),
    "mlp_forward": Case(lambda i: (i.network, i.x), 1, layers=2),
    "mlp_loss_and_grads": Case(lambda i: (i.network, i.x, i.labels), 8, layers=2, backward=True),
    "softmax_classifier_loss_and_grads": Case(
        lambda i: ([i.layer], i.x, i.labels), 8, layers=1, backward=True
    ),
    "sgd_step": Case(lambda i: (i.z, i.grad, 1e-3), 2),
    "momentum_init": _unary(0),
    "momentum_step": _optimizer("momentum_step", op.momentum_init, 4),
    "adam_init": _unary(0),
    "adam_step": _optimizer("adam_step", op.adam_init, 13),
    "adamw_step": _optimizer("adamw_step", op.adam_init, 14),
    "rmsprop_init": _unary(0),
    "rmsprop_step": _optimizer("rmsprop_step", op.rmsprop_init, 9),
    "adagrad_init": _unary(0),
    "adagrad_step": _optimizer("adagrad_step", op.adagrad_init, 7),
    "adadelta_init": _unary(0),
    "adadelta_step": _optimizer("adadelta_step", op.adadelta_init, 16),
    "rprop_init": _unary(1),
    "rprop_step": _optimizer("rprop_step", op.rprop_init, 11),
    "l2_penalty": Case(lambda i: (i.z, 1e-3), 2),
    "l2_penalty_backward": Case(lambda i: (1.0, i.z, 1e-3), 1),
    "l1_penalty": Case(lambda i: (i.z, 1e-3), 2),
    "l1_penalty_backward": Case(lambda i: (1.0, i.z, 1e-3), 2),
}
