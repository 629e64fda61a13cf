"""Every kernel against its formula in 50 digits, and the figures of the courses."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from array_api_compat import array_namespace
from closeness import assert_close
from high_precision import OPTIMIZERS, Number, descent, mp, reference

import onepass as op
from onepass import kernels

pytestmark = pytest.mark.usefixtures("as_written")

random = np.random.default_rng(20240703)


class Case(NamedTuple):
    """One call of one kernel, and the size of the terms that it may cancel."""

    kernel: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = {}  # noqa: RUF012
    terms: float = 0.0


def forms(kernel: str, args: tuple[Any, ...], kwargs: dict[str, Any], terms: float = 0.0) -> list[Case]:
    """A loss, its `_with_grad` and its `_backward`."""
    grad_out: Any = 1.7
    if kwargs.get("reduction") == "none":
        per_row = kernel in LABEL_LOSSES
        grad_out = random.standard_normal(args[0].shape[:1] if per_row else args[0].shape)
    return [
        Case(kernel, args, kwargs, terms),
        Case(f"{kernel}_with_grad", args, kwargs, terms),
        Case(f"{kernel}_backward", (grad_out, *args), kwargs, terms),
    ]


N, D, K = 5, 3, 4
LABEL_LOSSES = ("softmax_cross_entropy", "nll_loss", "multiclass_hinge")
logits, scores, x = (random.standard_normal(shape) for shape in ((N, K), (N, K), (N, D)))
# At the kinks on purpose: whole numbers and a whole margin give leads of exactly 0.
tied = np.array([[1.0, 2, 3, 1], [0, 0, 0, 0], [5, 4, 4, 3], [-1, 0, 1, 2], [2, 2, 1, 1]])
labels = np.array([3, 0, 2, 2, 1])
class_weight = np.array([0.5, 0.0, 2.0, 1.25])
soft = random.dirichlet(np.ones(K), N)
EXTREME_ROWS = {
    "1e4": [1e4, -1e4, 0.0, 3.0],
    "-500": [-500.0, -501.5, -499.0, -500.25],
    "near 1e4": [1e4, 1e4 + 1, 1e4 - 2, 1e4 + 0.5],
    "near overflow": [8e307, -8e307, 7e307, 1.0],
    "equal": [3.0, 3.0, 3.0, 3.0],
    "tiny": [1e-300, -2e-300, 5e-324, 0.0],
    "certain": [40.0, 0.0, -300.0, -800.0],
}
LABEL_OPTIONS: list[dict[str, Any]] = [
    {"labels": labels},
    {"labels": labels.astype(np.uint8), "ignore_index": 2},
    {"labels": labels, "class_weight": class_weight},
    {"labels": labels, "class_weight": class_weight, "ignore_index": 3},
]
SMOOTH_OPTIONS: list[dict[str, Any]] = [
    {"labels": labels, "label_smoothing": 0.1},
    {"labels": labels, "label_smoothing": 0.3, "class_weight": class_weight, "ignore_index": 0},
    {"labels": soft},
    {"labels": soft, "label_smoothing": 0.2, "class_weight": class_weight},
    {"labels": np.eye(K)[labels], "label_smoothing": 1.0},
]
REDUCTIONS = ("mean", "sum", "none")


def label_cases() -> list[Case]:
    cases = []
    for reduction in REDUCTIONS:
        for i, option in enumerate([*LABEL_OPTIONS, *SMOOTH_OPTIONS]):
            kwargs = {**option, "reduction": reduction}
            target = kwargs.pop("labels")
            cases += forms("softmax_cross_entropy", (3 * logits, target), kwargs)
            cases += forms("nll_loss", (np.log(random.dirichlet(np.ones(K), N)), target), kwargs)
            if i < len(LABEL_OPTIONS):
                cases += forms("multiclass_hinge", (scores, target, 0.75), kwargs)
                cases += forms("multiclass_hinge", (tied, target), kwargs)
    # What a row's loss and gradient are made of is of order 1, p and y: a loss of 1e-17 is 0 here.
    for row, label in itertools.product(EXTREME_ROWS.values(), range(K)):
        cases += forms("softmax_cross_entropy", (np.array([row]), np.array([label])), {}, terms=1.0)
        cases += forms(
            "multiclass_hinge", (np.array([row]) / 8, np.array([label])), {"margin": 1e-3}, terms=1.0
        )
    soft_row = (np.array([EXTREME_ROWS["near 1e4"]]), soft[:1])
    # What has no probability does not count: 0 times an infinite cost is 0.
    impossible = np.array([[0.0, 1.0, -np.inf, 2.0]])
    for target in (np.array([1]), np.array([[0.25, 0.75, 0.0, 0.0]])):
        cases += forms("softmax_cross_entropy", (impossible, target), {})
    return cases + forms("softmax_cross_entropy", soft_row, {"label_smoothing": 0.1}, terms=1.0)


def elementwise_cases() -> list[Case]:
    cases = []
    y, weight, pos_weight = random.uniform(size=(N, K)), random.uniform(size=(N, 1)), random.uniform(0, 3, K)
    weight[1] = 0.0
    probs = np.concatenate([random.uniform(0.01, 0.99, (N - 1, K)), [[1e-9, 1e-5, 1 - 1e-9, 0.5]]])
    for reduction in REDUCTIONS:
        plain = {"reduction": reduction}
        for kernel in ("mean_squared_error", "half_squared_error"):
            cases += forms(kernel, (logits, scores), plain)
        cases += forms("mean_squared_error", (1e153 * logits, 1e153 * scores), plain)
        for kernel, predictions in (
            ("binary_cross_entropy_with_logits", logits),
            ("binary_cross_entropy", probs),
        ):
            cases += forms(kernel, (predictions, y), plain)
            cases += forms(kernel, (predictions, np.round(y)), {**plain, "weight": weight})
        both = {**plain, "weight": weight, "pos_weight": pos_weight}
        cases += forms("binary_cross_entropy_with_logits", (logits, y), both)
    return cases


def activation_cases() -> list[Case]:
    cases = []
    values = np.concatenate([3 * random.standard_normal(9), [0.0, -0.0, 1e-300, -1e-8]]).reshape(1, 13)
    for kernel in ("relu", "sigmoid", "tanh"):
        out = getattr(kernels, kernel)(values)
        cases += [
            Case(kernel, (values,)),
            Case(f"{kernel}_backward", (random.standard_normal(out.shape), out)),
        ]
    for axis, block in itertools.product((0, 1, -1), (logits, 50 * random.standard_normal((3, 2, 4)))):
        for kernel in ("softmax", "log_softmax"):
            out, grad_out = getattr(kernels, kernel)(block, axis=axis), random.standard_normal(block.shape)
            cases += [Case(kernel, (block,), {"axis": axis})]
            cases += [
                Case(f"{kernel}_backward", (grad_out, out), {"axis": axis}, float(np.max(abs(grad_out))))
            ]
    for row, kernel in itertools.product(EXTREME_ROWS.values(), ("softmax", "log_softmax")):
        cases += [Case(kernel, (np.array(row),), {}, terms=1.0)]
    return cases


def network_cases() -> list[Case]:
    cases = []
    for depth, activation in itertools.product((1, 2, 3), ("relu", "sigmoid", "tanh", "identity")):
        widths = [*[D, 6, 5][:depth], K]
        weights = [random.standard_normal(shape) for shape in itertools.pairwise(widths)]
        biases = [random.standard_normal(6)[: widths[1]], None, random.standard_normal((1, K))]
        params = list(zip(weights, biases, strict=False))
        cases.append(Case("mlp_forward", (params, x), {"activation": activation}))
        grad_out = random.standard_normal((N, K))
        cases.append(Case("mlp_forward_backward", (grad_out, params, x), {"activation": activation}))
        for loss, l2 in itertools.product(kernels.networks.LOSSES, (0.0, 0.3)):
            target = labels if loss in LABEL_LOSSES else soft
            options = {"activation": activation, "loss": loss, "l2": l2}
            cases.append(Case("mlp_loss_and_grads", (params, x, target), options))
    one_layer = [(random.standard_normal((D, K)), random.standard_normal((1, K)))]
    for target in (labels, soft):
        cases.append(Case("softmax_classifier_loss_and_grads", (one_layer, x, target), {"l2": 1e-3}))
    return cases


def linear_and_penalty_cases() -> list[Case]:
    weight, bias = random.standard_normal((D, K)), random.standard_normal(K)
    weight[1, 2] = 0.0
    cases = [
        Case("linear", (x, weight)),
        Case("linear", (x, weight, bias)),
        Case("linear", (x, weight, bias[None])),
    ]
    cases.append(Case("linear_backward", (logits, x, weight)))
    for penalty in ("l1_penalty", "l2_penalty"):
        cases += [Case(penalty, (weight, 0.3)), Case(f"{penalty}_backward", (-1.7, weight, 0.3))]
    return cases


CASES = [
    *label_cases(),
    *elementwise_cases(),
    *activation_cases(),
    *network_cases(),
    *linear_and_penalty_cases(),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kernel)
def test_kernel_equals_its_formula_in_50_digits(case: Case) -> None:
    got = getattr(op, case.kernel)(*case.args, **case.kwargs)
    assert_close(got, reference(case.kernel, case.args, case.kwargs), terms=case.terms)


first, history = random.standard_normal(5), random.standard_normal((12, 5))
history[3], history[:, 4] = 0.0, 0.0  # a step, and a parameter, without any gradient
# (step, how its state begins, options)
DESCENTS: list[tuple[str, str | None, dict[str, Any]]] = [
    ("sgd_step", None, {"lr": 0.1}),
    ("sgd_step", None, {"lr": 0.1, "weight_decay": 0.03}),
    ("momentum_step", "momentum_init", {"lr": 0.1}),
    ("momentum_step", "momentum_init", {"lr": 0.1, "momentum": 0.5, "nesterov": True, "weight_decay": 0.03}),
    ("adam_step", "adam_init", {}),
    ("adam_step", "adam_init", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.03}),
    ("adamw_step", "adam_init", {}),
    ("adamw_step", "adam_init", {"lr": 0.05, "weight_decay": 0.3}),
    ("rmsprop_step", "rmsprop_init", {}),
    ("rmsprop_step", "rmsprop_init", {"lr": 0.05, "alpha": 0.7, "eps": 1e-3, "weight_decay": 0.03}),
    ("adagrad_step", "adagrad_init", {}),
    ("adagrad_step", "adagrad_init", {"lr": 0.5, "eps": 1e-3, "weight_decay": 0.03}),
    ("adadelta_step", "adadelta_init", {}),
    ("adadelta_step", "adadelta_init", {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.03}),
    ("rprop_step", "rprop_init", {}),
    ("rprop_step", "rprop_init", {"lr": 0.05, "etas": (0.3, 1.7), "step_sizes": (0.02, 0.1)}),
]


@pytest.mark.parametrize(("step", "init", "options"), DESCENTS)
def test_optimizer_follows_its_definition(step: str, init: str | None, options: dict[str, Any]) -> None:
    paths = [
        list(descent(step, p, gradients, options)) for p, gradients in zip(first, history.T, strict=True)
    ]
    named = dict(options)
    begin = {"lr": named.pop("lr")} if step == "rprop_step" and named else {}
    params: Any = {"weight": [first[:2].reshape(2, 1)], "bias": (first[2:],)}
    state = None if init is None else getattr(op, init)(params, **begin)
    for t, gradients in enumerate(history):
        grads = {"weight": [gradients[:2].reshape(2, 1)], "bias": (gradients[2:],)}
        if init is None:
            params = getattr(op, step)(params, grads, **named)
        else:
            params, state = getattr(op, step)(params, grads, state, **named)
        assert_close(flat(params), np.array([Number(path[t][0]) for path in paths], dtype=object))
        for key, tree in (state or {}).items():
            values = [path[t][1][key] for path in paths]
            if key == "step":
                assert tree == values[0]
            else:
                assert_close(flat(tree), np.array([Number(value) for value in values], dtype=object))


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([tree["weight"][0].ravel(), tree["bias"][0]])


def test_every_kernel_is_covered() -> None:
    covered = {case.kernel for case in CASES} | {name for step, init, _ in DESCENTS for name in (step, init)}
    assert covered - {None} == set(kernels.__all__)
    assert set(OPTIMIZERS) == {step for step, _, _ in DESCENTS}


# Where exp becomes subnormal or 0, where 1 + exp(-x) becomes 1, and what is smallest and largest.
FAR, NEAR = [30.0, 36.7, 37.5, 700.0, 709.9, 745.0, 746.0, 1e4, 1e308], [0.0, 5e-324, 1e-300, 1e-9, 0.3, 19.1]
TAILS = np.array([sign * point for point in NEAR + FAR for sign in (1, -1)])
NEAR_ZERO_AND_ONE = np.array([5e-324, 1e-300, 1e-44, 1e-13, 0.3, 1 - 1e-9, 1 - 2.0**-52, 1 - 2.0**-53])
ALL_NONE = {"reduction": "none"}


@pytest.mark.parametrize(
    "case",
    [
        Case("sigmoid", (TAILS,)),
        Case("tanh", (TAILS,)),
        Case("relu", (TAILS,)),
        Case("sigmoid_backward", (np.full(8, 1.7), NEAR_ZERO_AND_ONE)),
        Case("tanh_backward", (np.full(8, 1.7), NEAR_ZERO_AND_ONE)),
        *(
            Case(f"binary_cross_entropy_with_logits{form}", (TAILS, np.full(TAILS.shape, y)), ALL_NONE)
            for form in ("", "_with_grad")
            for y in (0.0, 1.0)
        ),
        *(
            Case("binary_cross_entropy", (np.append(NEAR_ZERO_AND_ONE, [0, 1]), np.full(10, y)), ALL_NONE)
            for y in (0.0, 0.25, 1.0)
        ),
    ],
    ids=lambda case: case.kernel,
)
def test_tails_keep_their_digits(case: Case) -> None:
    got = getattr(op, case.kernel)(*case.args, **case.kwargs)
    assert_close(got, reference(case.kernel, case.args, case.kwargs), tolerance=1e-15, terms=None)


def test_gradient_of_certain_probabilities_has_a_bounded_denominator() -> None:
    probs, targets = (grid.ravel() for grid in np.meshgrid([0, 1e-300, 1e-13, 0.5, 1], [0, 0.25, 1]))
    _, grad = op.binary_cross_entropy_with_grad(probs, targets, reduction="none")
    pairs = [(mp.mpf(p), y) for p, y in zip(probs, targets, strict=True)]
    expected = [Number((p - y) / max(p * (1 - p), mp.mpf(1e-12))) for p, y in pairs]
    assert_close(grad, np.array(expected, dtype=object), tolerance=1e-15, terms=None)


def test_activations_have_no_slope_where_they_saturate_or_kink() -> None:
    assert_close(op.sigmoid_backward(np.ones(2), np.array([0.0, 1.0])), np.zeros(2))
    assert_close(op.tanh_backward(np.ones(2), np.array([-1.0, 1.0])), np.zeros(2))
    assert_close(op.relu_backward(np.ones(3), op.relu(np.array([-0.0, 0.0, -1.0]))), np.zeros(3))


def test_gradient_on_the_scores_is_the_probability_less_one_at_the_label() -> None:
    _, grad = op.softmax_cross_entropy_with_grad(np.log([[0.2, 0.3, 0.5]]), np.array([1]))
    np.testing.assert_allclose(grad, [[0.2, -0.7, 0.5]], rtol=1e-15)


def test_small_random_weights_begin_at_the_logarithm_of_the_number_of_classes() -> None:
    random = np.random.default_rng(0)
    params = [
        (0.01 * random.standard_normal(shape), np.zeros((1, shape[1]))) for shape in ((2, 100), (100, 3))
    ]
    loss, _ = op.mlp_loss_and_grads(params, random.uniform(-1, 1, (300, 2)), np.arange(300) % 3)
    assert abs(loss - math.log(3)) < 1e-3


def test_gates_of_the_computational_graph() -> None:
    @op.kernel
    def f(x: Any, y: Any, z: Any, w: Any) -> Any:
        return 2 * (x * y + array_namespace(z).maximum(z, w))

    @op.kernel
    def f_backward(grad_out: Any, x: Any, y: Any, z: Any, w: Any) -> Any:
        passes = array_namespace(z).where(z > w, 1.0, 0.0)
        return 2 * grad_out * y, 2 * grad_out * x, 2 * grad_out * passes, 2 * grad_out * (1 - passes)

    point = [np.asarray(value) for value in (3.0, -4.0, 2.0, -1.0)]
    assert f(*point) == -20
    assert f_backward(1.0, *point) == (-8, 6, 2, 0)
    assert op.check_gradients(f, f_backward, point).passed
    for i, slope in enumerate((-8, 6, 2, 0)):
        numeric = op.numeric_gradient(lambda value, i=i: f(*point[:i], value, *point[i + 1 :]), point[i])
        np.testing.assert_allclose(numeric, slope, rtol=1e-9, atol=1e-9)


def test_one_example_under_hinge_and_softmax() -> None:
    weight = np.array([[0.01, -0.05, 0.1, 0.05], [0.7, 0.2, 0.05, 0.16], [0.0, -0.45, -0.2, 0.03]]).T
    scores = op.linear(np.array([[-15.0, 22.0, -44.0, 56.0]]), weight, np.array([0.0, 0.2, -0.3]))
    np.testing.assert_allclose(scores, [[-2.85, 0.86, 0.28]], rtol=1e-13)
    # max(0, -2.85 - 0.28 + 1) + max(0, 0.86 - 0.28 + 1), and -ln of 0.353
    np.testing.assert_allclose(op.multiclass_hinge(scores, np.array([2])), 1.58, rtol=1e-13)
    np.testing.assert_allclose(op.softmax_cross_entropy(scores, np.array([2])), 1.0401905, rtol=1e-7)
    np.testing.assert_allclose(op.multiclass_hinge_with_grad(scores, np.array([2]))[1], [[0, 1, -1]])
