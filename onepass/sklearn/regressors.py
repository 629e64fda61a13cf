"""Regressors: networks with the squared error or the Poisson deviance."""

from __future__ import annotations

from typing import Any

from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from .devices import device
from .networks import Network
from .parameters import one_of

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, Network):  # type: ignore[misc]
    """`sklearn.neural_network.MLPRegressor` on compiled kernels: the same parameters, losses and weights.

    With the same `random_state`, "sgd" and "adam" give the loss curve of scikit-learn, up to rounding.

        regressor = MLPRegressor(hidden_layer_sizes=(100,), random_state=0).fit(X, y)
        regressor.predict(X)

    loss:    "squared_error"; or "poisson", half the Poisson deviance of predictions exp(outputs), for y >= 0
    dtype:   "float32" or "float64" to compute in; None for that of `X`, and float64 if it has another
    verbose: "bar" shows a progress bar over the epochs, by tqdm

    What it does not have, and the attributes: as for `MLPClassifier`. `y` may have several columns.
    """

    losses = one_of("squared_error", "poisson")

    def __init__(
        self,
        loss: str = "squared_error",
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
        dtype: Any = None,
    ) -> None:
        self._keep_parameters(locals())

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: N803
        """Fit the network.

        X:             (N, D) real
        y:             (N,) or (N, K) real
        sample_weight: (N,) real, or None for 1
        returns:       the estimator
        raises:        ValueError for parameters and data that are not as expected; TypeError for sparse data
        """
        return self._fit(X, y, sample_weight, incremental=False)

    @available_if(lambda regressor: regressor._can_partial_fit())  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: N803
        """Train one epoch on these rows.

        X, y, sample_weight, returns: as for `fit`
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Predicted values, (N,) or (N, K).

        X: (N, D) real
        """
        with device(X):
            return self._predicted(self._outputs_of(X))

    score = Network.score

    def _checked(self, x: Any, y: Any, *, first: bool, incremental: bool) -> tuple[Any, Any]:
        x, y = self._validated_with_target(x, y, first=first, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"{self._name}: y has values below 0; expected y >= 0 for loss 'poisson'.")
        return x, y

    def _loss_and_output(self) -> tuple[str, str]:
        return self.loss, "exp" if self.loss == "poisson" else "identity"

    def _output_count(self, y: Any) -> int:
        return 1 if y.ndim == 1 else int(y.shape[1])

    def _target(self, y: Any, dtype: Any) -> Any:
        return y.reshape(len(y), -1).astype(dtype, copy=False)

    def _predicted(self, outputs: Any) -> Any:
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _validation_score(self, y: Any, predicted: Any, weight: Any) -> float:
        return float(r2_score(y, predicted, sample_weight=weight))
