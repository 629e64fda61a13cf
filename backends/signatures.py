"""The signature of a call: all that a check or a compiled program may depend on, except values in arrays.

Two calls with equal signatures differ only in the values of arrays and of runtime scalars, so a plan made for
the first holds for the second. Options are compared by type and value: 1, 1.0, True and numpy.True_ differ.
Other objects are compared by identity, and the signature does not keep them alive.

    leaves = []
    signature_of_call((numpy.ones((2, 3)), "mean"), {}, leaves)
    # (dtype('float64'), (2, 3), (str, 'mean'));  leaves == [the array, 'mean']
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy

from .common.libraries import device_key, known_library, library_of
from .common.static_values import OPTIONS, ByIdentity, is_numpy_number, is_runtime_scalar
from .common.trees import fields_of, is_record


def signature_of_call(args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[Any]) -> Hashable:
    """The signature of a call.

    leaves: the leaves of (args, kwargs) are appended to it, in the order of `trees.leaves`
    """
    signature: list[Any] = []
    _add_items(args, signature, leaves)
    if kwargs:
        signature.append(tuple(kwargs))
        _add_items(kwargs.values(), signature, leaves)
    return tuple(signature)


def signature_of(value: Any, leaves: list[Any]) -> Hashable:
    """The signature of an array, a scalar, an option, or a pytree of them."""
    signature: list[Any] = []
    _add_items((value,), signature, leaves)
    return tuple(signature)


def _add_items(items: Iterable[Any], signature: list[Any], leaves: list[Any]) -> None:
    """Add the signatures of items: a dtype and a shape, a tree's type and size, or (type, value).

    One flat list has room for all trees: what begins an item says where it ends.
    """
    # This runs for every leaf of every call, so the most common types come first.
    for value in items:
        kind = type(value)
        if kind is numpy.ndarray:
            leaves.append(value)
            signature.append(value.dtype)
            signature.append(value.shape)
        elif kind is tuple or kind is list:
            signature.append(kind)
            signature.append(len(value))
            _add_items(value, signature, leaves)
        elif kind is float and 0.0 < value < 1.0:
            leaves.append(value)
            signature.append(_FRACTION)
        elif kind is str or kind is bool or value is None:
            leaves.append(value)
            signature.append((kind, value))
        elif kind is float or kind is int:
            leaves.append(value)
            signature.append(_signature_of_number(value, kind))
        elif (library := known_library(kind)) == "cupy":
            # As `_signature_of_array`, in three quarters of the time: a training step has dozens of arrays.
            leaves.append(value)
            signature += kind, value.dtype, value.shape, value.data.device_id
        elif library not in (None, "numpy"):
            leaves.append(value)
            signature += _signature_of_array(value, kind)
        elif isinstance(value, dict):
            signature += kind, tuple(value)
            _add_items(value.values(), signature, leaves)
        elif isinstance(value, list | tuple):
            signature += kind, len(value)
            _add_items(value, signature, leaves)
        elif is_record(value):
            fields = fields_of(value)
            signature += kind, tuple(fields)
            _add_items(fields.values(), signature, leaves)
        elif library_of(value) not in (None, "numpy"):  # the first of its type
            leaves.append(value)
            signature += _signature_of_array(value, kind)
        else:
            leaves.append(value)
            signature.append(_signature_of_leaf(value, kind))


def _signature_of_number(value: float, kind: type) -> Hashable:
    # A new learning rate needs no new signature. But a check may reject a negative number, or one that is not
    # below 1, and a factor of 0.0 leaves out a term: see `decided_by_signature`.
    if is_runtime_scalar(value):
        return kind, value > 0, value < 0, value < 1, value == 1
    return kind, repr(value)


_FRACTION = _signature_of_number(0.5, float)


def _signature_of_array(array: Any, kind: type) -> tuple[Hashable, ...]:
    return kind, array.dtype, tuple(array.shape), device_key(array)


def _signature_of_leaf(value: Any, kind: type) -> Hashable:
    if isinstance(value, numpy.generic):
        # The value of a NumPy number is data, like an array's. Bools and other scalars count by value.
        return (kind,) if is_numpy_number(value) else (kind, value.tobytes())
    if library_of(value) is not None:
        return _signature_of_array(value, kind)
    if isinstance(value, OPTIONS):
        # Equal numbers may differ (0.0 and -0.0), and a slice has no hash: compare them by their repr.
        return kind, repr(value) if isinstance(value, float | complex | slice) else value
    return kind, ByIdentity(value)


def is_compared_by_identity(leaf: Any) -> bool:
    """Whether a signature compares the leaf by identity."""
    return leaf is not None and not isinstance(leaf, OPTIONS) and library_of(leaf) is None
