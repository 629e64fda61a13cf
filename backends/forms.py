"""The form of a call: all that a check, and later a compiled program, can depend on without reading an array.

Two calls of one form differ in nothing but the numbers in their arrays and the sizes of their scalars, so
what was found out for the first holds for the second.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy

from .libraries import device_of, library_of


def form_of(value: Any) -> Hashable:
    """A hashable description of an array, a scalar, an option, or a list, tuple or dict of them."""
    # The commonest first: this runs at every call, for every leaf.
    kind = type(value)
    if kind is numpy.ndarray:
        return kind, value.dtype, value.shape
    if kind is tuple or kind is list:
        return kind, *map(form_of, value)
    if kind is float or kind is int:
        # A changing learning rate is no other form, but a negative one, or a share above 1, may be an error.
        return kind, value >= 0, value <= 1
    if isinstance(value, numpy.integer | numpy.floating):
        return kind, bool(value >= 0), bool(value <= 1)
    if value is None or kind is str or kind is bool:
        return kind, value
    if isinstance(value, dict):
        return kind, *value, *map(form_of, value.values())
    if isinstance(value, list | tuple):
        return kind, *map(form_of, value)
    if library_of(value) is not None:
        return kind, value.dtype, tuple(value.shape), device_of(value)
    return (kind,)
