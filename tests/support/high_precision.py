"""Reference values: the formulas of the docstrings, one scalar after the other, with 50 digits.

No derivative is written down here. A `Number` remembers what it was computed from, and `gradient` applies the
chain rule to that, so a reference gradient shares nothing with the library but the formula of the loss.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np

mp = mpmath.mp.clone()  # a context of its own: the precision of mpmath.mp is everybody's
mp.dps = 50
_creation = itertools.count()


class Number:
    """A value, and the numbers it was computed from, each with the derivative with respect to it."""

    def __init__(self, value: Any, *sources: tuple[Number, Any]) -> None:
        self.value, self.sources, self.created = mp.mpf(value), sources, next(_creation)

    def __add__(self, other: Any) -> Number:
        other = number(other)
        return Number(self.value + other.value, (self, 1), (other, 1))

    def __mul__(self, other: Any) -> Number:
        other = number(other)
        return Number(self.value * other.value, (self, other.value), (other, self.value))

    def __sub__(self, other: Any) -> Number:
        return self + number(other) * -1

    def __rsub__(self, other: Any) -> Number:
        return number(other) - self

    def __truediv__(self, other: Any) -> Number:
        other = number(other)
        return self * Number(1 / other.value, (other, -1 / other.value**2))

    def __rtruediv__(self, other: Any) -> Number:
        return number(other) / self

    def __neg__(self) -> Number:
        return self * -1

    __radd__, __rmul__ = __add__, __mul__


def number(value: Any) -> Number:
    return value if isinstance(value, Number) else Number(value)


def exp(x: Number) -> Number:
    value = mp.exp(x.value)
    return Number(value, (x, value))


def log(x: Number) -> Number:
    return Number(mp.log(x.value), (x, 1 / x.value))


def log1p(x: Number) -> Number:
    return Number(mp.log1p(x.value), (x, 1 / (1 + x.value)))


def positive_part(x: Number) -> Number:
    """max(x, 0), whose derivative at 0 is 0."""
    return Number(max(x.value, 0), (x, int(x.value > 0)))


def gradient(outputs: Any, grad_out: Any, inputs: Any) -> Any:
    """The derivatives of sum(grad_out * outputs), in the structure of `inputs`."""
    slopes: dict[int, Any] = {}
    reached: dict[int, Number] = {}
    pending = []
    for out, weight in np.broadcast(np.asarray(outputs, dtype=object), np.asarray(grad_out, dtype=object)):
        slopes[id(out)] = slopes.get(id(out), 0) + number(weight).value
        pending.append(out)
    while pending:
        node = pending.pop()
        if id(node) not in reached:
            reached[id(node)] = node
            pending.extend(source for source, _ in node.sources)
    for node in sorted(reached.values(), key=lambda node: -node.created):
        for source, derivative in node.sources:
            slopes[id(source)] = slopes.get(id(source), 0) + slopes[id(node)] * derivative
    return each(lambda leaf: Number(slopes.get(id(leaf), 0)), inputs)


def each(function: Callable[[Any], Any], tree: Any) -> Any:
    """`function` of every number in arrays, lists and tuples."""
    if isinstance(tree, list | tuple):
        return type(tree)(each(function, item) for item in tree)
    if isinstance(tree, np.ndarray):
        return np.array([function(item) for item in tree.flat] + [None], object)[:-1].reshape(tree.shape)
    return tree if tree is None else function(tree)


def exact(value: Any) -> Any:
    """Arrays and numbers as `Number`s; integers, names and None as they are."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return each(Number, value)
    if isinstance(value, list | tuple):
        return type(value)(exact(item) for item in value)
    return Number(value) if isinstance(value, float) else value


