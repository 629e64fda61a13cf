"""Trees of arrays as flat buffers: one for each library and dtype, kept from call to call."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy

from ..common.libraries import is_half, kind_of, library_of
from ..common.trees import map_leaves, named_leaves

# The library of an array, and the dtype.
Key: TypeAlias = tuple[str, Any]

FLOAT64 = numpy.dtype(numpy.float64)


class Form(NamedTuple):
    """All that has to be the same on every rank for a leaf to travel."""

    library: str
    dtype: Any
    shape: tuple[int, ...]

    def __str__(self) -> str:
        of_library = "" if self.library == "numpy" else f"{self.library} "
        return f"{of_library}{self.dtype} of shape {self.shape}"


def form_of_leaf(leaf: Any) -> Form | str:
    """The form of an array or a float, and for other leaves, None among them, what they are."""
    kind = type(leaf)
    if kind is numpy.ndarray:
        return Form("numpy", leaf.dtype, leaf.shape)
    if kind is float:
        return Form("numpy", FLOAT64, ())
    library = library_of(leaf)
    if library is None:
        return "None" if leaf is None else f"{'an' if kind.__name__[0] in 'aeiou' else 'a'} {kind.__name__}"
    return Form(library, leaf.dtype, tuple(leaf.shape))


def described(tree: Any, argument: str) -> list[tuple[str, str]]:
    """The path and the form of every leaf."""
    return [(path, str(form_of_leaf(leaf))) for path, leaf in named_leaves(tree, argument)]


def require_travels(
    function: str, argument: str, tree: Any, *, libraries: Iterable[str], only_real: bool
) -> None:
    """Raise a TypeError for the first leaf that no buffer can hold."""
    for path, leaf in named_leaves(tree, argument):
        form = form_of_leaf(leaf)
        if isinstance(form, str):
            if leaf is None or (not only_real and isinstance(leaf, int | str)):
                continue
            expected = "an array, a float or None" if only_real else "an array, a number, a string or None"
            raise TypeError(
                f"{function}: {path} is {form}; expected {expected}. Convert it, or leave it out."
            )
        if form.library not in libraries:
            raise TypeError(
                f"{function}: {path} is {_article(form.library)} {form.library} array; expected one of "
                f"{' or '.join(libraries)}. Convert it, for example with from_dlpack."
            )
        kind = "real floating" if type(leaf) is float else kind_of(leaf)
        if kind != "real floating" and (only_real or kind == "other"):
            expected = "a real floating-point dtype" if only_real else "a dtype of numbers"
            raise TypeError(f"{function}: {path} is {form}; expected {expected}. Convert it with .astype.")


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


class Segment(NamedTuple):
    """Where a leaf lies in its buffer, and what comes out of it."""

    key: Key
    start: int
    stop: int
    shape: tuple[int, ...]
    dtype: Any  # of the result, in the byte order of this machine


class Layout(NamedTuple):
    """Where everything lies."""

    segments: tuple[Segment | None, ...]  # None for a leaf that is in no buffer
    sizes: dict[Key, int]


def layout_of(leaves: list[Any], *, halves_wide: bool) -> Layout:
    """The leaves of a dtype one behind the other; halves, on request, among those of float32."""
    segments: list[Segment | None] = []
    sizes: dict[Key, int] = {}
    for leaf in leaves:
        form = form_of_leaf(leaf)
        if isinstance(form, str):
            segments.append(None)
            continue
        # Half precision would lose the small terms of a sum, and MPI has no such type.
        half = halves_wide and type(leaf) is not float and is_half(leaf)
        dtype = numpy.dtype(form.dtype).newbyteorder("=")
        key = form.library, numpy.dtype(numpy.float32) if half else dtype
        start = sizes.get(key, 0)
        sizes[key] = start + int(numpy.prod(form.shape, dtype=numpy.int64))
        segments.append(Segment(key, start, sizes[key], form.shape, dtype))
    return Layout(tuple(segments), sizes)


class Buffers:
    """The flat memory, as long as the longest request so far."""

    def __init__(self) -> None:
        self._kept: dict[Key, Any] = {}

    def take(self, key: Key, size: int) -> Any:
        """The first `size` elements of the buffer; what they hold is left from before."""
        kept = self._kept.get(key)
        if kept is None or kept.shape[0] < size:
            library, dtype = key
            kept = self._kept[key] = library_module(library).empty(size, dtype=dtype)
        return kept[:size]


def library_module(library: str) -> Any:
    """NumPy or CuPy, of which there are arrays already."""
    return sys.modules[library]


def views(leaves: list[Any], layout: Layout, buffers: dict[Key, Any]) -> Iterator[tuple[Any, Any, Segment]]:
    """Every leaf that travels, with its place in the buffer, in its shape."""
    for leaf, segment in zip(leaves, layout.segments, strict=True):
        if segment is not None:
            place = buffers[segment.key][segment.start : segment.stop]
            yield leaf, place.reshape(segment.shape), segment


def like(leaf: Any, array: Any) -> Any:
    """An array of the leaf's shape as what the leaf is: a float, a NumPy scalar or an array."""
    if type(leaf) is float:
        return float(array)
    return array[()] if isinstance(leaf, numpy.generic) else array


def rebuilt(tree: Any, results: Iterable[Any]) -> Any:
    """A tree of the same structure that holds `results`."""
    remaining = iter(results)
    return map_leaves(lambda _: next(remaining), tree)
