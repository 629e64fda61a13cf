"""Runs a user's function operation by operation on read-only views of its NumPy arguments.

The compiler rejects functions that write into an argument. So the same function must not do it when it is not
compiled.
"""

from __future__ import annotations

import ast
import linecache
import operator
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy

from .backends import fields_of, is_record, leaf_names, leaves, run_eagerly, with_fields

# How the messages of NumPy end for a write into such a view: of an output, a sort, a ufunc.at.
_WRITE_ERROR = "read-only"


class ReadOnlyArguments:
    """Copies of the arguments of a call in which each array is a read-only view of the caller's array."""

    __slots__ = ("args", "arrays", "kwargs", "mutable", "trees")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.arrays: dict[int, tuple[Any, Any]] = {}  # by id of a view: the caller's array, the view
        self.trees: dict[int, tuple[Any, Any]] = {}  # by id of a copied tree: the caller's, the copy
        # Copied lists, dicts and objects: the caller's, the copy, the items that the copy got.
        self.mutable: list[tuple[Any, Any, Any]] = []
        self.args = tuple(self._copies(args))
        self.kwargs = dict(zip(kwargs, self._copies(kwargs.values()), strict=True)) if kwargs else {}

    def _copies(self, values: Any) -> list[Any]:
        made = []
        # This runs for every argument of every call, so the most common types come first.
        for value in values:
            kind = type(value)
            if kind is numpy.ndarray:
                if value.flags.writeable:
                    view = value.view()
                    view.setflags(False)  # may not be written to; write=False takes twice the time
                    self.arrays[id(view)] = value, view
                    made.append(view)
                else:
                    made.append(value)
            elif kind is tuple or kind is list:
                got = self._copies(value)
                copy = kind(got)
                self.trees[id(copy)] = value, copy
                if kind is list:
                    self.mutable.append((value, copy, got))
                made.append(copy)
            elif value is None or kind is float or kind is int or kind is str or kind is bool:
                made.append(value)
            else:
                made.append(self._copy(value))
        return made

    def _copy(self, value: Any) -> Any:
        kind = type(value)
        if kind is numpy.ndarray or kind is tuple or kind is list:
            return self._copies((value,))[0]
        got: Any
        copy: Any
        if isinstance(value, list | tuple):
            got = self._copies(value)
            copy = kind(*got) if hasattr(value, "_fields") else kind(got)
        elif isinstance(value, dict):
            got = dict(zip(value, self._copies(value.values()), strict=True))
            copy = dict(got)
        elif is_record(value):
            got = {name: self._copy(item) for name, item in fields_of(value).items()}
            copy = with_fields(value, got)
            got = dict(vars(copy)) if hasattr(copy, "__dict__") else got
        else:
            return value
        self.trees[id(copy)] = value, copy
        if not isinstance(value, tuple):
            self.mutable.append((value, copy, got))
        return copy

    def write_back(self) -> None:
        """Apply the function's changes of copied lists, dicts and objects to the caller's."""
        for original, copy, got in self.mutable:
            if isinstance(copy, list) and not _same(copy, got):
                original[:] = [self.restored(item) for item in copy]
            elif isinstance(copy, dict) and not _same_items(copy, got):
                changed = {key: self.restored(item) for key, item in copy.items()}
                original.clear()
                original.update(changed)
            elif is_record(copy) and hasattr(copy, "__dict__") and not _same_items(vars(copy), got):
                for key, item in vars(copy).items():
                    if key not in got or got[key] is not item:
                        object.__setattr__(original, key, self.restored(item))

    def restored(self, value: Any) -> Any:
        """A value of the function, with the caller's arrays in place of their views."""
        kind = type(value)
        if kind is numpy.ndarray:
            if value.base is None:  # a new array, and no view
                return value
            found = self.arrays.get(id(value))
            return self._writeable(value) if found is None else found[0]
        if id(value) in self.trees:
            return self.trees[id(value)][0]
        if isinstance(value, list | tuple):
            items = []
            is_same = True
            for item in value:
                items.append(restored := self.restored(item))
                is_same = is_same and restored is item
            if is_same:
                return value
            return kind(*items) if hasattr(value, "_fields") else kind(items)
        if isinstance(value, float | int | str | numpy.generic) or value is None:
            return value
        if isinstance(value, dict):
            restored = {key: self.restored(item) for key, item in value.items()}
            return value if _same_items(restored, value) else restored
        if is_record(value):
            fields = fields_of(value)
            restored = {key: self.restored(item) for key, item in fields.items()}
            return value if _same_items(restored, fields) else with_fields(value, restored)
        return value

    def _writeable(self, value: Any) -> Any:
        """Make a view of an argument writeable again."""
        is_view = not value.flags.writeable
        if is_view and any(numpy.may_share_memory(value, view) for _, view in self.arrays.values()):
            value.flags.writeable = True
        return value


def _same(first: Any, second: Any) -> bool:
    return len(first) == len(second) and all(map(operator.is_, first, second))


def _same_items(first: Any, second: Any) -> bool:
    return len(first) == len(second) and all(key in second and second[key] is first[key] for key in first)


def run_protected(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """function(*args, **kwargs) on read-only views. A result that is an argument is the caller's array.

    raises: TypeError if the function writes into an argument
    """
    protected = ReadOnlyArguments(args, kwargs)
    try:
        result = run_eagerly(function, protected.args, protected.kwargs)
    except ValueError as error:
        if not protected.arrays or not str(error).endswith(_WRITE_ERROR):
            raise
        names = leaf_names(function, protected.args, protected.kwargs)
        written = _written_argument(error.__traceback__, protected, names)
        message = (
            f"{name}: writes into the argument {written}; expected arguments to be unchanged. Copy it first, "
            "for example with xp.asarray(..., copy=True)."
        )
    else:
        protected.write_back()
        return protected.restored(result)
    raise TypeError(message)


def _written_argument(trace: TracebackType | None, protected: ReadOnlyArguments, names: list[str]) -> str:
    """The name of the argument that the innermost statement writes into; all candidates if unknown."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    target = None if trace is None else _target(trace)
    named = [
        (name, leaf)
        for name, leaf in zip(names, leaves((protected.args, protected.kwargs)), strict=True)
        if id(leaf) in protected.arrays
    ]
    found = [name for name, leaf in named if target is not None and numpy.may_share_memory(leaf, target)]
    return " or ".join(found or [name for name, _ in named])


def _target(trace: TracebackType) -> Any:
    """The array that `target -= ...` or `target[...] = ...` writes into, from the text of the statement."""
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
        # The statement has evaluated its target already, so evaluating it again has no side effects.
        expression = ast.fix_missing_locations(ast.Expression(_as_load(target)))
        found = eval(compile(expression, "<target>", "eval"), frame.f_globals, dict(frame.f_locals))
    except Exception:
        return None
    return found if isinstance(found, numpy.ndarray) else None


def _as_load(target: ast.expr) -> ast.expr:
    """The target of an assignment as an expression."""
    if isinstance(target, ast.Subscript | ast.Attribute | ast.Name):
        target.ctx = ast.Load()
    return target
