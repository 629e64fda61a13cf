"""The arguments of a call: bound to their parameters, and of one library and device."""

from __future__ import annotations

import inspect
from typing import Any

import numpy

from .backends.common.libraries import device_of, is_half, library_of, on_two_devices
from .backends.common.static_values import is_static
from .backends.common.trees import leaves, named_leaves
from .requirements import describe


def bind(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    """The arguments by parameter; a TypeError that shows the signature where they do not fit it."""
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}: {error}; expected {name}{_bare(signature)}.") from None


def _bare(signature: inspect.Signature) -> str:
    """The signature without annotations."""
    parameters = [
        parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


def arrays_in(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any], *, objects: bool
) -> tuple[str, Any, bool]:
    """The one library of all the arrays, on one device, the first, and whether any is of half precision.

    objects: whether an argument may be an object that stands for itself
    raises:  TypeError, ValueError for other arguments
    """
    library: str | None = None
    first: Any = None
    any_half = False
    for leaf in leaves((args, kwargs)):
        found = library_of(leaf)
        if found is None:
            if not _is_option(leaf) and not (objects and is_static(leaf)):
                raise _not_an_argument(name, signature, args, kwargs, objects=objects)
            continue
        if isinstance(leaf, numpy.generic):
            continue  # a number that any library takes
        if library is None:
            library, first = found, leaf
        elif found != library or on_two_devices(leaf, first):
            raise _not_together(name, signature, args, kwargs)
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


def _not_an_argument(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any], *, objects: bool
) -> TypeError:
    path, leaf = next(
        (path, leaf)
        for path, leaf in _named_arguments(signature, args, kwargs)
        if library_of(leaf) is None and not _is_option(leaf) and not (objects and is_static(leaf))
    )
    how = " Bring it in with cupy.asarray." if hasattr(leaf, "__cuda_array_interface__") else ""
    return TypeError(
        f"{name}: {path} is {describe(leaf)}; expected an array, a number, or a list, tuple or dict of them."
        + how
    )


def _not_together(
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
        if on_two_devices(array, first):
            break
        if device_of(first) is None:
            first_path, first = path, array
    return ValueError(
        f"{name}: {first_path} is on {device_of(first)} and {path} on {device_of(array)}; expected arrays on "
        "one device. Move one of them first."
    )
