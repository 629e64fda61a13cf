"""The keyword `out=` of kernels: the user's arrays that take the results.

`out` has the structure of the result. None, at any place in it, allocates. The call returns the result with
these arrays in it:

    y = numpy.empty_like(x)
    op.relu(x, out=y) is y
    op.linear_backward(grad, x, w, out=(None, grad_w, grad_b))

A kernel with its own parameter `out`, like the backward of an activation, has no such keyword. Where the
result is a Python number, a number in `out` allocates too, so that the old state of an optimiser can be
passed for the new one.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar, overload

import array_api_compat
import numpy

from .backends import (
    ArraySpec,
    OutArrays,
    device_of,
    has_internal_overlap,
    is_running_eagerly,
    leaves,
    library_of,
    signature_of,
    tracing,
)
from .requirements import describe

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

# By signature of `out`: for each leaf of the result the number of its array among the leaves of `out`.
Orders: TypeAlias = dict[Hashable, tuple[int | None, ...]]
MAX_ORDERS = 64


class KernelCallable(Protocol[P, R_co]):
    """The type of a kernel: called by its own signature, or with `out=` as well.

    Types cannot say "these parameters and one more keyword", so with `out=` the arguments are not checked.
    """

    __name__: str
    donate: tuple[str, ...]  # of a user's kernel

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: Any, out: Any, **kwargs: Any) -> R_co: ...


def takes_out(signature: inspect.Signature) -> bool:
    """Whether a kernel takes `out=`: not if its function has a parameter `out` or **kwargs."""
    parameters = signature.parameters.values()
    return "out" not in signature.parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters)


def pop_out(name: str, kwargs: dict[str, Any]) -> Any:
    """Remove `out` from the arguments of a call and return it."""
    out = kwargs.pop("out")
    if out is not None and (tracing() or is_running_eagerly()):
        raise TypeError(
            f"{name}: got out= inside a kernel; expected none. Return the result from the kernel, and pass "
            "out= to the outermost call."
        )
    return out


def copy_to_out(name: str, library: str, result: Any, out: Any) -> Any:
    """Copy a computed result into the arrays of `out`; returns the result with these arrays in it."""
    arrays = match_out(name, library, result, out)
    arrays.require_disjoint()
    return arrays.copy_from(result)


def match_out(name: str, library: str, result: Any, out: Any) -> OutArrays:
    """Check `out` against a result, and return its arrays in the order of the result's leaves.

    library: of the arguments
    result:  the result, with an ArraySpec in place of each array that is not computed yet
    """
    arrays: list[Any] = []
    _match(name, arrays, library, result, out, "out")
    return OutArrays(name, result, arrays)


class OutArgument:
    """`out` of one call, with its signature and leaves."""

    __slots__ = ("leaves", "signature", "tree")

    def __init__(self, out: Any) -> None:
        self.tree = out
        self.leaves: list[Any] = []
        self.signature = signature_of(out, self.leaves)

    def aliased(self, values: list[Any]) -> tuple[int, ...]:
        """The numbers of the leaves of a call that are arrays of `out` as well."""
        arrays = {id(leaf) for leaf in self.leaves if library_of(leaf) is not None}
        if arrays.isdisjoint(map(id, values)):
            return ()
        return tuple(number for number, leaf in enumerate(values) if id(leaf) in arrays)

    def match(self, name: str, library: str, result: Any, orders: Orders) -> OutArrays:
        """`match_out`, with `orders` as the cache of earlier matches with this result."""
        order = orders.get(self.signature)
        if order is not None:
            arrays = [None if number is None else self.leaves[number] for number in order]
            # Arrays of equal signature may still be read-only, or have other strides.
            if all(array is None or _is_plain(array) for array in arrays):
                return OutArrays(name, result, arrays)
        matched = match_out(name, library, result, self.tree)
        numbers = {id(leaf): number for number, leaf in enumerate(self.leaves)}
        order = tuple(None if array is None else numbers[id(array)] for array in matched.arrays)
        used = [number for number in order if number is not None]
        # If one array is in two places, a later call of this signature may have two arrays there.
        if len(orders) < MAX_ORDERS and len(set(used)) == len(used):
            orders[self.signature] = order
        return matched


def _is_plain(array: Any) -> bool:
    """Whether an array is contiguous and writable, so that it needs no further checks."""
    return bool(array.flags.carray if isinstance(array, numpy.ndarray) else array.flags.c_contiguous)


def _match(name: str, found: list[Any], library: str, result: Any, out: Any, path: str) -> None:
    """Append to `found` the array of `out`, or None, for each leaf of `result`."""
    if out is None:
        found.extend([None] * len(leaves(result)))
    elif isinstance(result, dict):
        if not isinstance(out, dict) or out.keys() != result.keys():
            raise _wrong_structure(name, path, out, f"a dict of {sorted(map(str, result))}")
        for key, part in result.items():
            _match(name, found, library, part, out[key], f"{path}[{key!r}]")
    elif isinstance(result, list | tuple):
        if not isinstance(out, list | tuple) or len(out) != len(result):
            raise _wrong_structure(name, path, out, f"a {_kind(result)} of {len(result)}")
        for index, part in enumerate(result):
            _match(name, found, library, part, out[index], f"{path}[{index}]")
    else:
        spec = _spec_of(library, result)
        is_fresh = spec is not None and spec.is_scalar and _is_number(out)
        if not is_fresh:
            _require_fits(name, path, out, library, spec)
        found.append(None if is_fresh else out)


def _kind(tree: Any) -> str:
    return "list" if isinstance(tree, list) else "tuple"


def _wrong_structure(name: str, path: str, out: Any, expected: str) -> TypeError:
    got = describe(out)
    if isinstance(out, list | tuple):
        got = f"a {_kind(out)} of {len(out)}"
    elif isinstance(out, dict):
        got = f"a dict of {sorted(map(str, out))}"
    return TypeError(
        f"{name}: {path} is {got}; expected {expected}, the structure of the result. Pass None to allocate "
        "an array."
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | numpy.generic)


def _spec_of(library: str, result: Any) -> ArraySpec | None:
    """What an array must be to take a leaf of a result; None for a leaf that is not an array or number."""
    if isinstance(result, ArraySpec):
        return result
    found = library_of(result)
    if found is not None:
        is_scalar = isinstance(result, numpy.generic)
        return ArraySpec(tuple(result.shape), result.dtype, found, device_of(result), is_scalar=is_scalar)
    if isinstance(result, int | float):
        dtype = "bool" if isinstance(result, bool) else "int64" if isinstance(result, int) else "float64"
        return ArraySpec((), numpy.dtype(dtype) if library == "numpy" else dtype, library, is_scalar=True)
    return None


def _require_fits(name: str, path: str, out: Any, library: str, spec: ArraySpec | None) -> None:
    """Raise unless `out` is an array as `spec` describes it."""
    if spec is None:
        raise TypeError(f"{name}: {path} is {describe(out)}; expected None, as the result is no array there.")
    _require_type(name, path, out, spec)
    if tuple(out.shape) != spec.shape:
        raise ValueError(
            f"{name}: {path} has shape {tuple(out.shape)}; expected {spec.shape}, the shape of the result."
        )
    if spec.device is not None and device_of(out) != spec.device:
        raise ValueError(
            f"{name}: {path} is on {device_of(out)}; expected {spec.device}, the device of the result."
        )
    if not array_api_compat.is_writeable_array(out):
        if library == "numpy":
            raise ValueError(f"{name}: {path} is read-only; expected a writable array.")
        raise TypeError(
            f"{name}: {path} is {describe(out)}, and arrays of that library cannot be written; expected "
            "None. Use the returned array."
        )
    if has_internal_overlap(out):
        raise ValueError(
            f"{name}: elements of {path} share memory, with strides {getattr(out, 'strides', '')}; expected "
            "an array without internal overlap. Pass a copy."
        )


def _require_type(name: str, path: str, out: Any, spec: ArraySpec) -> None:
    """Raise unless `out` is an array of the library and dtype of `spec`."""
    dtype = str(spec.dtype).removeprefix(f"{spec.library}.")
    expected = f"a {spec.library} {dtype} array of shape {spec.shape}, like the result"
    if library_of(out) != spec.library or _is_number(out):
        raise TypeError(f"{name}: {path} is {describe(out)}; expected {expected}, or None to allocate one.")
    if out.dtype != spec.dtype and str(out.dtype).removeprefix(f"{spec.library}.") != spec.dtype:
        raise TypeError(
            f"{name}: {path} is {describe(out)}; expected {expected}. Results are not cast: allocate an "
            "array of that dtype."
        )
