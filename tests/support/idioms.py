"""Small functions as users of NumPy write them in machine learning and scientific code, with arguments.

No function writes into its arguments. Arguments are deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import array_api_compat
import numpy as np


class Idiom(NamedTuple):
    """A function, the arguments to call it with, and how exact its compiled results must be."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]  # deterministic NumPy arrays, numbers, lists of arrays
    tolerance: float = 1e-4  # relative to the largest element of each result


def normal(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """Standard normal values."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def uniform(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """Values in (0, 1)."""
    return np.random.default_rng([seed, *shape]).uniform(0.01, 0.99, shape).astype(dtype)


def integers(high: int, *shape: int, seed: int = 0, dtype: Any = np.int64) -> np.ndarray:
    """Integers in [0, high)."""
    return np.random.default_rng([seed, high, *shape]).integers(0, high, shape).astype(dtype)


def coin(*shape: int, seed: int = 0) -> np.ndarray:
    """Bools, about half of them True."""
    return uniform(*shape, seed=seed) < 0.5


def spd(n: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    """A well-conditioned symmetric positive definite matrix."""
    a = normal(n, n, seed=seed, dtype=np.float64)
    return (a @ a.T / n + np.eye(n)).astype(dtype)


# Part 1: networks and layers as on slides


def two_layer_net(x, y, w1, b1, w2, b2, reg):
    num_examples = x.shape[0]
    hidden = np.maximum(0, np.dot(x, w1) + b1)
    scores = np.dot(hidden, w2) + b2
    exp_scores = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    correct_logprobs = -np.log(probs[range(num_examples), y])
    data_loss = np.sum(correct_logprobs) / num_examples
    reg_loss = 0.5 * reg * np.sum(w1 * w1) + 0.5 * reg * np.sum(w2 * w2)
    loss = data_loss + reg_loss
    dscores = probs
    dscores[range(num_examples), y] -= 1
    dscores /= num_examples
    dw2 = np.dot(hidden.T, dscores)
    db2 = np.sum(dscores, axis=0, keepdims=True)
    dhidden = np.dot(dscores, w2.T)
    dhidden[hidden <= 0] = 0
    dw1 = np.dot(x.T, dhidden)
    db1 = np.sum(dhidden, axis=0, keepdims=True)
    dw2 += reg * w2
    dw1 += reg * w1
    return loss, dw1, db1, dw2, db2


def softmax_loss(x, y):
    shifted_logits = x - np.max(x, axis=1, keepdims=True)
    z = np.sum(np.exp(shifted_logits), axis=1, keepdims=True)
    log_probs = shifted_logits - np.log(z)
    probs = np.exp(log_probs)
    n = x.shape[0]
    loss = -np.sum(log_probs[np.arange(n), y]) / n
    dx = probs.copy()
    dx[np.arange(n), y] -= 1
    dx /= n
    return loss, dx


def svm_loss_vectorized(w, x, y, reg):
    num_train = x.shape[0]
    scores = x.dot(w)
    correct_class_scores = scores[np.arange(num_train), y].reshape(-1, 1)
    margins = np.maximum(0, scores - correct_class_scores + 1)
    margins[np.arange(num_train), y] = 0
    loss = margins.sum() / num_train + reg * np.sum(w * w)
    binary = (margins > 0).astype(x.dtype)
    row_sum = binary.sum(axis=1)
    binary[np.arange(num_train), y] = -row_sum
    dw = x.T.dot(binary) / num_train + 2 * reg * w
    return loss, dw


def affine_relu_backward(dout, x, w, b):
    out = x.reshape(x.shape[0], -1).dot(w) + b
    dout = dout * (out > 0)
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


def batchnorm_forward(x, gamma, beta, running_mean, running_var, momentum, eps):
    sample_mean = np.mean(x, axis=0)
    sample_var = np.var(x, axis=0)
    x_hat = (x - sample_mean) / np.sqrt(sample_var + eps)
    out = gamma * x_hat + beta
    running_mean = momentum * running_mean + (1 - momentum) * sample_mean
    running_var = momentum * running_var + (1 - momentum) * sample_var
    cache = {"x_hat": x_hat, "gamma": gamma * 1, "inv_std": 1 / np.sqrt(sample_var + eps)}
    return out, cache, running_mean, running_var


def batchnorm_backward(dout, x, gamma, eps):
    n, _ = x.shape
    mu = x.mean(axis=0)
    xmu = x - mu
    var = np.mean(xmu**2, axis=0)
    sqrtvar = np.sqrt(var + eps)
    ivar = 1.0 / sqrtvar
    xhat = xmu * ivar
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1.0 / (sqrtvar**2) * divar
    dvar = 0.5 * 1.0 / np.sqrt(var + eps) * dsqrtvar
    dsq = 1.0 / n * np.ones_like(dout) * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = 1.0 / n * np.ones_like(dout) * dmu
    return dx1 + dx2, dgamma, dbeta


def layernorm_forward_backward(x, gamma, beta, dout):
    mean = np.mean(x, axis=-1, keepdims=True)
    var = np.var(x, axis=-1, keepdims=True)
    std = np.sqrt(var + 1e-5)
    x_hat = (x - mean) / std
    out = gamma * x_hat + beta
    dgamma = np.sum(dout * x_hat, axis=(0, 1))
    dbeta = np.sum(dout, axis=(0, 1))
    dx_hat = dout * gamma
    dx = (
        dx_hat
        - np.mean(dx_hat, axis=-1, keepdims=True)
        - x_hat * np.mean(dx_hat * x_hat, axis=-1, keepdims=True)
    ) / std
    return out, dx, dgamma, dbeta


def spatial_batchnorm(x, gamma, beta):
    n, c, h, w = x.shape
    flat = x.transpose(0, 2, 3, 1).reshape(-1, c)
    flat = (flat - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0) + 1e-5)
    out = (gamma * flat + beta).reshape(n, h, w, c).transpose(0, 3, 1, 2)
    return out


def group_norm(x, gamma, beta, groups):
    n, c, h, w = x.shape
    x = np.reshape(x, (n, groups, c // groups, h, w))
    mean = x.mean(axis=(2, 3, 4), keepdims=True)
    var = x.var(axis=(2, 3, 4), keepdims=True)
    x = (x - mean) / np.sqrt(var + 1e-5)
    return x.reshape(n, c, h, w) * gamma[None, :, None, None] + beta.reshape(1, -1, 1, 1)


def rms_norm(x, weight, eps=1e-6):
    return x * (1.0 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + eps)) * weight


def dropout_forward_backward(x, mask, dout, p):
    mask = mask.astype(x.dtype) / (1 - p)
    out = x * mask
    out = out.astype(x.dtype, copy=False)
    dx = dout * mask
    return out, dx


def rnn_step(x, prev_h, wx, wh, b):
    next_h = np.tanh(x @ wx + prev_h @ wh + b)
    return next_h


def rnn_step_backward(dnext_h, x, prev_h, next_h, wx, wh):
    dtanh = dnext_h * (1 - next_h * next_h)
    dx = np.dot(dtanh, wx.T)
    dprev_h = np.dot(dtanh, wh.T)
    dwx = np.dot(x.T, dtanh)
    dwh = np.dot(prev_h.T, dtanh)
    db = np.sum(dtanh, axis=0)
    return dx, dprev_h, dwx, dwh, db


def sigmoid(x):
    """As in the assignments: stable for both signs."""
    pos_mask = x >= 0
    neg_mask = x < 0
    z = np.zeros_like(x)
    z[pos_mask] = np.exp(-x[pos_mask])
    z[neg_mask] = np.exp(x[neg_mask])
    top = np.ones_like(x)
    top[neg_mask] = z[neg_mask]
    return top / (1 + z)


def lstm_step(x, prev_h, prev_c, wx, wh, b):
    h = prev_h.shape[1]
    a = np.dot(x, wx) + np.dot(prev_h, wh) + b
    i = 1 / (1 + np.exp(-a[:, :h]))
    f = 1 / (1 + np.exp(-a[:, h : 2 * h]))
    o = 1 / (1 + np.exp(-a[:, 2 * h : 3 * h]))
    g = np.tanh(a[:, 3 * h :])
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c


def lstm_over_time(x, h0, wx, wh, b):
    n, t, _ = x.shape
    h, c = h0, np.zeros_like(h0)
    states = []
    for step in range(t):
        a = x[:, step, :] @ wx + h @ wh + b
        ai, af, ao, ag = np.split(a, 4, axis=1)
        i, f, o, g = 1 / (1 + np.exp(-ai)), 1 / (1 + np.exp(-af)), 1 / (1 + np.exp(-ao)), np.tanh(ag)
        c = f * c + i * g
        h = o * np.tanh(c)
        states.append(h)
    return np.stack(states, axis=1), c


def rnn_forward_filled(x, h0, wx, wh, b):
    n, t, _ = x.shape
    h = np.zeros((n, t, h0.shape[1]), dtype=x.dtype)
    prev = h0
    for step in range(t):
        prev = np.tanh(x[:, step].dot(wx) + prev.dot(wh) + b)
        h[:, step, :] = prev
    return h


def gru_step(x, h, w, u, b):
    hidden = h.shape[-1]
    gates = 1.0 / (1.0 + np.exp(-(x @ w[:, : 2 * hidden] + h @ u[:, : 2 * hidden] + b[: 2 * hidden])))
    r, z = gates[:, :hidden], gates[:, hidden:]
    candidate = np.tanh(x @ w[:, 2 * hidden :] + (r * h) @ u[:, 2 * hidden :] + b[2 * hidden :])
    return z * h + (1 - z) * candidate


PART_1 = (
    Idiom(
        "two_layer_net",
        two_layer_net,
        (normal(20, 6), integers(4, 20), normal(6, 10), normal(1, 10), normal(10, 4), normal(1, 4), 1e-3),
    ),
    Idiom("softmax_loss", softmax_loss, (normal(12, 5), integers(5, 12))),
    Idiom("svm_loss_vectorized", svm_loss_vectorized, (normal(8, 5), normal(16, 8), integers(5, 16), 0.1)),
    Idiom(
        "affine_relu_backward",
        affine_relu_backward,
        (normal(6, 5), normal(6, 2, 3, 2), normal(12, 5), normal(5)),
    ),
    Idiom(
        "batchnorm_forward",
        batchnorm_forward,
        (normal(16, 6), normal(6), normal(6, seed=1), normal(6, seed=2), uniform(6), 0.9, 1e-5),
    ),
    Idiom("batchnorm_backward", batchnorm_backward, (normal(16, 6), normal(16, 6, seed=1), normal(6), 1e-5)),
    Idiom(
        "layernorm_forward_backward",
        layernorm_forward_backward,
        (normal(3, 4, 8), normal(8), normal(8, seed=1), normal(3, 4, 8, seed=1)),
    ),
    Idiom("spatial_batchnorm", spatial_batchnorm, (normal(3, 4, 5, 6), normal(4), normal(4, seed=1))),
    Idiom("group_norm", group_norm, (normal(2, 6, 4, 5), normal(6), normal(6, seed=1), 3)),
    Idiom("rms_norm", rms_norm, (normal(2, 5, 8), normal(8))),
    Idiom(
        "dropout_forward_backward",
        dropout_forward_backward,
        (normal(6, 7), coin(6, 7), normal(6, 7, seed=1), 0.5),
    ),
    Idiom("rnn_step", rnn_step, (normal(4, 5), normal(4, 6), normal(5, 6), normal(6, 6), normal(6))),
    Idiom(
        "rnn_step_backward",
        rnn_step_backward,
        (normal(4, 6), normal(4, 5), normal(4, 6, seed=1), uniform(4, 6), normal(5, 6), normal(6, 6)),
    ),
    Idiom("stable_sigmoid_by_masks", sigmoid, (10 * normal(6, 5),)),
    Idiom(
        "lstm_step",
        lstm_step,
        (normal(4, 5), normal(4, 6), normal(4, 6, seed=1), normal(5, 24), normal(6, 24), normal(24)),
    ),
    Idiom(
        "lstm_over_time",
        lstm_over_time,
        (normal(3, 4, 5), normal(3, 6), normal(5, 24), normal(6, 24), normal(24)),
    ),
    Idiom(
        "rnn_forward_filled",
        rnn_forward_filled,
        (normal(3, 4, 5), normal(3, 6), normal(5, 6), normal(6, 6), normal(6)),
    ),
    Idiom("gru_step", gru_step, (normal(4, 5), normal(4, 6), normal(5, 18), normal(6, 18), normal(18))),
)


# Part 2: embeddings, convolution, attention


def embedding(x, w):
    return w[x]


def embedding_head_step(x, y, embed, w, b, lr):
    vectors = embed[x]  # (batch, context, features)
    hidden = vectors.reshape(x.shape[0], -1)
    logits = hidden @ w + b
    logits = logits - logits.max(1, keepdims=True)
    counts = np.exp(logits)
    prob = counts / counts.sum(1, keepdims=True)
    loss = -np.log(prob[np.arange(len(y)), y]).mean()
    dlogits = prob.copy()
    dlogits[np.arange(len(y)), y] -= 1
    dlogits /= len(y)
    dw = hidden.T @ dlogits
    dvectors = (dlogits @ w.T).reshape(vectors.shape)
    dembed = np.zeros_like(embed)
    np.add.at(dembed, x, dvectors)
    return loss, embed - lr * dembed, w - lr * dw, b - lr * dlogits.sum(0)


def one_hot_eye_cross_entropy(logits, y):
    k = logits.shape[1]
    target = np.eye(k, dtype=logits.dtype)[y]
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    loss = -(target * log_p).sum(axis=1).mean()
    return loss, (np.exp(log_p) - target) / len(logits)


def one_hot_comparison(logits, y):
    xp = array_api_compat.array_namespace(logits, y)
    target = xp.astype(y[:, None] == xp.arange(logits.shape[1])[None, :], logits.dtype)
    e = xp.exp(logits - xp.max(logits, axis=1, keepdims=True))
    p = e / xp.sum(e, axis=1, keepdims=True)
    loss = -xp.mean(xp.log(xp.sum(p * target, axis=1)))
    return loss, p - target


def one_hot_assigned(y, k):
    one_hot = np.zeros((y.size, k))
    one_hot[np.arange(y.size), y] = 1
    return one_hot


def temporal_softmax_loss(x, y, mask):
    n, t, v = x.shape
    x_flat = x.reshape(n * t, v)
    y_flat = y.reshape(n * t)
    mask_flat = mask.reshape(n * t)
    probs = np.exp(x_flat - np.max(x_flat, axis=1, keepdims=True))
    probs /= np.sum(probs, axis=1, keepdims=True)
    loss = -np.sum(mask_flat * np.log(probs[np.arange(n * t), y_flat])) / n
    dx_flat = probs.copy()
    dx_flat[np.arange(n * t), y_flat] -= 1
    dx_flat /= n
    dx_flat *= mask_flat[:, None]
    return loss, dx_flat.reshape(n, t, v)


def conv_im2col(x, w, b, pad):
    n, c, h, wide = x.shape
    f, _, hh, ww = w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    out_h, out_w = h + 2 * pad - hh + 1, wide + 2 * pad - ww + 1
    cols = np.zeros((n, c, hh, ww, out_h, out_w), dtype=x.dtype)
    for i in range(hh):
        for j in range(ww):
            cols[:, :, i, j, :, :] = padded[:, :, i : i + out_h, j : j + out_w]
    cols = cols.transpose(0, 4, 5, 1, 2, 3).reshape(n * out_h * out_w, -1)
    out = cols @ w.reshape(f, -1).T + b
    return out.reshape(n, out_h, out_w, f).transpose(0, 3, 1, 2)


def conv_by_shifts(x, w):
    """Valid convolution of NHWC images as a sum of products of shifted slices."""
    kh, kw = w.shape[:2]
    out_h, out_w = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    out = 0.0
    for i in range(kh):
        for j in range(kw):
            out = out + x[:, i : i + out_h, j : j + out_w, :] @ w[i, j]
    return np.maximum(out, 0)


def conv_strided_windows(x, w, stride):
    """Valid convolution of one signal by stacked slices."""
    k = w.shape[0]
    windows = np.stack([x[i : i + k] for i in range(0, len(x) - k + 1, stride)])
    return windows @ w


def max_pool_reshape(x, dout):
    n, c, h, w = x.shape
    x_reshaped = x.reshape(n, c, h // 2, 2, w // 2, 2)
    out = x_reshaped.max(axis=3).max(axis=4)
    mask = x_reshaped == out[:, :, :, np.newaxis, :, np.newaxis]
    dx = mask * dout[:, :, :, np.newaxis, :, np.newaxis]
    return out, dx.reshape(x.shape)


def average_pool(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


def multi_head_attention(x, wq, wk, wv, wo, heads):
    n, t, d = x.shape
    size = d // heads
    q = (x @ wq).reshape(n, t, heads, size).transpose(0, 2, 1, 3)
    k = (x @ wk).reshape(n, t, heads, size).transpose(0, 2, 1, 3)
    v = (x @ wv).reshape(n, t, heads, size).transpose(0, 2, 1, 3)
    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(size).astype(x.dtype)
    causal = np.tril(np.ones((t, t), dtype=bool))
    scores = np.where(causal, scores, -1e9)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    out = (weights @ v).transpose(0, 2, 1, 3).reshape(n, t, d)
    return out @ wo


def attention_fused_qkv(x, w_qkv, b_qkv, w_out, heads):
    """GPT-2 in the style of picoGPT: one sequence, split, a list of heads, hstack."""
    qkv = np.split(x @ w_qkv + b_qkv, 3, axis=-1)
    q_heads, k_heads, v_heads = (np.split(part, heads, axis=-1) for part in qkv)
    mask = (1 - np.tri(x.shape[0], dtype=x.dtype)) * -1e10
    outs = []
    for q, k, v in zip(q_heads, k_heads, v_heads, strict=True):
        scores = q @ k.T / np.sqrt(q.shape[-1]) + mask
        e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
        outs.append(e / np.sum(e, axis=-1, keepdims=True) @ v)
    return np.hstack(outs) @ w_out


def attention_einsum(q, k, v, lengths):
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(q.shape[-1])
    valid = np.arange(k.shape[1])[None, :] < lengths[:, None]
    scores = np.where(valid[:, None, None, :], scores, -np.inf)
    scores -= scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores)
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("bhqk,bkhd->bqhd", weights, v), weights


def attention_array_api(q, k, v):
    xp = array_api_compat.array_namespace(q, k, v)
    scores = xp.matmul(q, xp.matrix_transpose(k)) * q.shape[-1] ** -0.5
    causal = xp.arange(q.shape[-2])[:, None] >= xp.arange(k.shape[-2])[None, :]
    scores = xp.where(causal, scores, xp.asarray(-xp.inf, dtype=scores.dtype))
    weights = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    return xp.matmul(weights / xp.sum(weights, axis=-1, keepdims=True), v)


def positional_encoding(x):
    t, d = x.shape[1], x.shape[2]
    position = np.arange(t)[:, np.newaxis]
    div_term = np.exp(np.arange(0, d, 2) * -(np.log(10000.0) / d))
    pe = np.zeros((t, d), dtype=x.dtype)
    pe[:, 0::2] = np.sin(position * div_term)
    pe[:, 1::2] = np.cos(position * div_term)
    return x + pe


def rotary_embedding(x, base):
    """Rotate the two halves of the features, as in LLaMA."""
    t, d = x.shape[-2], x.shape[-1]
    freqs = 1.0 / base ** (np.arange(0, d, 2, dtype=x.dtype) / d)
    angles = np.outer(np.arange(t, dtype=x.dtype), freqs)
    cos = np.concatenate([np.cos(angles), np.cos(angles)], axis=-1)
    sin = np.concatenate([np.sin(angles), np.sin(angles)], axis=-1)
    x1, x2 = x[..., : d // 2], x[..., d // 2 :]
    rotated = np.concatenate([-x2, x1], axis=-1)
    return x * cos + rotated * sin


def rotary_interleaved(x, cos, sin):
    even, odd = x[..., ::2], x[..., 1::2]
    return np.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)


def gelu_mlp(x, w1, b1, w2, b2):
    h = x @ w1 + b1
    h = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
    return x + h @ w2 + b2


def swiglu(x, w_gate, w_up, w_down):
    gate = x @ w_gate
    return (gate / (1 + np.exp(-gate)) * (x @ w_up)) @ w_down


def vision_patches(images, w, size):
    """Flat patches of NHWC images times a matrix, with a class token before them."""
    n, h, wide, c = images.shape
    patches = images.reshape(n, h // size, size, wide // size, size, c)
    patches = patches.swapaxes(2, 3).reshape(n, -1, size * size * c)
    tokens = patches @ w
    class_token = np.zeros((n, 1, w.shape[1]), dtype=tokens.dtype)
    return np.concatenate((class_token, tokens), axis=1)


PART_2 = (
    Idiom("embedding", embedding, (integers(7, 3, 4), normal(7, 5))),
    Idiom(
        "embedding_head_step",
        embedding_head_step,
        (integers(9, 8, 3), integers(9, 8), normal(9, 4), normal(12, 9), normal(9), 0.1),
    ),
    Idiom("one_hot_eye_cross_entropy", one_hot_eye_cross_entropy, (normal(8, 5), integers(5, 8))),
    Idiom("one_hot_comparison", one_hot_comparison, (normal(8, 5), integers(5, 8))),
    Idiom("one_hot_assigned", one_hot_assigned, (integers(5, 8), 5)),
    Idiom("temporal_softmax_loss", temporal_softmax_loss, (normal(3, 4, 6), integers(6, 3, 4), coin(3, 4))),
    Idiom("conv_im2col", conv_im2col, (normal(2, 3, 6, 5), normal(4, 3, 3, 3), normal(4), 1)),
    Idiom("conv_by_shifts", conv_by_shifts, (normal(2, 6, 5, 3), normal(3, 3, 3, 4))),
    Idiom("conv_strided_windows", conv_strided_windows, (normal(13), normal(4, 2), 3)),
    Idiom("max_pool_reshape", max_pool_reshape, (normal(2, 3, 4, 6), normal(2, 3, 2, 3))),
    Idiom("average_pool", average_pool, (normal(2, 4, 6, 3),)),
    Idiom(
        "multi_head_attention",
        multi_head_attention,
        (normal(2, 5, 8), normal(8, 8, seed=1), normal(8, 8, seed=2), normal(8, 8, seed=3), normal(8, 8), 2),
    ),
    Idiom(
        "attention_fused_qkv",
        attention_fused_qkv,
        (normal(5, 8), normal(8, 24), normal(24), normal(8, 8), 2),
    ),
    Idiom(
        "attention_einsum",
        attention_einsum,
        (normal(2, 5, 3, 4), normal(2, 6, 3, 4), normal(2, 6, 3, 4, seed=1), np.array([4, 6])),
    ),
    Idiom(
        "attention_array_api",
        attention_array_api,
        (normal(2, 3, 5, 4), normal(2, 3, 5, 4, seed=1), normal(2, 3, 5, 4, seed=2)),
    ),
    Idiom("positional_encoding", positional_encoding, (normal(2, 6, 8),)),
    Idiom("rotary_embedding", rotary_embedding, (normal(2, 3, 6, 8), 10000.0)),
    Idiom("rotary_interleaved", rotary_interleaved, (normal(2, 6, 8), uniform(6, 4), normal(6, 4))),
    Idiom("gelu_mlp", gelu_mlp, (normal(5, 6), normal(6, 8), normal(8), normal(8, 6), normal(6))),
    Idiom("swiglu", swiglu, (normal(5, 6), normal(6, 8), normal(6, 8, seed=1), normal(8, 6))),
    Idiom("vision_patches", vision_patches, (normal(2, 4, 6, 3), normal(12, 5), 2)),
)


# Part 3: optimisers, contrastive losses, distances, clustering, losses


def sgd_momentum(w, dw, v, learning_rate, momentum):
    v = momentum * v - learning_rate * dw
    next_w = w + v
    return next_w, v


def rmsprop(w, dw, config):
    cache = config["decay_rate"] * config["cache"] + (1 - config["decay_rate"]) * dw**2
    next_w = w - config["learning_rate"] * dw / (np.sqrt(cache) + config["epsilon"])
    return next_w, {**config, "cache": cache}


def adam(params, grads, m, v, t, lr, beta1, beta2, eps):
    t += 1
    new_params, new_m, new_v = {}, {}, {}
    for key in params:
        new_m[key] = beta1 * m[key] + (1 - beta1) * grads[key]
        new_v[key] = beta2 * v[key] + (1 - beta2) * (grads[key] ** 2)
        m_hat = new_m[key] / (1 - beta1**t)
        v_hat = new_v[key] / (1 - beta2**t)
        new_params[key] = params[key] - lr * m_hat / (np.sqrt(v_hat) + eps)
    return new_params, new_m, new_v, t


def clip_gradients(grads, max_norm):
    total_norm = np.sqrt(sum(np.sum(g**2) for g in grads))
    scale = min(1.0, max_norm / (total_norm + 1e-6))
    return [g * scale for g in grads]


def clip_gradients_array(grads, max_norm):
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in grads]))
    return [np.clip(g, -1, 1) * np.minimum(1, max_norm / norm) for g in grads], norm


def ema_update(ema, params, decay):
    return {name: decay * ema[name] + (1 - decay) * value for name, value in params.items()}


def l1_proximal_step(w, x, y, lr, lam):
    grad = x.T @ (x @ w - y) / len(y)
    w = w - lr * grad
    return np.sign(w) * np.maximum(np.abs(w) - lr * lam, 0)


def info_nce(z1, z2, temperature):
    z1 = z1 / np.linalg.norm(z1, axis=1, keepdims=True)
    z2 = z2 / np.linalg.norm(z2, axis=1, keepdims=True)
    logits = z1 @ z2.T / temperature
    logits = logits - logits.max(axis=1, keepdims=True)
    log_prob = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -np.diag(log_prob).mean()


def moco_loss(q, k, queue, temperature):
    l_pos = np.einsum("nc,nc->n", q, k)[:, None]
    l_neg = q @ queue
    logits = np.concatenate([l_pos, l_neg], axis=1) / temperature
    labels = np.zeros(len(logits), dtype=int)
    m = logits.max(axis=1, keepdims=True)
    lse = m[:, 0] + np.log(np.exp(logits - m).sum(axis=1))
    loss = np.mean(lse - logits[np.arange(len(labels)), labels])
    new_queue = np.concatenate([queue[:, len(k) :], k.T], axis=1)
    return {"loss": loss, "logits": logits, "queue": new_queue}


def simclr_loss(z_left, z_right, tau):
    z = np.concatenate([z_left, z_right], axis=0)
    n2 = z.shape[0]
    norm = np.sqrt(np.sum(z**2, axis=1, keepdims=True))
    sim = (z @ z.T) / (norm @ norm.T)
    exponential = np.exp(sim / tau)
    mask = np.ones_like(exponential, dtype=bool) ^ np.eye(n2, dtype=bool)
    denominator = np.sum(exponential * mask, axis=1)
    n = n2 // 2
    positives = np.concatenate([np.diagonal(sim, offset=n), np.diagonal(sim, offset=-n)])
    return np.mean(-np.log(np.exp(positives / tau) / denominator))


def triplet_loss(anchor, positive, negative, margin=0.2):
    d_pos = np.square(anchor - positive).sum(axis=-1)
    d_neg = np.square(anchor - negative).sum(axis=-1)
    return np.maximum(d_pos - d_neg + margin, 0.0).mean()


def pairwise_distances_expanded(x, train):
    x2 = np.sum(x**2, axis=1).reshape(-1, 1)
    t2 = np.sum(train**2, axis=1)
    return np.sqrt(np.maximum(x2 + t2 - 2 * x.dot(train.T), 0))


def pairwise_distances_broadcast(a, b):
    diff = a[:, np.newaxis, :] - b[np.newaxis, :, :]
    return np.sqrt((diff**2).sum(-1)), np.abs(diff).max(axis=2)


def rbf_kernel(a, b, gamma):
    sq = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
    return np.exp(-gamma * sq.clip(min=0))


def k_means_step(x, centers):
    distances = ((x[:, None] - centers[None]) ** 2).sum(axis=-1)
    labels = distances.argmin(axis=1)
    assign = (labels[:, None] == np.arange(len(centers))).astype(x.dtype)
    counts = np.maximum(assign.sum(axis=0), 1)
    return (assign.T @ x) / counts[:, None], labels


def k_means_loop(x, centers):
    labels = np.argmin(np.linalg.norm(x[:, None] - centers, axis=2), axis=1)
    new = np.array([x[labels == k].mean(axis=0) for k in range(centers.shape[0])])
    return new, np.linalg.norm(new - centers)


def knn_predict(x, x_train, y_train, k, classes):
    d = np.sum((x[:, None, :] - x_train[None, :, :]) ** 2, axis=2)
    closest_y = y_train[np.argsort(d, axis=1)[:, :k]]
    votes = (closest_y[:, :, None] == np.arange(classes)).sum(axis=1)
    return votes.argmax(axis=1)


def gmm_e_step(x, pi, mu, var):
    log_p = -0.5 * np.sum((x[:, None, :] - mu) ** 2 / var + np.log(2 * np.pi * var), axis=2)
    log_p += np.log(pi)
    top = np.max(log_p, axis=1, keepdims=True)
    log_norm = top + np.log(np.sum(np.exp(log_p - top), axis=1, keepdims=True))
    resp = np.exp(log_p - log_norm)
    nk = resp.sum(axis=0)
    new_mu = resp.T @ x / nk[:, None]
    return resp, log_norm.sum(), nk / len(x), new_mu


def logsumexp(a, axis):
    a_max = np.amax(a, axis=axis, keepdims=True)
    a_max = np.where(np.isfinite(a_max), a_max, 0)
    return np.squeeze(a_max, axis=axis) + np.log(np.sum(np.exp(a - a_max), axis=axis))


def focal_loss(logits, y, alpha, gamma):
    p = 1 / (1 + np.exp(-logits))
    p_t = np.where(y == 1, p, 1 - p)
    alpha_t = np.where(y == 1, alpha, 1 - alpha)
    return np.mean(-alpha_t * (1 - p_t) ** gamma * np.log(np.clip(p_t, 1e-7, 1.0)))


def dice_loss(pred, target, smooth=1.0):
    pred, target = pred.reshape(len(pred), -1), target.reshape(len(target), -1)
    intersection = (pred * target).sum(axis=1)
    return 1 - ((2.0 * intersection + smooth) / (pred.sum(1) + target.sum(1) + smooth)).mean()


def huber_loss(y, f, delta):
    r = y - f
    small = np.abs(r) <= delta
    loss = np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta))
    return loss.mean(), np.where(small, -r, -delta * np.sign(r)) / r.size


def quantile_loss(y, predictions, quantiles):
    e = y[:, None] - predictions
    return np.mean(np.maximum(quantiles * e, (quantiles - 1) * e), axis=0)


def binary_cross_entropy_logits(x, y):
    loss = np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))
    return loss.mean(), (1 / (1 + np.exp(-x)) - y) / x.size


def label_smoothing_kl(logits, y, eps):
    n, k = logits.shape
    target = np.full((n, k), eps / (k - 1), dtype=logits.dtype)
    target[np.arange(n), y] = 1 - eps
    log_q = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return np.sum(target * (np.log(target) - log_q)) / n


DICT_W = {"w": normal(5, 4), "b": normal(4)}
DICT_G = {"w": normal(5, 4, seed=1), "b": normal(4, seed=1)}
DICT_V = {"w": uniform(5, 4), "b": uniform(4)}

PART_3 = (
    Idiom("sgd_momentum", sgd_momentum, (normal(6, 4), normal(6, 4, seed=1), normal(6, 4, seed=2), 0.1, 0.9)),
    Idiom(
        "rmsprop",
        rmsprop,
        (
            normal(6, 4),
            normal(6, 4, seed=1),
            {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8, "cache": uniform(6, 4)},
        ),
    ),
    Idiom("adam", adam, (DICT_W, DICT_G, DICT_V, DICT_V, 3, 1e-3, 0.9, 0.999, 1e-8)),
    Idiom("clip_gradients", clip_gradients, ([normal(5, 4), normal(4), normal(2, 3)], 1.0)),
    Idiom("clip_gradients_array", clip_gradients_array, ([normal(5, 4), normal(4), normal(2, 3)], 1.0)),
    Idiom("ema_update", ema_update, (DICT_W, DICT_G, 0.999)),
    Idiom("l1_proximal_step", l1_proximal_step, (normal(5), normal(12, 5), normal(12), 0.1, 0.5)),
    Idiom("info_nce", info_nce, (normal(8, 6), normal(8, 6, seed=1), 0.1)),
    Idiom("moco_loss", moco_loss, (normal(4, 6), normal(4, 6, seed=1), normal(6, 12), 0.07)),
    Idiom("simclr_loss", simclr_loss, (normal(6, 5), normal(6, 5, seed=1), 0.5)),
    Idiom("triplet_loss", triplet_loss, (normal(8, 5), normal(8, 5, seed=1), normal(8, 5, seed=2))),
    Idiom("pairwise_distances_expanded", pairwise_distances_expanded, (normal(6, 4), normal(9, 4))),
    Idiom("pairwise_distances_broadcast", pairwise_distances_broadcast, (normal(6, 4), normal(9, 4))),
    Idiom("rbf_kernel", rbf_kernel, (normal(6, 4), normal(9, 4), 0.3)),
    Idiom("k_means_step", k_means_step, (normal(20, 3), normal(4, 3))),
    Idiom("k_means_loop", k_means_loop, (normal(20, 3), normal(20, 3)[:4] * 1.1)),
    Idiom("knn_predict", knn_predict, (normal(7, 4), normal(15, 4), integers(3, 15), 5, 3)),
    Idiom(
        "gmm_e_step",
        gmm_e_step,
        (normal(15, 3, dtype=np.float64), np.array([0.2, 0.5, 0.3]), normal(3, 3), uniform(3, 3) + 0.5),
    ),
    Idiom("logsumexp", logsumexp, (normal(5, 6, 3), 1)),
    Idiom("focal_loss", focal_loss, (normal(20), integers(2, 20), 0.25, 2.0)),
    Idiom("dice_loss", dice_loss, (uniform(3, 4, 5), coin(3, 4, 5, seed=1))),
    Idiom("huber_loss", huber_loss, (normal(12), normal(12, seed=1), 1.0)),
    Idiom("quantile_loss", quantile_loss, (normal(12), normal(12, 3), np.float32([0.1, 0.5, 0.9]))),
    Idiom("binary_cross_entropy_logits", binary_cross_entropy_logits, (normal(12, 2), integers(2, 12, 2))),
    Idiom("label_smoothing_kl", label_smoothing_kl, (normal(8, 5), integers(5, 8), 0.1)),
)


# Part 4: linear algebra, time series, grids


def hmm_forward(pi, a, b, observations):
    alpha = pi * b[:, observations[0]]
    log_likelihood = 0.0
    alphas = [alpha / alpha.sum()]
    log_likelihood += np.log(alpha.sum())
    for t in range(1, len(observations)):
        alpha = (alphas[-1] @ a) * b[:, observations[t]]
        c = alpha.sum()
        log_likelihood += np.log(c)
        alphas.append(alpha / c)
    return np.array(alphas), log_likelihood


def viterbi_scores(log_pi, log_a, emissions):
    delta = log_pi + emissions[0]
    back = []
    for e in emissions[1:]:
        scores = delta[:, None] + log_a
        back.append(np.argmax(scores, axis=0))
        delta = np.max(scores, axis=0) + e
    return delta, np.vstack(back)


def newton_logistic_step(w, x, y, lam):
    p = 1 / (1 + np.exp(-x @ w))
    gradient = x.T @ (p - y) + lam * w
    s = p * (1 - p)
    hessian = (x.T * s) @ x + lam * np.eye(len(w))
    return w - np.linalg.solve(hessian, gradient)


def ridge(x, y, lam):
    d = x.shape[1]
    w = np.linalg.inv(x.T.dot(x) + lam * np.identity(d)).dot(x.T).dot(y)
    residual = y - x.dot(w)
    r2 = 1 - (residual**2).sum() / ((y - y.mean()) ** 2).sum()
    return w, r2


def pca_sign_free(x, k):
    centered = x - x.mean(axis=0)
    cov = centered.T @ centered / (x.shape[0] - 1)
    values, vectors = np.linalg.eigh(cov)
    order = np.argsort(values)[::-1]
    top = vectors[:, order[:k]]
    return top @ top.T, values[order] / values.sum(), np.abs(centered @ top)


def gp_posterior(x, y, x_new, length, noise):
    def kernel(a, b):
        sq = np.sum(a**2, 1).reshape(-1, 1) + np.sum(b**2, 1) - 2 * np.dot(a, b.T)
        return np.exp(-0.5 / length**2 * sq)

    low = np.linalg.cholesky(kernel(x, x) + noise * np.eye(len(x)))
    lk = np.linalg.solve(low, kernel(x, x_new))
    mu = np.dot(lk.T, np.linalg.solve(low, y))
    variance = np.diag(kernel(x_new, x_new)) - np.sum(lk**2, axis=0)
    log_det = 2 * np.sum(np.log(np.diagonal(low)))
    return mu, np.sqrt(variance), log_det


def kalman_step(x, p, z, f, h, q, r):
    x = f @ x
    p = f @ p @ f.T + q
    innovation = z - h @ x
    s = h @ p @ h.T + r
    k = p @ h.T @ np.linalg.inv(s)
    x = x + k @ innovation
    p = (np.eye(len(x)) - k @ h) @ p
    return x, p


def power_iteration(a, steps):
    v = np.ones(a.shape[0]) / np.sqrt(a.shape[0])
    for _ in range(steps):
        av = a.dot(v)
        v = av / np.linalg.norm(av)
    return v.dot(a).dot(v), v


def small_matrix_batches(a, b):
    xp = array_api_compat.array_namespace(a, b)
    return xp.linalg.inv(a), xp.linalg.det(a), xp.linalg.solve(a, b)


def gaussian_log_density(x, mu, cov):
    diff = x - mu
    _, log_det = np.linalg.slogdet(cov)
    mahalanobis = np.einsum("ni,ij,nj->n", diff, np.linalg.inv(cov), diff)
    return -0.5 * (mahalanobis + log_det + len(mu) * np.log(2 * np.pi))


def outer_and_tensordot(u, v, t, m):
    rank_one = np.outer(u, v)
    contracted = np.tensordot(t, m, axes=([1, 2], [0, 1]))
    hebbian = np.tensordot(u, t, axes=1)
    return rank_one, contracted, hebbian, np.inner(m, m), np.vdot(u, u)


def trace_and_diagonal(a):
    sym = (a + a.T) / 2
    off = sym - np.diag(np.diag(sym))
    return np.trace(a), a.diagonal(), off, np.triu(a, k=1), a.trace() / len(a)


def batch_traces(a):
    return np.trace(a, axis1=-2, axis2=-1), np.diagonal(a, axis1=1, axis2=2), np.einsum("bii->b", a)


def discounted_returns(rewards, gamma):
    discounted = np.zeros_like(rewards)
    running = 0
    for t in reversed(range(len(rewards))):
        running = running * gamma + rewards[t]
        discounted[t] = running
    discounted -= np.mean(discounted)
    discounted /= np.std(discounted)
    return discounted


def returns_by_cumsum(rewards, gamma):
    discounts = gamma ** np.arange(rewards.shape[1])
    weighted = rewards * discounts
    return np.cumsum(weighted[:, ::-1], axis=1)[:, ::-1] / discounts


def gae(rewards, values, dones, gamma, lam):
    advantages, last = [], 0.0
    for t in range(len(rewards) - 1, -1, -1):
        alive = 1.0 - dones[t]
        delta = rewards[t] + gamma * values[t + 1] * alive - values[t]
        last = delta + gamma * lam * alive * last
        advantages.insert(0, last)
    advantages = np.stack(advantages)
    return advantages, advantages + values[:-1]


def finite_differences(x):
    velocity = np.diff(x, axis=0)
    acceleration = np.diff(x, n=2, axis=0)
    log_returns = np.log(np.abs(x[1:])) - np.log(np.abs(x[:-1]))
    central = (x[2:] - x[:-2]) / 2
    return velocity, acceleration, log_returns, central


def laplacian(u, h):
    return (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]) / h**2


def heat_steps(u0, alpha, dt, steps):
    u = u0.copy()
    for _ in range(steps):
        u[1:-1, 1:-1] = u[1:-1, 1:-1] + alpha * dt * (
            u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
        )
        u[0, :] = u[1, :]
        u[:, -1] = 0
    return u


def burgers_step(u, dt, dx, nu):
    un = u.copy()
    out = np.empty_like(u)
    out[1:-1] = (
        un[1:-1]
        - un[1:-1] * dt / dx * (un[1:-1] - un[:-2])
        + nu * dt / dx**2 * (un[2:] - 2 * un[1:-1] + un[:-2])
    )
    out[0], out[-1] = un[0], un[-1]
    return out


def gray_scott_roll(u, v, f, k):
    def lap(a):
        return np.roll(a, 1, 0) + np.roll(a, -1, 0) + np.roll(a, 1, axis=1) + np.roll(a, -1, axis=1) - 4 * a

    uvv = u * v * v
    return u + 0.16 * lap(u) - uvv + f * (1 - u), v + 0.08 * lap(v) + uvv - (f + k) * v


def game_of_life(board):
    padded = np.pad(board, 1)
    neighbours = sum(
        padded[1 + i : padded.shape[0] - 1 + i, 1 + j : padded.shape[1] - 1 + j]
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
        if (i, j) != (0, 0)
    )
    return ((neighbours == 3) | ((board == 1) & (neighbours == 2))).astype(board.dtype)


def moving_average(x, n):
    total = np.cumsum(x, dtype=float)
    total[n:] = total[n:] - total[:-n]
    return total[n - 1 :] / n


def n_body_forces(pos, mass, eps):
    dx = pos[:, None, :] - pos[None, :, :]
    r2 = (dx**2).sum(axis=-1) + eps**2
    acc = -(mass[None, :, None] * dx / r2[..., None] ** 1.5).sum(axis=1)
    kinetic = 0.5 * np.sum(mass * np.sum(pos**2, axis=1))
    return acc, kinetic


def runge_kutta_step(y, dt):
    def f(s):
        return np.array([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]])

    k1 = f(y)
    k2 = f(y + dt / 2 * k1)
    k3 = f(y + dt / 2 * k2)
    k4 = f(y + dt * k3)
    return y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


F64 = np.float64

PART_4 = (
    Idiom(
        "hmm_forward",
        hmm_forward,
        (
            np.array([0.5, 0.3, 0.2]),
            np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]),
            np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]),
            np.array([0, 2, 1, 1, 0]),
        ),
    ),
    Idiom("viterbi_scores", viterbi_scores, (normal(4), normal(4, 4), normal(6, 4))),
    Idiom(
        "newton_logistic_step",
        newton_logistic_step,
        (normal(4, dtype=F64), normal(20, 4, dtype=F64), integers(2, 20), 0.5),
    ),
    Idiom("ridge", ridge, (normal(20, 4, dtype=F64), normal(20, dtype=F64), 0.5)),
    Idiom("pca_sign_free", pca_sign_free, (normal(20, 5, dtype=F64) * np.arange(1, 6), 2)),
    Idiom(
        "gp_posterior",
        gp_posterior,
        (normal(8, 2, dtype=F64), normal(8, dtype=F64), normal(5, 2, dtype=F64), 0.7, 0.1),
    ),
    Idiom(
        "kalman_step",
        kalman_step,
        (
            normal(4, dtype=F64),
            spd(4),
            normal(2, dtype=F64),
            normal(4, 4, dtype=F64),
            normal(2, 4, dtype=F64),
            spd(4, seed=1),
            spd(2),
        ),
    ),
    Idiom("power_iteration", power_iteration, (spd(5), 10)),
    Idiom(
        "small_matrix_batches",
        small_matrix_batches,
        (normal(6, 3, 3) + 3 * np.eye(3, dtype=np.float32), normal(6, 3, 2)),
    ),
    Idiom(
        "gaussian_log_density",
        gaussian_log_density,
        (normal(7, 3, dtype=F64), normal(3, dtype=F64), spd(3)),
    ),
    Idiom("outer_and_tensordot", outer_and_tensordot, (normal(4), normal(3), normal(4, 3, 5), normal(3, 5))),
    Idiom("trace_and_diagonal", trace_and_diagonal, (normal(5, 5),)),
    Idiom("batch_traces", batch_traces, (normal(4, 3, 3),)),
    Idiom("discounted_returns", discounted_returns, (normal(10), 0.9)),
    Idiom("returns_by_cumsum", returns_by_cumsum, (normal(3, 10), 0.9)),
    Idiom("gae", gae, (normal(8, 2), normal(9, 2), coin(8, 2), 0.99, 0.95)),
    Idiom("finite_differences", finite_differences, (normal(9, 2),)),
    Idiom("laplacian", laplacian, (normal(7, 6), 0.1)),
    Idiom("heat_steps", heat_steps, (uniform(7, 6, dtype=F64), 0.5, 0.3, 3)),
    Idiom("burgers_step", burgers_step, (uniform(12, dtype=F64), 0.01, 0.1, 0.07)),
    Idiom("gray_scott_roll", gray_scott_roll, (uniform(6, 7), uniform(6, 7, seed=1), 0.035, 0.065)),
    Idiom("game_of_life_integers_alone", game_of_life, (integers(2, 8, 9),)),
    Idiom("moving_average", moving_average, (normal(15), 4)),
    Idiom("n_body_forces", n_body_forces, (normal(6, 3, dtype=F64), uniform(6, dtype=F64), 0.1)),
    Idiom("runge_kutta_step", runge_kutta_step, (normal(3, dtype=F64), 0.01)),
)


# Part 5: moving, choosing and counting elements


def activation_where_chain(x):
    elu = np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)
    hard = np.where(x < -3, 0, np.where(x > 3, x, x * (x + 3) / 6))
    leaky = np.where(x > 0, x, x * 0.01)
    return elu, hard, leaky, np.maximum(0.1 * x, x)


def piecewise_select(x):
    conditions = [x < -1, x < 0, x < 1]
    choices = [-x, x**2, np.sqrt(np.abs(x))]
    return np.select(conditions, choices, default=1.0)


def clip_and_normalise(x, low, high):
    clipped = np.clip(x, low, high)
    span = clipped.max() - clipped.min()
    return (clipped - clipped.min()) / span, x.clip(-1, 1), np.clip(x, None, 0.5)


def pad_modes(x):
    zeros = np.pad(x, ((1, 2), (0, 1)), constant_values=-1)
    return zeros, np.pad(x, 1, mode="edge"), np.pad(x, ((0, 0), (2, 2)), mode="reflect")


def join_arrays(a, b):
    return {
        "rows": np.concatenate([a, b]),
        "columns": np.hstack((a, b)),
        "vstack": np.vstack([a, b[0], a.mean(axis=0)]),
        "stack": np.stack([a, b], axis=-1),
        "columns_of_vectors": np.column_stack([a[:, 0], b[:, 1], np.ones(len(a), dtype=a.dtype)]),
        "r": np.append(a, b, axis=0),
    }


def split_and_rejoin(x):
    left, right = np.split(x, 2, axis=1)
    first, second, third = np.split(x, [2, 5])
    parts = np.array_split(x, 3, axis=0)
    a, b = x[:, 0], x[:, 1]
    return left * right, first.sum(), second.sum(axis=0), third.mean(), [p.max() for p in parts], a - b


def repeat_and_tile(x, n):
    upsampled = np.repeat(np.repeat(x, 2, axis=0), 2, axis=1)
    grid = np.tile(x, (n, 1))
    return upsampled, grid, np.tile(x[0], n), x[0].repeat(n), np.broadcast_to(x[None], (n, *x.shape)) * 2


def flips_and_strides(x):
    augmented = np.concatenate([x, np.flip(x, axis=1), x[::-1], np.fliplr(x)])
    return augmented, x[:, ::2], x[1::2, ::-1], x[..., -1], np.rot90(x), np.flip(x)


def mesh_features(x, y):
    xx, yy = np.meshgrid(x, y)
    grid = np.c_[xx.ravel(), yy.ravel()]
    return grid, np.sin(xx) * np.cos(yy), np.linspace(0, 1, 5) * x[0]


def accuracy(scores, y):
    predicted = np.argmax(scores, axis=1)
    top1 = np.mean(predicted == y)
    top3 = np.argsort(-scores, axis=1)[:, :3]
    top3_accuracy = (top3 == y[:, None]).any(axis=1).mean()
    return {"predicted": predicted, "top1": top1, "top3": top3_accuracy, "errors": np.sum(predicted != y)}


def top_k(x, k):
    order = np.argsort(x, axis=-1)[:, ::-1][:, :k]
    values = np.take_along_axis(x, order, axis=-1)
    return values, order, np.sort(x, axis=1)[:, -k:], x[np.arange(len(x))[:, None], order]


def top_k_sampling_probs(logits, k, temperature):
    scaled = logits / temperature
    kth = np.partition(scaled, -k, axis=-1)[:, -k][:, None]
    scaled = np.where(scaled < kth, -np.inf, scaled)
    e = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def gather_along(log_probs, actions, returns):
    chosen = np.take_along_axis(log_probs, actions[:, None], axis=1).squeeze(1)
    entropy = -(np.exp(log_probs) * log_probs).sum(axis=1)
    return -(chosen * returns).mean() - 0.01 * entropy.mean(), chosen


def robust_scale(x):
    median = np.median(x, axis=0)
    mad = np.median(np.abs(x - median), axis=0)
    q1, q3 = np.percentile(x, [25, 75], axis=0)
    return (x - median) / (1.4826 * mad), q3 - q1


def standardise(x):
    z = (x - np.mean(x, axis=0)) / np.std(x, axis=0, ddof=1)
    correlation = z.T @ z / (len(x) - 1)
    return z, correlation, x.var(ddof=1), np.cov(x, rowvar=False), np.corrcoef(x.T)


def polynomial_features(x, w):
    vander = np.vander(x, 4, increasing=True)
    features = np.stack([x**p for p in range(4)], axis=1)
    return features, vander @ w, np.polyval(w, x)


def mixup(x, y_one_hot, permutation, lam):
    mixed_x = lam * x + (1 - lam) * x[permutation]
    mixed_y = lam * y_one_hot + (1 - lam) * y_one_hot[permutation, :]
    return mixed_x, mixed_y


def minibatch_by_indices(x, y, order, start, size):
    idx = order[start : start + size]
    xb, yb = x[idx], y[idx]
    return xb - xb.mean(axis=0), yb, x[idx[0]], x.take(idx, axis=0)


def masked_statistics(x, mask):
    mean = x[mask].mean()
    total = np.sum(x, where=mask)
    count = np.count_nonzero(mask)
    positive = x[x > 0].sum()
    return mean, total, count, positive, (x * mask).sum() / mask.sum(), ~mask & (x > 0)


def masked_scaling(x, mask):
    y = x * 2 + 1
    y[mask] *= 0.5
    y[y < -1] = -1
    y[:, 0] += 10
    y[~mask & (y > 2)] = 2.0
    return y


def nan_mean(x):
    z = np.where(np.isnan(x), 0, x)
    valid = ~np.isnan(x)
    return z.sum(axis=0) / valid.sum(axis=0), np.nan_to_num(x, nan=-1.0), np.nanmean(x), valid.all(axis=1)


def lookup_integers_alone(table, y):
    ids = table[y]
    return ids * 2 + 1, (ids % 3 == 0), ids // 2, np.bincount(y, minlength=len(table)), y.max()


def confusion_matrix_integers_alone(y_true, y_pred, k):
    cm = np.zeros((k, k), dtype=int)
    np.add.at(cm, (y_true, y_pred), 1)
    recall = np.diag(cm) / np.maximum(cm.sum(axis=1), 1)
    return cm, recall, np.trace(cm) / np.sum(cm)


def iou_bools_alone(a, b):
    intersection = np.logical_and(a, b).sum(axis=(1, 2))
    union = (a | b).sum(axis=(1, 2))
    return intersection / union, np.any(a, axis=0), a.all(), a ^ b


def box_iou(boxes1, boxes2):
    area1 = (boxes1[:, 2] - boxes1[:, 0]) * (boxes1[:, 3] - boxes1[:, 1])
    area2 = (boxes2[:, 2] - boxes2[:, 0]) * (boxes2[:, 3] - boxes2[:, 1])
    lt = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    rb = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    wh = (rb - lt).clip(0)
    inter = wh[..., 0] * wh[:, :, 1]
    return inter / (area1[:, None] + area2 - inter)


def images_to_floats(images, mean, std):
    x = images.astype(np.float32) / 255.0
    x = (x - mean) / std
    grey = np.dot(images[..., :3], np.array([0.299, 0.587, 0.114]))
    return x.transpose(0, 3, 1, 2), np.moveaxis(x, -1, 1).mean(axis=(0, 2, 3)), grey, images.mean(axis=(1, 2))


def depth_to_space(x, r):
    n, h, w, c = x.shape
    y = x.reshape(n, h, w, r, r, c // r**2)
    return y.transpose(0, 1, 3, 2, 4, 5).reshape((n, h * r, w * r, -1))


def multi_axis_reductions(x):
    return (
        np.sum(x, axis=(0, 2)),
        x.mean((1, 2), keepdims=True),
        np.max(x, axis=(-2, -1)),
        x.std(axis=(0, 1)),
        np.prod(x, axis=-1),
        np.linalg.norm(x, axis=-1),
        np.ptp(x, axis=0),
        np.average(x, axis=1, weights=np.arange(1.0, 1 + x.shape[1])),
    )


def swap_and_expand(x):
    swapped = np.swapaxes(x, 1, 2)
    expanded = np.expand_dims(x, axis=1) - np.expand_dims(x, 2)
    return swapped @ x, expanded.sum(-1), np.squeeze(x[:, :1]), np.atleast_2d(x[0, 0]), x.swapaxes(0, -1)[0]


def array_methods(x, y):
    h = x.copy()
    h = h.reshape(-1, x.shape[-1]).T
    ordered = h.transpose(1, 0).flatten().cumsum()
    z = x.ravel().astype(np.float64).reshape((2, -1))
    return (
        x.sum() + x.sum(axis=0).max() - x.min(),
        h.argmax(axis=0),
        ordered.mean(),
        z.std(axis=0),
        x.dot(y).round(2),
        x.take([2, 0], axis=1),
        y.squeeze().repeat(2),
        x.sum(axis=1, keepdims=True).squeeze(axis=1).clip(0, 1),
        (x > 0).any() & (x < 9).all(),
        x.prod(axis=1) + x.T[0] + x.shape[0] * x.ndim / x.size,
    )


def attributes_and_python_numbers(x):
    mean = float(x.shape[0])
    scaled = x / mean if x.ndim == 2 else x
    rows = [row.sum() for row in scaled]
    total = sum(rows)
    return np.array(rows), total, max(len(x), 3), np.zeros(x.shape, x.dtype) + scaled[-1]


def in_place_on_computed(x, w):
    out = x @ w
    out += 1
    np.maximum(out, 0, out=out)
    out[0] = 0
    out[:, 1:3] *= 2
    out[-1, -1] = 5.0
    np.subtract(out, out.mean(axis=0), out=out)
    return out


def logic_and_comparison(a, b):
    close = np.isclose(a, b, atol=0.5)
    order = np.logical_or(a > b, np.logical_not(close))
    sign_agrees = np.sign(a) == np.sign(b)
    return close, order, sign_agrees.mean(), np.count_nonzero(a > b, axis=0), np.all(np.isfinite(a))


def histogram_by_comparison(x, edges):
    inside = (x[:, None] >= edges[:-1]) & (x[:, None] < edges[1:])
    bins = np.searchsorted(edges, x)
    density = inside.sum(axis=0) / (len(x) * np.diff(edges))
    return density, bins, np.trapezoid(density, (edges[1:] + edges[:-1]) / 2)


def elementwise_zoo(x, y):
    return {
        "hypot": np.hypot(x, y),
        "angle": np.arctan2(y, x),
        "expm1": np.expm1(x) + np.log1p(np.abs(y)),
        "floor": np.floor(x) + np.ceil(y) + np.rint(x),
        "power": np.power(np.abs(x), 1.5) + np.float_power(np.abs(y), 0.5),
        "mod": np.mod(x, 1.0) + np.remainder(y, 0.5) + x % 2,
        "softplus": np.logaddexp(0, x),
        "exp2": np.exp2(x) + np.log2(np.abs(y)) + np.log10(np.abs(y)) + np.reciprocal(np.abs(x) + 1),
        "fmax": np.fmax(x, y) - np.fmin(x, y) + np.copysign(x, y) + np.heaviside(x, 0.5),
        "degrees": np.sinh(x) + np.cosh(y) + np.deg2rad(x) + np.cbrt(y) + np.tan(x) + np.square(y),
    }


PERMUTATION = np.random.default_rng(3).permutation(8)
NANS = np.where(coin(6, 4), normal(6, 4), np.float32(np.nan))
BOXES = np.concatenate([uniform(5, 2), 1 + uniform(5, 2)], axis=1)

PART_5 = (
    Idiom("activation_where_chain", activation_where_chain, (3 * normal(6, 7),)),
    Idiom("piecewise_select", piecewise_select, (2 * normal(30),)),
    Idiom("clip_and_normalise", clip_and_normalise, (normal(6, 7), -1.5, 1.5)),
    Idiom("pad_modes", pad_modes, (normal(4, 5),)),
    Idiom("join_arrays", join_arrays, (normal(4, 3), normal(4, 3, seed=1))),
    Idiom("split_and_rejoin", split_and_rejoin, (normal(7, 4),)),
    Idiom("repeat_and_tile", repeat_and_tile, (normal(3, 4), 3)),
    Idiom("flips_and_strides", flips_and_strides, (normal(4, 5),)),
    Idiom("mesh_features", mesh_features, (normal(4), normal(3))),
    Idiom("accuracy", accuracy, (normal(12, 6), integers(6, 12))),
    Idiom("top_k", top_k, (normal(5, 8), 3)),
    Idiom("top_k_sampling_probs", top_k_sampling_probs, (normal(5, 8), 3, 0.8)),
    Idiom("gather_along", gather_along, (-uniform(9, 4) - 0.5, integers(4, 9), normal(9))),
    Idiom("robust_scale", robust_scale, (normal(11, 3),)),
    Idiom("standardise", standardise, (normal(12, 4),)),
    Idiom("polynomial_features", polynomial_features, (normal(10), normal(4))),
    Idiom("mixup", mixup, (normal(8, 5), np.eye(4, dtype=np.float32)[integers(4, 8)], PERMUTATION, 0.3)),
    Idiom("minibatch_by_indices", minibatch_by_indices, (normal(8, 5), integers(4, 8), PERMUTATION, 2, 4)),
    Idiom("masked_statistics", masked_statistics, (normal(6, 5), coin(6, 5, seed=1))),
    Idiom("masked_scaling", masked_scaling, (normal(6, 5), coin(6, 5, seed=1))),
    Idiom("nan_mean", nan_mean, (NANS,)),
    Idiom(
        "lookup_integers_alone", lookup_integers_alone, (integers(100, 7, seed=2) * 3 // 2, integers(7, 12))
    ),
    Idiom(
        "confusion_matrix_integers_alone",
        confusion_matrix_integers_alone,
        (integers(4, 30), integers(4, 30, seed=1), 4),
    ),
    Idiom("iou_bools_alone", iou_bools_alone, (coin(3, 6, 5), coin(3, 6, 5, seed=1))),
    Idiom("box_iou", box_iou, (BOXES, 0.8 * BOXES[1:])),
    Idiom(
        "images_to_floats",
        images_to_floats,
        (
            integers(256, 2, 4, 5, 3, dtype=np.uint8),
            np.float32([0.485, 0.456, 0.406]),
            np.float32([0.229, 0.224, 0.225]),
        ),
    ),
    Idiom("depth_to_space", depth_to_space, (normal(2, 3, 4, 8), 2)),
    Idiom("multi_axis_reductions", multi_axis_reductions, (normal(3, 4, 5),)),
    Idiom("swap_and_expand", swap_and_expand, (normal(3, 4, 5),)),
    Idiom("array_methods", array_methods, (normal(6, 4), normal(4, 1))),
    Idiom("attributes_and_python_numbers", attributes_and_python_numbers, (normal(6, 4),)),
    Idiom("in_place_on_computed", in_place_on_computed, (normal(6, 4), normal(4, 5))),
    Idiom("logic_and_comparison", logic_and_comparison, (normal(6, 4), normal(6, 4, seed=1))),
    Idiom("histogram_by_comparison", histogram_by_comparison, (normal(40), np.linspace(-3, 3, 7))),
    Idiom("elementwise_zoo", elementwise_zoo, (normal(6, 4), normal(6, 4, seed=1))),
)

IDIOMS: tuple[Idiom, ...] = PART_1 + PART_2 + PART_3 + PART_4 + PART_5
