"""The form of a call: all that a check or a compiled program can depend on without reading an array.

Two calls of one form differ in nothing but the numbers in their arrays and the sizes of their scalars, so
what was found out for the first holds for the second.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy

from .libraries import device_key, library_of


def form_of_call(args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[Any]) -> Hashable:
    """The form of a call's arguments.

    leaves: what is not a list, tuple or dict is appended to it, in the order of `trees.leaves`
    """
    form = _form_of_items(args, leaves)
    return (form, tuple(kwargs), _form_of_items(kwargs.values(), leaves)) if kwargs else form


def form_of(value: Any, leaves: list[Any]) -> Hashable:
    """A hashable description of an array, a scalar, an option, or a list, tuple or dict of them."""
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
        elif isinstance(value, dict):
            form.append((kind, tuple(value), _form_of_items(value.values(), leaves)))
        elif isinstance(value, list | tuple):
            form.append((kind, _form_of_items(value, leaves)))
        else:
            leaves.append(value)
            form.append(_form_of_leaf(value, kind))
    return tuple(form)


def _form_of_leaf(value: Any, kind: type) -> Hashable:
    if kind is float or kind is int:
        # A changing learning rate is no other form, but a negative one, or a share above 1, may be an error,
        # and a float of 0 leaves a term out.
        return kind, value >= 0, value <= 1, value == 0
    if library_of(value) not in (None, "numpy"):
        return kind, value.dtype, tuple(value.shape), device_key(value)
    if isinstance(value, numpy.integer | numpy.floating):
        return kind, bool(value >= 0), bool(value <= 1), bool(value == 0)
    if value is None or kind is str or kind is bool:
        return kind, value
    if library_of(value) is not None:
        return kind, value.dtype, tuple(value.shape), device_key(value)
    return (kind,)
