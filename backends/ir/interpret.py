"""An interpreter of graphs: their values, operation by operation, in any array namespace.

Takes: the outputs of a graph, the leaves of a call, a namespace of the array API standard. Gives: arrays.

    v2: float32(3) = add(v0, v1)    in NumPy calls    numpy.add(leaves[0], leaves[1])

Tests compare the values of a graph before and after a pass; nothing is compiled. The leaves must have the
sizes of the traced call. Where functions of the namespace take `out=`, results go into the memory of dead
values: those that no later operation needs.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy

from . import library
from .attributes import (
    Bounds,
    BroadcastTo,
    Concat,
    Constant,
    Gather,
    Iota,
    Leaf,
    LibraryCall,
    Reduction,
    Size,
    Slice,
    Transposes,
    View,
)
from .dtypes import INT64, PYTHON_TYPES, DType, dtype_of, python_dtype
from .graph import Node, walk
from .operations import ELEMENTWISE, REDUCTIONS, Op, Takes


@dataclass(frozen=True)
class Call:
    """What a graph is evaluated for.

    leaves:  arrays and numbers of the call, and the captured arrays behind them
    scalars: numbers by their slots behind the leaves
    device:  of new arrays; None for the namespace's own choice
    several: results of functions that have several
    dtypes:  the namespace's own dtypes, by name
    """

    leaves: Sequence[Any]
    scalars: Mapping[int, float]
    xp: Any
    device: Any = None
    several: dict[Hashable, Any] = field(default_factory=dict)
    dtypes: dict[str, Any] = field(default_factory=dict)

    def number(self, number: float, dtype: DType) -> Any:
        """A number as an array of shape ()."""
        value = PYTHON_TYPES[python_dtype(dtype)](number)
        return self.xp.asarray(value, dtype=self.dtype(dtype), device=self.device)

    def dtype(self, dtype: DType) -> Any:
        """The namespace's own of a dtype; JAX has 64 bits only where they are enabled."""
        if dtype.name not in self.dtypes:
            given = getattr(self.xp, dtype.name)
            is_wide = dtype.bits == 64 and library.is_jax(self.xp)
            self.dtypes[dtype.name] = library.narrowed_by_jax(given) if is_wide else given
        return self.dtypes[dtype.name]


def interpret(
    outputs: Sequence[Node],
    leaves: Sequence[Any],
    xp: Any,
    *,
    scalars: Mapping[int, float] | None = None,
    device: Any = None,
) -> list[Any]:
    """The values of the outputs.

    leaves:  arrays and numbers of the call, and the captured arrays behind them
    scalars: numbers by their slots behind the leaves
    device:  of new arrays
    raises:  TypeError for a result whose shape or dtype is not that of its node
    """
    return Interpreter(outputs, xp)(Call(leaves, scalars or {}, xp, device))


def computed(call: Call, node: Node, inputs: Sequence[Any]) -> Any:
    """The value of one node, whose inputs are known."""
    return _OPERATIONS[node.operation](call, node, *inputs)


class Step(NamedTuple):
    """One operation of an interpreter. Values are numbered in the order in which they are computed.

    out:  the value whose memory takes the result; None for new memory
    dead: values that no later step needs
    """

    node: Node
    run: Callable[..., Any]
    inputs: tuple[int, ...]
    sizes: tuple[int, ...]
    out: int | None
    dead: tuple[int, ...]


