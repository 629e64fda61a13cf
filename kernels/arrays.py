"""What every kernel stands on: the array types, the namespace of an array, and two rules about zeros."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from array_api_compat import array_namespace

# An array of any library that follows the Python array API standard.
Array: TypeAlias = Any
# A number that never promotes: of Python, of NumPy, or an array of shape (). Read by who calls the kernels.
Scalar: TypeAlias = Annotated[Any, "scalar"]
# Arrays, or lists, tuples and dicts of them.
Tree: TypeAlias = Any


_namespaces: dict[type, Any] = {}


def namespace(array: Array) -> Any:
    """The array-API namespace of `array`, kept by type, since finding it costs as much as a small sum."""
    kind = type(array)
    if kind not in _namespaces:
        _namespaces[kind] = array_namespace(array)
    return _namespaces[kind]


def is_zero(scalar: Scalar) -> bool:
    """Whether `scalar` is known to be zero before anything runs.

    Lets a kernel leave out a term whose factor is off. Only a Python number can be known: a traced or
    an array scalar is never looked at, so a kernel stays traceable in all its arguments.
    """
    return isinstance(scalar, int | float) and scalar == 0


def weighted(xp: Any, weight: Array, value: Array) -> Array:
    """weight * value, and 0 where the weight is 0.

    What has no weight does not count, even where it is infinite or NaN: -inf is a common logit, and
    0 * inf would turn it into NaN.
    """
    return xp.where(weight == 0, 0.0, weight * value)
