"""Optimisers on parameters of half precision: each parameter keeps its dtype."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .backends import astype, is_half, is_real_array, map_leaves, named_leaves, run_eagerly, widen_half


def run_leaf_by_leaf(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an optimiser with halves widened to float32, and results rounded to the dtypes of the arguments.

    A new parameter or state is rounded to half precision if the old one has it, unless the gradient is wider.
    So [float16, float32] stays [float16, float32].
    """
    arguments = inspect.signature(function).bind(*args, **kwargs).arguments
    result = run_eagerly(function, *map_leaves(widen_half, (args, kwargs)))
    params, grads, state = arguments["params"], arguments.get("grads"), arguments.get("state")
    if grads is None:  # the function makes a first state
        return {key: _round(part, params, params) for key, part in result.items()}
    if state is None:
        return _round(result, params, grads)
    new_state = {key: _round(part, state[key], grads) for key, part in result[1].items()}
    return _round(result[0], params, grads), new_state


def _round(tree: Any, like: Any, grads: Any) -> Any:
    """Cast arrays of `tree` to half precision where the arrays of `like` and `grads` there have it."""
    halves = _halves(like)
    paths = halves.keys() & _halves(grads).keys()
    leaves = [astype(leaf, halves[path]) if path in paths else leaf for path, leaf in named_leaves(tree, "")]
    each = iter(leaves)
    return map_leaves(lambda _: next(each), tree)


def _halves(tree: Any) -> dict[str, Any]:
    """The dtype of each array of half precision, by its path."""
    leaves = named_leaves(tree, "")
    return {path: leaf.dtype for path, leaf in leaves if is_real_array(leaf) and is_half(leaf)}
