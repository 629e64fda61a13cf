"""The one table of cases: arguments for every kernel, in float64 NumPy, that every backend and library runs.

Values are drawn so that no ReLU, hinge or L1 kink lies near, and so that every option is used somewhere.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import onepass as op


class Case(NamedTuple):
    """One call of one kernel."""

    kernel: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        values = {
            key: "array" if isinstance(value, np.ndarray) else value for key, value in self.kwargs.items()
        }
        options = ",".join(f"{key}={value}" for key, value in values.items())
        shapes = "x".join(map(str, getattr(self.args[0], "shape", ("tree",))))
        return f"{self.kernel}-{shapes}{'-' if options else ''}{options}"


N, D, K = 6, 4, 5
random = np.random.default_rng(20240628)
x, weight, bias = random.standard_normal((N, D)), random.standard_normal((D, K)), random.standard_normal(K)
logits, grad = random.standard_normal((N, K)), random.standard_normal((N, K))
labels = random.integers(0, K, N)
soft = random.dirichlet(np.ones(K), N)
probs, targets = random.uniform(0.05, 0.95, (N, K)), random.uniform(0, 1, (N, K))
class_weight, row_grad = random.uniform(0.5, 2, K), random.standard_normal(N)
layers = [
    (random.standard_normal((D, 7)), random.standard_normal((1, 7))),
    (random.standard_normal((7, 3)), random.standard_normal(3)),
    (random.standard_normal((3, K)), None),
]
tree = {"first": [weight, bias], "second": (x,)}
slopes = {"first": [random.standard_normal((D, K)), random.standard_normal(K)], "second": (0.1 * x,)}
two_layers = [layers[0], (random.standard_normal((7, K)), random.standard_normal(K))]

LABEL_OPTIONS: list[dict[str, Any]] = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"class_weight": class_weight},
    {"ignore_index": int(labels[0])},
    {"class_weight": class_weight, "ignore_index": int(labels[0]), "reduction": "none"},
]
SMOOTHING: list[dict[str, Any]] = [
    {"label_smoothing": 0.2},
    {"label_smoothing": 0.1, "class_weight": class_weight, "ignore_index": int(labels[1])},
]
SOFT_OPTIONS: list[dict[str, Any]] = [
    {},
    {"reduction": "none"},
    {"class_weight": class_weight, "label_smoothing": 0.1},
]
REDUCTIONS: list[dict[str, Any]] = [{}, {"reduction": "sum"}, {"reduction": "none"}]


def loss_cases(name: str, args: tuple[Any, ...], options: list[dict[str, Any]]) -> list[Case]:
    """The loss, its `_with_grad` and its `_backward` with each set of options."""
    result = []
    for kwargs in options:
        none = args[1].shape if args[1].ndim == 2 and name not in LABEL_LOSSES else (N,)
        grad_out: Any = grad if none == (N, K) else row_grad
        grad_out = grad_out if kwargs.get("reduction") == "none" else 1.7
        result += [
            Case(name, args, kwargs),
            Case(f"{name}_with_grad", args, kwargs),
            Case(f"{name}_backward", (grad_out, *args), kwargs),
        ]
    return result


LABEL_LOSSES = ("softmax_cross_entropy", "nll_loss", "multiclass_hinge")


def optimizer_cases() -> list[Case]:
    """Two steps of every optimiser, so that the second finds a state that is not empty."""
    result = [
        Case("sgd_step", (tree, slopes, 0.1), {}),
        Case("sgd_step", (tree, slopes, 0.1, 0.01), {}),
    ]
    options: dict[str, list[dict[str, Any]]] = {
        "momentum": [{"lr": 0.1}, {"lr": 0.1, "nesterov": True, "weight_decay": 0.01}],
        "adam": [{}, {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.01}],
        "adamw": [{}, {"lr": 0.01, "weight_decay": 0.1}],
        "rmsprop": [{}, {"lr": 0.1, "alpha": 0.9, "weight_decay": 0.01}],
        "adagrad": [{}, {"lr": 0.1, "weight_decay": 0.01}],
        "adadelta": [{}, {"rho": 0.8, "weight_decay": 0.01}],
        "rprop": [{}, {"etas": (0.4, 1.3), "step_sizes": (1e-3, 0.02)}],
    }
    for name, all_kwargs in options.items():
        init = "adam" if name == "adamw" else name
        state = getattr(op.kernels, f"{init}_init")(tree)
        result.append(Case(f"{init}_init", (tree,), {}))
        for kwargs in all_kwargs:
            _, later = getattr(op.kernels, f"{name}_step")(tree, slopes, state, **kwargs)
            result.append(Case(f"{name}_step", (tree, slopes, state), kwargs))
            result.append(Case(f"{name}_step", (tree, slopes, later), kwargs))
    return result


CASES = [
    Case("linear", (x, weight), {}),
    Case("linear", (x, weight, bias), {}),
    Case("linear", (x, weight, bias[None, :]), {}),
    Case("linear_backward", (grad, x, weight), {}),
    *(Case(name, (logits,), {}) for name in ("relu", "sigmoid", "tanh")),
    *(
        Case(f"{name}_backward", (grad, getattr(op.kernels, name)(logits)), {})
        for name in ("relu", "sigmoid", "tanh")
    ),
    *(
        case
        for name in ("softmax", "log_softmax")
        for kwargs in ({}, {"axis": 0})
        for case in (
            Case(name, (logits,), kwargs),
            Case(f"{name}_backward", (grad, getattr(op.kernels, name)(logits, **kwargs)), kwargs),
        )
    ),
    *loss_cases("softmax_cross_entropy", (logits, labels), LABEL_OPTIONS + SMOOTHING),
    *loss_cases("softmax_cross_entropy", (logits, soft), SOFT_OPTIONS),
    *loss_cases("nll_loss", (np.log(soft), labels), LABEL_OPTIONS + SMOOTHING),
    *loss_cases("nll_loss", (np.log(soft), soft), SOFT_OPTIONS),
    *loss_cases("multiclass_hinge", (logits, labels), LABEL_OPTIONS),
    *loss_cases("multiclass_hinge", (logits, labels, 0.3), [{}]),
    *loss_cases("binary_cross_entropy_with_logits", (logits, targets), REDUCTIONS),
    *loss_cases(
        "binary_cross_entropy_with_logits",
        (logits, targets),
        [{"weight": class_weight, "pos_weight": class_weight, "reduction": r} for r in ("mean", "none")],
    ),
    *loss_cases("binary_cross_entropy", (probs, targets), [*REDUCTIONS, {"weight": class_weight}]),
    *loss_cases("mean_squared_error", (logits, targets), REDUCTIONS),
    *loss_cases("half_squared_error", (logits, targets), REDUCTIONS),
    *(Case(name, (weight, 0.3), {}) for name in ("l1_penalty", "l2_penalty")),
    *(Case(f"{name}_backward", (1.7, weight, 0.3), {}) for name in ("l1_penalty", "l2_penalty")),
    *optimizer_cases(),
    Case("softmax_classifier_loss_and_grads", ([(weight, bias)], x, labels), {"l2": 0.1}),
    Case("softmax_classifier_loss_and_grads", ([(weight, bias)], x, soft), {}),
    Case("mlp_forward", (layers, x), {"activation": "relu"}),
    *(Case("mlp_forward", (two_layers, x), {"activation": name}) for name in ("sigmoid", "tanh", "identity")),
    Case("mlp_forward_backward", (grad, layers, x), {}),
    *(
        Case("mlp_forward_backward", (grad, two_layers, x), {"activation": name})
        for name in ("sigmoid", "tanh")
    ),
    Case("mlp_loss_and_grads", (layers, x, labels), {"activation": "relu", "l2": 0.1}),
    *(
        Case("mlp_loss_and_grads", (two_layers, x, labels), {"activation": name, "l2": 0.1})
        for name in ("sigmoid", "tanh", "identity")
    ),
    *(
        Case("mlp_loss_and_grads", (two_layers, x, wanted), {"loss": loss})
        for loss, wanted in {
            "multiclass_hinge": labels,
            "binary_cross_entropy_with_logits": targets,
            "mean_squared_error": targets,
            "half_squared_error": targets,
        }.items()
    ),
]


LAST = {case.kernel: case for case in CASES}


def _is_compiled(case: Case) -> bool:
    """The last case of each kernel, and the cross-entropy of integer labels with no and with all options."""
    if case.kernel != "softmax_cross_entropy_with_grad" or case.args[1] is soft:
        return case is LAST[case.kernel]
    return len(case.kwargs) in (0, 3)


# Compiling a case takes a second or more. Without --exhaustive, tests compile these cases alone, in float64
# unless they say otherwise, so that they share programs.
COMPILED_CASES = [case for case in CASES if _is_compiled(case)]
