"""The form of a call: all that a check or a compiled program can depend on without reading an array.

Two calls of one form differ in nothing but the numbers in their arrays and the sizes of their scalars, so
what was found out for the first holds for the second. Options are keyed by type and value: 1, 1.0, True and
numpy.True_ are four. An object that is no option is keyed by identity, and is not kept alive by the key.
"""

from __future__ import annotations

import enum
import types
import weakref
from collections.abc import Hashable, Iterable
from typing import Any

import numpy

from .graph import Node
from .libraries import device_key, library_of
from .trees import fields_of, is_record

# What is compared by its value. Everything else that is no array and no tree is compared by identity.
OPTIONS = (str, bytes, int, float, complex, enum.Enum, numpy.generic, numpy.dtype, range, slice, type(...))


def form_of_call(args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[Any]) -> Hashable:
    """The form of a call's arguments.

    leaves: what is not a list, tuple, dict or dataclass is appended to it, in the order of `trees.leaves`
    """
    form = _form_of_items(args, leaves)
    return (form, tuple(kwargs), _form_of_items(kwargs.values(), leaves)) if kwargs else form


def form_of(value: Any, leaves: list[Any]) -> Hashable:
    """A hashable description of an array, a scalar, an option, or a tree of them."""
    return _form_of_items((value,), leaves)


def _form_of_items(items: Iterable[Any], leaves: list[Any]) -> tuple[Hashable, ...]:
    # The commonest first: this runs at every call, for every leaf.
    form: list[Hashable] = []
    for value in items:
        kind = type(value)
        if kind is numpy.ndarray:
            leaves.append(value)
            form += value.dtype, value.shape
        elif kind is tuple or kind is list:
            form.append((kind, _form_of_items(value, leaves)))
        elif kind is float or kind is int:
            leaves.append(value)
            # A changing learning rate is no other form, but a negative one, or a share of 1 or above, may be
            # an error, and a float of 0 leaves a term out: see `decided_by_form`.
            if is_run_time_number(value):
                form.append((kind, value > 0, value < 0, value < 1, value == 1))
            else:
                form.append((kind, repr(value)))
        elif isinstance(value, dict):
            form.append((kind, tuple(value), _form_of_items(value.values(), leaves)))
        elif isinstance(value, list | tuple):
            form.append((kind, _form_of_items(value, leaves)))
        elif is_record(value):
            fields = fields_of(value)
            form.append((kind, tuple(fields), _form_of_items(fields.values(), leaves)))
        else:
            leaves.append(value)
            form.append(_form_of_leaf(value, kind))
    return tuple(form)


def is_run_time_number(leaf: Any) -> bool:
    """Whether a number may change from call to call without another program.

    A float of 0 may not: it is how a term is left out, and the kernel is told so. Nor may an integer that no
    int64 holds.
    """
    kind = type(leaf)
    return (kind is float and leaf != 0) or (kind is int and -_TOO_LARGE < leaf < _TOO_LARGE)


_TOO_LARGE = 1 << 63


def decided_by_form(node: Node) -> bool:
    """Whether the truth of a number, or of a comparison with 0 or 1, is the same in all calls of a form."""
    if node.operation == "scalar":
        return node.weak
    if node.operation not in _COMPARISONS:
        return False
    kinds = {source.operation for source in node.inputs}
    fixed = [source.attribute for source in node.inputs if source.operation == "constant"]
    return kinds == {"scalar", "constant"} and node.weak and fixed[0] in (0, 1)


_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


def _form_of_leaf(value: Any, kind: type) -> Hashable:
    if library_of(value) not in (None, "numpy"):
        return kind, value.dtype, tuple(value.shape), device_key(value)
    if value is None or kind is str or kind is bool:
        return kind, value
    if isinstance(value, numpy.generic):
        # Its number is data, as an array's. Of bools and of what is no number it is the value that counts.
        return (kind,) if is_number(value) else (kind, value.tobytes())
    if library_of(value) is not None:
        return kind, value.dtype, tuple(value.shape), device_key(value)
    if isinstance(value, OPTIONS):
        # Equal numbers may still differ: 0.0 and -0.0. A slice has no hash.
        return kind, repr(value) if isinstance(value, float | complex | slice) else value
    return kind, SameObject(value)


def is_number(value: Any) -> bool:
    """Whether a NumPy scalar is a number that arithmetic takes: an array of shape ()."""
    return isinstance(value, numpy.number)


class SameObject:
    """An object by identity, in a key that does not keep it alive if that can be."""

    __slots__ = ("_hash", "_of", "_strong")

    def __init__(self, value: Any) -> None:
        self._hash = id(value)
        self._strong: Any = None
        try:
            self._of: Any = weakref.ref(value)
        except TypeError:
            self._of, self._strong = None, value

    def get(self) -> Any:
        """The object, or None once it is gone."""
        return self._strong if self._of is None else self._of()

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, SameObject):
            return NotImplemented
        mine = self.get()
        return mine is not None and mine is other.get()


_CALLED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def is_static(value: Any) -> bool:
    """Whether an argument that is neither array, number nor option may stand for itself, by its identity.

    Not what holds numbers without being an array (a masked array, a set, an iterator): that is an error.
    """
    if isinstance(value, (*_CALLED, enum.Enum, numpy.generic, numpy.dtype)):
        return True
    kind = type(value)
    holds = ("__array__", "__array_interface__", "__cuda_array_interface__", "__dlpack__")
    return kind.__module__ != "builtins" and not any(hasattr(kind, name) for name in holds)
