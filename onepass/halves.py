"""Optimisers on parameters of half precision: every parameter is stepped by itself, and keeps its dtype."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .backends.common.libraries import is_half, is_real_array
from .backends.common.trees import map_leaves, named_leaves
from .backends.eager import astype, run, widened


def run_leaf_by_leaf(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An optimiser with halves widened to float32 on the way in, and rounded on the way out.

    A result is rounded to the half precision of the parameter, or of the part of the state, that it takes the
    place of, unless its gradient is wider. So [float16, float32] stay [float16, float32].
    """
    given = inspect.signature(function).bind(*args, **kwargs).arguments
    result = run(function, *map_leaves(widened, (args, kwargs)))
    params, grads, state = given["params"], given.get("grads"), given.get("state")
    if grads is None:  # a state to begin with
        return {key: _rounded(part, params, params) for key, part in result.items()}
    if state is None:
        return _rounded(result, params, grads)
    stepped = {key: _rounded(part, state[key], grads) for key, part in result[1].items()}
    return _rounded(result[0], params, grads), stepped


def _rounded(tree: Any, like: Any, grads: Any) -> Any:
    """The arrays of a tree in the dtypes of `like` where that, and the gradient there, are halves."""
    halves = _halves(like)
    paths = halves.keys() & _halves(grads).keys()
    leaves = [astype(leaf, halves[path]) if path in paths else leaf for path, leaf in named_leaves(tree, "")]
    each = iter(leaves)
    return map_leaves(lambda _: next(each), tree)


def _halves(tree: Any) -> dict[str, Any]:
    """The dtype of each array of half precision, by its path."""
    leaves = named_leaves(tree, "")
    return {path: leaf.dtype for path, leaf in leaves if is_real_array(leaf) and is_half(leaf)}
