"""Pytrees: lists, tuples and dicts of arrays, used for parameters, gradients and optimiser states."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .arrays import Tree


def rebuild(container: Tree, items: Iterable[Any]) -> Tree:
    """A list or (named) tuple of the type of `container`, holding `items`."""
    if isinstance(container, tuple) and hasattr(container, "_fields"):
        return type(container)(*items)
    return type(container)(items)


def tree_map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Apply `function` to the corresponding leaves of trees with the same structure. None has no leaves."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: tree_map(function, tree[key], *(other[key] for other in others)) for key in tree}
    if isinstance(tree, list | tuple):
        return rebuild(tree, [tree_map(function, *parts) for parts in zip(tree, *others, strict=True)])
    return function(tree, *others)
