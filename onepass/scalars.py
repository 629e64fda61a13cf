"""Scalars and integer options of library functions, by the annotations of their parameters.

A scalar parameter takes weak numbers: a Python number, a NumPy scalar or an array of shape () does not change
the dtype of the result.
"""

from __future__ import annotations

import operator
import typing
from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy

from .backends import SymbolicArray, device_of, leaves, library_of, map_leaves
from .kernels.arrays import Scalar


def scalars_of(function: Callable[..., Any]) -> frozenset[str]:
    """The parameters annotated with `Scalar`, or with a union that has it."""
    hints = typing.get_type_hints(function, include_extras=True)
    return frozenset(name for name, hint in hints.items() if name != "return" and _has_scalar(hint))


def options_of(function: Callable[..., Any]) -> frozenset[str]:
    """The parameters annotated with int. Their values are constants of a program."""
    hints = typing.get_type_hints(function)
    return frozenset(name for name, hint in hints.items() if hint in (int, int | None))


def _has_scalar(hint: Any) -> bool:
    return hint == Scalar or any(_has_scalar(part) for part in typing.get_args(hint))


def weak(tree: Any) -> Any:
    """The same tree with Python numbers in place of scalars."""
    return map_leaves(_weak_leaf, tree)


def _weak_leaf(leaf: Any) -> Any:
    if isinstance(leaf, SymbolicArray):
        is_number = leaf.ndim == 0 and not leaf.node.weak
        return leaf.as_python_number() if is_number else leaf
    if isinstance(leaf, numpy.longdouble):  # its .item() returns a longdouble again
        return float(leaf)
    if isinstance(leaf, numpy.generic) or (type(leaf) is numpy.ndarray and leaf.ndim == 0):
        return leaf.item()
    if isinstance(leaf, int | float) and type(leaf) not in (int, float, bool):
        return int(leaf) if isinstance(leaf, int) else float(leaf)
    return leaf


def as_option(value: Any) -> Any:
    """An integer option as a Python int if it is an integer."""
    return operator.index(value) if isinstance(value, SymbolicArray) else _weak_leaf(value)


def is_strong_scalar(leaf: Any) -> bool:
    """Whether a leaf is a scalar, but not a plain Python number: it may have a dtype of its own."""
    if isinstance(leaf, numpy.generic | int | float):
        return type(leaf) not in (int, float, bool)
    return library_of(leaf) is not None and leaf.ndim == 0


def has_scalars_beside_arrays(tree: Any) -> bool:
    """Whether the tree has NumPy scalars and arrays of another library."""
    return any(isinstance(leaf, numpy.generic) for leaf in leaves(tree)) and _first_array(tree) is not None


def scalars_beside_arrays(tree: Any) -> Any:
    """The arguments of a user's call, with NumPy scalars converted for the library of the arrays beside them.

    CuPy has no scalars of its own (`cupy.float32` is NumPy's type), so a NumPy scalar becomes a CuPy array
    of shape (). For other libraries a float32 becomes an array of shape (), other scalars weak numbers.
    """
    array = _first_array(tree)
    if array is None:
        return tree
    namespace, device = array_api_compat.array_namespace(array), device_of(array)
    is_cupy = library_of(array) == "cupy"

    def beside(leaf: Any) -> Any:
        if not isinstance(leaf, numpy.generic):
            return leaf
        dtype = getattr(namespace, leaf.dtype.name, None)
        if dtype is None or not (is_cupy or isinstance(leaf, numpy.float32)):
            return _weak_leaf(leaf)
        return namespace.asarray(leaf.item(), dtype=dtype, device=device)

    return map_leaves(beside, tree)


def _first_array(tree: Any) -> Any:
    """The first array of a library other than NumPy; None if there is none."""
    return next((leaf for leaf in leaves(tree) if library_of(leaf) not in (None, "numpy", "traced")), None)
