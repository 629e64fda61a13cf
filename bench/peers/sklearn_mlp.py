"""scikit-learn's MLPClassifier: one partial_fit of the whole batch, if this is the same step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import sklearn
from sklearn.neural_network import MLPClassifier

from ..workloads import LEARNING_RATES, Data, Workload
from . import OtherWorkError

TITLE = "scikit-learn"
COPIES_OF_LOGITS = 4.0


def missing() -> str:
    return ""


def version() -> str:
    return str(sklearn.__version__)


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    if workload.kind != "training step":
        raise OtherWorkError("MLPClassifier trains networks; it has no separate loss or head")
    if workload.loss != "softmax_cross_entropy":
        raise OtherWorkError(f"MLPClassifier has no {workload.loss}")
    if workload.optimizer != "sgd":
        # Its Adam adds epsilon before the bias correction, so steps of small gradients differ.
        raise OtherWorkError("its Adam adds epsilon at another place, so the steps differ")
    network = MLPClassifier(
        hidden_layer_sizes=workload.shape[2:-1],
        activation="relu",
        solver="sgd",
        # It divides the penalty by the number of rows.
        alpha=workload.l2 * workload.rows,
        batch_size=workload.rows,
        learning_rate_init=LEARNING_RATES["sgd"],
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=False,
    )
    network.partial_fit(data.x, data.labels, classes=numpy.arange(workload.classes))
    # In place, because its optimizer keeps references to these arrays. Without momentum it has no other
    # state.
    for (weight, bias), coefs, intercepts in zip(
        data.params, network.coefs_, network.intercepts_, strict=True
    ):
        coefs[...] = weight
        intercepts[...] = bias

    def call() -> Any:
        network.partial_fit(data.x, data.labels)
        return network.loss_, list(zip(network.coefs_, network.intercepts_, strict=True))

    return call