class Interpreter:
    """The operations of a graph in order, with the memory of their results; found out once for all calls."""

    def __init__(self, outputs: Sequence[Node], xp: Any) -> None:
        order = list(walk(outputs))
        numbers = {node: number for number, node in enumerate(order)}
        lifetimes = _Lifetimes(order, outputs)
        taken = lifetimes.memory_of_results(xp)
        last: dict[int, int] = {}  # step after which a value is needed no more
        for step, node in enumerate(order):
            for source in node.inputs:
                last[numbers[source]] = step
            if node in taken:
                last[numbers[taken[node]]] = step
        kept = {numbers[node] for node in outputs}
        dead: dict[int, list[int]] = {}
        for value, step in last.items():
            if value not in kept:
                dead.setdefault(step, []).append(value)
        self._outputs = [numbers[node] for node in outputs]
        self.steps = [
            Step(
                node,
                _OPERATIONS[node.operation],
                tuple(numbers[source] for source in node.inputs),
                node.sizes(),
                numbers[taken[node]] if node in taken else None,
                tuple(dead.get(step, ())),
            )
            for step, node in enumerate(order)
        ]

    def __call__(self, call: Call) -> list[Any]:
        """The values of the outputs."""
        values: list[Any] = [None] * len(self.steps)
        for number, (node, run, inputs, sizes, out, dead) in enumerate(self.steps):
            given = [values[source] for source in inputs]
            made = run(call, node, *given) if out is None else run(call, node, *given, out=values[out])
            if tuple(made.shape) != sizes or made.dtype != call.dtype(node.dtype):
                raise TypeError(
                    f"interpret: {node}: got an array of dtype {made.dtype} and shape {tuple(made.shape)}; "
                    f"expected {node.dtype} and {sizes}."
                )
            values[number] = made
            for value in dead:
                values[value] = None
        return [values[number] for number in self._outputs]


# Memory

# Their results may share the memory of the input: views, and rounded integers.
SHARING = (
    *(Op.VIEW, Op.SLICE, Op.RESHAPE, Op.BROADCAST_TO, Op.MARK),
    *(Op.CEIL, Op.FLOOR, Op.ROUND, Op.TRUNC),
)


class _Lifetimes:
    """Which values are dead when: their memory is for results of the same shape and dtype."""

    def __init__(self, order: Sequence[Node], outputs: Sequence[Node]) -> None:
        self._order = order
        self._owner: dict[Node, Node] = {}  # the value whose memory a value may share
        for node in order:
            self._owner[node] = self._owner[node.inputs[0]] if node.operation in SHARING else node
        read = [source for node in order for source in node.inputs]
        self._reads_left = Counter(self._owner[node] for node in [*read, *outputs])
        self._free: dict[tuple[tuple[int, ...], DType], list[Node]] = {}

    def memory_of_results(self, xp: Any) -> dict[Node, Node]:
        """For each operation that takes `out=`, and that there is memory for, the dead value that has it.

        The memory of an input will do, because each element is read where its result is written. A view reads
        elsewhere, so the memory that it shows is free only after the operation.
        """
        found: dict[Node, Node] = {}
        for node in self._order:
            for source in node.inputs:
                if self._owner[source] is source:
                    self._read(source)
            free = self._free.get((node.sizes(), node.dtype))
            if free and takes_out(xp, node.operation):
                found[node] = free.pop()
            for source in node.inputs:
                if self._owner[source] is not source:
                    self._read(self._owner[source])
        return found

    def _read(self, owner: Node) -> None:
        self._reads_left[owner] -= 1
        # Arguments must not change. NumPy's results of shape () are scalars, which cannot be written into.
        if not self._reads_left[owner] and owner.shape and owner.operation is not Op.INPUT:
            self._free.setdefault((owner.sizes(), owner.dtype), []).append(owner)


_PROBED = {Takes.BOOL: "bool", Takes.INTEGER_OR_BOOL: "bool"}


@functools.cache
def takes_out(xp: Any, operation: Op) -> bool:
    """Whether the namespace's function takes `out=`; tried with empty arrays.

    PyTorch's do, but not where a gradient of its own is recorded.
    """
    rule = ELEMENTWISE.get(operation)
    if rule is None or "torch" in xp.__name__:
        return False
    dtype = dtype_of(_PROBED.get(rule.takes, "float32"))
    assert dtype is not None
    empty = [xp.zeros(0, dtype=getattr(xp, name)) for name in (dtype.name, (rule.gives or dtype).name)]
    try:
        return getattr(xp, operation.value)(*empty[:1] * rule.arity, out=empty[1]) is empty[1]
    except Exception:  # each library has its own for an argument that it does not know
        return False


# Operations


def _input(call: Call, node: Node) -> Any:
    """An array of the call, in the dtype it stands for; a pass may have made one dimension of several."""
    leaf = call.leaves[node.attribute_as(Leaf).number]
    is_own = hasattr(leaf, "dtype") and not isinstance(leaf, numpy.ndarray | numpy.generic)
    array = leaf if is_own else call.xp.asarray(leaf, device=call.device)
    return call.xp.reshape(call.xp.astype(array, call.dtype(node.dtype), copy=False), node.sizes())


