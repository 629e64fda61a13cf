"""Classifiers: networks with scikit-learn's cross-entropy, or with the multiclass hinge loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, column_or_1d

from .devices import device, host, is_on_gpu, labels_beside
from .networks import Network
from .parameters import one_of

__all__ = ["Classifier", "MLPClassifier"]


def _has_probabilities(classifier: Any) -> bool:
    if classifier.loss == "multiclass_hinge":
        raise AttributeError(
            f"{type(classifier).__name__}: loss 'multiclass_hinge' gives no probabilities. Use "
            "decision_function, or loss 'log_loss'."
        )
    return True


def _has_scores(classifier: Any) -> bool:
    if classifier.loss != "multiclass_hinge":
        raise AttributeError(
            f"{type(classifier).__name__}: decision_function needs loss 'multiclass_hinge'; loss is "
            f"{classifier.loss!r}. Use predict_proba."
        )
    return True


class Classifier(ClassifierMixin, Network):  # type: ignore[misc]
    """A network whose outputs are scores of classes."""

    losses = one_of("log_loss", "multiclass_hinge")
    classes_: Any

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: N803
        """Fit the network.

        X:             (N, D) real
        y:             (N,) classes, or (N, L) of 0 and 1 for L labels
        sample_weight: (N,) real, or None for 1
        returns:       the estimator
        raises:        ValueError for parameters and data that are not as expected; TypeError for sparse data
        """
        return self._fit(X, y, sample_weight, incremental=False)

    @available_if(lambda classifier: classifier._can_partial_fit())  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:  # noqa: N803
        """Train one epoch on these rows.

        X, y, sample_weight: as for `fit`
        classes:             all classes; needed by the first call only
        returns:             the estimator
        """
        if self.class_weight == "balanced":
            raise ValueError(
                f"{self._name}: class_weight is 'balanced'; expected a dict or None for partial_fit, which "
                "does not know all rows."
            )
        y, classes = host(y), host(classes)
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError(
                    f"{self._name}: the first call of partial_fit got classes=None; expected all classes."
                )
            multilabel = type_of_target(y).startswith("multilabel")
            self._learn_classes(y if multilabel else classes)
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(
                f"{self._name}: partial_fit got classes={classes!r}; expected {self.classes_}, those of the "
                "first call."
            )
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Predicted classes (N,), or (N, L) of 0 and 1 for L labels.

        X: (N, D) real
        """
        with device(X):
            return self._predicted(self._outputs_of(X))

    score = Network.score

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """Probabilities of the classes (N, K), in the order of `classes_`; for L labels (N, L).

        X: (N, D) real
        """
        outputs = self._outputs_of(X)
        with device(X):
            return np.concatenate([1 - outputs, outputs], axis=1) if self.n_outputs_ == 1 else outputs

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:  # noqa: N803
        """Logarithms of the probabilities, finite for softmax even where a probability is 0.

        X: (N, D) real
        """
        check_is_fitted(self)
        if self.n_outputs_ > 1 and self.out_activation_ == "softmax":
            return self._outputs_of(X, "log_softmax")
        with np.errstate(divide="ignore"), device(X):
            return np.log(self.predict_proba(X))

    @available_if(_has_scores)  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Any:  # noqa: N803
        """Scores of the classes (N, K); for two classes (N,), the score of the second minus the first's.

        X: (N, D) real
        """
        scores = self._outputs_of(X)
        with device(X):
            return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def _checked(self, x: Any, y: Any, *, first: bool, incremental: bool) -> tuple[Any, Any]:
        x, y = self._validated_with_target(x, y, first=first)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._learn_classes(y)
        else:
            self._check_classes(unique_labels(y))
        return x, y

    def _learn_classes(self, y: Any) -> None:
        self._label_binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._label_binarizer.classes_
        if self.loss == "multiclass_hinge" and self._is_multilabel():
            raise ValueError(
                f"{self._name}: y has several labels a row; expected one class a row for loss "
                "'multiclass_hinge'. Use loss 'log_loss'."
            )

    def _check_classes(self, found: Any) -> None:
        if self.warm_start and set(found) != set(self.classes_):
            raise ValueError(
                f"{self._name}: y has the classes {found}; expected {self.classes_}, those of the previous "
                "fit, because warm_start is True."
            )
        if not set(found) <= set(self.classes_):
            raise ValueError(
                f"{self._name}: y has the classes {found}; expected classes of {self.classes_}, those of the "
                "first call of partial_fit."
            )

    def _is_multilabel(self) -> bool:
        return self._label_binarizer.y_type_.startswith("multilabel")  # type: ignore[no-any-return]

    def _loss_and_output(self) -> tuple[str, str]:
        if self.loss == "multiclass_hinge":
            return "multiclass_hinge", "identity"
        name = "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"
        return name, name

    def _output_count(self, y: Any) -> int:
        is_binary = self._loss_and_output()[0] == "logistic" and not self._is_multilabel()
        return 1 if is_binary else len(self.classes_)

    def _target(self, y: Any, dtype: Any) -> Any:
        if self._loss_and_output()[0] != "logistic":
            return np.searchsorted(self.classes_, y)
        indicators = self._label_binarizer.transform(y).astype(dtype)
        # Binary labels are smoothed towards 1/2.
        return indicators + self.label_smoothing * (0.5 - indicators) if self.label_smoothing else indicators

    def _weight(self, y: Any, sample_weight: Any, dtype: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        weight = compute_sample_weight(self.class_weight, y).astype(dtype)
        return weight if sample_weight is None else weight * sample_weight

    def _strata(self, y: Any) -> Any:
        return y if self.n_outputs_ == 1 else None

    def _predicted(self, outputs: Any) -> Any:
        if self._loss_and_output()[0] != "logistic":
            found = np.argmax(outputs, axis=1)
            classes = labels_beside(outputs, self.classes_)
            return classes[found if is_on_gpu(classes) else host(found)]
        kept = host(outputs if self._is_multilabel() else outputs[:, 0])
        return labels_beside(outputs, self._label_binarizer.inverse_transform(kept))

    def _validation_score(self, y: Any, predicted: Any, weight: Any) -> float:
        return float(accuracy_score(y, predicted, sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.loss == "log_loss"
        return tags


class MLPClassifier(Classifier):
    """`sklearn.neural_network.MLPClassifier` on compiled kernels: the same parameters, losses and weights.

    With the same `random_state`, "sgd" and "adam" give the loss curve of scikit-learn, up to rounding.
    Rounding differences grow during training. In float32 with a large learning rate, curves with
    different numbers of threads may differ by a percent after 50 epochs, as scikit-learn's do if one input
    changes by one ulp.

        clf = MLPClassifier((100,), random_state=0).fit(X, y)
        clf.predict_proba(X)

    What scikit-learn does not have:

    loss:            "log_loss", softmax cross-entropy for three or more classes and binary cross-entropy for
                     two classes and for several labels a row; or "multiclass_hinge", the sum over the other
                     classes of max(0, their score - the score of the class + 1). It has one output for each
                     class, `decision_function` and no probabilities
    class_weight:    None for 1; {class: weight}; or "balanced", number of rows / (number of classes * rows of
                     the class). The weight of a row is multiplied by that of its class
    label_smoothing: in [0, 1], the fraction of the target that "log_loss" spreads evenly over the classes
    dtype:           "float32" or "float64" to compute in; None for that of `X`, and float64 if it has another
    verbose:         "bar" shows a progress bar over the epochs, by tqdm

    What it does not have: sparse data, which is a TypeError. `solver="lbfgs"` is the L-BFGS of SciPy on the
    compiled loss and gradient; its steps may differ from scikit-learn's by more than rounding.

    If `X` is an array of CuPy, the network is trained on its GPU: `coefs_`, `intercepts_`, probabilities,
    scores and predicted numbers are arrays of CuPy. `y` and `sample_weight` may be arrays of either library.
    Losses are floats; `classes_` and predicted strings are arrays of NumPy. A fitted network takes arrays of
    the library that it was fitted with. The setting `array_api_dispatch` of scikit-learn has no effect.

    Each epoch copies the rows of `X` once, in its order; mini-batches are views of it. `max_iter` counts
    epochs. Attributes are those of scikit-learn: `classes_`, `coefs_`, `intercepts_`, `loss_`, `best_loss_`,
    `loss_curve_`, `validation_scores_`, `best_validation_score_`, `t_`, `n_iter_`, `n_layers_`, `n_outputs_`,
    `out_activation_`, `n_features_in_`, `feature_names_in_`.
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int | str = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: str = "log_loss",
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        dtype: Any = None,
    ) -> None:
        self._keep_parameters(locals())
