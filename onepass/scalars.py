"""Which parameters of a library function are scalars, and which are integer options, by their annotations.

A scalar is a weak number: as a Python number, a NumPy scalar or an array of shape () it never promotes.
"""

from __future__ import annotations

import operator
import typing
from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy

from .backends.common.libraries import device_of, library_of
from .backends.common.trees import leaves, map_leaves
from .backends.trace.symbolic import SymbolicArray
from .kernels.arrays import Scalar


def scalars_of(function: Callable[..., Any]) -> frozenset[str]:
    """The parameters that are annotated `Scalar`, or with a type that has it among its alternatives."""
    hints = typing.get_type_hints(function, include_extras=True)
    return frozenset(name for name, hint in hints.items() if name != "return" and _has_scalar(hint))


def options_of(function: Callable[..., Any]) -> frozenset[str]:
    """The parameters that are integers by their annotation: a program is made for the value of each."""
    hints = typing.get_type_hints(function)
    return frozenset(name for name, hint in hints.items() if hint in (int, int | None))


def _has_scalar(hint: Any) -> bool:
    return hint == Scalar or any(_has_scalar(part) for part in typing.get_args(hint))


def weak(tree: Any) -> Any:
    """The same arguments with Python numbers for what is a scalar."""
    return map_leaves(_weak_leaf, tree)


def _weak_leaf(leaf: Any) -> Any:
    if isinstance(leaf, SymbolicArray):
        is_number = leaf.ndim == 0 and not leaf.node.weak
        return leaf.as_python_number() if is_number else leaf
    if isinstance(leaf, numpy.longdouble):  # which .item() leaves as it is
        return float(leaf)
    if isinstance(leaf, numpy.generic) or (type(leaf) is numpy.ndarray and leaf.ndim == 0):
        return leaf.item()
    if isinstance(leaf, int | float) and type(leaf) not in (int, float, bool):
        return int(leaf) if isinstance(leaf, int) else float(leaf)
    return leaf


def as_option(value: Any) -> Any:
    """An integer option as an integer of Python, where it is one."""
    return operator.index(value) if isinstance(value, SymbolicArray) else _weak_leaf(value)


def is_strong_scalar(leaf: Any) -> bool:
    """Whether a leaf is a number that has a dtype of its own, as NumPy's and those of subclasses have."""
    if isinstance(leaf, numpy.generic | int | float):
        return type(leaf) not in (int, float, bool)
    return library_of(leaf) is not None and leaf.ndim == 0


def has_scalars_beside_arrays(tree: Any) -> bool:
    """Whether NumPy scalars stand beside arrays of another library."""
    return any(isinstance(leaf, numpy.generic) for leaf in leaves(tree)) and _first_array(tree) is not None


def scalars_beside_arrays(tree: Any) -> Any:
    """The tree of a user's call with NumPy scalars as what they are beside arrays of another library.

    `cupy.float32` is NumPy's type: its number is an array of shape () beside CuPy's arrays. Other libraries
    take a float32 as such an array, and everything else as a weak number.
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
    """The first array of a library other than NumPy; None where there is none."""
    return next((leaf for leaf in leaves(tree) if library_of(leaf) not in (None, "numpy", "traced")), None)
