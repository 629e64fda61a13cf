"""The keyword `out=` of every kernel: arrays of the caller's that take the results.

`out` has the structure of the result, or is None; None anywhere in it asks for fresh arrays. The call returns
the result with the given arrays in it. A kernel with a parameter of its own called `out`, as the backward of
an activation, has no such keyword. In place of a result that is a number, a number asks for a fresh one, so
that the state of an optimiser can be given for the next state.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar, overload

import array_api_compat
import numpy

from .backends import eager
from .backends.common.libraries import device_of, library_of
from .backends.common.out_arrays import Destinations, Wanted, is_apart_from_itself
from .backends.common.trees import leaves
from .backends.signatures import form_of
from .backends.trace.trace import tracing
from .requirements import describe

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

# For every leaf of a result the number of its array among the leaves of `out`, by the form of `out`.
Known: TypeAlias = dict[Hashable, tuple[int | None, ...]]
MOST_KNOWN = 64


class Function(Protocol[P, R_co]):
    """A kernel as it is called: by its own signature, or with `out=` beside that.

    Types cannot say "these parameters and one more by name", so with `out=` a checker looks at nothing else.
    """

    __name__: str
    donate: tuple[str, ...]  # of a user's kernel

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: Any, out: Any, **kwargs: Any) -> R_co: ...


def takes_out(signature: inspect.Signature) -> bool:
    """Whether `out` is free: no parameter of the function's own."""
    parameters = signature.parameters.values()
    return "out" not in signature.parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters)


def taken(name: str, kwargs: dict[str, Any]) -> Any:
    """Take `out` from the arguments of a call."""
    out = kwargs.pop("out")
    if out is not None and (tracing() or eager.is_running()):
        raise TypeError(
            f"{name}: out= was given inside a kernel; expected none, because inside a kernel nothing is "
            "written. Return the result from the kernel, and give out= to the kernel's call."
        )
    return out


def filled(name: str, library: str, result: Any, out: Any) -> Any:
    """A result that has been computed, in the arrays of `out`."""
    destinations = matched(name, library, result, out)
    destinations.require_apart()
    return destinations.filled(result)


def matched(name: str, library: str, result: Any, out: Any) -> Destinations:
    """The arrays of `out` by the leaves of the result, checked one by one.

    library: of the arguments
    result:  the result's tree; what is not computed yet has its Wanted there
    """
    arrays: list[Any] = []
    _match(name, arrays, library, result, out, "out")
    return Destinations(name, result, arrays)


class Given:
    """`out` of one call, and where the arguments of the call are overwritten by it."""

    __slots__ = ("form", "leaves", "tree")

    def __init__(self, out: Any) -> None:
        self.tree = out
        self.leaves: list[Any] = []
        self.form = form_of(out, self.leaves)

    def overwritten(self, values: list[Any]) -> tuple[int, ...]:
        """The numbers of those leaves of a call that are arrays of `out` as well."""
        arrays = {id(leaf) for leaf in self.leaves if library_of(leaf) is not None}
        if arrays.isdisjoint(map(id, values)):
            return ()
        return tuple(number for number, leaf in enumerate(values) if id(leaf) in arrays)

    def matched(self, name: str, library: str, result: Any, known: Known) -> Destinations:
        """As the function; `known` is what has been found out for this result, by the form of `out`."""
        order = known.get(self.form)
        if order is not None:
            arrays = [None if number is None else self.leaves[number] for number in order]
            # An array of the same form may be read-only, or its elements be anywhere.
            if all(array is None or _is_plain(array) for array in arrays):
                return Destinations(name, result, arrays)
        destinations = matched(name, library, result, self.tree)
        numbers = {id(leaf): number for number, leaf in enumerate(self.leaves)}
        order = tuple(None if array is None else numbers[id(array)] for array in destinations.arrays)
        places = [number for number in order if number is not None]
        if len(known) < MOST_KNOWN and len(set(places)) == len(places):  # else two may have been one array
            known[self.form] = order
        return destinations


