"""Kernels as functions of PyTorch's tensors: values and gradients as its own, memory, autograd, errors."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fresh_python import run_python

import onepass as op

pytestmark = pytest.mark.needs(name="torch")


@pytest.fixture
def torch() -> Any:
    module = importlib.import_module("torch")
    module.manual_seed(20261127)
    return module


@pytest.fixture
def bridge(torch: Any) -> Any:
    return importlib.import_module("onepass.torch")


def assert_same_as(
    torch: Any, mine: Callable[..., Any], theirs: Callable[..., Any], tensors: list[Any], **close: Any
) -> None:
    """The same values, dtypes and gradients, for a random derivative with respect to the result."""
    expected, got = theirs(*tensors), mine(*tensors)
    torch.testing.assert_close(got, expected, equal_nan=True, **close)
    cotangent = torch.randn_like(expected)
    differentiated = [t for t in tensors if t.requires_grad]
    expected_grads = torch.autograd.grad(expected, differentiated, cotangent)
    got_grads = torch.autograd.grad(got, differentiated, cotangent)
    torch.testing.assert_close(got_grads, expected_grads, equal_nan=True, **close)


SHAPES = {
    "(C,)": ((5,), ()),
    "(N, C)": ((6, 5), (6,)),
    "(N, C, d1)": ((3, 5, 4), (3, 4)),
    "(N, C, d1, d2)": ((2, 5, 3, 4), (2, 3, 4)),
    "no rows": ((0, 5), (0,)),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"label_smoothing": 0.1},
    {"label_smoothing": 0.2, "reduction": "none"},
]


def cases() -> Iterator[Any]:
    for (name, shapes), options in itertools.product(SHAPES.items(), OPTIONS):
        for target, weighted in itertools.product(("classes", "ignored", "probabilities"), (False, True)):
            said = ", ".join(map(str, options.values()))
            yield pytest.param(
                *(*shapes, options, target, weighted),
                id=f"{name}, {target}{', weighted' * weighted}, {said}",
            )


@pytest.mark.parametrize(("shape", "rows", "options", "target", "weighted"), list(cases()))
def test_cross_entropy_is_pytorchs(
    torch: Any,
    bridge: Any,
    shape: tuple[int, ...],
    rows: tuple[int, ...],
    options: dict[str, Any],
    target: str,
    weighted: bool,
) -> None:
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 5, rows)
    options = dict(options)
    if target == "ignored":
        options["ignore_index"] = 2
    if target == "probabilities":
        labels = torch.softmax(torch.randn(shape, dtype=torch.float64), dim=0 if len(shape) == 1 else 1)
    if weighted:
        options["weight"] = torch.rand(5, dtype=torch.float64)
    assert_same_as(
        torch,
        lambda x: bridge.cross_entropy(x, labels, **options),
        lambda x: torch.nn.functional.cross_entropy(x, labels, **options),
        [logits],
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("options", [*OPTIONS, {"ignore_index": 3}], ids=str)
def test_linear_cross_entropy_is_pytorchs(
    torch: Any, bridge: Any, dtype: str, with_bias: bool, options: dict[str, Any]
) -> None:
    kind = getattr(torch, dtype)
    x, weight, bias = (torch.randn(shape).to(kind).requires_grad_() for shape in ((2, 9, 6), (5, 6), (5,)))
    labels = torch.randint(0, 5, (2, 9))
    functional = torch.nn.functional

    def theirs(x: Any, weight: Any, *bias: Any) -> Any:
        scores = functional.linear(x, weight, *bias).movedim(-1, 1)
        return functional.cross_entropy(scores, labels, **options)

    def mine(x: Any, weight: Any, *bias: Any) -> Any:
        return bridge.linear_cross_entropy(x, weight, labels, *bias, **options)

    # PyTorch rounds the scores of halves.
    close = {"rtol": 5e-2, "atol": 5e-2} if dtype in ("float16", "bfloat16") else {}
    assert_same_as(torch, mine, theirs, [x, weight, *([bias] if with_bias else [])], **close)


def gelu_layer(x: Any, layer: dict[str, Any]) -> dict[str, Any]:
    z = x @ layer["weight"] + layer["bias"]
    return {"hidden": z * op.sigmoid(1.702 * z), "largest": z.max(axis=1), "where": z.argmax(axis=1)}


def test_a_kernel_of_trees_under_gradcheck(torch: Any, bridge: Any) -> None:
    function = bridge.function(gelu_layer)
    x, weight, bias = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((4, 3), (3, 5), (5,))
    )

    def flat(x: Any, weight: Any, bias: Any) -> Any:
        result = function(x, {"weight": weight, "bias": bias})
        assert not result["where"].requires_grad
        assert (result["where"] == (x @ weight + bias).argmax(dim=1)).all()
        return result["hidden"], result["largest"]

    assert torch.autograd.gradcheck(flat, (x, weight, bias))
    assert torch.autograd.gradcheck(flat, (x.detach(), weight, bias.detach()))


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_losses_under_gradcheck(torch: Any, bridge: Any, reduction: str) -> None:
    x, weight = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((4, 3), (5, 3)))
    labels = torch.tensor([0, 4, -100, 2])
    assert torch.autograd.gradcheck(
        lambda x, weight: bridge.linear_cross_entropy(x, weight, labels, reduction=reduction), (x, weight)
    )


def test_the_backward_of_a_kernels_own(torch: Any, bridge: Any) -> None:
    @op.kernel(backward=lambda grad_out, x: (7 * grad_out,))
    def seven(x: Any) -> Any:
        return 2 * x

    x = torch.ones(3, requires_grad=True)
    bridge.function(seven)(x).sum().backward()
    assert x.grad.tolist() == [7, 7, 7]


def test_tensors_and_results_share_their_memory_with_arrays(torch: Any, bridge: Any) -> None:
    seen: list[int] = []

    def spied(x: Any) -> Any:
        seen.append(x.ctypes.data if isinstance(x, np.ndarray) else 0)
        return np.asarray(x) + 1 if isinstance(x, np.ndarray) else x + 1

    x = torch.randn(4, 6).T  # no copy of what is not contiguous either
    with op.use_backend("numpy"):
        assert bridge.function(spied)(x).tolist() == (x + 1).tolist()
    assert x.data_ptr() in seen


def test_a_result_that_is_an_argument_is_a_copy(torch: Any, bridge: Any) -> None:
    x = torch.ones(3)
    with op.use_backend("numpy"):
        result = bridge.function(lambda x: x)(x)
    result += 1
    assert x.tolist() == [1, 1, 1]


def test_donated_arguments_are_not_overwritten(torch: Any, bridge: Any) -> None:
    @op.kernel(donate="x")
    def double(x: Any) -> Any:
        return 2 * x

    x = torch.ones(1000)
    assert bridge.function(double)(x).sum() == 2000
    assert x.sum() == 1000


def test_no_grad_and_tensors_without_gradients(torch: Any, bridge: Any) -> None:
    x = torch.randn(4, 3, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        assert not bridge.cross_entropy(x, labels).requires_grad
    assert not bridge.cross_entropy(x.detach(), labels).requires_grad
    assert bridge.cross_entropy(x, labels).requires_grad


def test_a_retained_graph_gives_the_same_gradients_again(torch: Any, bridge: Any) -> None:
    x = torch.randn(4, 3, requires_grad=True)
    loss = bridge.cross_entropy(x, torch.tensor([0, 1, 2, 0]))
    first, second, doubled = (
        torch.autograd.grad(loss, x, torch.tensor(factor), retain_graph=True)[0] for factor in (1.0, 1.0, 2.0)
    )
    assert torch.equal(first, second)
    torch.testing.assert_close(doubled, 2 * first)
    loss.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_second_derivatives_are_refused_by_name(torch: Any, bridge: Any) -> None:
    x = torch.randn(4, 3, requires_grad=True)
    loss = bridge.cross_entropy(x, torch.tensor([0, 1, 2, 0]))
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"^softmax_cross_entropy: its gradients cannot be differentiated"):
        gradient.sum().backward()


def test_a_tensor_that_is_changed_before_backward_is_an_error(torch: Any, bridge: Any) -> None:
    x = torch.randn(4, 3, requires_grad=True)
    scaled = x * 1
    loss = bridge.cross_entropy(scaled, torch.tensor([0, 1, 2, 0]))
    scaled.data_ptr()
    with torch.no_grad():
        scaled.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_module_learns(torch: Any, bridge: Any) -> None:
    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = torch.nn.Linear(2, 32), torch.nn.Linear(32, 3)

        def forward(self, x: Any, labels: Any) -> Any:
            hidden = torch.relu(self.body(x))
            return bridge.linear_cross_entropy(hidden, self.head.weight, labels, self.head.bias)

    x, net = torch.randn(300, 2), Net()
    labels = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        loss = net(x, labels)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.2


def test_transforms_of_torch_func(torch: Any, bridge: Any) -> None:
    x, labels = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    got = torch.func.grad(lambda x: bridge.cross_entropy(x, labels))(x)
    expected = torch.func.grad(lambda x: torch.nn.functional.cross_entropy(x, labels))(x)
    torch.testing.assert_close(got, expected)


def test_a_lazily_negated_tensor(torch: Any, bridge: Any) -> None:
    x = torch.randn(3, dtype=torch.complex128).conj().imag
    assert x.is_neg()
    torch.testing.assert_close(bridge.function(op.relu)(x), torch.relu(x))


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda b, t: b.function(op.relu)(1.0), TypeError, "relu: got no tensors; expected tensors on one"),
        (lambda b, t: b.function(op.relu)(t.ones(3, device="meta")), TypeError, "relu: got a tensor on meta"),
        (lambda b, t: b.function(op.relu)(t.eye(3).to_sparse()), TypeError, "of layout torch.sparse_coo"),
        (lambda b, t: b.function(3), TypeError, "function: got 3; expected a function"),
        (lambda b, t: b.cross_entropy(t.ones(2, 3), [0, 1]), TypeError, "cross_entropy: target is a list"),
        (
            lambda b, t: b.cross_entropy(t.ones(2, 3), t.tensor([0, 3])),
            ValueError,
            r"labels\[1\] is 3; expected 0 <= label < 3",
        ),
        (
            lambda b, t: b.cross_entropy(t.ones(2, 3), t.tensor([0])),
            ValueError,
            r"cross_entropy: target has shape \(1,\); expected \(2,\), for input of shape \(2, 3\)",
        ),
        (
            lambda b, t: b.linear_cross_entropy(t.ones(2, 3), t.ones(3, 4), t.tensor([0, 1])),
            ValueError,
            r"linear_cross_entropy: got input, weight and target of shapes \(2, 3\), \(3, 4\) and \(2,\)",
        ),
        (
            lambda b, t: b.cross_entropy(t.ones(2, 3), t.tensor([0, 1]), reduction="average"),
            ValueError,
            "reduction is 'average'",
        ),
    ],
)
def test_errors(torch: Any, bridge: Any, call: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        call(bridge, torch)


TRAINING = """
import threading
import torch
from onepass.torch import linear_cross_entropy

torch.manual_seed(0)
body, head = torch.nn.Linear(64, 64), torch.nn.Linear(64, 500)
x, labels = torch.randn(600, 64), torch.randint(500, (600,))
expected = torch.nn.functional.cross_entropy(head(body(x)), labels)
for _ in range(3):
    loss = linear_cross_entropy(body(x), head.weight, labels, head.bias)
    loss.backward()
assert abs(float(loss.detach() - expected.detach())) < 1e-5
print([thread.name for thread in threading.enumerate() if thread.name.startswith("onepass-worker")])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch's OpenMP has GNU's entry points on Linux")
def test_kernels_run_on_the_threads_of_pytorch() -> None:
    """Two pools of threads in a training loop keep each other from the processors."""
    done = run_python(TRAINING, OMP_NUM_THREADS="2")
    assert (done.stdout, done.stderr) == ("[]\n", "")
