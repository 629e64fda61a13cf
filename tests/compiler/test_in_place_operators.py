"""Augmented assignment and assignment to elements: as NumPy, or an error that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace

import onepass as op

x = np.array([1.0, 2.0, 3.0])


def two_names(v: Any) -> Any:
    d = v * 1.0
    e = d
    e -= 1
    return d, e


def all_operators(v: Any) -> Any:
    d = v + 0.0
    d += 2
    d -= v
    d *= v
    d /= 3
    d //= 0.1
    d **= 2
    d %= 7
    i = array_namespace(v).astype(v, array_namespace(v).int64)
    j = i
    i |= 4
    i &= 6
    i ^= 1
    return d, i, j


def before_and_after(v: Any) -> Any:
    d = v * 2
    first = d + 1
    d += 10
    return first, d, d * first


def views(v: Any) -> Any:
    d = v[:, None] * 1.0
    turned, flat = d.T, d[:, 0]
    flat -= 1
    turned *= 2
    d += flat[:, None]
    return d, turned, flat


def copies(v: Any) -> Any:
    xp = array_namespace(v)
    d = xp.asarray(v, copy=True)
    e, f, g, h = +d, xp.astype(d, d.dtype), xp.positive(d), xp.clip(d)
    d += 1
    e *= 2
    return d, e, f, g, h


def numbers(v: Any) -> Any:
    loss = array_namespace(v).sum(v)
    total = loss
    total += 1
    n = v.shape[0]
    m = n
    m += 1
    return loss, total, v * n, v * m


def masks(v: Any) -> Any:
    d = v * 1.0
    d[d > 1.5] = 0
    whole = d[:, None] + 0 * v
    whole[v > 2] = 5
    d[:] = d + 1
    d[...] = d * v[::1] if False else d
    return d, whole


def dtypes(v: Any) -> Any:
    xp = array_namespace(v)
    d = xp.astype(v, xp.float32)
    d += v
    return d


FUNCTIONS = [two_names, all_operators, before_and_after, views, copies, numbers, masks, dtypes]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_name_sees_the_new_value(function: Callable[..., Any]) -> None:
    with op.use_backend("numba"):
        got = op.kernel(function)(x)
    expected = function(x.copy())
    if not isinstance(expected, tuple):
        got, expected = (got,), (expected,)
    for mine, reference in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine, reference)
        assert mine.dtype == reference.dtype
    assert x.tolist() == [1, 2, 3]


def subtracts(v: Any, w: Any) -> Any:
    w -= v
    return w


def of_a_view(v: Any, w: Any) -> Any:
    seen = w[:, None]
    seen += v
    return w


def of_an_element(v: Any, w: Any) -> Any:
    w[0] = 1.0
    return w


def of_a_mask(v: Any, w: Any) -> Any:
    w[w > 1] = 0
    return w


def in_a_tree(v: Any, w: Any) -> Any:
    return subtracts(v, {"a": [w]}["a"][0])


@pytest.mark.parametrize(
    ("dtype", "backend"),
    # float16 is not compiled for the CPU.
    [
        ("float64", "auto"),
        ("float64", "numba"),
        ("float64", "numpy"),
        ("float16", "auto"),
        ("float16", "numpy"),
    ],
)
@pytest.mark.parametrize("function", [subtracts, of_a_view, of_an_element, of_a_mask, in_a_tree])
def test_writing_into_an_argument_is_an_error(function: Any, dtype: str, backend: str) -> None:
    given = x.astype(dtype)
    kernel = op.kernel(function)
    words = (
        rf"^{function.__name__}: writes into the argument w.*; expected arguments to be unchanged\. Copy it"
    )
    with op.use_backend(backend), pytest.raises(TypeError, match=words):
        kernel(np.ones(1, dtype), given)
    assert given.tolist() == [1, 2, 3]


@pytest.mark.parametrize("backend", ["auto", "numpy"])
def test_the_argument_is_named_by_its_path(backend: str) -> None:
    kernel = op.kernel(lambda tree: subtracts(1.0, tree["a"][1]))
    with (
        op.use_backend(backend),
        pytest.raises(TypeError, match=r"writes into the argument tree\['a'\]\[1\]"),
    ):
        kernel({"a": (np.ones(2), np.ones(2))})


def test_what_is_returned_of_an_argument_is_the_caller_s() -> None:
    kernel = op.kernel(lambda v: (v, v.T, {"a": v}))
    given = np.ones((2, 3))
    with op.use_backend("numpy"):
        same, turned, tree = kernel(given)
    assert same is given
    assert tree["a"] is given
    turned[0, 0] = 5
    assert given[0, 0] == 5


def test_an_error_says_what_numpy_says() -> None:
    def whole(v: Any) -> Any:
        i = array_namespace(v).arange(v.shape[0])
        i += 0.5
        return i + v

    def larger(v: Any) -> Any:
        d = v * 1.0
        d += v[:, None]
        return d

    for function, error in ((whole, TypeError), (larger, ValueError)):
        with pytest.raises(error):
            op.kernel(function)(x)
        with op.use_backend("numba"), pytest.raises(error, match=rf"{function.__name__}: an array of "):
            op.kernel(function)(x)


def test_an_array_from_elsewhere_is_not_written_into_in_part() -> None:
    buffer = np.zeros(3)

    def adds(v: Any) -> Any:
        inside = buffer
        inside += v
        return inside + 0

    kernel = op.kernel(adds)
    with pytest.warns(RuntimeWarning, match="adds: out= is an array of the function's own"):
        assert kernel(x).tolist() == [1, 2, 3]
    assert buffer.tolist() == [1, 2, 3]
    assert kernel(x).tolist() == [2, 4, 6]
