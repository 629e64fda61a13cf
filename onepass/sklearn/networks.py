"""What the classifiers and regressors share: validation, initial weights, training, outputs."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from ..kernels.networks import Activation
from . import steps
from .devices import beside, device, host, is_on_gpu, require_dense, validated
from .parameters import Rule, check_parameters, hidden_sizes
from .steps import Data, Objective, Params
from .training import OPTIMIZERS, Run, copied, shuffled_rows, train_lbfgs

__all__ = ["Network", "Validation"]

# scikit-learn's name of an activation -> that of the kernels
ACTIVATIONS: dict[str, Activation] = {
    "identity": "identity",
    "logistic": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
}


class Validation(NamedTuple):
    """Rows that are set aside for early stopping."""

    x: Any  # (N, D), perhaps on a GPU
    y: Any  # as `score` takes it, on the host
    weight: Any  # (N,) or None


class Network(BaseEstimator):  # type: ignore[misc]
    """A multi-layer network: the parts of the estimators that do not depend on the kind of targets."""

    losses: Rule  # those of the estimator
    coefs_: list[Any]
    intercepts_: list[Any]
    n_outputs_: int
    predict: Callable[[Any], Any]
    best_loss_: Any
    best_validation_score_: Any

    def _keep_parameters(self, parameters: dict[str, Any]) -> None:
        """Set the parameters of the constructor, `locals()` there, as attributes."""
        for name, value in parameters.items():
            if name != "self":
                setattr(self, name, value)

    # What a subclass decides

    @abstractmethod
    def _checked(self, x: Any, y: Any, *, first: bool, incremental: bool) -> tuple[Any, Any]:
        """Validated x (N, D), and y as `_target` takes it. Sets what depends on the classes."""

    @abstractmethod
    def _target(self, y: Any, dtype: Any) -> Any:
        """What the loss is computed from: (N,) integer labels, or (N, K) real."""

    @abstractmethod
    def _loss_and_output(self) -> tuple[str, str]:
        """The name of the loss in `steps.LOSSES`, and of the output activation in `steps.OUTPUTS`."""

    @abstractmethod
    def _output_count(self, y: Any) -> int:
        """The number of outputs of the network."""

    @abstractmethod
    def _validation_score(self, y: Any, predicted: Any, weight: Any) -> float:
        """The score that early stopping compares."""

    @abstractmethod
    def _predicted(self, outputs: Any) -> Any:
        """Predictions, from the outputs of the network."""

    def _hidden_sizes(self) -> list[int]:
        return hidden_sizes(self.hidden_layer_sizes)

    def _weight(self, y: Any, sample_weight: Any, dtype: Any) -> Any:
        """The weight of each row, or None for 1."""
        return sample_weight

    # Fitting

    def _fit(self, x: Any, y: Any, sample_weight: Any, *, incremental: bool) -> Any:
        require_dense(self._name, x)
        with device(x):
            return self._fit_on_device(x, host(y), host(sample_weight), incremental)

    def _fit_on_device(self, x: Any, y: Any, sample_weight: Any, incremental: bool) -> Any:
        """Fit on the device of `x`. All else is on the host."""
        self._check_settings(incremental)
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        if not first:
            self._require_library_of_weights(x)
        x, y = self._checked(x, y, first=first, incremental=incremental)
        weight = self._weight(y, self._checked_weight(sample_weight, x), x.dtype)
        self._random_state = check_random_state(self.random_state)
        outputs = self._output_count(y)
        if first:
            self._initialise(x, outputs)
        elif outputs != self.n_outputs_:
            raise ValueError(
                f"{self._name}: y has {outputs} outputs; expected {self.n_outputs_}, as in the previous fit."
            )
        if self.solver == "lbfgs":
            data = self._data(x, y, weight)
            self.loss_, self.n_iter_, params = train_lbfgs(
                self._name, self, self._params, data, self._objective()
            )
            self._keep(params)
        else:
            self._fit_stochastic(x, y, weight, incremental)
        if not all(bool(np.isfinite(array).all()) for array in (*self.coefs_, *self.intercepts_)):
            raise ValueError(
                f"{self._name}: solver {self.solver!r} got weights that are not finite. Scale the data, or "
                "reduce learning_rate_init."
            )
        return self

    def _check_settings(self, incremental: bool) -> None:
        check_parameters(self._name, self.get_params(deep=False), self.losses)
        if incremental and self.early_stopping:
            raise ValueError(
                f"{self._name}: early_stopping is True; expected False for partial_fit, which runs one epoch."
            )

    def _checked_weight(self, sample_weight: Any, x: Any) -> Any:
        if sample_weight is None:
            return None
        if isinstance(sample_weight, Real):
            sample_weight = np.full(len(x), sample_weight, dtype=x.dtype)
        weight = check_array(sample_weight, ensure_2d=False, dtype=x.dtype, input_name="sample_weight")
        if weight.shape != (len(x),):
            raise ValueError(
                f"{self._name}: sample_weight has shape {weight.shape}; expected ({len(x)},), the rows of X."
            )
        if not weight.any():
            raise ValueError(f"{self._name}: sample_weight is zero for all rows; expected a row that counts.")
        return weight

    def _data(self, x: Any, y: Any, weight: Any) -> Data:
        """What the kernels compute the objective from, on the device of `x`."""
        return Data(x, beside(x, self._target(y, x.dtype)), beside(x, weight))

    def _initialise(self, x: Any, outputs: int) -> None:
        """Weights and biases uniform within Glorot's bound, and empty records of the training."""
        sizes = [x.shape[1], *self._hidden_sizes(), outputs]
        self.n_iter_, self.t_ = 0, 0
        self.n_layers_, self.n_outputs_ = len(sizes), outputs
        self.out_activation_ = self._loss_and_output()[1]
        self.coefs_, self.intercepts_ = [], []
        for rows, columns in pairwise(sizes):
            bound = np.sqrt((2.0 if self.activation == "logistic" else 6.0) / (rows + columns))
            for arrays, shape in ((self.coefs_, (rows, columns)), (self.intercepts_, (columns,))):
                drawn = self._random_state.uniform(-bound, bound, shape).astype(x.dtype)
                arrays.append(beside(x, drawn))
        if self.solver == "lbfgs":
            return
        self.loss_curve_: list[float] = []
        self._no_improvement_count = 0
        self.best_loss_ = None if self.early_stopping else np.inf
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None
        self._best_params = self._params

    def _objective(self) -> Objective:
        smoothing = float(getattr(self, "label_smoothing", 0.0))
        return Objective(
            self._loss_and_output()[0], ACTIVATIONS[self.activation], float(self.alpha), smoothing
        )

    def _fit_stochastic(self, x: Any, y: Any, weight: Any, incremental: bool) -> None:
        params = copied(self._params)  # what a user holds is not donated
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = OPTIMIZERS[self.solver](self, params)
        validation = None
        if self.early_stopping:
            x, y, weight, validation = self._split(x, y, weight)
        data = self._data(x, y, weight)
        run = Run(self._optimizer, params, data, self._objective(), self._batch_rows(len(x)))
        order = np.arange(len(x)) if self.shuffle else None
        try:
            with self._progress() as advance:
                self.n_iter_ = 0
                for _ in range(1 if incremental else self.max_iter):
                    if order is not None:
                        order = order[shuffled_rows(len(x), self._random_state)]
                    self.loss_ = run.epoch(order)
                    self._keep(run.params)
                    if self._ends_after_epoch(len(x), validation, advance):
                        break
                else:
                    self._warn_of_the_limit(incremental)
        except KeyboardInterrupt:
            self._keep(run.params)
            warnings.warn(f"{self._name}: training was interrupted by the user.", stacklevel=4)
        if validation is not None:
            self._keep(self._best_params)

    def _warn_of_the_limit(self, incremental: bool) -> None:
        if not incremental:
            warnings.warn(
                f"{self._name}: stopped after max_iter={self.max_iter} epochs without converging. Increase "
                "max_iter or tol.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _batch_rows(self, rows: int) -> int:
        if self.batch_size == "auto":
            return min(200, rows)
        if self.batch_size > rows:
            warnings.warn(
                f"{self._name}: batch_size is {self.batch_size}; expected at most {rows}, the rows of the "
                "training data. It is clipped.",
                stacklevel=5,
            )
        return int(min(self.batch_size, rows))

    def _split(self, x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any, Validation]:
        """Set rows aside for early stopping: x, y, weight for training, and the others."""
        trained, held_out = train_test_split(
            np.arange(len(x)),
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=self._strata(y),
        )
        if len(held_out) < 2:
            raise ValueError(
                f"{self._name}: early_stopping has {len(held_out)} rows for validation; expected at least "
                "2. Increase validation_fraction or the number of rows."
            )

        def rows(order: Any) -> tuple[Any, Any, Any]:
            return x[beside(x, order)], y[order], None if weight is None else weight[order]

        return *rows(trained), Validation(*rows(held_out))

    def _strata(self, y: Any) -> Any:
        """What the split for early stopping is stratified by, or None."""
        return None

    # After each epoch

    def _ends_after_epoch(self, rows: int, validation: Validation | None, advance: Any) -> bool:
        """Record the epoch; whether training ends with it."""
        self.n_iter_ += 1
        self.t_ += rows
        self.loss_curve_.append(self.loss_)
        self._say(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
        advance(self.loss_)
        self._count_epochs_without_improvement(validation)
        self._optimizer.end_epoch(self.t_)
        if self._no_improvement_count <= self.n_iter_no_change:
            return False
        what = "Training loss" if validation is None else "Validation score"
        ends, decision = self._optimizer.decision()
        self._say(
            f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive "
            f"epochs. {decision}"
        )
        if not ends:
            self._no_improvement_count = 0
        return ends

    def _count_epochs_without_improvement(self, validation: Validation | None) -> None:
        if validation is None:
            stands_still = self.loss_ > self.best_loss_ - self.tol
            self.best_loss_ = min(self.best_loss_, self.loss_)
        else:
            score = self._score_on(validation)
            self.validation_scores_.append(score)  # type: ignore[union-attr]
            self._say(f"Validation score: {score:f}")
            stands_still = score < self.best_validation_score_ + self.tol
            if score > self.best_validation_score_:
                self.best_validation_score_ = score
                self._best_params = copied(self._params)
        self._no_improvement_count = self._no_improvement_count + 1 if stands_still else 0

    def _score_on(self, validation: Validation) -> float:
        predicted = host(self._predicted(self._outputs(validation.x)))
        if predicted.dtype.kind == "f" and not np.isfinite(predicted).all():
            return np.nan
        return self._validation_score(validation.y, predicted, validation.weight)

    def _say(self, line: str) -> None:
        if self.verbose and self.verbose != "bar":
            print(line)

    @contextmanager
    def _progress(self) -> Iterator[Any]:
        """With verbose="bar", a progress bar over the epochs; a function that advances it with a loss."""
        if self.verbose != "bar":
            yield lambda loss: None
            return
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError(
                f"{self._name}: verbose is 'bar', which needs tqdm. Install it with pip install tqdm, or set "
                "verbose=True."
            ) from None
        with tqdm(total=self.max_iter, unit=" epochs") as bar:

            def advance(loss: float) -> None:
                bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
                bar.update()

            yield advance

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Accuracy of a classifier, R^2 of a regressor, for rows of data.

        X, y, sample_weight: as for `fit`
        """
        return self._validation_score(host(y), host(self.predict(X)), host(sample_weight))

    # Parameters and outputs

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def _params(self) -> Params:
        return [array for pair in zip(self.coefs_, self.intercepts_, strict=True) for array in pair]

    def _keep(self, params: Params) -> None:
        self.coefs_, self.intercepts_ = params[::2], params[1::2]

    def _outputs(self, x: Any, output: str | None = None) -> Any:
        """The outputs of the network for validated data, (N, K)."""
        return steps.outputs(
            self._params, x, ACTIVATIONS[self.activation], self.out_activation_ if output is None else output
        )

    def _outputs_of(self, x: Any, output: str | None = None) -> Any:
        """The outputs of the fitted network, (N, K), in the dtype of its weights."""
        check_is_fitted(self)
        require_dense(self._name, x)
        self._require_library_of_weights(x)
        with device(x):
            return self._outputs(self._validated(x, self.coefs_[0].dtype, reset=False), output)

    def _validated(self, x: Any, dtypes: Any, *, reset: bool) -> Any:
        """Features (N, D) of one of the dtypes, where they are."""
        if is_on_gpu(x):
            return validated(self, x, dtypes, reset=reset)
        return validate_data(self, x, dtype=dtypes, reset=reset)

    def _validated_with_target(self, x: Any, y: Any, *, first: bool, **options: Any) -> tuple[Any, Any]:
        """The same, and validated y on the host.

        options: of `validate_data`, for y
        """
        if not is_on_gpu(x):
            return validate_data(  # type: ignore[no-any-return]
                self, x, y, multi_output=True, dtype=self._dtypes(first), reset=first, **options
            )
        x = validated(self, x, self._dtypes(first), reset=first)
        y = validate_data(self, y=y, multi_output=True, reset=first, **options)
        check_consistent_length(y, np.empty((len(x), 0)))
        return x, y

    def _require_library_of_weights(self, x: Any) -> None:
        if is_on_gpu(x) != is_on_gpu(self.coefs_[0]):
            libraries = ("CuPy", "NumPy") if is_on_gpu(x) else ("NumPy", "CuPy")
            raise ValueError(
                f"{self._name}: X is an array of {libraries[0]}; expected one of {libraries[1]}, as in the "
                "fit. Convert it, or fit again."
            )

    def _dtypes(self, first: bool) -> Any:
        """The dtypes that data may have: of `dtype`, of the weights, or float64 and float32."""
        if not first:
            return self.coefs_[0].dtype
        return (np.float64, np.float32) if self.dtype is None else np.dtype(self.dtype)

    def _can_partial_fit(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                f"{self._name}: partial_fit needs the solver 'sgd' or 'adam'; solver is 'lbfgs'."
            )
        return True
