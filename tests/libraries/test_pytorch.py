"""Every kernel that PyTorch has, against PyTorch and its autograd; and the kernels on its tensors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import closeness
import numpy as np
import pytest
from selection import exhaustively

import onepass as op

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
F = torch.nn.functional

N, D, K = 7, 4, 5
random = np.random.default_rng(20240704)
logits, x = 3 * random.standard_normal((N, K)), random.standard_normal((N, D))
labels = np.array([0, 4, 2, 2, 1, 3, 0])
soft, class_weight = random.dirichlet(np.ones(K), N), random.uniform(0.2, 2, K)
targets, probs = random.uniform(size=(N, K)), random.uniform(0.01, 0.99, (N, K))
targets[:2] = np.round(targets[:2])
weight, pos_weight = random.uniform(size=(N, 1)), random.uniform(0, 3, K)
REDUCTIONS = ("mean", "sum", "none")


class Pair(NamedTuple):
    """A function of onepass and of PyTorch, the arrays both take, and the options of each."""

    ours: str
    theirs: Callable[..., Any]
    args: tuple[np.ndarray, ...]
    our_options: dict[str, Any] = {}  # noqa: RUF012
    their_options: dict[str, Any] = {}  # noqa: RUF012

    def __str__(self) -> str:
        options = ",".join(
            f"{name}={'array' if isinstance(value, np.ndarray) else value}"
            for name, value in self.our_options.items()
        )
        return f"{self.ours}({options})"


def to_torch(value: Any) -> Any:
    return torch.tensor(value) if isinstance(value, np.ndarray) else value


def assert_close(got: Any, expected: Any, *, tolerance: float = 1e-12, terms: float = 1e-300) -> None:
    """Equal to a part `tolerance` of the largest value, or of the `terms` that cancel in it."""
    got, expected = (np.asarray(v.detach() if isinstance(v, torch.Tensor) else v) for v in (got, expected))
    assert expected.dtype == np.float64
    closeness.assert_close(got, expected, tolerance=tolerance, terms=terms)


def label_pairs() -> list[Pair]:
    def multi_margin(scores: Any, target: Any, **options: Any) -> Any:
        # PyTorch divides a row's violations by the number of classes; the course does not.
        return K * F.multi_margin_loss(scores, target, **options)

    pairs = []
    log_probs = np.log(soft)
    for reduction, w, ignored in itertools.product(REDUCTIONS, (None, class_weight), (None, 2)):
        # Without `ignore_index`, PyTorch's default of -100 is no label.
        ours = {"class_weight": w, "ignore_index": ignored, "reduction": reduction}
        theirs = {"weight": w, "ignore_index": -100 if ignored is None else ignored, "reduction": reduction}
        pairs.append(Pair("nll_loss", F.nll_loss, (log_probs, labels), ours, theirs))
        for s in ({}, {"label_smoothing": 0.1}, {"label_smoothing": 1.0}):
            pairs.append(
                Pair("softmax_cross_entropy", F.cross_entropy, (logits, labels), ours | s, theirs | s)
            )
            if ignored is None:
                target = (logits, soft)
                pairs.append(Pair("softmax_cross_entropy", F.cross_entropy, target, ours | s, theirs | s))
        if ignored is None:  # PyTorch's hinge has no ignored label
            del theirs["ignore_index"]
            for margin in (1.0, 0.3):
                margins = ours | {"margin": margin}, theirs | {"margin": margin}
                pairs.append(Pair("multiclass_hinge", multi_margin, (logits, labels), *margins))
    return pairs


def elementwise_pairs() -> list[Pair]:
    pairs = [
        Pair(
            "half_squared_error", lambda *args, **kwargs: 0.5 * F.mse_loss(*args, **kwargs), (logits, targets)
        )
    ]
    bce, with_logits = F.binary_cross_entropy, F.binary_cross_entropy_with_logits
    for reduction in REDUCTIONS:
        plain = {"reduction": reduction}
        pairs.append(Pair("mean_squared_error", F.mse_loss, (logits, targets), plain, plain))
        for w in ({}, {"weight": weight}, {"weight": np.round(weight)}):
            options = (plain | w, plain | w)
            pairs.append(Pair("binary_cross_entropy", bce, (probs, targets), *options))
            for p in ({}, {"pos_weight": pos_weight}):
                both = plain | w | p
                pairs.append(
                    Pair("binary_cross_entropy_with_logits", with_logits, (10 * logits, targets), both, both)
                )
    return pairs


# The backend of NumPy's arrays; PyTorch's have their own.
OF_ARRAYS = pytest.mark.parametrize("backend", ["numpy", exhaustively("numba")])


@OF_ARRAYS
@pytest.mark.parametrize("pair", label_pairs() + elementwise_pairs(), ids=str)
def test_loss_and_gradient_are_those_of_autograd(pair: Pair, backend: str) -> None:
    reduction = pair.our_options.get("reduction", "mean")
    scores, target = map(to_torch, pair.args)
    scores.requires_grad_()
    loss = pair.theirs(
        scores, target, **{name: to_torch(value) for name, value in pair.their_options.items()}
    )
    (summed,) = torch.autograd.grad(loss.sum(), scores, retain_graph=True)
    grad_out = torch.randn(loss.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (weighted,) = torch.autograd.grad(loss, scores, grad_out)

    with op.use_backend(backend):
        assert_close(getattr(op, pair.ours)(*pair.args, **pair.our_options), loss)
        got, grad = getattr(op, f"{pair.ours}_with_grad")(*pair.args, **pair.our_options)
        assert_close(got, loss)
        assert_close(grad, summed)
        ours = grad_out.numpy() if reduction == "none" else grad_out.item()
        assert_close(getattr(op, f"{pair.ours}_backward")(ours, *pair.args, **pair.our_options), weighted)

    # On tensors the forward kernel is differentiable, and autograd finds what `_backward` says.
    options = {name: to_torch(value) for name, value in pair.our_options.items()}
    on_tensors = getattr(op, pair.ours)(scores, target, **options)
    assert isinstance(on_tensors, torch.Tensor)
    assert_close(on_tensors, loss)
    assert_close(torch.autograd.grad(on_tensors, scores, grad_out)[0], weighted)
    assert_close(getattr(op, f"{pair.ours}_with_grad")(scores.detach(), target, **options)[1], summed)
    to_scale = grad_out if reduction == "none" else grad_out.item()
    assert_close(getattr(op, f"{pair.ours}_backward")(to_scale, scores.detach(), target, **options), weighted)


def test_certain_probabilities_are_bounded_as_in_pytorch() -> None:
    p, y = np.meshgrid([0.0, 1e-300, 1e-13, 0.5, 1 - 1e-13, 1 - 2.0**-53, 1.0], [0.0, 0.25, 1.0])
    tensor = to_torch(p).requires_grad_()
    expected = F.binary_cross_entropy(tensor, to_torch(y), reduction="none")
    loss, grad = op.binary_cross_entropy_with_grad(p, y, reduction="none")
    np.testing.assert_allclose(loss, expected.detach(), rtol=1e-12)
    # Looser, because PyTorch rounds its bound of 1e-12 to float32 for float64 tensors too.
    np.testing.assert_allclose(grad, torch.autograd.grad(expected.sum(), tensor)[0], rtol=1e-8)


NAN_ROW = np.array([[0.0, 1.0, 2.0], [np.nan, 0.0, 1.0]])
INFINITE = np.array([[0.0, 1.0, -np.inf], [3.0, 2.0, -np.inf]])


# Where PyTorch multiplies by 0 and has NaN, what has no weight does not count here.
@pytest.mark.parametrize(
    ("scores", "target", "ours", "theirs"),
    [
        (NAN_ROW, np.array([0, 2]), {"ignore_index": 2}, {"ignore_index": 2}),
        (
            NAN_ROW,
            np.array([0, 2]),
            {"class_weight": np.array([1, 1, 0.0])},
            {"weight": np.array([1, 1, 0.0])},
        ),
        (INFINITE, np.array([[0.5, 0.5, 0], [0.25, 0.75, 0]]), {}, {}),
    ],
    ids=["ignored NaN", "NaN of weight 0", "-inf of probability 0"],
)
def test_what_has_no_weight_does_not_count(
    scores: np.ndarray, target: np.ndarray, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    tensor = to_torch(scores).requires_grad_()
    expected = F.cross_entropy(tensor, to_torch(target), **{name: to_torch(v) for name, v in theirs.items()})
    assert torch.any(torch.isnan(torch.autograd.grad(expected, tensor)[0])) or torch.isnan(expected)
    loss, grad = op.softmax_cross_entropy_with_grad(scores, target, **ours)
    counted = (scores[:1], target[:1]) if ours else (scores[:, :2], target[:, :2])
    finite_loss, finite_grad = op.softmax_cross_entropy_with_grad(*counted)
    assert_close(loss, finite_loss)
    rest = np.zeros_like(scores)
    rest[: finite_grad.shape[0], : finite_grad.shape[1]] = finite_grad
    assert_close(grad, rest)


def test_all_labels_ignored_leave_a_mean_of_nothing() -> None:
    nothing = np.full(N, 2)
    expected = F.cross_entropy(to_torch(logits), to_torch(nothing), ignore_index=2)
    loss, grad = op.softmax_cross_entropy_with_grad(logits, nothing, ignore_index=2)
    assert np.isnan(loss)
    assert torch.isnan(expected)
    assert_close(grad, np.zeros((N, K)))


def test_penalties_are_the_norms_of_pytorch() -> None:
    tensor = to_torch(x).requires_grad_()
    for penalty, norm in (
        ("l2_penalty", 0.15 * tensor.square().sum()),
        ("l1_penalty", 0.3 * tensor.abs().sum()),
    ):
        assert_close(getattr(op, penalty)(x, 0.3), norm)
        assert_close(
            getattr(op, f"{penalty}_backward")(1.7, x, 0.3), 1.7 * torch.autograd.grad(norm, tensor)[0]
        )


block = 3 * random.standard_normal((3, 4, 5))
ACTIVATIONS: list[Pair] = [
    Pair("relu", F.relu, (np.append(block, [0.0, -0.0]),)),
    Pair("sigmoid", torch.sigmoid, (20 * block,)),
    Pair("tanh", torch.tanh, (block,)),
    *(
        Pair(name, getattr(torch, name), (block,), {"axis": axis}, {"dim": axis})
        for name in ("softmax", "log_softmax")
        for axis in (0, 1, -1)
    ),
]


@OF_ARRAYS
@pytest.mark.parametrize("pair", ACTIVATIONS, ids=str)
def test_activation_and_its_backward_are_those_of_autograd(pair: Pair, backend: str) -> None:
    values = to_torch(pair.args[0]).requires_grad_()
    grad_out = to_torch(np.random.default_rng(0).standard_normal(values.shape))
    expected = pair.theirs(values, **pair.their_options)
    (grad,) = torch.autograd.grad(expected, values, grad_out)
    # A dimension in the middle is none that the compiler knows: "auto" runs it as it is written.
    in_the_middle = backend == "numba" and pair.our_options.get("axis") == 1
    with op.use_backend("auto" if in_the_middle else backend):
        out = getattr(op, pair.ours)(pair.args[0], **pair.our_options)
        assert_close(out, expected)
        assert_close(getattr(op, f"{pair.ours}_backward")(grad_out.numpy(), out, **pair.our_options), grad)
    on_tensors = getattr(op, pair.ours)(values, **pair.our_options)
    assert_close(on_tensors, expected)
    # At a tie autograd halves the slope of a maximum, where relu_backward and F.relu have 0.
    through = torch.autograd.grad(on_tensors, values, grad_out)[0]
    assert_close(torch.where(values == 0, 0.0, through), grad)
    assert_close(getattr(op, f"{pair.ours}_backward")(grad_out, expected.detach(), **pair.our_options), grad)


@pytest.mark.parametrize("bias_shape", [None, (K,), (1, K)])
def test_linear_is_that_of_pytorch_with_the_weight_transposed(bias_shape: tuple[int, ...] | None) -> None:
    draw = np.random.default_rng(4)
    matrix, grad_out = draw.standard_normal((D, K)), draw.standard_normal((N, K))
    bias = None if bias_shape is None else draw.standard_normal(bias_shape)
    arguments = [to_torch(value) for value in (x, matrix, bias)]
    leaves = [tensor.requires_grad_() for tensor in arguments if tensor is not None]
    expected = F.linear(arguments[0], arguments[1].T, None if bias is None else arguments[2].reshape(-1))
    grads = torch.autograd.grad(expected, leaves, to_torch(grad_out))
    assert_close(op.linear(x, matrix, bias), expected)
    assert_close(op.linear(*arguments), expected)
    for got, grad in zip(op.linear_backward(grad_out, x, matrix), grads, strict=False):
        assert_close(got, grad.reshape(got.shape))


# (step, state, PyTorch's optimiser, options of both, PyTorch's other options)
OPTIMIZERS: list[tuple[str, str | None, str, dict[str, Any], dict[str, Any]]] = [
    ("sgd_step", None, "SGD", {"lr": 0.1, "weight_decay": 0.02}, {}),
    ("momentum_step", "momentum_init", "SGD", {"lr": 0.1}, {"momentum": 0.9}),
    ("momentum_step", "momentum_init", "SGD", {"lr": 0.1, "momentum": 0.6, "weight_decay": 0.02}, {}),
    ("momentum_step", "momentum_init", "SGD", {"lr": 0.1, "momentum": 0.6, "nesterov": True}, {}),
    ("adam_step", "adam_init", "Adam", {}, {}),
    (
        "adam_step",
        "adam_init",
        "Adam",
        {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.02},
        {},
    ),
    ("adamw_step", "adam_init", "AdamW", {}, {}),
    ("adamw_step", "adam_init", "AdamW", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.2}, {}),
    ("rmsprop_step", "rmsprop_init", "RMSprop", {}, {}),
    (
        "rmsprop_step",
        "rmsprop_init",
        "RMSprop",
        {"lr": 0.1, "alpha": 0.8, "eps": 1e-4, "weight_decay": 0.02},
        {},
    ),
    ("adagrad_step", "adagrad_init", "Adagrad", {}, {}),
    ("adagrad_step", "adagrad_init", "Adagrad", {"lr": 0.1, "eps": 1e-4, "weight_decay": 0.02}, {}),
    ("adadelta_step", "adadelta_init", "Adadelta", {}, {}),
    (
        "adadelta_step",
        "adadelta_init",
        "Adadelta",
        {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.02},
        {},
    ),
    ("rprop_step", "rprop_init", "Rprop", {}, {}),
    ("rprop_step", "rprop_init", "Rprop", {"etas": (0.4, 1.5), "step_sizes": (1e-3, 0.05)}, {}),
]


@OF_ARRAYS
@pytest.mark.parametrize(("step", "init", "name", "options", "others"), OPTIMIZERS)
def test_optimizer_takes_the_steps_of_pytorch(
    step: str, init: str | None, name: str, options: dict[str, Any], others: dict[str, Any], backend: str
) -> None:
    draw = np.random.default_rng(1)
    params: Any = {
        "layers": [(draw.standard_normal((3, 2)), draw.standard_normal(2))],
        "scale": draw.standard_normal(1),
    }
    tensors = [to_torch(array).requires_grad_() for array in (*params["layers"][0], params["scale"])]
    optimizer = getattr(torch.optim, name)(tensors, **options, **others)
    state = None if init is None else getattr(op, init)(params)
    for _ in range(25):
        arrays = [draw.standard_normal(tensor.shape) for tensor in tensors]
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor.grad = to_torch(array)
        optimizer.step()
        grads = {"layers": [tuple(arrays[:2])], "scale": arrays[2]}
        with op.use_backend(backend):
            if state is None:
                params = getattr(op, step)(params, grads, **options)
            else:
                params, state = getattr(op, step)(params, grads, state, **options)
        for got, tensor in zip((*params["layers"][0], params["scale"]), tensors, strict=True):
            assert_close(got, tensor)
        for key, tree in ({} if state is None else state).items():
            for got, tensor in (
                zip((*tree["layers"][0], tree["scale"]), tensors, strict=True) if key != "step" else ()
            ):
                assert_close(got, optimizer.state[tensor][key])


def spiral(points: int = 100, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """The data of the course's case study: one arm of a spiral for each class."""
    draw = np.random.default_rng(2)
    radius, arm = np.tile(np.linspace(0.0, 1, points), classes), np.repeat(np.arange(classes), points)
    angle = 4 * (arm + radius) + 0.2 * draw.standard_normal(classes * points)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1), arm


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "multiclass_hinge", "mean_squared_error"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_autograd_through_a_network_finds_its_gradients(activation: str, loss: str) -> None:
    draw = np.random.default_rng(5)
    widths = (D, 6, 5, K)
    params = [
        (to_torch(draw.standard_normal(shape)).requires_grad_(), to_torch(draw.standard_normal(shape[1])))
        for shape in itertools.pairwise(widths)
    ]
    target = to_torch(targets if loss == "mean_squared_error" else labels)
    value, grads = op.mlp_loss_and_grads(
        params, to_torch(x), target, activation=activation, loss=loss, l2=0.1
    )
    expected = torch.autograd.grad(value, [matrix for matrix, _ in params])
    for (grad, _), matrix_grad in zip(grads, expected, strict=True):
        assert_close(grad, matrix_grad)


