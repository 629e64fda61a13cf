"""The workloads: one table for all peers and floors.

A peer implements the kinds of its table. Data come from one seed, so every process has the same data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy

Kind = Literal["cross-entropy", "training step", "linear head", "user loss"]

TIMES = "\N{MULTIPLICATION SIGN}"

LEARNING_RATES = {"sgd": 0.1, "adam": 1e-3}

# Constants of the user-written losses.
L2 = 1e-3  # of the MLPs with ReLU
FOCUS = 2  # the exponent of the focal loss
TEMPERATURE = 0.1  # of InfoNCE
LAYER_NORM_EPS = 1e-5

# The user-written losses whose gradient of x is a result.
LOSSES_WITH_GRAD_X = ("layer norm and head", "focal loss", "InfoNCE", "head")

# The largest difference from the baseline, relative to the largest value of each result. For training, the
# change of the parameters after two steps is compared. Rounding is large relative to this change.
TOLERANCES = {"float32": 2e-3, "float64": 1e-9}
# Adam divides by the size of the gradient, so the rounding error of a gradient near 0 becomes a whole step.
ADAM_TOLERANCE = 2e-2


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    kind:       "cross-entropy": the mean loss of logits (N, K), and its gradient
                "training step": loss, gradients and update of a network; each call starts from the last
                "linear head":   the loss of x (N, D) @ weight (D, K), and the gradients of x and weight
                "user loss":     a loss that a user has written, and the gradients that the library derives;
                                 `title` is the name of the loss, see `arguments_of`
    shape:      number of rows, then the width of every layer: (N, K) or (N, D, ..., K); the decoder of the
                VAE mirrors the encoder and is not listed
    batches:    number of steps of an epoch, each on the next N rows of a larger data set; 1 for a single step
    """

    title: str
    kind: Kind
    shape: tuple[int, ...]
    dtype: str = "float32"
    activation: Literal["relu", "sigmoid"] = "relu"
    loss: Literal["softmax_cross_entropy", "multiclass_hinge", "mean_squared_error"] = "softmax_cross_entropy"
    optimizer: Literal["sgd", "adam"] = "sgd"
    l2: float = 0.0
    batches: int = 1

    @property
    def name(self) -> str:
        rows, *widths = self.shape
        layers = f"{rows}{TIMES}" + "→".join(map(str, widths))
        epoch = f", {self.batches} batches" if self.batches > 1 else ""
        return f"{self.title} {layers}{epoch}" + ("" if self.dtype == "float32" else f" {self.dtype}")

    @property
    def rows(self) -> int:
        return self.shape[0]

    @property
    def classes(self) -> int:
        return self.shape[-1]

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(rows, columns) of every weight."""
        if self.kind == "cross-entropy" or self.title == "focal loss":
            return []
        layers = list(pairwise(self.shape[1:]))
        if self.title == "VAE":  # one head for the mean, one for the logarithm of the variance
            return [*layers, layers[-1], *((k, d) for d, k in reversed(layers))]
        return layers

    @property
    def has_grad_x(self) -> bool:
        """Whether the gradient of x is a result."""
        if self.kind == "user loss":
            return self.title in LOSSES_WITH_GRAD_X
        return self.kind != "training step"

    @property
    def tolerance(self) -> float:
        return ADAM_TOLERANCE if self.optimizer == "adam" else TOLERANCES[self.dtype]

    @property
    def logits_bytes(self) -> int:
        """Bytes of the (N, K) logits. A peer may hold several copies."""
        return self.rows * self.classes * numpy.dtype(self.dtype).itemsize

    @property
    def least_bytes(self) -> int:
        """Bytes that must be moved: arguments read once, results written once."""
        item = numpy.dtype(self.dtype).itemsize
        x = self.batches * self.rows * self.shape[1] * item
        weights = sum(rows * columns for rows, columns in self.layers) * item
        # Gradients are results. A training step reads and writes its parameters and its state.
        copies_of_weights = 6 if self.optimizer == "adam" else 2
        if self.has_grad_x:
            return 2 * (x + weights)
        return x + copies_of_weights * weights * self.batches

    @property
    def operations(self) -> int:
        """Floating-point operations: 2 for each term of a matrix product, 5 for each logit of a loss.

        The five are maximum, subtraction, exponential, sum and division.
        """
        if not self.layers:
            return 5 * self.rows * self.classes
        return self.batches * sum(2 * self.rows * d * k for _, d, k in self.products)

    @property
    def products(self) -> list[tuple[Literal["forward", "weight", "input"], int, int]]:
        """The matrix products of one step: which of the three of a layer, and D and K of the layer."""
        found: list[tuple[Literal["forward", "weight", "input"], int, int]] = []
        for layer, (d, k) in enumerate(self.layers):
            found += [("forward", d, k), ("weight", d, k)]
            if layer > 0 or self.has_grad_x:
                found.append(("input", d, k))
        return found

    def smoke(self) -> Workload:
        """The same workload at a small size, to check results."""
        # All sizes differ, so that mixed-up axes are detected.
        small = tuple(min(size, 24 + 2 * i) for i, size in enumerate(self.shape))
        return replace(self, shape=small, batches=min(self.batches, 3))


class Data(NamedTuple):
    """The arguments of a workload: NumPy arrays, which a peer may overwrite."""

    x: Any  # (N * batches, D); for a cross-entropy the logits (N, K)
    labels: Any  # (N * batches,) int64; (N * batches, 1) real targets of a regression; (N, Z) noise of a VAE
    params: list[tuple[Any, Any]]  # (weight (D, K), bias (K,)) of each layer; a head has no bias

    def batches(self, rows: int) -> list[tuple[Any, Any]]:
        """(x, labels) of every `rows` rows, without a copy."""
        starts = range(0, self.x.shape[0], rows)
        return [(self.x[i : i + rows], self.labels[i : i + rows]) for i in starts]


def make_data(workload: Workload) -> Data:
    """Create the data. Every process gets the same numbers."""
    random = numpy.random.default_rng(20260101)
    rows = workload.rows * workload.batches

    def normal(*shape: int) -> Any:
        return random.standard_normal(shape, dtype=numpy.dtype(workload.dtype).type)

    x = normal(rows, workload.shape[1])
    # Scaled so that activations have the same size in every layer.
    params = [(normal(d, k) * math.sqrt(1.5 / d), numpy.zeros(k, workload.dtype)) for d, k in workload.layers]
    for weight, _ in params:
        assert weight.dtype == x.dtype
    if workload.loss == "mean_squared_error":
        return Data(x, x @ normal(workload.shape[1], 1) + normal(rows, 1), params)
    if workload.title == "VAE":
        return Data(1 / (1 + numpy.exp(-x)), normal(rows, workload.classes), params)
    if workload.title == "layer norm and head":
        scale, shift = 0.1 * normal(2, workload.shape[1])
        params.insert(0, (1 + scale, shift))
    return Data(x, random.integers(0, workload.classes, rows), params)


def arguments_of(workload: Workload, data: Data) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """The arguments of a user-written loss, and the positions of those to differentiate with respect to.

    focal loss           (logits (N, K), labels); logits
    InfoNCE              (anchors (N, D), others (K, D)), where others[i] belongs to anchors[i]; both
    head                 (x (N, D), weight (D, K), labels); x and weight
    layer norm and head  (params, x, labels), where params[0] is (scale (D,), shift (D,)); all but labels
    VAE                  (params, x in (0, 1), noise (N, Z)), where params has two layers of Z units; params
    MLP, GELU MLP        (params, x, labels); params
    """
    if workload.title == "focal loss":
        return (data.x, data.labels), (0,)
    if workload.title == "InfoNCE":
        return (data.x, data.params[0][0].T.copy()), (0, 1)
    if workload.title == "head":
        return (data.x, data.params[0][0], data.labels), (0, 1)
    return (data.params, data.x, data.labels), (0, 1) if workload.has_grad_x else (0,)


def _cross_entropy(*shape: int) -> Workload:
    return Workload("cross-entropy", "cross-entropy", shape)


def _relu_step(*shape: int, dtype: str = "float32") -> Workload:
    return Workload("ReLU step", "training step", shape, dtype, l2=1e-3)


def _head(*shape: int) -> Workload:
    return Workload("linear head", "linear head", shape)


def _user_loss(title: str, *shape: int) -> Workload:
    return Workload(title, "user loss", shape)


WORKLOADS = [
    _cross_entropy(300, 3),
    _cross_entropy(1024, 10),
    _cross_entropy(128, 1000),
    _cross_entropy(4096, 1000),
    _cross_entropy(4096, 8192),
    _cross_entropy(256, 131072),
    _relu_step(300, 2, 100, 3),
    _relu_step(300, 2, 100, 3, dtype="float64"),
    _relu_step(128, 784, 100, 10),
    _relu_step(1024, 784, 1024, 10),
    _relu_step(1024, 784, 1024, 10, dtype="float64"),
    _relu_step(4096, 256, 256, 256, 256, 10),
    Workload(
        "sigmoid + Adam step", "training step", (100, 784, 100, 10), activation="sigmoid", optimizer="adam"
    ),
    # 390 batches of 256 rows: 100,000 rows without the last 160, as a loader with drop_last=True gives them.
    Workload(
        "linear regression epoch", "training step", (256, 100, 1), loss="mean_squared_error", batches=390
    ),
    Workload("SVM step", "training step", (4096, 3072, 10), loss="multiclass_hinge", l2=1e-3),
    _head(4096, 512, 2048),
    _head(4096, 512, 8192),
    _head(4096, 512, 32768),
    _head(8192, 256, 131072),
    _user_loss("MLP", 300, 2, 100, 3),
    _user_loss("MLP", 128, 784, 100, 10),
    _user_loss("MLP", 1024, 784, 1024, 10),
    _user_loss("GELU MLP", 1024, 256, 512, 10),
    _user_loss("layer norm and head", 4096, 512, 10),
    _user_loss("focal loss", 4096, 1000),
    _user_loss("InfoNCE", 1024, 128, 1024),
    _user_loss("VAE", 1024, 784, 400, 20),
    _user_loss("head", 4096, 512, 32768),
]
