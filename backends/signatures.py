"""The form of a call: all that a check or a compiled program can depend on without reading an array.

Two calls of one form differ in nothing but the numbers in their arrays and the sizes of their scalars, so
what was found out for the first holds for the second. Options are keyed by type and value: 1, 1.0, True and
numpy.True_ are four. An object that is no option is keyed by identity, and is not kept alive by the key.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy

from .common.libraries import device_key, library_of
from .common.static_values import OPTIONS, SameObject, is_number, is_run_time_number
from .common.trees import fields_of, is_record


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