@pytest.mark.parametrize("widths", [(2, 3), (2, 100, 3)])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_training_follows_pytorch_step_for_step(library: str, widths: tuple[int, ...]) -> None:
    points, arms = spiral()
    draw = np.random.default_rng(3)
    params: Any = [
        (0.01 * draw.standard_normal(shape), np.zeros(shape[1])) for shape in itertools.pairwise(widths)
    ]
    layers = [torch.nn.Linear(*weight.shape, dtype=torch.float64) for weight, _ in params]
    for layer, (matrix, bias) in zip(layers, params, strict=True):
        layer.weight.data, layer.bias.data = to_torch(matrix.T.copy()), to_torch(bias)
    network = torch.nn.Sequential(*[part for layer in layers for part in (torch.nn.ReLU(), layer)][1:])
    # The penalty is on the weights alone, as the decay of a group of parameters of its own.
    groups = [
        {"params": [layer.weight for layer in layers], "weight_decay": 1e-3},
        {"params": [layer.bias for layer in layers]},
    ]
    optimizer, criterion = torch.optim.SGD(groups, lr=1.0), torch.nn.CrossEntropyLoss()
    inputs, target = to_torch(points), to_torch(arms)
    ours = (inputs, target) if library == "torch" else (points, arms)
    if library == "torch":
        params = [(to_torch(matrix), to_torch(bias)) for matrix, bias in params]
    for _ in range(50):
        optimizer.zero_grad()
        loss = criterion(network(inputs), target)
        loss.backward()
        optimizer.step()
        penalty = sum(5e-4 * float(np.sum(np.asarray(matrix) ** 2)) for matrix, _ in params)
        value, grads = op.mlp_loss_and_grads(params, *ours, l2=1e-3)
        assert_close(value - penalty, loss)
        params = op.sgd_step(params, grads, 1.0)
        for layer, (matrix, bias) in zip(layers, params, strict=True):
            # Both are sums of gradients, which are differences of probabilities: of terms of order 1.
            assert_close(matrix, layer.weight.T, tolerance=1e-13, terms=1.0)
            assert_close(bias, layer.bias, tolerance=1e-13, terms=1.0)
