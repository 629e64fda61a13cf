"""Indexing: `x[key]` as a view, or as elements that are looked up.

Takes an array and a key; gives a symbolic array.

    x[:, 1:3]         a view: writing into it changes x
    x[rows, labels]   the elements at pairs of indices; the dimensions of the indices come first
    x[mask]           the elements where a mask is true; their number depends on values

As in NumPy, the dimensions of integer arrays take the place of the indexed ones if these are neighbours; else
they come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy

from ..ir.attributes import Gather, Iota, Slice
from ..ir.dtypes import BOOL, INT64
from ..ir.graph import Axis, Node
from ..ir.operations import Op
from .indices import require_indices
from .looks import Picked, Sliced
from .promotion import cast
from .symbolic import Length, SymbolicArray, as_symbolic, copy_of, is_array, is_immutable, look_at, view

if TYPE_CHECKING:
    from .tracer import Trace


@dataclass(frozen=True)
class Key:
    """A key with an entry for each dimension of the array, and None for each new one.

    entries: slices, integers, integer arrays, None
    """

    entries: tuple[Any, ...]

    @property
    def arrays(self) -> list[SymbolicArray]:
        """Its integer arrays."""
        return [entry for entry in self.entries if isinstance(entry, SymbolicArray)]


def parsed(array: SymbolicArray, key: Any) -> Key:
    """The key, with `...` and missing entries spelled out."""
    trace = array.tracer
    given = [_entry(trace, entry) for entry in (key if isinstance(key, tuple) else (key,))]
    if any(isinstance(entry, SymbolicArray) and entry.node.dtype == BOOL for entry in given):
        raise trace.error(
            TypeError,
            "the elements at a mask have a shape that depends on values, which is not supported by the "
            "compiler; use xp.where, or the sum or mean of them",
        )
    ellipses = [position for position, entry in enumerate(given) if entry is Ellipsis]
    if len(ellipses) > 1:
        raise trace.error(IndexError, "an index can have only one ellipsis ('...')")
    used = sum(entry is not None and entry is not Ellipsis for entry in given)
    if used > array.ndim:
        raise trace.error(
            IndexError, f"too many indices: got {used}; expected at most {array.ndim} for {array!r}"
        )
    at = ellipses[0] if ellipses else len(given)
    rest = [slice(None)] * (array.ndim - used)
    return Key(tuple(given[:at] + rest + given[at + bool(ellipses) :]))


def without_lists_of_bools(array: SymbolicArray, key: Any) -> Any:
    """The key; a list of bools becomes the list of the positions of True."""
    parts = _parts(key)
    is_list = len(parts) == 1 and isinstance(parts[0], list) and bool(parts[0]) and array.ndim
    if not is_list or not all(type(item) in (bool, numpy.bool_) for item in parts[0]):
        return key
    size = array.node.sizes()[0]
    if len(parts[0]) != size:
        raise array.tracer.error(IndexError, f"got a mask of {len(parts[0])} elements; expected {size}")
    return [position for position, is_true in enumerate(parts[0]) if is_true]


def _entry(trace: Trace, entry: Any) -> Any:
    """An entry of a key: an integer, a slice of them, an array of them, None or `...`."""
    if entry is None or entry is Ellipsis:
        return entry
    if type(entry) is SymbolicArray:
        return entry.known if entry.known is not None and entry.node.weak else _checked(trace, entry)
    if isinstance(entry, slice):
        return slice(*(None if end is None else _integer(trace, end) for end in _ends(entry)))
    if isinstance(entry, Length):
        return int(entry)
    if type(entry) is int or isinstance(entry, numpy.integer):
        return int(entry)
    if isinstance(entry, list | tuple | range):
        return _checked(trace, _array_of(trace, entry))
    if type(entry) in (bool, numpy.bool_):
        return as_symbolic(trace, numpy.asarray(entry))
    if is_array(entry):
        if is_own_range(trace, entry):
            return positions(trace, len(entry))
        return _checked(trace, as_symbolic(trace, entry))
    raise trace.error(
        IndexError,
        f"got the index {entry!r} of type {type(entry).__name__}; expected integers, slices, None, ... and "
        "integer arrays",
    )


def _checked(trace: Trace, entry: SymbolicArray) -> SymbolicArray:
    if not entry.node.dtype.is_integer and entry.node.dtype != BOOL:
        raise trace.error(IndexError, f"got an index of dtype {entry.dtype}; expected integers or a mask")
    return entry


def is_own_range(trace: Trace, array: Any) -> bool:
    """Whether an index is 0, 1, ... in an array that the function has made, as np.arange(n)."""
    if not isinstance(array, numpy.ndarray) or array.ndim != 1 or array.dtype.kind not in "iu":
        return False
    # One from outside may have other elements in a later call.
    return id(array) not in trace.outside and numpy.array_equal(array, numpy.arange(len(array)))


def _array_of(trace: Trace, entry: Sequence[Any]) -> Any:
    """A list of integers as an array; range(n) becomes the positions along an axis."""
    if any(isinstance(item, SymbolicArray) for item in entry):
        raise trace.error(TypeError, "got a list of symbolic numbers as an index; use xp.stack of them")
    if isinstance(entry, range) and entry == range(len(entry)):
        return positions(trace, len(entry))
    numbers = numpy.asarray(entry)
    if not numbers.size:
        numbers = numbers.astype(numpy.int64)
    if numbers.dtype.kind not in "biu":
        raise trace.error(IndexError, f"got an index of dtype {numbers.dtype}; expected integers or a mask")
    return SymbolicArray(trace, as_symbolic(trace, numbers).node)


def _ends(entry: slice) -> tuple[Any, Any, Any]:
    return entry.start, entry.stop, entry.step


def _integer(trace: Trace, end: Any) -> int:
    """An end of a slice: its number, which becomes a decision where it depends on an argument."""
    return int(end.__index__())


def positions(trace: Trace, count: int) -> SymbolicArray:
    """0, 1, ..., count - 1."""
    axis = None if count == 1 else Axis(count)
    node = trace.node(Op.IOTA, (), Iota(axis), shape=(axis,), dtype=INT64)
    return SymbolicArray(trace, node)


def get_item(array: SymbolicArray, key: Any) -> Any:
    """`array[key]`."""
    key = without_lists_of_bools(array, key)
    mask = mask_of(array, key)
    if mask is not None:
        from .masked import MaskedValues

        return MaskedValues(array, mask)
    entries = parsed(array, key).entries
    if any(isinstance(entry, SymbolicArray) for entry in entries):
        return looked_up(array, entries)
    found = basic(array, entries)
    # At integers alone NumPy gives an immutable scalar: a copy, not a view.
    is_scalar = not found.ndim and not any(entry is Ellipsis for entry in _parts(key))
    return copy_of(found) if is_scalar and array.tracer.is_of_numpy else found


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def mask_of(array: SymbolicArray, key: Any) -> SymbolicArray | None:
    """The key as a mask of the array's first dimensions; None if it is something else."""
    mask, *others = _parts(key) or (None,)
    if any(part is not Ellipsis and not (isinstance(part, slice) and part == slice(None)) for part in others):
        return None
    if is_array(mask) and mask.dtype == bool:
        mask = as_symbolic(array.tracer, mask)
    if type(mask) is not SymbolicArray or mask.node.dtype != BOOL or mask.node.weak:
        return None
    own, expected = mask.node.sizes(), array.node.sizes()[: mask.ndim]
    if own != expected:
        raise array.tracer.error(
            IndexError,
            f"got a mask of shape {own}; expected {expected}, of the first dimensions of {array!r}",
        )
    return mask if mask.ndim or not array.ndim else None