def _scalar(call: Call, node: Node) -> Any:
    leaf = node.attribute_as(Leaf).number
    return call.number(call.scalars[leaf] if leaf in call.scalars else call.leaves[leaf], node.dtype)


def _constant(call: Call, node: Node) -> Any:
    return call.number(node.attribute_as(Constant).value, node.dtype)


def _size(call: Call, node: Node) -> Any:
    return call.number(node.attribute_as(Size).axis.find().size, node.dtype)


def _iota(call: Call, node: Node) -> Any:
    axis = node.attribute_as(Iota).axis
    size = 1 if axis is None else axis.size
    return call.xp.arange(size, dtype=call.dtype(node.dtype), device=call.device)


def _elementwise(call: Call, node: Node, *inputs: Any, **out: Any) -> Any:
    return getattr(call.xp, node.operation.value)(*inputs, **out)


def _astype(call: Call, node: Node, array: Any) -> Any:
    return call.xp.astype(array, call.dtype(node.dtype))


def _sum_or_product(call: Call, node: Node, array: Any) -> Any:
    dimensions, dtype = node.attribute_as(Reduction).dimensions, call.dtype(node.dtype)
    return getattr(call.xp, node.operation.value)(array, axis=dimensions, dtype=dtype)


def _reduction(call: Call, node: Node, array: Any) -> Any:
    return getattr(call.xp, node.operation.value)(array, axis=node.attribute_as(Reduction).dimensions)


def _view(call: Call, node: Node, array: Any) -> Any:
    kept = [d for d in node.attribute_as(View).dimensions if d is not None]
    left_out = [d for d in range(array.ndim) if d not in kept]
    return call.xp.reshape(call.xp.permute_dims(array, (*kept, *left_out)), node.sizes())


def _broadcast_to(call: Call, node: Node, array: Any) -> Any:
    sizes = tuple(1 if axis is None else axis.size for axis in node.attribute_as(BroadcastTo).shape)
    return call.xp.broadcast_to(array, sizes)


def _copy(call: Call, node: Node, array: Any) -> Any:
    return call.xp.asarray(array, copy=True)


def _matmul(call: Call, node: Node, *factors: Any) -> Any:
    transposed = zip(factors, node.attribute_as(Transposes).transposed, strict=True)
    return call.xp.matmul(
        *(call.xp.matrix_transpose(a) if is_transposed else a for a, is_transposed in transposed)
    )


def _take_along_axis(call: Call, node: Node, scores: Any, index: Any) -> Any:
    return call.xp.take_along_axis(scores, call.xp.astype(index, call.dtype(INT64)), axis=1)


def _take(call: Call, node: Node, vector: Any, index: Any) -> Any:
    flat = call.xp.reshape(call.xp.astype(index, call.dtype(INT64)), (math.prod(index.shape),))
    return call.xp.reshape(call.xp.take(vector, flat, axis=0), node.sizes())


def _slice(call: Call, node: Node, array: Any) -> Any:
    attribute = node.attribute_as(Slice)
    return _turned(call, attribute, array[key_of(attribute)])


def _update(call: Call, node: Node, array: Any, value: Any) -> Any:
    attribute = node.attribute_as(Slice)
    return library.with_elements(call.xp, array, key_of(attribute), _turned(call, attribute, value))


def updated_in_place(call: Call, node: Node, array: Any, value: Any) -> Any:
    """The value of an update, in the memory of its first input."""
    attribute = node.attribute_as(Slice)
    array[key_of(attribute)] = _turned(call, attribute, value)
    return array


def _turned(call: Call, attribute: Slice, part: Any) -> Any:
    """The elements of a slice in its own order, from those in the order of `key_of`; or the reverse."""
    axes = tuple(d for d, given in enumerate(attribute.ranges) if given is not None and given[1] < 0)
    return call.xp.flip(part, axis=axes) if axes else part


def key_of(attribute: Slice) -> tuple[slice, ...]:
    """The key of a slice with its elements in ascending order; PyTorch has no negative steps."""
    ranges = zip(attribute.ranges, attribute.sizes, strict=True)
    return tuple(slice(None) if given is None else _range(*given, count) for given, count in ranges)


