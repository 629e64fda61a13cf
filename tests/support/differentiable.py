"""Scalar functions of arrays with a derivative, each written once for the arrays of every library.

`ROWS` is the table. Arguments are deterministic, small and away from kinks. Their sizes differ, so that the
gradient of a transposed matrix has another shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace
from onepass.backends.common.trees import leaves, named_leaves

import onepass as op


class Differentiable(NamedTuple):
    """A function that returns a scalar, arguments, and the arguments to differentiate with respect to."""

    name: str
    function: Callable[..., Any]
    make_args: Callable[[], tuple[Any, ...]]  # NumPy arrays of float64 and integers, numbers, trees of them
    argnums: int | tuple[int, ...] = 0
    # The same function for JAX, where `function` does what JAX cannot: assignment, derivatives at -inf.
    jax_function: Callable[..., Any] | None = None
    twice: bool = False  # second derivatives are compared too
    slope: bool = True  # whether the gradient is the slope of the values; False with stopped gradients

    def __str__(self) -> str:
        return self.name

    @property
    def differentiated(self) -> tuple[int, ...]:
        """The numbers of the arguments to differentiate with respect to."""
        return self.argnums if isinstance(self.argnums, tuple) else (self.argnums,)

    @property
    def for_jax(self) -> Callable[..., Any]:
        """The function to differentiate with JAX."""
        return self.jax_function or self.function


# Arguments


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal values."""
    return np.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape))


def uniform(*shape: int, low: float = 0.0, high: float = 1.0, seed: int = 0) -> np.ndarray:
    """Values in (low, high)."""
    return np.asarray(np.random.default_rng([seed, *shape]).uniform(low, high, shape))


def nonzero(*shape: int, seed: int = 0) -> np.ndarray:
    """Values of both signs, none of them near 0 or 1."""
    sizes = uniform(*shape, low=0.2, high=0.9, seed=seed) + integers(2, *shape, seed=seed)
    return sizes * (2 * integers(2, *shape, seed=seed + 1) - 1)


def distinct(*shape: int, seed: int = 0) -> np.ndarray:
    """Values around 0, no two of which are near each other."""
    values = np.linspace(-2, 2, math.prod(shape)) + 0.03
    return np.random.default_rng([seed, *shape]).permutation(values).reshape(shape)


def integers(high: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Integers in [0, high)."""
    return np.asarray(np.random.default_rng([seed, high, *shape]).integers(0, high, shape))


def normals(*shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Standard normal arrays, scaled as weights of networks."""
    return tuple(0.7 * normal(*shape, seed=10 + number) for number, shape in enumerate(shapes))


# Results of any shape become scalars

WEIGHTS = uniform(1000, low=0.5, high=1.5) * (2 * integers(2, 1000) - 1)


def weighted_sum(tree: Any) -> Any:
    """The sum of all elements of the arrays of a tree, each times a weight of its own.

    The order of the keys of dicts does not matter: in JAX, trees have them sorted.
    """
    total: Any = 0.0
    for number, (_, array) in enumerate(sorted(named_leaves(tree, ""), key=lambda item: item[0])):
        xp = array_namespace(array)
        count = math.prod(array.shape)
        weights = xp.asarray(np.reshape(WEIGHTS[7 * number : 7 * number + count], tuple(array.shape)))
        total = total + xp.sum(array * weights)
    return total


def weighted(body: Callable[..., Any]) -> Callable[..., Any]:
    """The function of arrays that adds up what `body(xp, *arrays)` returns, an array or a tree of arrays."""

    def function(*args: Any) -> Any:
        return weighted_sum(body(array_namespace(*leaves(args)), *args))

    function.__name__ = function.__qualname__ = getattr(body, "__name__", "body").replace("<lambda>", "body")
    return function


def row(
    name: str,
    body: Callable[..., Any],
    *shapes_or_arrays: Any,
    on_jax: Callable[..., Any] | None = None,
    argnums: int | tuple[int, ...] | None = None,
    **options: Any,
) -> Differentiable:
    """The row of the function `weighted(body)`.

    shapes_or_arrays: the arguments; a tuple of integers is the shape of a normal array
    on_jax:           the body for JAX
    argnums:          None for all arguments that have floats
    """

    def make_args() -> tuple[Any, ...]:
        return tuple(
            normal(*given, seed=number) if isinstance(given, tuple) else np.array(given)
            for number, given in enumerate(shapes_or_arrays)
        )

    if argnums is None:
        floats = tuple(n for n, arg in enumerate(make_args()) if arg.dtype.kind == "f")
        argnums = floats if len(floats) > 1 else floats[0]
    jax_function = None if on_jax is None else weighted(on_jax)
    return Differentiable(name, weighted(body), make_args, argnums, jax_function, **options)


# Networks


def gelu(x):
    xp = array_namespace(x)
    return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x):
    xp = array_namespace(x)
    return x / (1 + xp.exp(-x))


def softplus(x):
    xp = array_namespace(x)
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))


def elu(x):
    xp = array_namespace(x)
    return xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0.0)))


def maximum_with_zero(x):
    xp = array_namespace(x)
    return xp.maximum(x, 0)


def tanh(x):
    xp = array_namespace(x)
    return xp.tanh(x)


def mlp_with(activation):
    def mlp(w1, b1, w2, b2, x, y):
        xp = array_namespace(x)
        hidden = activation(x @ w1 + b1)
        return xp.mean((hidden @ w2 + b2 - y) ** 2)

    return mlp


def mlp_args():
    return (*normals((4, 6), (6,), (6, 3), (3,)), normal(5, 4), normal(5, 3))


def mlp_row(name, activation, **options):
    return Differentiable(f"mlp with {name}", mlp_with(activation), mlp_args, argnums=(0, 1, 2, 3), **options)


def network_of_a_tree(params, x, labels):
    xp = array_namespace(x)
    for weight, bias in params["layers"]:
        x = xp.tanh(x @ weight + bias)
    scale, (shift,) = params["head"]
    return op.softmax_cross_entropy(scale * x + shift, labels) + params["strength"] * xp.sum(scale**2)


def network_of_a_tree_args():
    w1, b1, w2, b2, scale, shift = normals((4, 6), (6,), (6, 3), (3,), (3,), (1, 3))
    params = {
        "layers": [(w1, b1), (w2, b2)],
        "head": (scale, [shift]),
        "strength": np.array(0.3),
    }
    return params, normal(5, 4), integers(3, 5)


def layer_norm_and_head(x, gamma, beta, weight, bias, labels):
    xp = array_namespace(x)
    mean = xp.mean(x, axis=-1, keepdims=True)
    variance = xp.mean((x - mean) ** 2, axis=-1, keepdims=True)
    normed = (x - mean) / xp.sqrt(variance + 1e-5) * gamma + beta
    return op.softmax_cross_entropy(op.linear(normed, weight, bias), labels)


def batch_norm(x, w1, gamma, beta, w2, targets):
    xp = array_namespace(x)
    hidden = x @ w1
    normed = (hidden - xp.mean(hidden, axis=0)) / xp.sqrt(xp.var(hidden, axis=0) + 1e-3)
    return op.mean_squared_error(op.relu(gamma * normed + beta) @ w2, targets)


def residual_blocks(blocks, x):
    xp = array_namespace(x)
    for w1, bias, w2 in blocks:
        x = x + xp.tanh(x @ w1 + bias) @ w2
    return xp.mean(xp.square(x))


def dropout(w1, w2, x, keep, targets):
    xp = array_namespace(x)
    hidden = xp.where(keep > 0, xp.tanh(x @ w1) / 0.8, 0.0)
    return op.mean_squared_error(hidden @ w2, targets)