def basic(array: SymbolicArray, entries: Sequence[Any]) -> SymbolicArray:
    """A view by slices, integers and None."""
    sliced = _sliced(array, [entry for entry in entries if entry is not None])
    dimensions: list[int | None] = []
    position = 0
    for entry in entries:
        if entry is None:
            dimensions.append(None)
            continue
        if isinstance(entry, slice):
            dimensions.append(position)
        position += 1
    return view(sliced, tuple(dimensions))


def _sliced(array: SymbolicArray, entries: Sequence[Any]) -> SymbolicArray:
    """The elements of slices and integers; each integer keeps a dimension of size 1."""
    trace, ranges, sizes = array.tracer, [], []
    for dimension, (entry, size) in enumerate(zip(entries, array.node.sizes(), strict=True)):
        if isinstance(entry, slice):
            try:
                found = range(*entry.indices(size))
            except (TypeError, ValueError) as error:
                raise trace.error(type(error), f"the slice of dimension {dimension}: {error}") from None
            ranges.append(None if found == range(size) else (found.start, found.step))
            sizes.append(len(found))
            continue
        if isinstance(entry, SymbolicArray):
            ranges.append(None)
            sizes.append(size)
            continue
        if not -size <= entry < size:
            raise trace.error(
                IndexError,
                f"index {entry} is out of bounds for dimension {dimension} of size {size}, of {array!r}",
            )
        ranges.append(None if size == 1 else (entry % size, 1))
        sizes.append(1)
    if all(given is None for given in ranges):
        return array
    return look_at(array, Sliced(Slice(tuple(ranges), tuple(sizes))))


