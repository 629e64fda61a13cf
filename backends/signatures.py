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

from .common.libraries import device_key, library_of
from .common.static_values import OPTIONS, ByIdentity, is_numpy_number, is_runtime_scalar
from .common.trees import fields_of, is_record


def signature_of_call(args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[Any]) -> Hashable:
    """The signature of a call.

    leaves: the leaves of (args, kwargs) are appended to it, in the order of `trees.leaves`
    """
    signature = _signature_of_items(args, leaves)
    return (signature, tuple(kwargs), _signature_of_items(kwargs.values(), leaves)) if kwargs else signature


def signature_of(value: Any, leaves: list[Any]) -> Hashable:
    """The signature of an array, a scalar, an option, or a pytree of them."""
    return _signature_of_items((value,), leaves)


def _signature_of_items(items: Iterable[Any], leaves: list[Any]) -> tuple[Hashable, ...]:
    # This runs for every leaf of every call, so the most common types come first.
    signature: list[Hashable] = []
    for value in items:
        kind = type(value)
        if kind is numpy.ndarray:
            leaves.append(value)
            signature += value.dtype, value.shape
        elif kind is tuple or kind is list:
            signature.append((kind, _signature_of_items(value, leaves)))
        elif kind is float or kind is int:
            leaves.append(value)
            # A new learning rate needs no new signature. But a check may reject a negative number, or one
            # that is not below 1, and a factor of 0.0 leaves out a term: see `decided_by_signature`.
            if is_runtime_scalar(value):
                signature.append((kind, value > 0, value < 0, value < 1, value == 1))
            else:
                signature.append((kind, repr(value)))
        elif isinstance(value, dict):
            signature.append((kind, tuple(value), _signature_of_items(value.values(), leaves)))
        elif isinstance(value, list | tuple):
            signature.append((kind, _signature_of_items(value, leaves)))
        elif is_record(value):
            fields = fields_of(value)
            signature.append((kind, tuple(fields), _signature_of_items(fields.values(), leaves)))
        else:
            leaves.append(value)
            signature.append(_signature_of_leaf(value, kind))
    return tuple(signature)


def _signature_of_leaf(value: Any, kind: type) -> Hashable:
    if library_of(value) not in (None, "numpy"):
        return kind, value.dtype, tuple(value.shape), device_key(value)
    if value is None or kind is str or kind is bool:
        return kind, value
    if isinstance(value, numpy.generic):
        # The value of a NumPy number is data, like an array's. Bools and other scalars count by value.
        return (kind,) if is_numpy_number(value) else (kind, value.tobytes())
    if library_of(value) is not None:
        return kind, value.dtype, tuple(value.shape), device_key(value)
    if isinstance(value, OPTIONS):
        # Equal numbers may differ (0.0 and -0.0), and a slice has no hash: compare them by their repr.
        return kind, repr(value) if isinstance(value, float | complex | slice) else value
    return kind, ByIdentity(value)
