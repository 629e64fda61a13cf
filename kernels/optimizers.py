"""Optimisers as pure functions: they take parameters, gradients and state, and return parameters and state.

`params`, `grads` and the trees in a state are arrays, or lists, tuples and dicts of arrays with the same
structure. The definitions and the names in the states follow `torch.optim`. For a learning-rate schedule,
pass another `lr` at each step. Weight decay applies to all of `params`, biases included. To leave out biases,
use `l2_penalty`.
"""

from __future__ import annotations

from typing import Any

from .arrays import Array, Scalar, Tree, is_zero, namespace
from .trees import tree_map

__all__ = [
    "sgd_step",
    "momentum_init",
    "momentum_step",
    "adam_init",
    "adam_step",
    "adamw_step",
    "rmsprop_init",
    "rmsprop_step",
    "adagrad_init",
    "adagrad_step",
    "adadelta_init",
    "adadelta_step",
    "rprop_init",
    "rprop_step",
]

State = dict[str, Any]


def sgd_step(params: Tree, grads: Tree, lr: Scalar, weight_decay: Scalar = 0.0) -> Tree:
    """One step of gradient descent: p - lr (g + weight_decay p).

    params:       real arrays
    grads:        the structure and shapes of `params`
    lr:           learning rate, >= 0
    weight_decay: strength of the L2 penalty on all of `params`, >= 0
    returns:      new params
    raises:       TypeError for integer data; ValueError if structures or shapes differ, or a number is
                  outside its range or NaN
    source:       `torch.optim.SGD`
    """
    grads = _decayed(params, grads, weight_decay)
    return tree_map(lambda p, g: p - lr * g, params, grads)


def momentum_init(params: Tree) -> State:
    """The state of `momentum_step` before the first step: {"momentum_buffer": zeros like `params`}."""
    return {"momentum_buffer": _zeros_like(params)}


def momentum_step(
    params: Tree,
    grads: Tree,
    state: State,
    lr: Scalar,
    momentum: Scalar = 0.9,
    *,
    nesterov: bool = False,
    weight_decay: Scalar = 0.0,
) -> tuple[Tree, State]:
    """One step of gradient descent with (Nesterov) momentum.

    v' = momentum v + g,  p' = p - lr v',  or p' = p - lr (g + momentum v') with `nesterov`

    params, grads: as for `sgd_step`
    state:         from `momentum_init` or the previous step
    lr, weight_decay: as for `sgd_step`
    momentum:      the factor of the previous velocity, >= 0
    returns:       new params, new state
    raises:        as `sgd_step`
    source:        `torch.optim.SGD(momentum=..., nesterov=...)`
    """
    grads = _decayed(params, grads, weight_decay)
    buffer = tree_map(lambda v, g: momentum * v + g, state["momentum_buffer"], grads)
    step = tree_map(lambda g, v: g + momentum * v, grads, buffer) if nesterov else buffer
    return tree_map(lambda p, s: p - lr * s, params, step), {"momentum_buffer": buffer}


def adam_init(params: Tree) -> State:
    """The state of `adam_step` and `adamw_step` before the first step.

    {"step": 0, "exp_avg": zeros like `params`, "exp_avg_sq": zeros like `params`}
    """
    return {"step": 0, "exp_avg": _zeros_like(params), "exp_avg_sq": _zeros_like(params)}


def adam_step(
    params: Tree,
    grads: Tree,
    state: State,
    lr: Scalar = 1e-3,
    *,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
) -> tuple[Tree, State]:
    """One step of Adam.

    m' = b1 m + (1 - b1) g,  v' = b2 v + (1 - b2) g^2,  t' = t + 1
    p' = p - lr m' / (1 - b1^t') / (sqrt(v' / (1 - b2^t')) + eps)

    params, grads: as for `sgd_step`
    state:         from `adam_init` or the previous step
    lr, weight_decay: as for `sgd_step`
    betas:         b1 and b2, in [0, 1)
    eps:           added to the root of the second moment, >= 0
    returns:       new params, new state
    raises:        as `sgd_step`
    source:        Kingma and Ba, arXiv:1412.6980; `torch.optim.Adam`
    """
    return _adam(params, _decayed(params, grads, weight_decay), state, lr, betas, eps)