def reference(kernel: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the kernel of this name should return, in object arrays of `Number`s."""
    args, kwargs = exact(args), {name: exact(value) for name, value in kwargs.items()}
    if kernel.endswith(("_with_grad", "_loss_and_grads")):
        loss = FORMULAS[kernel.removesuffix("_with_grad")](*args, **kwargs)
        return loss, gradient(loss, 1, args[0])
    if not kernel.endswith("_backward"):
        return FORMULAS[kernel](*args, **kwargs)
    name = kernel.removesuffix("_backward")
    grad_out, *args = args
    if name in INVERSES:
        args = [each(INVERSES[name], args[0])]
    if name == "linear":
        args.append(each(Number, np.zeros(args[1].shape[1])))
        return gradient(linear(*args), grad_out, tuple(args))
    if name == "mlp_forward":
        return gradient(mlp_forward(*args, **kwargs), grad_out, tuple(args))
    return gradient(FORMULAS[name](*args, **kwargs), grad_out, args[0])


def reduced(losses: Any, total: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    loss = sum(losses.flat, Number(0))
    return loss / total if reduction == "mean" else loss


def over_axis(function: Callable[[Any, int], Number]) -> Callable[..., Any]:
    def along(x: Any, *, axis: int = -1) -> Any:
        out = np.empty(x.shape, dtype=object)
        rows, results = np.moveaxis(x, axis, -1), np.moveaxis(out, axis, -1)
        for *row, k in np.ndindex(rows.shape):
            results[*row, k] = function(rows[*row], k)
        return out

    return along


def elementwise(function: Callable[..., Number]) -> Callable[..., Any]:
    def loss(x: Any, y: Any, *, weight: Any = None, reduction: str = "mean", **factors: Any) -> Any:
        losses = np.empty(x.shape, dtype=object)
        for i in np.ndindex(x.shape):
            here = {name: np.broadcast_to(factor, x.shape)[i] for name, factor in factors.items()}
            losses[i] = function(x[i], y[i], **here) * (
                1 if weight is None else np.broadcast_to(weight, x.shape)[i]
            )
        return reduced(losses, x.size, reduction)

    return loss


def of_labels(cost: Callable[..., Number], *, total_is_rows: bool = False) -> Callable[..., Any]:
    """A loss of rows of scores: sum_k t_k cost(row, k)."""

    def loss(
        scores: Any,
        labels: Any,
        margin: Any = None,
        *,
        class_weight: Any = None,
        ignore_index: int | None = None,
        label_smoothing: Any = 0,
        reduction: str = "mean",
    ) -> Any:
        classes = scores.shape[1]
        class_weight = [Number(1)] * classes if class_weight is None else class_weight
        losses, total = np.array([Number(0) for _ in scores], dtype=object), Number(0)
        for i, label in enumerate(labels):
            if labels.ndim == 1 and label == ignore_index:
                continue
            total += 1 if labels.ndim == 2 or total_is_rows else class_weight[label]
            for k in range(classes):
                y = label[k] if labels.ndim == 2 else Number(int(k == label))
                target = class_weight[k] * ((1 - label_smoothing) * y + label_smoothing / Number(classes))
                if target.value != 0:
                    losses[i] += target * (
                        cost(scores[i], k) if margin is None else cost(scores[i], k, margin)
                    )
        return reduced(losses, total, reduction)

    return loss


def log_sum_exp_from(row: Any, k: int) -> Number:
    """log sum_j exp(row_j - row_k): differences first, so that 1e308 leaves all 50 digits."""
    return log(sum((exp(other - row[k]) for other in row), Number(0)))


def hinge(row: Any, label: int, margin: Any = 1) -> Number:
    others = [k for k in range(len(row)) if k != label]
    return sum((positive_part(row[k] - row[label] + margin) for k in others), Number(0))


def clamped_bce(p: Number, y: Number) -> Number:
    def bounded(log_p: Any, slope: Any) -> Number:
        return Number(log_p, (p, slope)) if log_p > -100 else Number(-100)

    # log1p because 50 digits cannot hold 1 - 1e-300.
    positive = bounded(mp.log(p.value), 1 / p.value if p.value else 0)
    negative = bounded(mp.log1p(-p.value), 1 / (p.value - 1) if p.value != 1 else 0)
    return -(y * positive + (1 - y) * negative)


def bce_with_logits(x: Number, y: Number, pos_weight: Any = 1) -> Number:
    return pos_weight * y * log1p(exp(-x)) + (1 - y) * log1p(exp(x))


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    out = np.empty((x.shape[0], weight.shape[1]), dtype=object)
    for i, k in np.ndindex(out.shape):
        out[i, k] = sum((x[i, d] * weight[d, k] for d in range(x.shape[1])), Number(0))
        out[i, k] += 0 if bias is None else bias.reshape(-1)[k]
    return out


def mlp_forward(params: Any, x: Any, *, activation: str = "relu") -> Any:
    for layer, (weight, bias) in enumerate(params):
        x = linear(x if layer == 0 else FORMULAS[activation](x), weight, bias)
    return x


def network_loss(
    params: Any,
    x: Any,
    labels: Any,
    *,
    activation: str = "relu",
    loss: str = "softmax_cross_entropy",
    l2: Any = 0,
) -> Number:
    value = FORMULAS[loss](mlp_forward(params, x, activation=activation), labels)
    return value + sum((l2_penalty(weight, l2) for weight, _ in params), Number(0))


def l2_penalty(weight: Any, strength: Any) -> Number:
    return sum((w * w for w in weight.flat), Number(0)) * strength / 2


def l1_penalty(weight: Any, strength: Any) -> Number:
    return sum((positive_part(w) + positive_part(-w) for w in weight.flat), Number(0)) * strength


FORMULAS: dict[str, Callable[..., Any]] = {
    "identity": lambda x: x,
    "relu": lambda x: each(positive_part, x),
    "sigmoid": lambda x: each(lambda v: 1 / (1 + exp(-v)), x),
    "tanh": lambda x: each(lambda v: Number(mp.tanh(v.value), (v, mp.sech(v.value) ** 2)), x),
    "softmax": over_axis(lambda row, k: exp(-log_sum_exp_from(row, k))),
    "log_softmax": over_axis(lambda row, k: -log_sum_exp_from(row, k)),
    "softmax_cross_entropy": of_labels(log_sum_exp_from),
    "nll_loss": of_labels(lambda row, k: -row[k]),
    "multiclass_hinge": of_labels(hinge, total_is_rows=True),
    "binary_cross_entropy_with_logits": elementwise(bce_with_logits),
    "binary_cross_entropy": elementwise(clamped_bce),
    "mean_squared_error": elementwise(lambda x, y: (x - y) * (x - y)),
    "half_squared_error": elementwise(lambda x, y: (x - y) * (x - y) / 2),
    "linear": linear,
    "mlp_forward": mlp_forward,
    "mlp_loss_and_grads": network_loss,
    "softmax_classifier_loss_and_grads": network_loss,
    "l2_penalty": l2_penalty,
    "l1_penalty": l1_penalty,
}

# Which argument gave this result: the backward of an activation is told the result alone.
INVERSES: dict[str, Callable[[Number], Number]] = {
    "relu": lambda out: Number(out.value),
    "sigmoid": lambda out: Number(mp.log(out.value) - mp.log1p(-out.value)),
    "tanh": lambda out: Number(mp.atanh(out.value)),
    "softmax": lambda out: Number(mp.log(out.value)),
    "log_softmax": lambda out: Number(out.value),
}

# One step of one parameter: (settings, p, g, state) -> p, state. `g` has the weight decay in it already.
State = dict[str, Any]


def sgd(h: Any, p: Any, g: Any, state: State) -> tuple[Any, State]:
    return p - h.lr * g, {}


def momentum(h: Any, p: Any, g: Any, state: State) -> tuple[Any, State]:
    v = h.momentum * state["momentum_buffer"] + g
    return p - h.lr * (g + h.momentum * v if h.nesterov else v), {"momentum_buffer": v}


def adam(h: Any, p: Any, g: Any, state: State) -> tuple[Any, State]:
    (b1, b2), t = h.betas, state["step"] + 1
    m = b1 * state["exp_avg"] + (1 - b1) * g
    v = b2 * state["exp_avg_sq"] + (1 - b2) * g**2
    p = p - h.lr * m / (1 - b1**t) / (mp.sqrt(v / (1 - b2**t)) + h.eps)
    return p, {"step": t, "exp_avg": m, "exp_avg_sq": v}


def adamw(h: Any, p: Any, g: Any, state: State) -> tuple[Any, State]:
    return adam(h, p * (1 - h.lr * h.weight_decay), g, state)


def rmsprop(h: Any, p: Any, g: Any, state: State) -> tuple[Any, State]:
    v = h.alpha * state["square_avg"] + (1 - h.alpha) * g**2
    return p - h.lr * g / (mp.sqrt(v) + h.eps), {"square_avg": v}


def adagrad(h: Any, p: Any, g: Any, state: State) -> tuple[Any, State]:
    s = state["sum"] + g**2
    return p - h.lr * g / (mp.sqrt(s) + h.eps), {"sum": s}


def adadelta(h: Any, p: Any, g: Any, state: State) -> tuple[Any, State]:
    v = h.rho * state["square_avg"] + (1 - h.rho) * g**2
    d = g * mp.sqrt(state["acc_delta"] + h.eps) / mp.sqrt(v + h.eps)
    u = h.rho * state["acc_delta"] + (1 - h.rho) * d**2
    return p - h.lr * d, {"square_avg": v, "acc_delta": u}


def rprop(h: Any, p: Any, g: Any, state: State) -> tuple[Any, State]:
    agreement, size = mp.sign(g * state["prev"]), state["step_size"]
    if agreement != 0:
        size = size * h.etas[int(agreement > 0)]
        size = min(max(size, h.step_sizes[0]), h.step_sizes[1])
    g = mp.mpf(0) if agreement < 0 else g
    return p - mp.sign(g) * size, {"prev": g, "step_size": size}


OPTIMIZERS: dict[str, tuple[Callable[..., tuple[Any, State]], State, dict[str, Any]]] = {
    "sgd_step": (sgd, {}, {}),
    "momentum_step": (momentum, {"momentum_buffer": 0}, {"momentum": 0.9, "nesterov": False}),
    "adam_step": (
        adam,
        {"step": 0, "exp_avg": 0, "exp_avg_sq": 0},
        {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8},
    ),
    "adamw_step": (
        adamw,
        {"step": 0, "exp_avg": 0, "exp_avg_sq": 0},
        {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2},
    ),
    "rmsprop_step": (rmsprop, {"square_avg": 0}, {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8}),
    "adagrad_step": (adagrad, {"sum": 0}, {"lr": 1e-2, "eps": 1e-10}),
    "adadelta_step": (adadelta, {"square_avg": 0, "acc_delta": 0}, {"lr": 1.0, "rho": 0.9, "eps": 1e-6}),
    "rprop_step": (rprop, {"prev": 0, "step_size": 1e-2}, {"etas": (0.5, 1.2), "step_sizes": (1e-6, 50.0)}),
}


def descent(
    step: str, p: Any, gradients: Iterable[Any], settings: dict[str, Any]
) -> Iterator[tuple[Any, State]]:
    """One parameter and its state after each step."""
    update, state, defaults = OPTIMIZERS[step]
    settings = {"weight_decay": 0.0, **defaults, **settings}
    if "step_size" in state and "lr" in settings:
        state = {**state, "step_size": mp.mpf(settings["lr"])}
    h = SimpleNamespace(**{name: each(mp.mpf, setting) for name, setting in settings.items()})
    p = mp.mpf(p)
    for g in gradients:
        p, state = update(h, p, g if step == "adamw_step" else g + h.weight_decay * p, state)
        yield p, state
