"""Training loops: mini-batches in random order with SGD or Adam, and L-BFGS on all rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning

from . import steps
from .devices import beside, host, take
from .steps import Data, Objective, Params

SMALLEST_RATE = 1e-6  # of the schedule "adaptive", which divides it by 5


class SGD:
    """Stochastic gradient descent with momentum, and the schedule of its learning rate."""

    def __init__(self, settings: Any, params: Params) -> None:
        # Python numbers, which do not promote float32.
        self.learning_rate_init = float(settings.learning_rate_init)
        self.learning_rate = self.learning_rate_init
        self.schedule = settings.learning_rate
        self.power_t = float(settings.power_t)
        self.momentum = float(settings.momentum)
        self.nesterov = bool(settings.nesterovs_momentum)
        self.velocity = _zeros_like(params)

    def step(self, params: Params, batch: Data, objective: Objective) -> tuple[Any, Params]:
        """The loss of a mini-batch, and the parameters after one step."""
        loss, params, self.velocity = steps.sgd_step(
            params,
            self.velocity,
            batch,
            objective,
            self.learning_rate,
            self.momentum,
            self.nesterov,
        )
        return loss, params

    def end_epoch(self, rows_seen: int) -> None:
        """Change the learning rate by its schedule. `rows_seen` counts since the first call of fit."""
        if self.schedule == "invscaling":
            self.learning_rate = self.learning_rate_init / (rows_seen + 1) ** self.power_t

    def decision(self) -> tuple[bool, str]:
        """Whether training ends now that nothing improves, and a sentence that says so."""
        if self.schedule != "adaptive":
            return True, "Stopping."
        if self.learning_rate <= SMALLEST_RATE:
            return True, "Learning rate too small. Stopping."
        self.learning_rate /= 5.0
        return False, f"Setting learning rate to {self.learning_rate:f}"


class Adam:
    """Adam."""

    def __init__(self, settings: Any, params: Params) -> None:
        self.learning_rate_init = float(settings.learning_rate_init)
        self.learning_rate = self.learning_rate_init
        self.beta_1, self.beta_2 = float(settings.beta_1), float(settings.beta_2)
        self.epsilon = float(settings.epsilon)
        self.steps = 0
        self.mean, self.square = _zeros_like(params), _zeros_like(params)

    def step(self, params: Params, batch: Data, objective: Objective) -> tuple[Any, Params]:
        """The loss of a mini-batch, and the parameters after one step."""
        self.steps += 1
        correction = (1 - self.beta_2**self.steps) ** 0.5 / (1 - self.beta_1**self.steps)
        self.learning_rate = self.learning_rate_init * correction
        loss, params, self.mean, self.square = steps.adam_step(
            params,
            self.mean,
            self.square,
            batch,
            objective,
            self.learning_rate,
            self.beta_1,
            self.beta_2,
            self.epsilon,
        )
        return loss, params

    def end_epoch(self, rows_seen: int) -> None:
        """Adam has no schedule."""

    def decision(self) -> tuple[bool, str]:
        """Training ends when nothing improves."""
        return True, "Stopping."


OPTIMIZERS: dict[str, Callable[[Any, Params], SGD | Adam]] = {"sgd": SGD, "adam": Adam}


def copied(params: Params) -> Params:
    """Copies of the parameters, which can be donated to a step."""
    return [array.copy() for array in params]


def _zeros_like(params: Params) -> Params:
    return [np.zeros_like(array) for array in params]


def shuffled_rows(rows: int, random: Any) -> Any:
    """The order into which `sklearn.utils.shuffle` brings rows, (rows,), without its checks."""
    order = np.arange(rows)
    random.shuffle(order)
    return order


class Run:
    """A training run. Its parameters are those after the latest step, also if that was interrupted."""

    def __init__(
        self, optimizer: SGD | Adam, params: Params, data: Data, objective: Objective, batch_size: int
    ) -> None:
        self.optimizer, self.params = optimizer, params
        self.data, self.objective, self.batch_size = data, objective, batch_size
        self._in_order: Data | None = None  # the data in the order of an epoch, in memory of their own

    def epoch(self, order: Any = None) -> float:
        """One step for each mini-batch; the mean loss of the rows, each before the step of its mini-batch.

        order: (N,) integer, the rows in the order of this epoch; None for the order of the data
        """
        x, target, weight = self.data if order is None else self._ordered(order)
        losses, sizes, rows = [], [], len(x)
        for start in range(0, rows, self.batch_size):
            stop = min(start + self.batch_size, rows)
            batch = Data(x[start:stop], target[start:stop], None if weight is None else weight[start:stop])
            loss, self.params = self.optimizer.step(self.params, batch, self.objective)
            losses.append(loss)
            sizes.append(stop - start)
        # Not before the last step: reading a loss waits for the GPU.
        total = 0.0
        for loss, size in zip(losses, sizes, strict=True):
            total += float(loss) * size
        return total / rows

    def _ordered(self, order: Any) -> Data:
        """The rows in this order. Mini-batches are then views."""
        if self._in_order is None:
            self._in_order = Data(
                *(None if part is None else np.empty_like(part, order="C") for part in self.data)
            )
        for part, ordered in zip(self.data, self._in_order, strict=True):
            if part is not None:
                take(part, order, ordered)
        return self._in_order


def train_lbfgs(
    name: str, settings: Any, params: Params, data: Data, objective: Objective
) -> tuple[float, int, Params]:
    """Minimise the objective over all rows by L-BFGS of SciPy.

    name:    of the estimator, for warnings
    returns: the loss, the number of iterations, the parameters
    """
    counted = 0

    def loss_and_gradient(flat: Any) -> tuple[float, Any]:
        at = [beside(data.x, part) for part in _unflattened(flat, params)]
        loss, grads = steps.loss_and_grads(at, data, objective)
        return float(loss), _flattened(grads)

    def report(intermediate_result: Any) -> None:
        nonlocal counted
        counted += 1
        print(f"Iteration {counted}, loss = {intermediate_result.fun:.8f}")

    result = scipy.optimize.minimize(
        loss_and_gradient,
        _flattened(params),
        method="L-BFGS-B",
        jac=True,
        callback=report if settings.verbose else None,
        options={"maxfun": settings.max_fun, "maxiter": settings.max_iter, "gtol": settings.tol},
    )
    if result.status != 0:
        warnings.warn(
            f"{name}: lbfgs stopped after {result.nit} iterations and {result.nfev} calls of the loss "
            f"without converging ({result.message}). Increase max_iter or max_fun, or scale the data.",
            ConvergenceWarning,
            stacklevel=4,
        )
    found = [beside(data.x, array) for array in copied(_unflattened(result.x, params))]
    return float(result.fun), min(result.nit, settings.max_iter), found


def _flattened(params: Params) -> Any:
    """All parameters in one vector of float64, on the host."""
    return host(np.concatenate([array.ravel() for array in params])).astype(np.float64, copy=False)


def _unflattened(flat: Any, params: Params) -> Params:
    """The inverse of `_flattened`, in the shapes and the dtype of `params`."""
    arrays, start = [], 0
    flat = flat.astype(params[0].dtype, copy=False)
    for array in params:
        arrays.append(flat[start : start + array.size].reshape(array.shape))
        start += array.size
    return arrays
