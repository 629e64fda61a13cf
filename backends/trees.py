"""The arguments of a kernel: arrays and scalars, alone or in lists, tuples and dicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def leaves(tree: Any) -> list[Any]:
    """What `tree` holds that is not a list, tuple or dict, in order."""
    found: list[Any] = []
    _collect(tree, found)
    return found


def _collect(tree: Any, found: list[Any]) -> None:
    if isinstance(tree, (list, tuple)):
        for item in tree:
            _collect(item, found)
    elif isinstance(tree, dict):
        for item in tree.values():
            _collect(item, found)
    else:
        found.append(tree)


def named_leaves(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The same leaves, each with the Python expression that reaches it from `name`: params[0][1]."""
    if isinstance(tree, list | tuple):
        for index, item in enumerate(tree):
            yield from named_leaves(item, f"{name}[{index}]")
    elif isinstance(tree, dict):
        for key, item in tree.items():
            yield from named_leaves(item, f"{name}[{key!r}]")
    else:
        yield name, tree


def map_leaves(function: Any, tree: Any) -> Any:
    """A tree of the same structure with `function` of every leaf."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_leaves(function, item) for item in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(map_leaves(function, item) for item in tree)
    if isinstance(tree, dict):
        return {key: map_leaves(function, item) for key, item in tree.items()}
    return function(tree)