def looked_up(array: SymbolicArray, entries: Sequence[Any]) -> SymbolicArray:
    """The elements at integer arrays, beside slices, integers and None."""
    trace = array.tracer
    sliced = _sliced(array, [entry for entry in entries if entry is not None])
    is_index = [isinstance(entry, SymbolicArray | int) for entry in entries]
    together = [position for position, is_one in enumerate(is_index) if is_one]
    shape = _common_shape(trace, [_sizes_of_index(entries[position]) for position in together])
    pair = _element_of_rows(sliced, entries)
    if pair is not None:
        return pair
    are_neighbours = together == list(range(together[0], together[-1] + 1))
    first = sum(not is_one for is_one in is_index[: together[0]]) if are_neighbours else 0
    # The result has the dimensions before the indices, those of the indices, and those behind.
    left = [position for position, is_one in enumerate(is_index) if not is_one]
    out_of = {p: n if n < first else n + len(shape) for n, p in enumerate(left)}
    sizes: list[int] = [1] * (len(left) + len(shape))
    sizes[first : first + len(shape)] = shape
    places: list[int] = []
    kept: list[SymbolicArray] = []
    own = [position for position, entry in enumerate(entries) if entry is not None]
    for dimension, position in enumerate(own):
        entry = entries[position]
        if not is_index[position]:
            places.append(out_of[position])
            sizes[out_of[position]] = sliced.node.sizes()[dimension]
            continue
        places.append(-1 - len(kept))
        if isinstance(entry, SymbolicArray):
            require_indices(trace, Op.GATHER, entry, array.node.sizes()[dimension])
            kept.append(_aligned(entry, len(sizes) - first - len(shape)))
        else:
            # The slice has taken the element at an integer, so one element is left along the dimension.
            kept.append(trace.constant(0))
    made = gather(sliced, kept, tuple(places), tuple(sizes))
    if all(not entry.ndim and is_immutable(entry) for entry in entries if isinstance(entry, SymbolicArray)):
        # For integers whose values depend on the call, NumPy gives a view.
        look = Picked(made.node.inputs[1:], made.node.attribute_as(Gather), made.node.shape)
        return look_at(sliced, look) if made.ndim else made
    return made


def _common_shape(trace: Trace, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return numpy.broadcast_shapes(*shapes)
    except ValueError:
        found = ", ".join(map(str, shapes))
        raise trace.error(IndexError, f"got indices of shapes {found}, which do not broadcast") from None


def _sizes_of_index(entry: Any) -> tuple[int, ...]:
    return entry.node.sizes() if isinstance(entry, SymbolicArray) else ()


def _aligned(index: SymbolicArray, behind: int) -> SymbolicArray:
    """An index with `behind` dimensions of size 1 after its own."""
    return view(index, (*range(index.ndim), *[None] * behind)) if behind and index.ndim else index


def _element_of_rows(array: SymbolicArray, entries: Sequence[Any]) -> SymbolicArray | None:
    """x[arange(n), labels] of a matrix: one element of each row, which loops over the rows can pick."""
    if array.ndim != 2 or len(entries) != 2 or not all(isinstance(entry, SymbolicArray) for entry in entries):
        return None
    rows, labels = entries
    if not is_every_position(rows.node, array.node.sizes()[0]) or labels.ndim != 1:
        return None
    if labels.node.sizes() != rows.node.sizes():
        return None
    from .products import take_along_axis

    return view(take_along_axis(array, view(labels, (0, None)), axis=1), (0,))


def is_every_position(node: Node, size: int) -> bool:
    """Whether an index is 0, 1, ..., size - 1."""
    while node.operation is Op.ASTYPE:
        node = node.inputs[0]
    return node.operation is Op.IOTA and node.sizes() == (size,)


def gather(
    array: SymbolicArray, indices: Sequence[SymbolicArray], places: tuple[int, ...], sizes: tuple[int, ...]
) -> SymbolicArray:
    """Elements at indices; see `ir.attributes.Gather`."""
    trace = array.tracer
    nodes = [cast(trace, index, INT64).node if index.node.weak else index.node for index in indices]
    shape: list[Axis | None] = [None if size == 1 else Axis(size) for size in sizes]
    for dimension, place in enumerate(places):
        if place >= 0:
            shape[place] = array.node.shape[dimension]
    for node in nodes:
        for position in range(-node.ndim, 0):
            if node.shape[position] is not None:
                shape[position] = node.shape[position]
    made = trace.node(
        Op.GATHER, (array.node, *nodes), Gather(places), shape=tuple(shape), dtype=array.node.dtype
    )
    return SymbolicArray(trace, made)