def adamw_step(
    params: Tree,
    grads: Tree,
    state: State,
    lr: Scalar = 1e-3,
    *,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 1e-2,
) -> tuple[Tree, State]:
    """One step of AdamW: Adam on p (1 - lr weight_decay). Adam does not rescale the weight decay.

    Arguments, returns and errors as for `adam_step`, except for the default `weight_decay`.
    source: Loshchilov and Hutter, arXiv:1711.05101; `torch.optim.AdamW`
    """
    kept = params if is_zero(weight_decay) else tree_map(lambda p: p * (1 - lr * weight_decay), params)
    return _adam(kept, grads, state, lr, betas, eps)


def _adam(
    params: Tree, grads: Tree, state: State, lr: Scalar, betas: tuple[Scalar, Scalar], eps: Scalar
) -> tuple[Tree, State]:
    beta1, beta2 = betas
    step = state["step"] + 1
    mean = tree_map(lambda m, g: beta1 * m + (1 - beta1) * g, state["exp_avg"], grads)
    square = tree_map(lambda v, g: beta2 * v + (1 - beta2) * (g * g), state["exp_avg_sq"], grads)
    # Both averages start at zero. These factors correct the bias that this causes.
    rate = lr / (1 - beta1 ** _exponent(step))
    root = (1 - beta2 ** _exponent(step)) ** 0.5
    params = tree_map(
        lambda p, m, v: p - _scalar_for(p, rate) * m / (_sqrt(v) / _scalar_for(p, root) + eps),
        params,
        mean,
        square,
    )
    return params, {"step": step, "exp_avg": mean, "exp_avg_sq": square}


def rmsprop_init(params: Tree) -> State:
    """The state of `rmsprop_step` before the first step: {"square_avg": zeros like `params`}."""
    return {"square_avg": _zeros_like(params)}


def rmsprop_step(
    params: Tree,
    grads: Tree,
    state: State,
    lr: Scalar = 1e-2,
    *,
    alpha: Scalar = 0.99,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
) -> tuple[Tree, State]:
    """One step of RMSprop: v' = alpha v + (1 - alpha) g^2,  p' = p - lr g / (sqrt(v') + eps).

    params, grads: as for `sgd_step`
    state:         from `rmsprop_init` or the previous step
    lr, weight_decay: as for `sgd_step`
    alpha:         the decay rate of the average, in [0, 1)
    eps:           added to the root, >= 0
    returns:       new params, new state
    raises:        as `sgd_step`
    source:        `torch.optim.RMSprop` with its defaults momentum=0 and centered=False
    """
    grads = _decayed(params, grads, weight_decay)
    square = tree_map(lambda v, g: alpha * v + (1 - alpha) * (g * g), state["square_avg"], grads)
    params = tree_map(lambda p, g, v: p - lr * g / (_sqrt(v) + eps), params, grads, square)
    return params, {"square_avg": square}


def adagrad_init(params: Tree) -> State:
    """The state of `adagrad_step` before the first step: {"sum": zeros like `params`}."""
    return {"sum": _zeros_like(params)}


def adagrad_step(
    params: Tree,
    grads: Tree,
    state: State,
    lr: Scalar = 1e-2,
    *,
    eps: Scalar = 1e-10,
    weight_decay: Scalar = 0.0,
) -> tuple[Tree, State]:
    """One step of Adagrad: s' = s + g^2,  p' = p - lr g / (sqrt(s') + eps).

    params, grads: as for `sgd_step`
    state:         of `adagrad_init` or of the step before
    lr, weight_decay: as for `sgd_step`
    eps:           added to the root, >= 0
    returns:       new params, new state
    raises:        as `sgd_step`
    source:        Duchi, Hazan and Singer, JMLR 12 (2011); `torch.optim.Adagrad`
    """
    grads = _decayed(params, grads, weight_decay)
    total = tree_map(lambda s, g: s + g * g, state["sum"], grads)
    params = tree_map(lambda p, g, s: p - lr * g / (_sqrt(s) + eps), params, grads, total)
    return params, {"sum": total}


def adadelta_init(params: Tree) -> State:
    """The state of `adadelta_step` before the first step.

    {"square_avg": zeros like `params`, "acc_delta": zeros like `params`}
    """
    return {"square_avg": _zeros_like(params), "acc_delta": _zeros_like(params)}


