"""Checks of all arguments of a call: they fit the parameters, and are of one library and device."""

from __future__ import annotations

import inspect
from typing import Any

import numpy

from .backends import (
    device_of,
    is_half,
    is_static,
    leaves,
    library_of,
    named_leaves,
    on_different_devices,
)
from .requirements import describe


def bind(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    """The arguments by parameter; a TypeError that shows the function's signature if they do not fit it."""
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}: {error}; expected {name}{_bare(signature)}.") from None


def _bare(signature: inspect.Signature) -> str:
    """A function's signature without annotations."""
    parameters = [
        parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


def arrays_in(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any], *, objects: bool
) -> tuple[str, Any, bool]:
    """The library of the arrays, their first one that has a device, and whether any is of half precision.

    objects: whether an argument may be any object, which is then compared by identity
    raises:  TypeError for arrays of two libraries, or a wrong type; ValueError for arrays on two devices
    """
    library: str | None = None
    first: Any = None
    any_half = False
    for leaf in leaves((args, kwargs)):
        found = library_of(leaf)
        if found is None:
            if not _is_option(leaf) and not (objects and is_static(leaf)):
                raise _wrong_type(name, signature, args, kwargs, objects=objects)
            continue
        if isinstance(leaf, numpy.generic):
            continue  # any library takes a NumPy scalar as a number
        if library is None:
            library, first = found, leaf
        elif found != library or on_different_devices(leaf, first):
            raise _wrong_place(name, signature, args, kwargs)
        elif found != "numpy" and device_of(first) is None:
            first = leaf
        any_half = any_half or is_half(leaf)
    return library or "numpy", first, any_half


def _named_arguments(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[tuple[str, Any]]:
    bound = signature.bind(*args, **kwargs)
    return [pair for name, value in bound.arguments.items() for pair in named_leaves(value, name)]


def _is_option(leaf: Any) -> bool:
    return leaf is None or isinstance(leaf, int | float | str | complex)


def _wrong_type(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any], *, objects: bool
) -> TypeError:
    path, leaf = next(
        (path, leaf)
        for path, leaf in _named_arguments(signature, args, kwargs)
        if library_of(leaf) is None and not _is_option(leaf) and not (objects and is_static(leaf))
    )
    how = " Convert it with cupy.asarray." if hasattr(leaf, "__cuda_array_interface__") else ""
    return TypeError(
        f"{name}: {path} is {describe(leaf)}; expected an array, a number, or a list, tuple or dict of them."
        + how
    )


def _wrong_place(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> TypeError | ValueError:
    named = _named_arguments(signature, args, kwargs)
    arrays = [p for p in named if library_of(p[1]) is not None and not isinstance(p[1], numpy.generic)]
    first_path, first = arrays[0]
    for path, array in arrays:
        if library_of(array) != library_of(first):
            return TypeError(
                f"{name}: {first_path} is {describe(first)} and {path} is {describe(array)}; expected arrays "
                "of one library. Convert one of them, for example with from_dlpack."
            )
        if on_different_devices(array, first):
            break
        if device_of(first) is None:
            first_path, first = path, array
    return ValueError(
        f"{name}: {first_path} is on {device_of(first)} and {path} is on {device_of(array)}; expected arrays "
        "on one device. Move one of them first."
    )