def _is_plain(array: Any) -> bool:
    """Whether an array can be written, every element in a place of its own, without a closer look."""
    return bool(array.flags.carray if isinstance(array, numpy.ndarray) else array.flags.c_contiguous)


def _match(name: str, found: list[Any], library: str, result: Any, out: Any, path: str) -> None:
    if out is None:
        found.extend([None] * len(leaves(result)))
    elif isinstance(result, dict):
        if not isinstance(out, dict) or out.keys() != result.keys():
            raise _not_the_structure(name, path, out, f"a dict of {sorted(map(str, result))}")
        for key, part in result.items():
            _match(name, found, library, part, out[key], f"{path}[{key!r}]")
    elif isinstance(result, list | tuple):
        if not isinstance(out, list | tuple) or len(out) != len(result):
            raise _not_the_structure(name, path, out, f"a {_kind(result)} of {len(result)}")
        for index, part in enumerate(result):
            _match(name, found, library, part, out[index], f"{path}[{index}]")
    else:
        wanted = _wanted(library, result)
        is_fresh = wanted is not None and wanted.is_number and _is_number(out)
        if not is_fresh:
            _require(name, path, out, library, wanted)
        found.append(None if is_fresh else out)


def _kind(tree: Any) -> str:
    return "list" if isinstance(tree, list) else "tuple"


def _not_the_structure(name: str, path: str, out: Any, expected: str) -> TypeError:
    got = describe(out)
    if isinstance(out, list | tuple):
        got = f"a {_kind(out)} of {len(out)}"
    elif isinstance(out, dict):
        got = f"a dict of {sorted(map(str, out))}"
    return TypeError(
        f"{name}: {path} is {got}; expected {expected}, the structure of the result, with None where a fresh "
        "array is wanted."
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | numpy.generic)


def _wanted(library: str, result: Any) -> Wanted | None:
    """What can take a leaf of a result; None where nothing can."""
    if isinstance(result, Wanted):
        return result
    found = library_of(result)
    if found is not None:
        is_number = isinstance(result, numpy.generic)
        return Wanted(tuple(result.shape), result.dtype, found, device_of(result), is_number=is_number)
    if isinstance(result, int | float):
        dtype = "bool" if isinstance(result, bool) else "int64" if isinstance(result, int) else "float64"
        return Wanted((), numpy.dtype(dtype) if library == "numpy" else dtype, library, None, is_number=True)
    return None


def _require(name: str, path: str, out: Any, library: str, wanted: Wanted | None) -> None:
    """Raise unless `out` can take what is wanted."""
    if wanted is None:
        raise TypeError(f"{name}: {path} is {describe(out)}; expected None, as the result is no array there.")
    dtype = str(wanted.dtype).removeprefix(f"{wanted.library}.")
    expected = f"a {wanted.library} {dtype} array of shape {wanted.shape}, as the result"
    if library_of(out) != wanted.library or _is_number(out):
        raise TypeError(f"{name}: {path} is {describe(out)}; expected {expected}, or None for a fresh one.")
    if out.dtype != wanted.dtype and str(out.dtype).removeprefix(f"{wanted.library}.") != wanted.dtype:
        raise TypeError(
            f"{name}: {path} is {describe(out)}; expected {expected}. Make it of that dtype: nothing is "
            "rounded on the way."
        )
    if tuple(out.shape) != wanted.shape:
        raise ValueError(
            f"{name}: {path} has shape {tuple(out.shape)}; expected {wanted.shape}, the shape of the result."
        )
    if wanted.device is not None and device_of(out) != wanted.device:
        raise ValueError(
            f"{name}: {path} is on {device_of(out)}; expected {wanted.device}, the device of the result."
        )
    if not array_api_compat.is_writeable_array(out):
        if library == "numpy":
            raise ValueError(f"{name}: {path} is read-only; expected an array that can be written.")
        raise TypeError(
            f"{name}: {path} is {describe(out)}, and arrays of that library cannot be written; expected "
            "None. Use the array that is returned."
        )
    if not is_apart_from_itself(out):
        raise ValueError(
            f"{name}: elements of {path} share memory, with strides {getattr(out, 'strides', '')}; expected "
            "memory for every element. Give a copy."
        )