def adadelta_step(
    params: Tree,
    grads: Tree,
    state: State,
    lr: Scalar = 1.0,
    *,
    rho: Scalar = 0.9,
    eps: Scalar = 1e-6,
    weight_decay: Scalar = 0.0,
) -> tuple[Tree, State]:
    """One step of Adadelta.

    v' = rho v + (1 - rho) g^2,  d = g sqrt(u + eps) / sqrt(v' + eps)
    u' = rho u + (1 - rho) d^2,  p' = p - lr d

    params, grads: as for `sgd_step`
    state:         from `adadelta_init` or the previous step
    lr, weight_decay: as for `sgd_step`
    rho:           the decay rate of both averages, in [0, 1)
    eps:           added inside the roots, >= 0
    returns:       new params, new state
    raises:        as `sgd_step`
    source:        Zeiler, arXiv:1212.5701; `torch.optim.Adadelta`
    """
    grads = _decayed(params, grads, weight_decay)
    square = tree_map(lambda v, g: rho * v + (1 - rho) * (g * g), state["square_avg"], grads)
    delta = tree_map(lambda g, v, u: g * (_sqrt(u + eps) / _sqrt(v + eps)), grads, square, state["acc_delta"])
    acc_delta = tree_map(lambda u, d: rho * u + (1 - rho) * (d * d), state["acc_delta"], delta)
    params = tree_map(lambda p, d: p - lr * d, params, delta)
    return params, {"square_avg": square, "acc_delta": acc_delta}


def rprop_init(params: Tree, lr: Scalar = 1e-2) -> State:
    """The state of `rprop_step` before the first step. `lr` >= 0 is the size of the first step.

    {"prev": zeros like `params`, "step_size": `lr` in the shapes of `params`}
    """
    return {"prev": _zeros_like(params), "step_size": tree_map(lambda z: z + lr, _zeros_like(params))}


def rprop_step(
    params: Tree,
    grads: Tree,
    state: State,
    *,
    etas: tuple[Scalar, Scalar] = (0.5, 1.2),
    step_sizes: tuple[Scalar, Scalar] = (1e-6, 50.0),
) -> tuple[Tree, State]:
    """One step of Rprop, for gradients of the whole data set. Only the signs of the gradients are used.

    If the gradient of an element has the same sign as before, its step size is multiplied by etas[1]. If the
    sign has changed, the step size is multiplied by etas[0], the element does not move, and its gradient is
    stored as 0.

    params, grads: as for `sgd_step`
    state:         from `rprop_init` or the previous step
    etas:          the two factors of the step size, 0 < etas[0] < 1 < etas[1]
    step_sizes:    the smallest and the largest step size, 0 <= step_sizes[0] <= step_sizes[1]
    returns:       new params, new state
    raises:        as `sgd_step`
    source:        Riedmiller and Braun, ICNN 1993; `torch.optim.Rprop`
    """
    agreement = tree_map(lambda g, before: g * before, grads, state["prev"])
    step_size = tree_map(lambda s, a: _rprop_step_size(s, a, etas, step_sizes), state["step_size"], agreement)
    grads = tree_map(lambda g, a: namespace(a).where(a < 0, 0.0, g), grads, agreement)
    params = tree_map(lambda p, g, s: p - namespace(g).sign(g) * s, params, grads, step_size)
    return params, {"prev": grads, "step_size": step_size}


def _rprop_step_size(
    step_size: Array, agreement: Array, etas: tuple[Scalar, Scalar], bounds: tuple[Scalar, Scalar]
) -> Array:
    xp = namespace(step_size)
    shrunk, grown = step_size * etas[0], step_size * etas[1]
    changed = xp.where(agreement < 0, shrunk, xp.where(agreement > 0, grown, step_size))
    return xp.clip(changed, bounds[0], bounds[1])


def _decayed(params: Tree, grads: Tree, weight_decay: Scalar) -> Tree:
    """The gradients of the loss plus weight_decay / 2 * sum p^2."""
    if is_zero(weight_decay):
        return grads
    return tree_map(lambda p, g: g + weight_decay * p, params, grads)


def _zeros_like(params: Tree) -> Tree:
    return tree_map(lambda p: namespace(p).zeros_like(p), params)


def _exponent(step: Scalar) -> Scalar:
    """The number of steps as an exponent of a Python float. The standard allows no integer array there."""
    if type(step) in (int, float):
        return step
    xp = namespace(step)
    # The default dtype of the library: float64, or float32 if the library computes without float64.
    return xp.astype(step, xp.zeros(()).dtype) if xp.isdtype(step.dtype, "integral") else step


def _scalar_for(array: Array, scalar: Scalar) -> Scalar:
    """`scalar` in the dtype of `array`, even if a trace or a checkpoint has turned the step into an array."""
    if type(scalar) in (int, float):
        return scalar
    return namespace(array).astype(scalar, array.dtype)


def _sqrt(x: Array) -> Array:
    return namespace(x).sqrt(x)
