"""What the tests of `out=` share: arguments, kernels of several results, and how results are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from onepass.backends.common.trees import leaves, map_leaves

import onepass as op

Array = np.ndarray[Any, Any]
ROWS, COLUMNS = 6, 40  # more columns than those that the compiler writes a program of their own for
random = np.random.default_rng(20261121)
X, Y = random.standard_normal((ROWS, COLUMNS)), random.standard_normal((ROWS, COLUMNS))
LABELS = random.integers(0, COLUMNS, ROWS)
LAYERS = [
    (random.standard_normal((COLUMNS, 50)), random.standard_normal(50)),
    (Y.T[:, :5].repeat(10, 0)[:50], None),
]


@op.kernel
def statistics(x: Any, y: Any) -> Any:
    """A dict of a sum of rows, something whose every row needs all rows, products and a number."""
    xp = array_namespace(x)
    mean = xp.mean(x, axis=0)
    return {"mean": mean, "rest": {"centred": (x - mean) * y, "least": xp.min(y)}, "gram": [x @ y.T]}


@op.kernel
def swap(x: Any, y: Any) -> Any:
    return y, x


@op.kernel(donate=("x", "y"))
def donated(x: Any, y: Any) -> Any:
    xp = array_namespace(x)
    return x + y, y * xp.max(x, axis=1, keepdims=True), xp.sum(x * y)


@op.kernel(donate=("x", "y"))
def in_place(x: Any, y: Any) -> Any:
    """Both results can be written over the arguments."""
    return x - 0.1 * y, 0.9 * y + x, array_namespace(x).sum(x)


VIEWS: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "the argument": lambda a: (a[:ROWS], a[:ROWS]),
    "the argument again": lambda a: (a[:ROWS], a[:ROWS][...]),
    "backwards": lambda a: (a[:ROWS], a[:ROWS][::-1]),
    "columns backwards": lambda a: (a[:ROWS], a[:ROWS, ::-1]),
    "a row down": lambda a: (a[:ROWS], a[1 : ROWS + 1]),
    "a row up": lambda a: (a[1 : ROWS + 1], a[:ROWS]),
    "an element on": lambda a: (a[:ROWS], a.reshape(-1)[1 : ROWS * COLUMNS + 1].reshape(ROWS, COLUMNS)),
    "the other half": lambda a: (a[::2][:ROWS], a[1::2][:ROWS]),
    "half of it": lambda a: (a[::2][:ROWS], a[:ROWS]),
}


@op.kernel
def apart(a: Any, b: Any) -> Any:
    xp = array_namespace(a)
    return a + b, [a * xp.max(b, axis=1, keepdims=True) - xp.sum(a, axis=0)]


@op.kernel(donate=("a", "b"))
def stepped(a: Any, b: Any) -> Any:
    """Both results can be written over the arguments."""
    return a - 0.1 * b, [0.9 * b + a]


KERNELS = [apart, op.kernel(apart.__wrapped__, donate="a"), stepped, op.kernel(stepped.__wrapped__)]


def any_view(memory: Array, generator: np.random.Generator) -> Array:
    """A view of (ROWS, COLUMNS), of any order and any steps."""
    kind = generator.integers(4)
    start = int(generator.integers(60)) if generator.integers(2) else 0
    if kind == 0:
        return memory[start : start + ROWS * COLUMNS].reshape(ROWS, COLUMNS)
    if kind == 1:
        return memory[start : start + ROWS * COLUMNS].reshape(COLUMNS, ROWS).T
    if kind == 2:
        return memory[start : start + ROWS * COLUMNS].reshape(ROWS, COLUMNS)[::-1]
    return memory[start : start + 2 * ROWS * COLUMNS].reshape(ROWS, 2 * COLUMNS)[:, ::2]


CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "relu": (op.relu, (X,)),
    "softmax over rows": (lambda x, **named: op.softmax(x, axis=0, **named), (X,)),
    "softmax_cross_entropy_with_grad": (op.softmax_cross_entropy_with_grad, (X, LABELS)),
    "linear_backward": (op.linear_backward, (random.standard_normal((ROWS, 50)), X, LAYERS[0][0])),
    "mlp_loss_and_grads": (op.mlp_loss_and_grads, (LAYERS, X, LABELS % 5)),
    "adam_init": (op.adam_init, ({"weight": X},)),
    "statistics": (statistics, (X, Y)),
    "swap": (swap, (X, Y)),
    "donated": (donated, (X, Y)),
}


def unwritten(result: Any) -> Any:
    """Arrays that take the parts of a result; its Python numbers stay."""

    def like(leaf: Any) -> Any:
        return np.full(leaf.shape, -7, leaf.dtype) if isinstance(leaf, np.ndarray | np.generic) else leaf

    return map_leaves(like, result)


def assert_taken(got: Any, out: Any) -> None:
    """The very arrays of `out` are in the result."""
    for mine, given in zip(leaves(got), leaves(out), strict=True):
        assert mine is given or not isinstance(given, np.ndarray)