def convolution(images, filters, bias, weight, labels):
    xp = array_namespace(images)
    n, height, width, channels = images.shape
    rows, columns, _, count = filters.shape
    high, wide = height - rows + 1, width - columns + 1
    patches = xp.concat(
        [images[:, i : i + high, j : j + wide, :] for i in range(rows) for j in range(columns)], axis=-1
    )
    hidden = op.relu(patches @ xp.reshape(filters, (rows * columns * channels, count)) + bias)
    pooled = xp.max(xp.reshape(hidden, (n, high // 2, 2, wide, count)), axis=2)
    return op.softmax_cross_entropy(xp.reshape(pooled, (n, -1)) @ weight, labels)


def convolution_with_strides(signal, kernel, bias):
    xp = array_namespace(signal)
    count = (signal.shape[1] - kernel.shape[0]) // 2 + 1
    windows = [signal[:, i : i + 2 * count - 1 : 2] for i in range(kernel.shape[0])]
    out = xp.tensordot(xp.stack(windows, axis=2), kernel, axes=1) + bias
    return xp.mean(xp.log(1 + xp.exp(out)))


def embedding_lookup(table, weight, tokens, labels):
    xp = array_namespace(table)
    return op.softmax_cross_entropy(xp.mean(table[tokens], axis=1) @ weight, labels)


def mixture_of_experts(gate, experts, x, targets):
    xp = array_namespace(x)
    gates = op.softmax(x @ gate)  # (N, E)
    outs = xp.tanh(xp.expand_dims(x, axis=0) @ experts)  # (E, N, K)
    return op.mean_squared_error(xp.sum(xp.expand_dims(gates.T, axis=2) * outs, axis=0), targets)


def variational_autoencoder(encoder, decoder, x, noise):
    xp = array_namespace(x)
    size = noise.shape[1]
    encoded = x @ encoder
    mean, log_variance = encoded[:, :size], encoded[:, size:]
    decoded = xp.tanh(mean + xp.exp(0.5 * log_variance) * noise) @ decoder
    divergence = -0.5 * xp.sum(1 + log_variance - mean**2 - xp.exp(log_variance), axis=1)
    return xp.mean(xp.sum((decoded - x) ** 2, axis=1) + divergence)


def autoencoder(encoder, decoder, x):
    hidden = op.sigmoid(x @ encoder)
    penalty = op.l2_penalty(encoder, 0.1) + op.l1_penalty(decoder, 0.2)
    return op.mean_squared_error(hidden @ decoder, x) + penalty


def siamese(weight, x1, x2, same):
    xp = array_namespace(weight)
    difference = xp.tanh(x1 @ weight) - xp.tanh(x2 @ weight)
    distance = xp.sqrt(xp.sum(difference**2, axis=1) + 1e-9)
    return xp.mean(same * distance**2 + (1 - same) * xp.maximum(1.9 - distance, 0.0) ** 2)


def networks_of_the_library(params, scores, weight, x, labels, targets):
    out = op.mlp_forward(params, x, activation="tanh")
    binary = op.binary_cross_entropy_with_logits(x @ weight, targets)
    return op.softmax_cross_entropy(out, labels) + binary + op.multiclass_hinge(scores, labels)


def losses_of_the_library(scores, soft, probs, class_weight, labels):
    log_probs = op.log_softmax(scores, axis=1)
    return (
        op.nll_loss(log_probs, labels, class_weight=class_weight)
        + op.softmax_cross_entropy(scores, soft, label_smoothing=0.1)
        + op.binary_cross_entropy(probs, soft, reduction="sum")
        + op.half_squared_error(op.tanh(scores), probs)
    )


def loss_of_a_network_with_its_gradients(params, x, labels):
    loss, grads = op.mlp_loss_and_grads(params, x, labels, activation="tanh", l2=0.1)
    return loss + weighted_sum(grads)


def training_steps(start, x, y):
    """The loss after two steps of gradient descent, by the start."""
    xp = array_namespace(x)
    weight = start
    for _ in range(2):
        weight = weight - 0.1 * (x.T @ (xp.tanh(x @ weight) - y))
    return op.mean_squared_error(xp.tanh(x @ weight), y)


NETWORKS: tuple[Differentiable, ...] = (
    mlp_row("maximum", maximum_with_zero),
    mlp_row("op.relu", op.relu),
    mlp_row("tanh", tanh, twice=True),
    mlp_row("gelu", gelu),
    mlp_row("silu", silu),
    mlp_row("softplus", softplus),
    mlp_row("elu", elu),
    mlp_row("op.sigmoid", op.sigmoid),
    Differentiable("network of a tree", network_of_a_tree, network_of_a_tree_args, twice=True),
    Differentiable(
        "layer norm and head",
        layer_norm_and_head,
        lambda: (normal(5, 4), *normals((4,), (4,), (4, 3), (3,)), integers(3, 5)),
        argnums=(0, 1, 2, 3, 4),
    ),
    Differentiable(
        "batch norm",
        batch_norm,
        lambda: (normal(7, 4), normal(4, 5), uniform(5), uniform(5, seed=1), normal(5, 3), normal(7, 3)),
        argnums=(0, 1, 2, 3, 4),
    ),
    Differentiable(
        "residual blocks",
        residual_blocks,
        lambda: ([normals((4, 6), (6,), (6, 4)), normals((4, 3), (3,), (3, 4))], normal(5, 4)),
        argnums=(0, 1),
    ),
    Differentiable(
        "dropout",
        dropout,
        lambda: (*normals((4, 6), (6, 3)), normal(5, 4), integers(2, 5, 6), normal(5, 3)),
        argnums=(0, 1),
    ),
    Differentiable(
        "convolution",
        convolution,
        lambda: (normal(2, 7, 5, 3), *normals((2, 3, 3, 4), (4,), (36, 6)), integers(6, 2)),
        argnums=(0, 1, 2, 3),
    ),
    Differentiable(
        "convolution with strides",
        convolution_with_strides,
        lambda: (normal(4, 11), normal(3), normal(1)),
        argnums=(0, 1, 2),
    ),
    Differentiable(
        "embedding lookup",
        embedding_lookup,
        lambda: (*normals((8, 4), (4, 3)), integers(6, 5, 7), integers(3, 5)),
        argnums=(0, 1),
    ),
    Differentiable(
        "mixture of experts",
        mixture_of_experts,
        lambda: (*normals((4, 3), (3, 4, 2)), normal(5, 4), normal(5, 2)),
        argnums=(0, 1, 2),
    ),
    Differentiable(
        "variational autoencoder",
        variational_autoencoder,
        lambda: (*normals((4, 6), (3, 4)), normal(5, 4), normal(5, 3)),
        argnums=(0, 1),
        twice=True,
    ),
    Differentiable(
        "autoencoder", autoencoder, lambda: (*normals((4, 3), (3, 4)), normal(5, 4)), argnums=(0, 1)
    ),
    Differentiable(
        "siamese",
        siamese,
        lambda: (0.5 * normal(4, 3), normal(7, 4), normal(7, 4, seed=1), integers(2, 7)),
        argnums=(0, 1, 2),
    ),
    Differentiable(
        "networks of the library",
        networks_of_the_library,
        lambda: (
            list(zip(normals((4, 6), (6, 3)), normals((6,), (3,)), strict=True)),
            *(normal(5, 3), normal(4, 2), normal(5, 4), integers(3, 5), uniform(5, 2)),
        ),
        argnums=(0, 1, 2, 3, 5),
    ),
    Differentiable(
        "losses of the library",
        losses_of_the_library,
        lambda: (normal(5, 3), *(uniform(5, 3, low=0.1, seed=s) for s in (1, 2)), uniform(3), integers(3, 5)),
        argnums=(0, 1, 2, 3),
    ),
    Differentiable(
        "loss of a network with its gradients",
        loss_of_a_network_with_its_gradients,
        lambda: (
            list(zip(normals((4, 6), (6, 3)), normals((6,), (3,)), strict=True)),
            *(normal(5, 4), integers(3, 5)),
        ),
        argnums=(0, 1),
    ),
    Differentiable(
        "training steps",
        training_steps,
        lambda: (*normals((4, 3)), normal(5, 4), normal(5, 3)),
        argnums=(0, 1, 2),
    ),
)


# Attention


def single_head(x, query, key, value, targets):
    xp = array_namespace(x)
    scores = (x @ query) @ (x @ key).T / math.sqrt(query.shape[1])
    return xp.mean((op.softmax(scores) @ (x @ value) - targets) ** 2)


def causal_heads(x, weight, out, heads=3):
    """Attention of several heads to earlier positions; x is (B, T, C)."""
    xp = array_namespace(x)
    b, t, c = x.shape
    packed = xp.reshape(x @ weight, (b, t, 3, heads, c // heads))
    query, key, value = xp.unstack(xp.permute_dims(packed, (2, 0, 3, 1, 4)))  # (B, H, T, D) each
    scores = query @ xp.matrix_transpose(key) / math.sqrt(c // heads)
    scores = xp.where(xp.tril(xp.ones((t, t))) > 0, scores, -xp.inf)
    exponentials = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    weights = exponentials / xp.sum(exponentials, axis=-1, keepdims=True)
    return xp.reshape(xp.permute_dims(weights @ value, (0, 2, 1, 3)), (b, t, c)) @ out


def multiple_heads(xp, x, weight, out):
    return causal_heads(x, weight, out)


def rotated(x, frequencies):
    """Rotary position embedding of (T, D)."""
    xp = array_namespace(x)
    angles = xp.expand_dims(xp.arange(x.shape[0], dtype=x.dtype), axis=1) * frequencies
    even, odd = x[:, ::2], x[:, 1::2]
    pairs = [even * xp.cos(angles) - odd * xp.sin(angles), even * xp.sin(angles) + odd * xp.cos(angles)]
    return xp.reshape(xp.stack(pairs, axis=-1), x.shape)


def rotary_attention(xp, query, key, frequencies):
    return op.log_softmax(rotated(query, frequencies) @ rotated(key, frequencies).T)


def attention_with_linear_biases(xp, query, key, value, slopes):
    t = query.shape[-2]
    positions = xp.arange(t, dtype=query.dtype)
    distance = positions[None, :] - positions[:, None]
    scores = query @ xp.matrix_transpose(key) + slopes[:, None, None] * distance
    return op.softmax(xp.where(distance > 0, -1e9, scores), axis=-1) @ value


def layer_norm(x):
    xp = array_namespace(x)
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    return centred / xp.sqrt(xp.mean(centred**2, axis=-1, keepdims=True) + 1e-5)


def transformer_block(params, x, labels):
    xp = array_namespace(x)
    x = x + causal_heads(layer_norm(x) * params["scale"], params["packed"], params["out"])
    x = x + gelu(layer_norm(x) @ params["up"]) @ params["down"]
    logits = xp.reshape(layer_norm(x) @ params["head"], (-1, params["head"].shape[1]))
    return op.softmax_cross_entropy(logits, xp.reshape(labels, (-1,)))


def transformer_block_args():
    shapes = {
        "scale": (12,),
        "packed": (12, 36),
        "out": (12, 12),
        "up": (12, 8),
        "down": (8, 12),
        "head": (12, 7),
    }
    params = {name: 0.5 * normal(*shape) for name, shape in shapes.items()}
    return params, normal(2, 5, 12), integers(7, 2, 5)


def linear_attention(xp, query, key, value):
    positive_query, positive_key = elu(query) + 1, elu(key) + 1
    total = positive_query @ xp.sum(positive_key, axis=0)
    return positive_query @ (positive_key.T @ value) / total[:, None]


ATTENTION: tuple[Differentiable, ...] = (
    Differentiable(
        "single head",
        single_head,
        lambda: (normal(5, 4), *normals((4, 6), (4, 6), (4, 3)), normal(5, 3)),
        argnums=(0, 1, 2, 3),
        twice=True,
    ),
    row("multiple heads", multiple_heads, (2, 5, 12), 0.5 * normal(12, 36), (12, 12)),
    row("rotary attention", rotary_attention, (5, 6), (4, 6), (3,)),
    row("attention with linear biases", attention_with_linear_biases, (3, 5, 4), (3, 5, 4), (3, 5, 2), (3,)),
    Differentiable("transformer block", transformer_block, transformer_block_args, argnums=(0, 1)),
    row("linear attention", linear_attention, (5, 4), (6, 4), (6, 3)),
)


# Recurrent cells; x is (B, T, D)


def elman_network(xp, inputs, recurrent, bias, start, x):
    hidden = start
    for t in range(x.shape[1]):
        hidden = xp.tanh(x[:, t] @ inputs + hidden @ recurrent + bias)
    return hidden


def lstm(xp, inputs, recurrent, bias, x):
    size = recurrent.shape[0]
    hidden = cell = xp.zeros((x.shape[0], size), dtype=x.dtype)
    for t in range(x.shape[1]):
        gates = x[:, t] @ inputs + hidden @ recurrent + bias
        enter, forget, leave = (op.sigmoid(gates[:, n * size : (n + 1) * size]) for n in range(3))
        cell = forget * cell + enter * xp.tanh(gates[:, 3 * size :])
        hidden = leave * xp.tanh(cell)
    return hidden, cell


def gru(xp, inputs, recurrent, x):
    size = recurrent.shape[0]
    hidden = xp.zeros((x.shape[0], size), dtype=x.dtype)
    states = []
    for t in range(x.shape[1]):
        from_x, from_hidden = x[:, t, :] @ inputs, hidden @ recurrent
        reset = 1 / (1 + xp.exp(-(from_x + from_hidden)[:, :size]))
        update = 1 / (1 + xp.exp(-(from_x + from_hidden)[:, size : 2 * size]))
        proposed = xp.tanh(from_x[:, 2 * size :] + reset * from_hidden[:, 2 * size :])
        hidden = update * hidden + (1 - update) * proposed
        states.append(hidden)
    return xp.stack(states, axis=1)


def predator_and_prey(xp, rates, start):
    """Steps of the classical Runge-Kutta method."""

    def slope(state):
        prey, predators = state[0], state[1]
        return xp.stack(
            [
                rates[0] * prey - rates[1] * prey * predators,
                rates[2] * prey * predators - rates[3] * predators,
            ]
        )

    state = start
    for _ in range(2):
        k1 = slope(state)
        k2 = slope(state + 0.05 * k1)
        k3 = slope(state + 0.05 * k2)
        state = state + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + slope(state + 0.1 * k3))
    return state


RECURRENT: tuple[Differentiable, ...] = (
    row("elman network", elman_network, *normals((3, 6), (6, 6), (6,), (2, 6)), normal(2, 4, 3)),
    row("lstm", lstm, *normals((3, 20), (5, 20), (20,)), normal(2, 4, 3)),
    row("gru", gru, *normals((3, 15), (5, 15)), normal(2, 4, 3)),
    row("predator and prey", predator_and_prey, uniform(4, low=0.5), uniform(2, low=1, high=2)),
)


# Losses


def focal_loss(scores, labels):
    xp = array_namespace(scores)
    shifted = scores - xp.max(scores, axis=1, keepdims=True)
    log_probs = shifted - xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))
    chosen = xp.take_along_axis(log_probs, labels[:, None], axis=1)
    return xp.mean(-((1 - xp.exp(chosen)) ** 2) * chosen)


def info_nce(queries, keys, temperature):
    xp = array_namespace(queries)
    queries = queries / xp.linalg.vector_norm(queries, axis=1, keepdims=True)
    keys = keys / xp.linalg.vector_norm(keys, axis=1, keepdims=True)
    scores = queries @ keys.T / temperature
    highest = xp.max(scores, axis=1, keepdims=True)
    totals = xp.log(xp.sum(xp.exp(scores - highest), axis=1)) + highest[:, 0]
    return xp.mean(totals - xp.linalg.diagonal(scores))


def triplet_loss(anchors, near, far):
    xp = array_namespace(anchors)

    def distance(x, y):
        return xp.linalg.vector_norm(x - y, axis=1)

    return xp.mean(xp.maximum(distance(anchors, near) - distance(anchors, far) + 1.0, 0.0))


def hinge_loss(weight, x, labels):
    xp = array_namespace(weight)
    signs = xp.astype(2 * labels - 1, x.dtype)
    return xp.mean(xp.maximum(1 - signs * (x @ weight), 0)) + 0.5 * xp.sum(weight * weight)


def huber_loss(predictions, targets):
    xp = array_namespace(predictions)
    size = xp.abs(predictions - targets)
    return xp.mean(xp.where(size < 1, 0.5 * size**2, size - 0.5))


def log_cosh_loss(predictions, targets):
    xp = array_namespace(predictions)
    error = predictions - targets
    return xp.mean(error + xp.log1p(xp.exp(-2 * error)) - math.log(2.0))


def kullback_leibler(p_scores, q_scores):
    xp = array_namespace(p_scores)
    p, q = op.softmax(p_scores, axis=1), op.softmax(q_scores, axis=1)
    return xp.sum(p * xp.log(p / q))


def jensen_shannon(p_scores, q_scores):
    xp = array_namespace(p_scores)
    p = xp.exp(p_scores) / xp.sum(xp.exp(p_scores), axis=1, keepdims=True)
    q = xp.exp(q_scores) / xp.sum(xp.exp(q_scores), axis=1, keepdims=True)
    middle = (p + q) / 2
    return xp.sum(p * (xp.log(p) - xp.log(middle)) + q * (xp.log(q) - xp.log(middle))) / 2


def poisson_nll(weight, x, counts):
    xp = array_namespace(weight)
    log_rate = x @ weight
    return xp.mean(xp.exp(log_rate) - counts * log_rate)


def gaussian_nll(mean, log_scale, x):
    xp = array_namespace(x)
    return xp.mean(log_scale + 0.5 * ((x - mean) / xp.exp(log_scale)) ** 2)


def cosine_loss(x, y):
    xp = array_namespace(x)
    norms = xp.sqrt(xp.sum(x * x, axis=1)) * xp.sqrt(xp.sum(y * y, axis=1))
    return 1 - xp.mean(xp.sum(x * y, axis=1) / norms)


def dice_loss(scores, targets):
    xp = array_namespace(scores)
    probs = 1 / (1 + xp.exp(-scores))
    overlap = xp.sum(probs * targets, axis=(1, 2))
    return xp.mean(1 - (2 * overlap + 1) / (xp.sum(probs, axis=(1, 2)) + xp.sum(targets, axis=(1, 2)) + 1))


def smoothed_cross_entropy(scores, labels):
    xp = array_namespace(scores)
    n, k = scores.shape
    one_hot = xp.astype(labels[:, None] == xp.arange(k), scores.dtype)
    shifted = scores - xp.max(scores, axis=1, keepdims=True)
    log_probs = shifted - xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))
    return -xp.sum((0.9 * one_hot + 0.1 / k) * log_probs) / n


def alignment_from(nothing):
    """The forward algorithm of CTC: at each time a state stays or moves on.

    nothing: the logarithm of a probability of 0
    """

    def alignment_loss(scores):
        xp = array_namespace(scores)
        log_probs = op.log_softmax(scores, axis=1)
        start = xp.full((scores.shape[1],), nothing, dtype=scores.dtype)
        alpha = xp.concat([log_probs[0, :1], start[1:]])
        for t in range(1, scores.shape[0]):
            alpha = xp.logaddexp(alpha, xp.concat([start[:1], alpha[:-1]])) + log_probs[t]
        return -alpha[-1]

    return alignment_loss


def ranking_loss(scores, relevance):
    """Of all pairs, the more relevant one is to have the higher score."""
    xp = array_namespace(scores)
    differences = scores[:, None] - scores[None, :]
    wanted = xp.astype(relevance[:, None] > relevance[None, :], scores.dtype)
    return xp.sum(wanted * xp.logaddexp(-differences, xp.zeros_like(differences))) / xp.sum(wanted)


def supervised_contrastive(features, labels):
    xp = array_namespace(features)
    n = features.shape[0]
    normed = features / xp.linalg.vector_norm(features, axis=-1, keepdims=True)
    itself = xp.eye(n, dtype=xp.bool)
    scores = xp.where(itself, -1e9, normed @ normed.T / 0.5)
    log_probs = scores - xp.log(xp.sum(xp.exp(scores), axis=1, keepdims=True))
    same = xp.astype((labels[:, None] == labels) & ~itself, features.dtype)
    return -xp.mean(xp.sum(xp.where(same > 0, log_probs, 0.0), axis=1) / xp.sum(same, axis=1))


def quantile_loss(predictions, targets, quantiles):
    xp = array_namespace(predictions)
    error = targets[:, None] - predictions
    return xp.mean(xp.maximum(quantiles * error, (quantiles - 1) * error))


def wasserstein_loss(p_scores, q_scores):
    xp = array_namespace(p_scores)
    difference = op.softmax(p_scores, axis=1) - op.softmax(q_scores, axis=1)
    return xp.mean(xp.sum(xp.abs(xp.cumulative_sum(difference, axis=1)[:, :-1]), axis=1))


def angular_margin(features, weight, labels):
    """ArcFace: the angle to the label's class is widened by a margin."""
    xp = array_namespace(features)
    rows = xp.linalg.vector_norm(features, axis=1, keepdims=True)
    cosine = features @ weight / rows / xp.linalg.vector_norm(weight, axis=0)
    widened = xp.cos(xp.acos(xp.clip(cosine, -0.999, 0.999)) + 0.3)
    of_label = labels[:, None] == xp.arange(weight.shape[1])
    return op.softmax_cross_entropy(5.0 * xp.where(of_label, widened, cosine), labels)


def multiclass_margin(scores, labels):
    xp = array_namespace(scores)
    correct = scores[xp.arange(scores.shape[0]), labels]
    margins = xp.maximum(scores - correct[:, None] + 1.5, 0.0)
    others = xp.astype(labels[:, None] != xp.arange(scores.shape[1]), scores.dtype)
    return xp.mean(xp.sum(margins**2 * others, axis=1))


def gaussian_mixture(scores, means, log_scales, x):
    xp = array_namespace(x)
    distance = xp.sum((x[:, None, :] - means) ** 2, axis=2)
    terms = op.log_softmax(scores) - 0.5 * distance / xp.exp(2 * log_scales) - x.shape[1] * log_scales
    highest = xp.max(terms, axis=1, keepdims=True)
    return -xp.mean(xp.log(xp.sum(xp.exp(terms - highest), axis=1)) + highest[:, 0])


def two_of(n, k):
    """The arguments of a loss of two equal shapes."""
    return lambda: (normal(n, k), normal(n, k, seed=1))


LOSSES: tuple[Differentiable, ...] = (
    Differentiable("focal loss", focal_loss, lambda: (normal(5, 3), integers(3, 5)), twice=True),
    Differentiable("info nce", info_nce, lambda: (*two_of(5, 3)(), np.array(0.4)), argnums=(0, 1, 2)),
    Differentiable(
        "triplet loss", triplet_loss, lambda: (*two_of(5, 3)(), normal(5, 3, seed=2)), argnums=(0, 1, 2)
    ),
    Differentiable(
        "hinge loss", hinge_loss, lambda: (normal(4), normal(7, 4), integers(2, 7)), argnums=(0, 1)
    ),
    Differentiable("huber loss", huber_loss, two_of(5, 3), argnums=(0, 1)),
    Differentiable("log-cosh loss", log_cosh_loss, two_of(5, 3), argnums=1),
    Differentiable("kullback-leibler divergence", kullback_leibler, two_of(5, 3), argnums=(0, 1)),
    Differentiable("jensen-shannon divergence", jensen_shannon, two_of(5, 3), argnums=(1, 0)),
    Differentiable("poisson nll", poisson_nll, lambda: (normal(4), normal(7, 4), integers(5, 7)), twice=True),
    Differentiable(
        "gaussian nll", gaussian_nll, lambda: (normal(3), normal(3, seed=1), normal(5, 3)), argnums=(0, 1, 2)
    ),
    Differentiable("cosine loss", cosine_loss, two_of(5, 3), argnums=(0, 1), twice=True),
    Differentiable("dice loss", dice_loss, lambda: (normal(2, 4, 3), integers(2, 2, 4, 3))),
    Differentiable("smoothed cross-entropy", smoothed_cross_entropy, lambda: (normal(5, 3), integers(3, 5))),
    Differentiable("alignment loss", alignment_from(-1e30), lambda: (normal(6, 4),)),
    Differentiable(
        "alignment loss from -inf",
        alignment_from(-math.inf),
        lambda: (normal(6, 4),),
        # The derivative of logaddexp(-inf, -inf) is NaN in JAX.
        jax_function=alignment_from(-1e30),
    ),
    Differentiable("ranking loss", ranking_loss, lambda: (normal(6), integers(4, 6))),
    Differentiable(
        "supervised contrastive",
        supervised_contrastive,
        lambda: (normal(6, 4), np.array([0, 1, 2, 0, 1, 2])),
    ),
    Differentiable(
        "quantile loss",
        quantile_loss,
        lambda: (normal(5, 3), normal(5), np.array([0.1, 0.5, 0.8])),
        argnums=(0, 1),
    ),
    Differentiable("wasserstein loss", wasserstein_loss, two_of(5, 4), argnums=(0, 1)),
    Differentiable(
        "angular margin",
        angular_margin,
        lambda: (normal(5, 4), normal(4, 3), integers(3, 5)),
        argnums=(0, 1),
    ),
    Differentiable("multiclass margin", multiclass_margin, lambda: (normal(5, 3), integers(3, 5))),
    Differentiable(
        "gaussian mixture",
        gaussian_mixture,
        lambda: (normal(3), normal(3, 2), 0.3 * normal(3, seed=1), normal(5, 2)),
        argnums=(0, 1, 2, 3),
    ),
)


# Softmax by hand, and gradients that stop


def softmax_by_hand(xp, x):
    exponentials = xp.exp(x - xp.max(x, axis=1, keepdims=True))
    return exponentials / xp.sum(exponentials, axis=1, keepdims=True)


def softmax_of_shifted(stop):
    def softmax(xp, x):
        exponentials = xp.exp(x - stop(xp.max(x, axis=1, keepdims=True)))
        return exponentials / xp.sum(exponentials, axis=1, keepdims=True)

    return softmax


def rounded_straight_through(stop):
    return lambda xp, x: (x + stop(xp.round(x) - x)) ** 2


def to_a_fixed_target(stop):
    """The target is made of the same parameters, but it does not move."""

    def loss(xp, weight, x):
        return (xp.tanh(x @ weight) - stop(0.9 * x @ weight + 1)) ** 2

    return loss


def stopped(x: Any) -> Any:
    """op.stop_gradient, looked up at each call."""
    return op.stop_gradient(x)


def stopped_in_jax(x: Any) -> Any:
    """The same in JAX."""
    from jax.lax import stop_gradient

    return stop_gradient(x)


def logsumexp(xp, x, axis=1):
    highest = xp.max(x, axis=axis, keepdims=True)
    return xp.squeeze(highest, axis=axis) + xp.log(xp.sum(xp.exp(x - highest), axis=axis))


def stopping(name: str, body: Callable[..., Any], *shapes: Any, **options: Any) -> Differentiable:
    """The row of a body that takes the function which stops a gradient."""
    return row(name, body(stopped), *shapes, on_jax=body(stopped_in_jax), **options)


SOFTMAX: tuple[Differentiable, ...] = (
    row("softmax by hand", softmax_by_hand, (5, 3), twice=True),
    stopping("softmax of scores minus their stopped maximum", softmax_of_shifted, (5, 3), twice=True),
    row("logsumexp", lambda xp, x: [logsumexp(xp, x), logsumexp(xp, 50 * x, axis=0)], (5, 3)),
    row("log of softmax", lambda xp, x: xp.log(softmax_by_hand(xp, x)), (5, 3)),
    row("softmax over axes", lambda xp, x: [op.softmax(x, axis=0), op.log_softmax(x, axis=1)], (2, 4, 3)),
    stopping("rounded straight through", rounded_straight_through, 2 * normal(5), slope=False),
    stopping("fixed target", to_a_fixed_target, (4, 3), (5, 4), slope=False),
)


# Elementwise functions


def by_name(*names: str) -> Callable[..., list[Any]]:
    """Calls of functions of the namespace, all with the same arrays."""
    return lambda xp, *arrays: [getattr(xp, name)(*arrays) for name in names]


def rounded_and_more(xp, x):
    rounded = [xp.floor(x), xp.ceil(x), xp.round(x), xp.trunc(x), xp.sign(x)]
    return [x * part for part in rounded] + [xp.abs(x), xp.negative(x), xp.positive(x)]


def composed(xp, x, y):
    inner = xp.sqrt(1 + xp.square(xp.sin(x * y) - 0.5)) / (2 + xp.cos(y))
    return xp.exp(-inner) * xp.atan(inner + x) - xp.log1p(inner**3)


def broadcast_in_both_directions(xp, x, y, z):
    return [x + y, x * y - z, x / (2 + y**2), xp.maximum(x, y) * z, xp.where(y > 0, x, z), y - x * z]


def of_one_element(xp, scalar, one, column, row_of_one, x):
    return [
        scalar * x + one,
        scalar / (1 + one**2),
        column * row_of_one - scalar,
        one * x[:1, :1] + scalar,
        xp.exp(scalar) * column,
        scalar**2,
    ]


def powers_of_negative_numbers(xp, x, exponents):
    whole = xp.astype(exponents, x.dtype)
    return [x**2, x**3, x**-1, x**-2, x**1, x**0 * x, xp.pow(x, 2.0), xp.pow(x, 3), xp.pow(x, whole)]


def powers_of_zero(xp, x):
    return [x**2, x**3, x**1, x**0, x * x]


def clipped(xp, x, low, high):
    return [
        xp.clip(x, -0.5, 1.0),
        xp.clip(x, min=-0.3),
        xp.clip(x, max=0.4),
        xp.clip(x, low, high),
        xp.clip(x, low[:, :1], 0.7),
    ]


def safe_where(xp, x, y):
    """Derivatives of branches that are not taken would be infinite or NaN."""
    positive = x > 0
    safe = xp.where(positive, x, 1.0)
    return [
        xp.where(positive, xp.sqrt(safe), 0.0),
        xp.where(positive, xp.log(safe), -x),
        xp.where(y == 0, 1.0, xp.sin(y) / xp.where(y == 0, 1.0, y)),
    ]


def where_with_numbers(xp, x, y):
    return [xp.where(x > 0.1, x, 0.0), xp.where(y > x, 1.0, x * y), xp.where(x < y, x**2, xp.exp(y))]


def extremes(xp, x, y):
    return [
        xp.maximum(x, y),
        xp.minimum(x, y),
        xp.maximum(x, 0.4),
        xp.minimum(0.3, x),
        xp.maximum(x[:, :1], y[:1, :]),
        xp.minimum(xp.maximum(x, -0.5), 0.5),
    ]


def remainders(xp, x, y):
    return [xp.remainder(x, y), x % 0.7, x - xp.floor(x / y) * y, xp.floor_divide(x, y) * x, x // 0.7 * y]


def operators(xp, x, y):
    total = 2.5 * x
    total += y
    total *= x - 1
    total -= y / x
    total /= 1 + abs(y)
    return [total, -x, +x, abs(x), 1 - x, 2 / x, 3 * x - x / 4, 1.5**x, (x * x) ** y, x * (x > y)]


ELEMENTWISE: tuple[Differentiable, ...] = (
    row("trigonometric", by_name("sin", "cos", "tan", "asin", "acos", "atan"), uniform(4, 3, low=-0.9)),
    row("hyperbolic", by_name("sinh", "cosh", "tanh", "asinh", "atanh"), uniform(4, 3, low=-0.9)),
    row("acosh", by_name("acosh"), uniform(5, low=1.2, high=3.0)),
    row("exponential", by_name("exp", "expm1", "square"), (4, 3)),
    row(
        "logarithmic",
        by_name("log", "log1p", "log2", "log10", "sqrt", "reciprocal"),
        uniform(4, 3, low=0.3, high=3),
        twice=True,
    ),
    row("rounded and more", rounded_and_more, uniform(7, low=-2.4, high=2.4)),
    row("composed", composed, (4, 3), (4, 3), twice=True),
    row("broadcast in both directions", broadcast_in_both_directions, (4, 1, 3), (5, 1), (3,), twice=True),
    row("of one element", of_one_element, np.array(0.7), (1,), (4, 1), (1, 1), (4, 3)),
    row("powers", lambda xp, x, y: [x**y, xp.pow(x[:1], y), x**0.5, 2.0**y], uniform(4, 3, low=0.3), (4, 3)),
    row(
        "powers of negative numbers", powers_of_negative_numbers, nonzero(4, 3), integers(4, 4, 3), twice=True
    ),
    row("powers of zero", powers_of_zero, np.array([0.0, -1.5, 0.0, 2.0])),
    row("clip", clipped, distinct(4, 3), distinct(4, 3, seed=1) / 2 - 1, distinct(4, 3, seed=2) / 2 + 1),
    row("safe where", safe_where, [-1.5, -0.1, 0.5, 2.0], [0.0, 1.5, -0.5], twice=True),
    row("where", where_with_numbers, (4, 3), (4, 3)),
    row("maximum and minimum", extremes, (4, 3), (4, 3)),
    row(
        "maximum and minimum of equal elements",
        by_name("maximum", "minimum"),
        np.array([1.0, 2.0, -3.0, 0.5]),
        np.array([1.0, 3.0, -3.0, 0.4]),
    ),
    row("remainder", remainders, nonzero(4, 3), nonzero(4, 3, seed=3)),
    row("hypot, atan2, copysign", by_name("hypot", "atan2", "copysign"), nonzero(4, 3), nonzero(3, seed=1)),
    row("logaddexp", by_name("logaddexp"), (4, 3), (4, 1), twice=True),
    row(
        "logaddexp of equal and distant elements", by_name("logaddexp"), [1.0, -800.0, 3.0], [1.0, 800.0, 2.0]
    ),
    row("operators", operators, nonzero(4, 3), nonzero(4, 3, seed=5)),
)


# Shapes


def permuted(xp, x):
    return [
        xp.permute_dims(x, (2, 0, 1)),
        xp.moveaxis(x, 0, -1) ** 2,
        xp.moveaxis(x, (0, 1), (2, 0)),
        xp.matrix_transpose(x) * 3,
        x.mT,
        x[0].T,
    ]


def reshaped(xp, x):
    return [
        xp.reshape(x, (12, 2)),
        xp.reshape(x, (-1,)) ** 2,
        xp.reshape(xp.permute_dims(x, (1, 2, 0)), (3, -1)),
        xp.squeeze(xp.expand_dims(x, axis=1) ** 3, axis=1),
        xp.expand_dims(x[0, 0], axis=(0, 2)),
    ]


def flipped_and_rolled(xp, x):
    return [
        xp.flip(x),
        xp.flip(x, axis=1) * x,
        xp.flip(x, axis=(0, 2)),
        xp.roll(x, 2),
        xp.roll(x, -1, axis=0) * x,
        xp.roll(x, (1, 2), axis=(0, 1)),
    ]


def sliced(xp, x):
    return [
        x[1:],
        x[:, ::2] ** 2,
        x[1::2, 1:-1],
        x[..., 1] * x[0, None, :, 0],
        x[2, 1, 0] * x,
        x[-1],
        x[1:1],
        x[None, :, -2],
    ]


def sliced_backwards(xp, x):
    return [x[::-1] * x, x[:, ::-2], x[4:0:-3, 1] ** 2, x[::-1, ::-1, ::-1]]


def joined(xp, x, y, z):
    whole = xp.concat([x, y, x * y], axis=0)
    first, second, third, fourth = xp.unstack(x)
    return [
        whole**2,
        xp.concat([x, z], axis=-1) ** 2,
        xp.concat([x, z], axis=None),
        xp.stack([x, y]),
        xp.stack([x, y, x], axis=-1) ** 2,
        first * second - third / (1 + fourth**2),
    ]


def repeated(xp, x):
    return [
        xp.tile(x, (2, 3)),
        xp.tile(x, (2, 1, 2)),
        xp.repeat(x, 3),
        xp.repeat(x, 2, axis=1),
        xp.broadcast_to(x, (5, *x.shape)),
    ]


def broadcast(xp, x, y):
    together = xp.broadcast_arrays(x, y)
    return [together[0] * together[1] ** 2, xp.broadcast_to(xp.sum(x), (2, 3)), xp.broadcast_to(x, (2, 4, 3))]


def differences(xp, x):
    ends = x[:, :1] * 2
    return [
        xp.diff(x),
        xp.diff(x, axis=0) ** 2,
        xp.diff(x, axis=1, n=2),
        xp.diff(x, axis=1, prepend=ends, append=x[:, 1:3]),
    ]


def triangles(xp, x, y):
    grid = xp.meshgrid(x[0, 0], y, indexing="ij")
    grid_xy = xp.meshgrid(y, x[0, 1])
    return [
        *(xp.tril(x), xp.triu(x, k=1) ** 2, xp.tril(x, k=-1), xp.triu(x, k=-2) * x),
        *(grid[0] * grid[1], grid_xy[0] ** 2 + grid_xy[1]),
    ]


def taken(xp, x, indices):
    flat = xp.reshape(x, (-1,))
    return [
        xp.take(x, indices, axis=0),
        xp.take(x, indices[:2], axis=1) ** 2,
        xp.take(flat, indices),
        xp.take(x, indices[1:], axis=-1) * 3,
    ]


def taken_along_axis(xp, x, indices):
    return [
        xp.take_along_axis(x, indices, axis=1) ** 2,
        xp.take_along_axis(x, indices[:, :1], axis=1),
        xp.take_along_axis(x, indices % 2, axis=-1),
        xp.take_along_axis(x, indices[:2, :4] % 5, axis=0),
    ]


def looked_up(xp, x, i, j):
    return [
        x[i] ** 2,
        x[i, j],
        x[:, j] * 2,
        x[i, 1:3],
        x[i[:, None], j[None, :]] ** 2,
        x[j, ...],
        x[1, j],
        x[xp.arange(3), 2],
    ]


def taken_by_order(xp, x):
    """Indices that depend on values have no derivative."""
    order = xp.argsort(x, axis=1)
    highest = xp.argmax(x, axis=1, keepdims=True)
    return [
        xp.take_along_axis(x, order, axis=1) ** 2,
        xp.take_along_axis(x, highest, axis=1),
        x * xp.astype(highest, x.dtype),
    ]


def diagonals(xp, x):
    return [
        xp.linalg.diagonal(x) ** 2,
        xp.linalg.diagonal(x, offset=1),
        xp.linalg.diagonal(x, offset=-2),
        xp.linalg.trace(x) ** 2,
        xp.linalg.trace(x, offset=1),
    ]


def contracted(xp, x, y, z):
    return [
        xp.tensordot(x, y, axes=1),
        xp.tensordot(x, y, axes=([0, 2], [2, 0])) ** 2,
        xp.tensordot(x, z, axes=0),
        xp.vecdot(x, z) ** 2,
        xp.vecdot(x, x, axis=0),
        xp.linalg.vecdot(x[:, 0], z),
    ]


def products(xp, matrix, batch, vector, wide):
    return [
        matrix @ vector,
        vector @ wide,
        vector @ vector,
        matrix @ wide,
        batch @ wide,
        matrix @ xp.matrix_transpose(batch),
        batch @ vector,
        vector @ xp.matrix_transpose(batch),
        xp.matmul(batch[:, None], xp.matrix_transpose(batch)[None]),
    ]


def outer_and_cross(xp, x, y):
    u, v = x[:, 0], y[0]
    return [xp.linalg.outer(u, v) ** 2, xp.linalg.cross(x, y), xp.linalg.cross(x[:3], x[1:], axis=0)]


INDICES = np.array([2, 0, 2, 1, 2])

SHAPES: tuple[Differentiable, ...] = (
    row("permuted", permuted, (2, 4, 3)),
    row("reshaped", reshaped, (2, 4, 3)),
    row("flipped and rolled", flipped_and_rolled, (2, 4, 3)),
    row("sliced", sliced, (5, 4, 3)),
    row("sliced backwards", sliced_backwards, (5, 4, 3)),
    row("joined", joined, (4, 3), (4, 3), (4, 2), twice=True),
    row("repeated", repeated, (4, 3)),
    row("broadcast", broadcast, (4, 1), (3,), argnums=(0, 1)),
    row("differences", differences, (4, 5)),
    row("triangles", triangles, (2, 5, 4), (3,)),
    row("taken", taken, (4, 3), INDICES),
    row("taken along axis", taken_along_axis, (5, 4), integers(4, 5, 7)),
    row("looked up", looked_up, (3, 4), INDICES[:4], np.array([3, 1, 2, 1]) % 3, twice=True),
    row("taken by order", taken_by_order, distinct(3, 4)),
    row("diagonals", diagonals, (2, 5, 4)),
    row("contracted", contracted, (2, 5, 4), (4, 3, 2), (4,)),
    row("products", products, (2, 4), (3, 5, 4), (4,), (4, 6), twice=True),
    row("outer and cross", outer_and_cross, (4, 3), (4, 3)),
)


# Reductions


def over_axes(name: str, *, keepdims: bool = True, **options: Any) -> Callable[..., list[Any]]:
    """Reductions over every kind of axis, squared so that the second derivative is not 0."""

    def body(xp: Any, x: Any) -> list[Any]:
        function = getattr(xp, name)
        return [
            function(x, **options) ** 2,
            function(x, axis=0, **options) ** 2,
            function(x, axis=-1, **options),
            function(x, axis=(0, 2), **options) ** 2,
            function(x, axis=(2, 1), keepdims=True, **options) * x,
            function(x, axis=1, keepdims=keepdims, **options),
        ]

    return body


def over_one_axis(name: str, **options: Any) -> Callable[..., list[Any]]:
    """Reductions of a matrix over no, the first and the second axis."""
    return lambda xp, x: [getattr(xp, name)(x, axis=axis, **options) for axis in (None, 0, 1)]


def prod(xp, x):
    return [xp.prod(x), xp.prod(x, axis=0), xp.prod(x, axis=1, keepdims=True), xp.prod(x, axis=-1) ** 2]


def prod_over_axes(xp, x):
    return [xp.prod(x, axis=(0, 2)) ** 2, xp.prod(x, axis=(2, 1), keepdims=True) * x]


def spread(xp, x):
    return [
        xp.var(x),
        xp.var(x, axis=1, correction=1),
        xp.var(x, axis=(0, 2), keepdims=True) * x,
        xp.std(x),
        xp.std(x, axis=0, correction=1) ** 3,
        xp.std(x, axis=(1, 2), keepdims=True),
    ]


def sums_so_far(xp, x):
    return [
        xp.cumulative_sum(x, axis=0) ** 2,
        xp.cumulative_sum(x, axis=1, include_initial=True),
        xp.cumulative_sum(x[0]),
    ]


def products_so_far(xp, x):
    return [
        xp.cumulative_prod(x, axis=0) ** 2,
        xp.cumulative_prod(x, axis=1, include_initial=True),
        xp.cumulative_prod(x[0]),
    ]


def vector_norms(xp, x):
    return [
        xp.linalg.vector_norm(x),
        xp.linalg.vector_norm(x, axis=1),
        xp.linalg.vector_norm(x, axis=(0, 2), keepdims=True) * x,
        xp.linalg.vector_norm(x, ord=1, axis=0),
        xp.linalg.vector_norm(x, ord=3, axis=-1),
        xp.linalg.vector_norm(x, ord=xp.inf, axis=1),
        xp.linalg.vector_norm(x, ord=-xp.inf),
    ]


def matrix_norms(xp, x):
    orders = ("fro", "nuc", 1, -1, 2, -2, xp.inf, -xp.inf)
    return [xp.linalg.matrix_norm(x, ord=order) for order in orders]


def in_order(xp, x):
    return [xp.sort(x) ** 2, xp.sort(x, axis=0), xp.sort(x, axis=1, descending=True) * x]


def interpolated(xp, x, xs, ys):
    """Piecewise linear interpolation; the interval of each x has no derivative."""
    right = xp.searchsorted(xs, x)
    x0, x1 = xp.take(xs, right - 1), xp.take(xs, right)
    share = (x - x0) / (x1 - x0)
    return (1 - share) * ys[right - 1] + share * ys[right]


ONE_ZERO = np.array([[0.5, 0.0, -1.5, 2.0], [1.5, -0.7, 0.9, 1.1], [-2.0, 1.2, 0.3, -0.4]])
ZEROS = np.array([[0.5, 0.0, -1.5, 0.0], [1.5, 0.0, 0.9, 1.1], [0.0, 1.2, 0.0, 0.0]])
TIES = np.array([[1.0, 3.0, 3.0, -0.5], [2.0, 2.0, -1.0, 0.7], [-1.0, 0.2, 1.5, -0.3]])

REDUCTIONS: tuple[Differentiable, ...] = (
    row("sum", over_axes("sum"), (2, 4, 3)),
    row("mean", over_axes("mean", keepdims=False), (2, 4, 3)),
    row("max", over_axes("max"), distinct(2, 4, 3)),
    row("min", over_axes("min", keepdims=False), distinct(2, 4, 3)),
    row("max of equal elements", over_one_axis("max"), TIES),
    row("min of equal elements", over_one_axis("min"), -TIES),
    row("prod", over_one_axis("prod"), nonzero(3, 4)),
    row("prod over axes", prod_over_axes, nonzero(2, 4, 3)),
    row("prod with a zero", prod, ONE_ZERO, twice=True),
    row("prod with zeros", prod, ZEROS),
    row("var and std", spread, (2, 4, 3), twice=True),
    row("cumulative sum", sums_so_far, (3, 4)),
    row("cumulative prod", products_so_far, nonzero(3, 4), twice=True),
    row("cumulative prod with a zero", products_so_far, ONE_ZERO),
    row("cumulative prod with zeros", products_so_far, ZEROS),
    row("vector norms", vector_norms, distinct(2, 4, 3)),
    row("matrix norms", matrix_norms, (2, 4, 3)),
    row("sort", in_order, distinct(3, 4)),
    row("interpolated", interpolated, [0.3, 1.7, 2.2, 0.9], [-1.0, 0.5, 1.2, 2.0, 3.1], (5,)),
)


# Linear algebra


def positive_definite(xp, x):
    n = x.shape[-2]
    return x @ xp.matrix_transpose(x) + n * xp.eye(n, dtype=x.dtype)


def symmetric(xp, x):
    return (x + xp.matrix_transpose(x)) / 2


def eigenvectors(xp, x):
    values, vectors = xp.linalg.eigh(symmetric(xp, x))
    return (vectors * xp.exp(values)[..., None, :]) @ xp.matrix_transpose(vectors)


def singular_vectors(xp, x):
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    return [(u * xp.tanh(s)[..., None, :]) @ vh, u @ xp.matrix_transpose(u)]


def orthogonal_factors(xp, x):
    q, r = xp.linalg.qr(x)
    return [xp.matrix_transpose(r) @ xp.exp(r), q @ xp.matrix_transpose(q)]


def both_factors(xp, x):
    q, r = xp.linalg.qr(x)
    return [q, r**2]


def gaussian_process(x, y, log_length, log_noise):
    """The negative log of the marginal likelihood."""
    xp = array_namespace(x)
    distance = xp.sum((x[:, None] - x[None]) ** 2, axis=-1)
    noise = xp.exp(log_noise) * xp.eye(x.shape[0], dtype=x.dtype)
    covariance = xp.exp(-0.5 * distance / xp.exp(2 * log_length)) + noise
    factor = xp.linalg.cholesky(covariance)
    return 0.5 * y @ xp.linalg.solve(covariance, y) + xp.sum(xp.log(xp.linalg.diagonal(factor)))


LINEAR_ALGEBRA: tuple[Differentiable, ...] = (
    row("solve for a vector", lambda xp, a, b: xp.linalg.solve(a, b), np.eye(4) + normals((4, 4))[0], (4,)),
    row("solve", lambda xp, a, b: xp.linalg.solve(a, b), 2 * np.eye(4) + normal(4, 4), (4, 3), twice=True),
    row("solve of batches", lambda xp, a, b: xp.linalg.solve(a, b), 3 * np.eye(4) + normal(2, 4, 4), (4, 3)),
    row("inv", lambda xp, x: [xp.linalg.inv(x), xp.linalg.inv(x[0])], 3 * np.eye(4) + normal(2, 4, 4)),
    row("det", lambda xp, x: xp.linalg.det(x), (2, 4, 4), twice=True),
    row("slogdet", lambda xp, x: list(xp.linalg.slogdet(x)), (2, 4, 4)),
    row("cholesky", lambda xp, x: xp.linalg.cholesky(positive_definite(xp, x)), (4, 3), twice=True),
    row("cholesky of batches", lambda xp, x: xp.linalg.cholesky(positive_definite(xp, x)), (2, 4, 3)),
    row("eigenvalues", lambda xp, x: xp.linalg.eigvalsh(symmetric(xp, x)), (2, 4, 4)),
    row("eigenvectors", eigenvectors, (2, 4, 4), twice=True),
    row("singular values", lambda xp, x: [xp.linalg.svdvals(x), xp.linalg.svdvals(x.mT) ** 2], (2, 4, 3)),
    row("singular vectors", singular_vectors, (2, 4, 3)),
    row("singular vectors of wide matrices", singular_vectors, (3, 4)),
    row("qr, products of its factors", orthogonal_factors, (2, 4, 3)),
    row("qr", both_factors, (4, 3)),
    row("qr of a square matrix", both_factors, (4, 4)),
    row("pinv", lambda xp, x: [xp.linalg.pinv(x), xp.linalg.pinv(x.mT) ** 2], (2, 4, 3)),
    row(
        "matrix power",
        lambda xp, x: [xp.linalg.matrix_power(x, n) for n in (1, 2, 5, -2)],
        np.eye(3) + normal(2, 3, 3) / 3,
    ),
    Differentiable(
        "gaussian process",
        gaussian_process,
        lambda: (normal(5, 2), normal(5), np.array(0.2), np.array(-1.0)),
        argnums=(0, 1, 2, 3),
    ),
)


# Assignment to arrays that the function made


def assigned_slices(xp, x):
    y = x * 2
    y[1:3] = x[0:2] ** 2
    y[:, 0] = y[:, 1] * x[:, 2]
    y[0, ::2] = 5.0
    return y * x


def assigned_slices_in_jax(xp, x):
    y = (x * 2).at[1:3].set(x[0:2] ** 2)
    y = y.at[:, 0].set(y[:, 1] * x[:, 2])
    return y.at[0, ::2].set(5.0) * x


def assigned_by_mask(xp, x):
    y = x**2
    y[x > 0.1] *= 3
    y[x < -0.1] = -1.0
    return y


def assigned_by_mask_in_jax(xp, x):
    y = xp.where(x > 0.1, x**2 * 3, x**2)
    return xp.where(x < -0.1, -1.0, y)


def assigned_by_indices(xp, x, values, indices):
    y = xp.sin(x)
    y[indices] = values**2
    y[indices[0], 1] += x[0, 0]
    y[xp.arange(3), indices] -= values[:, 0] * x[:3, 1]
    return y * y


def assigned_by_indices_in_jax(xp, x, values, indices):
    y = xp.sin(x).at[indices].set(values**2)
    y = y.at[indices[0], 1].add(x[0, 0])
    y = y.at[xp.arange(3), indices].add(-values[:, 0] * x[:3, 1])
    return y * y


def operators_in_place(xp, x, y):
    z = x + 0.0
    z += y
    before = z * 1.0  # a copy, which later assignments do not change
    z *= x
    z -= 1
    z /= 2 + y**2
    z **= 2
    return [z, before]


def recurrence_in_an_array(xp, x, decay):
    out = xp.zeros_like(x)
    out[0] = x[0]
    for t in range(1, x.shape[0]):
        out[t] = decay * out[t - 1] + xp.sin(x[t])
    return out**2


def recurrence_in_jax(xp, x, decay):
    out = [x[0]]
    for t in range(1, x.shape[0]):
        out.append(decay * out[-1] + xp.sin(x[t]))
    return xp.stack(out) ** 2


def part_of_an_array(xp, x):
    """A slice of a new array is a view of it: assignment to either changes both."""
    y = x * x
    part = y[1:]
    part[0] = x[3]
    part += x[:1]
    return y


def part_in_jax(xp, x):
    return xp.concat([x[:1] ** 2, x[3:] + x[:1], x[2:] ** 2 + x[:1]])


ASSIGNMENT: tuple[Differentiable, ...] = (
    row("assigned slices", assigned_slices, (4, 3), on_jax=assigned_slices_in_jax, twice=True),
    row("assigned by mask", assigned_by_mask, (4, 3), on_jax=assigned_by_mask_in_jax),
    row(
        "assigned by indices",
        assigned_by_indices,
        *((5, 4), (3, 4), np.array([2, 0, 3])),
        on_jax=assigned_by_indices_in_jax,
    ),
    row("operators in place", operators_in_place, (4, 3), (4, 3)),
    row("recurrence in an array", recurrence_in_an_array, *((4, 3), np.array(0.6)), on_jax=recurrence_in_jax),
    row("part of an array", part_of_an_array, (4,), on_jax=part_in_jax),
)


ROWS: tuple[Differentiable, ...] = (
    *NETWORKS,
    *ATTENTION,
    *RECURRENT,
    *LOSSES,
    *SOFTMAX,
    *ELEMENTWISE,
    *SHAPES,
    *REDUCTIONS,
    *LINEAR_ALGEBRA,
    *ASSIGNMENT,
)
