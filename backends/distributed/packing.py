"""Pytrees of arrays packed into flat buffers, one for each library and dtype.

layout = layout_of([numpy.ones((2, 3)), numpy.ones(4)], halves_wide=False)
layout.sizes == {("numpy", float64): 10}, with the leaves at 0:6 and 6:10
"""

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


class LeafSpec(NamedTuple):
    """What must be the same on all ranks for an array or a float to be sent."""

    library: str
    dtype: Any
    shape: tuple[int, ...]

    def __str__(self) -> str:
        of_library = "" if self.library == "numpy" else f"{self.library} "
        return f"{of_library}{self.dtype} of shape {self.shape}"


def spec_of_leaf(leaf: Any) -> LeafSpec | str:
    """The spec of an array or a float; for other leaves, like None, a description."""
    kind = type(leaf)
    if kind is numpy.ndarray:
        return LeafSpec("numpy", leaf.dtype, leaf.shape)
    if kind is float:
        return LeafSpec("numpy", FLOAT64, ())
    library = library_of(leaf)
    if library is None:
        return "None" if leaf is None else f"{'an' if kind.__name__[0] in 'aeiou' else 'a'} {kind.__name__}"
    return LeafSpec(library, leaf.dtype, tuple(leaf.shape))


def described(tree: Any, argument: str) -> list[tuple[str, str]]:
    """The path and the spec of each leaf, as text."""
    return [(path, str(spec_of_leaf(leaf))) for path, leaf in named_leaves(tree, argument)]


def require_sendable(
    function: str, argument: str, tree: Any, *, libraries: Iterable[str], only_real: bool
) -> None:
    """Raise a TypeError for the first leaf that cannot be sent."""
    for path, leaf in named_leaves(tree, argument):
        spec = spec_of_leaf(leaf)
        if isinstance(spec, str):
            if leaf is None or (not only_real and isinstance(leaf, int | str)):
                continue
            expected = "an array, a float or None" if only_real else "an array, a number, a string or None"
            raise TypeError(
                f"{function}: {path} is {spec}; expected {expected}. Convert it, or leave it out."
            )
        if spec.library not in libraries:
            raise TypeError(
                f"{function}: {path} is {_article(spec.library)} {spec.library} array; expected one of "
                f"{' or '.join(libraries)}. Convert it, for example with from_dlpack."
            )
        kind = "real floating" if type(leaf) is float else kind_of(leaf)
        if kind != "real floating" and (only_real or kind == "other"):
            expected = "a real floating-point dtype" if only_real else "a dtype of numbers"
            raise TypeError(f"{function}: {path} is {spec}; expected {expected}. Convert it with .astype.")


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


class Segment(NamedTuple):
    """The place of a leaf in its buffer, and the shape and dtype of its result."""

    key: Key
    start: int
    stop: int
    shape: tuple[int, ...]
    dtype: Any  # of the result, in the byte order of this machine


class Layout(NamedTuple):
    """The places of all leaves, and the sizes of the buffers."""

    segments: tuple[Segment | None, ...]  # None for a leaf that is not in a buffer
    sizes: dict[Key, int]


def layout_of(leaves: list[Any], *, halves_wide: bool) -> Layout:
    """The layout with the leaves of each dtype one after the other.

    halves_wide: put float16 and bfloat16 into the buffer of float32
    """
    segments: list[Segment | None] = []
    sizes: dict[Key, int] = {}
    for leaf in leaves:
        spec = spec_of_leaf(leaf)
        if isinstance(spec, str):
            segments.append(None)
            continue
        # Sums in half precision would lose small terms, and MPI has no such type.
        half = halves_wide and type(leaf) is not float and is_half(leaf)
        dtype = numpy.dtype(spec.dtype).newbyteorder("=")
        key = spec.library, numpy.dtype(numpy.float32) if half else dtype
        start = sizes.get(key, 0)
        sizes[key] = start + int(numpy.prod(spec.shape, dtype=numpy.int64))
        segments.append(Segment(key, start, sizes[key], spec.shape, dtype))
    return Layout(tuple(segments), sizes)


class Buffers:
    """The flat buffers, kept between calls; each is as long as its longest request so far."""

    def __init__(self) -> None:
        self._kept: dict[Key, Any] = {}

    def take(self, key: Key, size: int) -> Any:
        """The first `size` elements of the buffer of a library and dtype, not initialised."""
        kept = self._kept.get(key)
        if kept is None or kept.shape[0] < size:
            library, dtype = key
            kept = self._kept[key] = library_module(library).empty(size, dtype=dtype)
        return kept[:size]


def library_module(library: str) -> Any:
    """The module of NumPy or CuPy; there are arrays of it, so it is imported."""
    return sys.modules[library]


def views(leaves: list[Any], layout: Layout, buffers: dict[Key, Any]) -> Iterator[tuple[Any, Any, Segment]]:
    """Each leaf that is in a buffer, with a view of its place there in its shape."""
    for leaf, segment in zip(leaves, layout.segments, strict=True):
        if segment is not None:
            place = buffers[segment.key][segment.start : segment.stop]
            yield leaf, place.reshape(segment.shape), segment


def like(leaf: Any, array: Any) -> Any:
    """The array in the type of the leaf: a float, a NumPy scalar or an array."""
    if type(leaf) is float:
        return float(array)
    return array[()] if isinstance(leaf, numpy.generic) else array


def rebuild(tree: Any, results: Iterable[Any]) -> Any:
    """A tree of the same structure with `results` as its leaves."""
    remaining = iter(results)
    return map_leaves(lambda _: next(remaining), tree)
