"""Linear classifiers: softmax regression and the multiclass support vector machine."""

from __future__ import annotations

from typing import Any

from .classifiers import Classifier

__all__ = ["LinearSVMClassifier", "SoftmaxClassifier"]


class LinearClassifier(Classifier):
    """A network without hidden layers."""

    loss: str
    # Parameters of networks that a linear classifier does not have.
    hidden_layer_sizes, activation, label_smoothing = (), "identity", 0.0
    learning_rate, power_t, momentum, nesterovs_momentum = "constant", 0.5, 0.9, True
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8
    shuffle, warm_start, early_stopping, max_fun = True, False, False, 15_000

    @property
    def coef_(self) -> Any:
        """The weights of each output, (K, D)."""
        return self.coefs_[0].T

    @property
    def intercept_(self) -> Any:
        """The biases, (K,)."""
        return self.intercepts_[0]


class SoftmaxClassifier(LinearClassifier):
    """Softmax regression: a linear layer under the cross-entropy, with a penalty on the weights.

    It minimises the mean cross-entropy plus alpha / (2 rows) * sum W^2, as
    `sklearn.linear_model.LogisticRegression` does for C = 1 / alpha. Two classes have one output. As in
    scikit-learn's networks, rows are those of a mini-batch with "adam" and "sgd".

    alpha:              strength of the penalty, >= 0
    solver:             "lbfgs" for all rows at once; "adam" or "sgd" for mini-batches and `partial_fit`
    batch_size, learning_rate_init, n_iter_no_change, random_state: for "adam" and "sgd"
    max_iter, tol:      training ends after `max_iter` iterations, at a gradient below `tol` ("lbfgs") or when
                        the loss of an epoch improves by less than `tol`
    class_weight, dtype, verbose: as for `MLPClassifier`
    attributes:         `coef_` (K, D), `intercept_` (K,), `classes_`, and those of `MLPClassifier`
    """

    loss = "log_loss"

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        solver: str = "lbfgs",
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.01,
        max_iter: int = 1000,
        tol: float = 1e-4,
        n_iter_no_change: float = 10,
        random_state: Any = None,
        class_weight: Any = None,
        dtype: Any = None,
        verbose: bool | int | str = False,
    ) -> None:
        self._keep_parameters(locals())


class LinearSVMClassifier(LinearClassifier):
    """The multiclass support vector machine of Weston and Watkins: a linear layer, `op.multiclass_hinge`.

    It minimises the mean hinge loss plus alpha / (2 rows) * sum W^2. For two classes this is
    `sklearn.svm.SVC(kernel="linear", C=2 / alpha)`. The loss has kinks, so "adam" is the default solver.

    Parameters and attributes are those of `SoftmaxClassifier`. It has `decision_function` instead of
    probabilities.
    """

    loss = "multiclass_hinge"

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        solver: str = "adam",
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.01,
        max_iter: int = 1000,
        tol: float = 1e-4,
        n_iter_no_change: float = 10,
        random_state: Any = None,
        class_weight: Any = None,
        dtype: Any = None,
        verbose: bool | int | str = False,
    ) -> None:
        self._keep_parameters(locals())
