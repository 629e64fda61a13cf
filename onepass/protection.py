"""A user's function run operation by operation on NumPy arrays that it cannot write into.

The compiler refuses to write into an argument, so the same function must not do it when it is not compiled.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy

from .backends import eager
from .backends.common.trees import fields_of, is_record, leaves, with_fields
from .backends.trace.trace import leaf_names

# What NumPy says of an attempt.
_REFUSALS = ("assignment destination is read-only", "output array is read-only")


class Protected:
    """Arguments in which every array is a read-only view of the caller's."""

    def __init__(self, tree: Any) -> None:
        self.arrays: dict[int, tuple[Any, Any]] = {}  # by id: the caller's array and its view
        self.trees: dict[int, tuple[Any, Any, Any]] = {}  # the caller's, the one that is given, what it held
        self.tree = self._seen(tree)

    def _seen(self, value: Any) -> Any:
        if type(value) is numpy.ndarray:
            return self._view(value)
        if isinstance(value, list | tuple):
            items = [self._seen(item) for item in value]
            made: Any = type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
            held: Any = items
        elif isinstance(value, dict):
            held = {key: self._seen(item) for key, item in value.items()}
            made = dict(held)
        elif is_record(value):
            held = {name: self._seen(item) for name, item in fields_of(value).items()}
            made = with_fields(value, held)
            held = dict(vars(made)) if hasattr(made, "__dict__") else held
        else:
            return value
        self.trees[id(made)] = value, made, held
        return made

    def _view(self, array: Any) -> Any:
        if not array.flags.writeable:
            return array
        seen = array.view()
        seen.flags.writeable = False
        self.arrays[id(seen)] = array, seen
        return seen

    def write_back(self) -> None:
        """Do to the caller's lists, dicts and objects what was done to those that were given."""
        for given, made, held in self.trees.values():
            if isinstance(made, list) and not _same(made, held):
                given[:] = [self.returned(item) for item in made]
            elif isinstance(made, dict) and not _same_items(made, held):
                changed = {key: self.returned(item) for key, item in made.items()}
                given.clear()
                given.update(changed)
            elif is_record(made) and hasattr(made, "__dict__") and not _same_items(vars(made), held):
                for key, item in vars(made).items():
                    if key not in held or held[key] is not item:
                        object.__setattr__(given, key, self.returned(item))

    def returned(self, value: Any) -> Any:
        """A value of the function's, with the caller's arrays in place of their views."""
        if id(value) in self.arrays:
            return self.arrays[id(value)][0]
        if id(value) in self.trees:
            return self.trees[id(value)][0]
        if isinstance(value, list | tuple):
            items = [self.returned(item) for item in value]
            if _same(items, value):
                return value
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        if isinstance(value, dict):
            made = {key: self.returned(item) for key, item in value.items()}
            return value if _same_items(made, value) else made
        if is_record(value):
            held = fields_of(value)
            made = {key: self.returned(item) for key, item in held.items()}
            return value if _same_items(made, held) else with_fields(value, made)
        return self._writeable(value)

    def _writeable(self, value: Any) -> Any:
        """A view that the function made of an argument is as writeable as the argument."""
        is_view = type(value) is numpy.ndarray and value.base is not None and not value.flags.writeable
        if is_view and any(numpy.may_share_memory(value, seen) for _, seen in self.arrays.values()):
            value.flags.writeable = True
        return value


def _same(first: Any, second: Any) -> bool:
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))


def _same_items(first: Any, second: Any) -> bool:
    return len(first) == len(second) and all(key in second and second[key] is first[key] for key in first)


def run_protected(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """function(*args, **kwargs) on read-only views; results that are arguments are the caller's arrays.

    raises: TypeError where the function writes into an argument
    """
    protected = Protected((args, kwargs))
    the_args, the_kwargs = protected.tree
    try:
        result = eager.run(function, the_args, the_kwargs)
    except ValueError as error:
        if not protected.arrays or not str(error).startswith(_REFUSALS):
            raise
        names = leaf_names(function, the_args, the_kwargs)
        written = _written(error.__traceback__, protected, names)
        message = (
            f"{name}: writes into the argument {written}; expected none to be changed. Copy it first, for "
            "example with xp.asarray(..., copy=True)."
        )
    else:
        protected.write_back()
        return protected.returned(result)
    raise TypeError(message)


def _written(trace: TracebackType | None, protected: Protected, names: list[str]) -> str:
    """The argument that the innermost statement writes into; all that it may be, where that is not known."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    target = None if trace is None else _target(trace)
    named = [
        (name, leaf)
        for name, leaf in zip(names, leaves(protected.tree), strict=True)
        if id(leaf) in protected.arrays
    ]
    found = [name for name, leaf in named if target is not None and numpy.may_share_memory(leaf, target)]
    return " or ".join(found or [name for name, _ in named])


def _target(trace: TracebackType) -> Any:
    """The array that `target -= ...` or `target[...] = ...` writes into, by the text of the statement."""
    frame = trace.tb_frame
    positions = list(frame.f_code.co_positions())[trace.tb_lasti // 2]
    line = linecache.getline(frame.f_code.co_filename, positions[0] or 0)
    try:
        statement = ast.parse(line.encode()[positions[2] : positions[3]].decode()).body[0]
        if isinstance(statement, ast.AugAssign):
            target: ast.expr = statement.target
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Subscript):
            target = statement.value.value
        else:
            return None
        # What is written into has been read already: reading it again changes nothing.
        expression = ast.fix_missing_locations(ast.Expression(_read(target)))
        found = eval(compile(expression, "<target>", "eval"), frame.f_globals, dict(frame.f_locals))
    except Exception:
        return None
    return found if isinstance(found, numpy.ndarray) else None


def _read(target: ast.expr) -> ast.expr:
    """The expression that reads what the target names."""
    if isinstance(target, ast.Subscript | ast.Attribute | ast.Name):
        target.ctx = ast.Load()
    return target