def _range(start: int, step: int, count: int) -> slice:
    if step < 0:
        start, step = start + step * (count - 1), -step
    return slice(start, start + step * (count - 1) + 1, step) if count else slice(0, 0)


def _reshape(call: Call, node: Node, array: Any) -> Any:
    return call.xp.reshape(array, node.sizes())


def _concat(call: Call, node: Node, *arrays: Any) -> Any:
    return call.xp.concat(arrays, axis=node.attribute_as(Concat).dimension)


def _gather(call: Call, node: Node, array: Any, *indices: Any) -> Any:
    xp, places = call.xp, node.attribute_as(Gather).places
    indices = indices[: len(indices) - len(node.attribute_as(Gather).tests)]
    looked_up = [d for d, place in enumerate(places) if place < 0]
    if node.attribute_as(Gather).bounds is Bounds.CHOSEN:
        # What nothing chooses may be any element.
        sizes = {-1 - places[d]: array.shape[d] for d in looked_up}
        indices = tuple(xp.clip(index, 0, sizes[i] - 1) for i, index in enumerate(indices))
    if len(looked_up) == len(indices) == 1 and indices[0].ndim == 1:
        others = [place for place in places if place >= 0]
        is_last = node.ndim == array.ndim == looked_up[0] + 1
        if is_last and others == sorted(others) and tuple(array.shape[:-1]) == node.sizes()[:-1]:
            return xp.take(array, xp.astype(indices[0], call.dtype(INT64)), axis=looked_up[0])
    # Every dimension gets an index of the result's dimensions.
    key = [
        indices[-1 - place] if place < 0 else xp.asarray(0) if size == 1 else _along(call, node, place)
        for place, size in zip(places, array.shape, strict=True)
    ]
    found = array[tuple(key)]
    if tuple(found.shape) == node.sizes():
        return found
    return xp.asarray(xp.broadcast_to(found, node.sizes()), copy=True)


def _along(call: Call, node: Node, dimension: int) -> Any:
    """The positions along a dimension of the result, in a shape that broadcasts with it."""
    shape = [1] * node.ndim
    shape[dimension] = node.sizes()[dimension]
    return call.xp.reshape(call.xp.arange(shape[dimension], device=call.device), tuple(shape))


def _called(call: Call, node: Node, arrays: Sequence[Any]) -> Any:
    """All results of a function of the library."""
    attribute = node.attribute_as(LibraryCall)
    return library.call(attribute.function, call.xp, dict(attribute.options), arrays)


def _converted(call: Call, node: Node, result: Any) -> Any:
    """A result of a function of the library, in the dtype of its node."""
    return call.xp.astype(call.xp.asarray(result), call.dtype(node.dtype), copy=False)


def _library(call: Call, node: Node, *arrays: Any) -> Any:
    attribute = node.attribute_as(LibraryCall)
    if attribute.part is None:
        found = _called(call, node, arrays)
        # As matrix_power(x, 1) in NumPy: the memory of a result may be used again, that of an argument not.
        is_shared = any(found is array for array in arrays)
        return _converted(call, node, call.xp.asarray(found, copy=True) if is_shared else found)
    key = attribute.function, attribute.options, node.inputs
    if key not in call.several:
        call.several[key] = _called(call, node, arrays)
    return _converted(call, node, call.several[key][attribute.part])


def _mark(call: Call, node: Node, array: Any) -> Any:
    return array


_OPERATIONS: dict[Op, Callable[..., Any]] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    Op.ASTYPE: _astype,
    **dict.fromkeys(REDUCTIONS, _reduction),
    Op.SUM: _sum_or_product,
    Op.PROD: _sum_or_product,
    Op.INPUT: _input,
    Op.SCALAR: _scalar,
    Op.CONSTANT: _constant,
    Op.SIZE: _size,
    Op.IOTA: _iota,
    Op.VIEW: _view,
    Op.BROADCAST_TO: _broadcast_to,
    Op.COPY: _copy,
    Op.MATMUL: _matmul,
    Op.TAKE_ALONG_AXIS: _take_along_axis,
    Op.TAKE: _take,
    Op.SLICE: _slice,
    Op.UPDATE: _update,
    Op.RESHAPE: _reshape,
    Op.CONCAT: _concat,
    Op.GATHER: _gather,
    Op.LIBRARY: _library,
    Op.MARK: _mark,
}
