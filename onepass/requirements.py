"""Checks of single arguments. An error names the function, what it got, what it expected, and what to do."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import array_api_compat

from .backends import (
    SymbolicArray,
    bounds,
    can_be_read,
    check_in_every_call,
    checks_are_on,
    is_real_array,
    kind_of,
    library_of,
)


def describe(value: Any) -> str:
    """A value in an error message: "a list", "a numpy int64 array of shape (4,)"."""
    library = library_of(value)
    if library is not None:
        dtype = str(value.dtype).removeprefix(f"{library}.")
        return f"{_article(library)} {library} {dtype} array of shape {_shape(value)}"
    if value is None or isinstance(value, str | bool | int | float):
        return repr(value)
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[0]}."
    return f"{_article(module or kind.__name__)} {module}{kind.__qualname__}"


def _article(word: str) -> str:
    return "an" if word[0].lower() in "aeiou" else "a"


def require_array(name: str, argument: str, value: Any) -> None:
    if library_of(value) is None:
        raise TypeError(
            f"{name}: {argument} is {describe(value)}; expected an array of NumPy or another library "
            "that follows the array API standard. Convert it first, for example with "
            f"{'cupy' if hasattr(value, '__cuda_array_interface__') else 'numpy'}.asarray."
        )


def require_real(name: str, argument: str, value: Any) -> None:
    if not is_real_array(value):
        require_array(name, argument, value)
        raise TypeError(
            f"{name}: {argument} is {describe(value)}; expected a real floating-point dtype. "
            "Convert it, for example with .astype(numpy.float32)."
        )


def require_shape(name: str, argument: str, value: Any, expected: Sequence[int], why: str) -> None:
    if tuple(value.shape) != tuple(expected):
        raise ValueError(f"{name}: {argument} has shape {_shape(value)}; expected {tuple(expected)}, {why}.")


def require_rows(name: str, argument: str, value: Any, letters: str) -> None:
    require_real(name, argument, value)
    if value.ndim != 2:
        raise ValueError(
            f"{name}: {argument} has shape {_shape(value)}; expected two dimensions, {letters}. "
            "Rows come first: a single row is x[None, :]."
        )


def require_scalar(name: str, argument: str, value: Any) -> None:
    """A Python number, or an array of shape (), like a learning rate that a traced kernel computes."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return
    if (
        library_of(value) is not None
        and value.shape == ()
        and kind_of(value) in ("real floating", "integral")
    ):
        return
    raise TypeError(f"{name}: {argument} is {describe(value)}; expected a number.")


def require_option(name: str, argument: str, value: Any, options: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in options:
        raise ValueError(
            f"{name}: {argument} is {describe(value)}; expected one of {', '.join(map(repr, options))}."
        )


def require_grad_out(name: str, value: Any, shape: Sequence[int], why: str) -> None:
    if len(shape) == 0:
        require_scalar(name, "grad_out", value)
        return
    require_real(name, "grad_out", value)
    require_shape(name, "grad_out", value, shape, why)


def require_labels(
    name: str, labels: Any, argument: str, shape: tuple[int, ...], *, ignore_index: Any, soft: bool
) -> None:
    """Labels for `argument` of `shape` (N, K): (N,) integers, or if `soft`, (N, K) real probabilities."""
    require_array(name, "labels", labels)
    if isinstance(ignore_index, SymbolicArray):
        ignore_index = operator.index(ignore_index)  # makes it a constant of the traced kernel
    or_soft = f", or {shape} for soft labels" if soft else ""
    if soft and labels.ndim == 2 and _shape(labels) == shape:
        require_real(name, "labels", labels)
        if ignore_index is not None:
            raise ValueError(
                f"{name}: ignore_index is {ignore_index} and labels has shape {shape}; expected None with "
                "soft labels. A row of zeros adds nothing to the loss."
            )
        return
    require_shape(name, "labels", labels, shape[:1], f"the rows of {argument} {shape}{or_soft}")
    if kind_of(labels) != "integral":
        raise TypeError(
            f"{name}: labels is {describe(labels)}; expected an integer dtype{or_soft}. "
            "Convert it, for example with .astype(numpy.int64)."
        )
    if ignore_index is not None and (
        isinstance(ignore_index, bool) or not isinstance(ignore_index, Integral)
    ):
        raise TypeError(f"{name}: ignore_index is {describe(ignore_index)}; expected an integer or None.")


def require_labels_in_range(
    name: str, labels: Any, argument: str, shape: tuple[int, ...], ignore_index: Any
) -> None:
    """Integer labels are in [0, K) or equal ignore_index; not checked if reading them waits for a device."""
    library = library_of(labels)
    shape = tuple(map(int, shape))  # of symbolic scores they are lengths
    if library == "numpy":
        if labels.size == 0:
            return
        smallest, largest = bounds(labels)
        if smallest >= 0 and largest < shape[1]:
            return
    elif library == "traced":

        def look(actual: Any) -> None:
            require_labels_in_range(name, actual, argument, shape, ignore_index)

        check_in_every_call(labels, look)
        return
    elif not can_be_read(labels, may_wait=checks_are_on()):
        return
    xp = array_api_compat.array_namespace(labels)
    wide = xp.astype(labels, xp.arange(0).dtype)
    outside = (wide < 0) | (wide >= shape[1])
    unsigned = xp.isdtype(labels.dtype, "unsigned integer")
    # The cast makes a large unsigned label negative, and it must not match a negative ignore_index.
    if ignore_index is not None and (ignore_index >= 0 or not unsigned):
        outside = outside & (wide != ignore_index)
    if not bool(xp.any(outside)):
        return
    row = int(xp.argmax(xp.astype(outside, wide.dtype)))
    label = int(wide[row])
    label += 2**64 if unsigned and label < 0 else 0
    or_ignored = "" if ignore_index is None else f" or ignore_index {ignore_index}"
    raise ValueError(
        f"{name}: labels[{row}] is {label}; expected 0 <= label < {shape[1]}, the classes of "
        f"{argument} {shape}{or_ignored}."
    )


def _shape(value: Any) -> tuple[Any, ...]:
    return tuple(value.shape)


def require_function(name: str, function: Any) -> inspect.Signature:
    """The signature of a function that a user gives.

    raises: TypeError for what cannot be called, or whose parameters Python does not know
    """
    if not callable(function):
        raise TypeError(f"{name}: got {function!r}; expected a function.")
    try:
        return inspect.signature(function)
    except ValueError:
        raise TypeError(
            f"{name}: got {function!r}, whose parameters are unknown to Python; expected a function. Wrap it "
            "in a `def`."
        ) from None
