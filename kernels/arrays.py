"""Definitions used by all kernels: array types, the namespace of an array, and two rules about zeros."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from array_api_compat import array_namespace

# An array of any library that follows the Python array API standard.
Array: TypeAlias = Any
# A number that never promotes: a Python number, a NumPy scalar, or an array of shape (). The code that calls
# the kernels reads this annotation.
Scalar: TypeAlias = Annotated[Any, "scalar"]
# Arrays, or lists, tuples and dicts of them.
Tree: TypeAlias = Any


_namespaces: dict[type, Any] = {}


def namespace(array: Array) -> Any:
    """The array-API namespace of `array`. Cached by type: the lookup takes as long as a small sum."""
    kind = type(array)
    if kind not in _namespaces:
        _namespaces[kind] = array_namespace(array)
    return _namespaces[kind]


def is_zero(scalar: Scalar) -> bool:
    """Whether `scalar` is known to be zero before anything runs.

    A kernel uses it to leave out a term whose factor is zero. Only a Python number can be known: traced and
    array scalars are never read, so kernels stay traceable in all arguments.
    """
    return isinstance(scalar, int | float) and scalar == 0


def weighted(xp: Any, weight: Array, value: Array) -> Array:
    """weight * value, with 0 where the weight is 0.

    A value with weight 0 does not count, even if it is infinite or NaN. Masked logits are often -inf, and
    0 * inf is NaN.
    """
    return xp.where(weight == 0, 0.0, weight * value)
