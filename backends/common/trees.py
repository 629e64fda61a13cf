"""Pytrees: arrays and scalars, alone or in nested lists, tuples, dicts and dataclasses.

leaves({"w": x, "b": [y, 1]}) == [x, y, 1]
list(named_leaves({"w": x}, "params")) == [("params['w']", x)]
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any


def is_record(value: Any) -> bool:
    """Whether a value is an instance of a dataclass; its fields are the children of the tree."""
    return hasattr(type(value), "__dataclass_fields__")


def fields_of(record: Any) -> dict[str, Any]:
    """The fields of a dataclass instance that are set, by name."""
    names = type(record).__dataclass_fields__
    return {name: getattr(record, name) for name in names if hasattr(record, name)}


def with_fields(record: Any, values: dict[str, Any]) -> Any:
    """A copy of a dataclass instance with new field values; the constructor is not called."""
    made = copy.copy(record)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def leaves(tree: Any) -> list[Any]:
    """The leaves of `tree` in order: all that is not a list, tuple, dict or dataclass."""
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
    elif is_record(tree):
        for item in fields_of(tree).values():
            _collect(item, found)
    else:
        found.append(tree)


class StructureError(TypeError):
    """A tree has another structure than the one that it belongs to."""


def leaves_like(tree: Any, like: Any) -> list[Any]:
    """The leaves of `tree` in the order of those of `like`, whose structure it has.

    None may stand for a whole branch, and a list for a tuple.
    raises: StructureError for another structure
    """
    if tree is None:
        return [None] * len(leaves(like))
    if isinstance(like, dict):
        if not isinstance(tree, dict) or tree.keys() != like.keys():
            raise StructureError
        pairs = [(tree[key], item) for key, item in like.items()]
    elif isinstance(like, list | tuple):
        if not isinstance(tree, list | tuple) or len(tree) != len(like):
            raise StructureError
        pairs = list(zip(tree, like, strict=True))
    elif is_record(like):
        own, others = (fields_of(each) if is_record(each) else {} for each in (like, tree))
        if own.keys() != others.keys():
            raise StructureError
        pairs = [(others[name], item) for name, item in own.items()]
    else:
        if isinstance(tree, list | tuple | dict) or is_record(tree):
            raise StructureError
        return [tree]
    return [leaf for branch, item in pairs for leaf in leaves_like(branch, item)]


def named_leaves(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The leaves, each with its path as a Python expression that begins with `name`: params[0][1]."""
    if isinstance(tree, list | tuple):
        for index, item in enumerate(tree):
            yield from named_leaves(item, f"{name}[{index}]")
    elif isinstance(tree, dict):
        for key, item in tree.items():
            yield from named_leaves(item, f"{name}[{key!r}]")
    elif is_record(tree):
        for field, item in fields_of(tree).items():
            yield from named_leaves(item, f"{name}.{field}")
    else:
        yield name, tree


def map_leaves(function: Any, tree: Any) -> Any:
    """A tree of the same structure with `function(leaf)` in place of each leaf."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_leaves(function, item) for item in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(map_leaves(function, item) for item in tree)
    if isinstance(tree, dict):
        return {key: map_leaves(function, item) for key, item in tree.items()}
    if is_record(tree):
        return with_fields(tree, {key: map_leaves(function, item) for key, item in fields_of(tree).items()})
    return function(tree)


def text_of(tree: Any, leaf: Callable[[Any], str], constant: Callable[[Any], str]) -> str:
    """A Python expression that makes a tree of the same structure.

    leaf:     the expression of a leaf
    constant: names a value that the expression may use
    """

    def text(value: Any) -> str:
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return f"{constant(type(value))}({', '.join(map(text, value))})"
        if isinstance(value, list | tuple):
            items = ", ".join(map(text, value))
            if type(value) is list:
                return f"[{items}]"
            return f"({items}{',' if value else ''})"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{constant(key)}: {text(item)}" for key, item in value.items()) + "}"
        if is_record(value):
            fields = ", ".join(f"{name!r}: {text(item)}" for name, item in fields_of(value).items())
            return f"{constant(with_fields)}({constant(with_fields(value, {}))}, {{{fields}}})"
        return leaf(value)

    return text(tree)
