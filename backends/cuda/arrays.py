"""The arrays of one call of a GPU program: arguments as it reads them, and where its results are written."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..codegen import results
from ..codegen.host_numbers import HostNumbers
from ..codegen.lower import Lowered
from ..common.out_arrays import OutArrays
from ..ir.dtypes import numpy_dtype
from ..ir.nest import Buffer, BufferKind
from .device import Device
from .results import number_of_array

# A training loop comes back to the same addresses: this many answers are kept.
MOST_OVERLAPS = 256


@dataclass(slots=True)
class Arrays:
    """What a program reads and writes.

    arguments, fresh, outputs: in the order of the layout's memories and numbers
    there:     the leaves of the result that are written into the caller's arrays themselves
    addresses: of arguments and fresh arrays; `output_addresses` of the numbers
    """

    arguments: list[Any]
    fresh: list[Any]
    outputs: list[Any]
    there: Collection[int]
    addresses: list[int]
    output_addresses: list[int]


class Layout:
    """Which arrays the calls of one program have.

    everything: the leaves of a call, and the arrays that the kernel has from elsewhere
    """

    def __init__(self, lowered: Lowered, everything: Sequence[Any], device: Device) -> None:
        traced, plan, shapes = lowered.traced, lowered.plan, lowered.shapes
        self._device = device
        self._arguments = plan.of_kind(BufferKind.ARGUMENT)
        self._results = plan.of_kind(BufferKind.RESULT)
        given = {memory: tuple(everything[memory.number].shape) for memory in self._arguments}
        self._reads = [
            (memory.number, numpy_dtype(memory.held), _strides(given[memory], memory.itemsize))
            for memory in self._arguments
        ]
        given |= {memory: results.shape_of(memory, plan, shapes) for memory in self._results}
        self._fresh = [(given[memory], numpy_dtype(memory.held)) for memory in self._results]
        self._outputs = [((), numpy_dtype(plan.rounding.held(node))) for node in plan.slots.outputs]
        self._donated = [i for i, m in enumerate(self._arguments) if m.number in plan.donated]
        memories = [*self._arguments, *self._results]
        self._bytes = [math.prod(given[memory]) * memory.itemsize for memory in memories]
        self._bytes += [plan.rounding.held(node).itemsize for node in plan.slots.outputs]
        numbers = results.number_places(traced, plan)
        # For every leaf of the result the position of what it is written to, counted through arguments, fresh
        # arrays and numbers; None where its memory is another leaf's too, or in another order.
        self._places = [
            memories.index(place) if place else None if number is None else len(memories) + number
            for place, number in zip(results.places(traced, plan), numbers, strict=True)
        ]
        self._python_numbers = HostNumbers(plan.outputs, lowered.slot_values)
        self._overlaps: dict[tuple[int | None, ...], frozenset[int]] = {}  # by addresses, see `_shared`
        number = number_of_array(plan, self._python_numbers.position)
        self._build = results.builder(traced, plan, number, self._arguments, given)

    def arrays(self, everything: Sequence[Any], out: OutArrays | None) -> Arrays:
        """The arrays of one call."""
        plain, empty, address = self._device.plain, self._device.empty, self._device.address
        arguments = [plain(everything[number], held, strides) for number, held, strides in self._reads]
        there: Collection[int] = ()
        if out is not None:
            fresh, outputs, there = self._placed(arguments, out)
        else:
            fresh = [empty(shape, dtype) for shape, dtype in self._fresh]
            outputs = [empty(shape, dtype) for shape, dtype in self._outputs]
        addresses = [address(array) for array in arguments]
        if out is None and self._donated and (shared := self._shared(addresses)):
            self._keep(arguments, shared)
            addresses = [address(array) for array in arguments]
        addresses += [address(array) for array in fresh]
        return Arrays(arguments, fresh, outputs, there, addresses, [address(array) for array in outputs])

    def _keep(self, arguments: list[Any], shared: Collection[int]) -> None:
        """Let results take copies of the donated arguments that somebody else uses."""
        for position in self._donated:
            if position in shared:
                arguments[position] = arguments[position].copy()

    def by_memory(self, arrays: Arrays) -> dict[Buffer, Any]:
        """Arguments and fresh arrays by the memory of the plan that they are."""
        memories = [*self._arguments, *self._results]
        return dict(zip(memories, [*arrays.arguments, *arrays.fresh], strict=True))

    def result(self, arrays: Arrays, values: Sequence[Any], out: OutArrays | None) -> Any:
        """What the kernel returns, with arrays and Python numbers in place of the traced ones.

        values: the leaves of the call
        """
        python_numbers = self._python_numbers(values)
        result = self._build(arrays.arguments, arrays.fresh, arrays.outputs, python_numbers)
        return result if out is None else out.copy_from(result, arrays.there)

    def _placed(self, arguments: list[Any], out: OutArrays) -> tuple[list[Any], list[Any], Collection[int]]:
        """Fresh arrays and numbers, with the caller's among them that can be written where they are.

        An out array that shares memory with another array is left to be copied into.
        returns: fresh arrays, numbers, and the leaves of the result that are written where they are wanted
        """
        count = len(arguments)
        wanted = [*self._fresh, *self._outputs]
        made: list[Any] = [None] * len(wanted)
        direct: dict[int, int] = {}  # positions -> leaves of the result
        copied: list[int] = []
        for leaf, (array, position) in enumerate(zip(out.arrays, self._places, strict=True)):
            if array is None:
                continue
            if position is not None and position < count and arguments[position] is array:
                direct[position] = leaf
            elif position is not None and position >= count and self._can_be_written(array):
                made[position - count] = array
                direct[position] = leaf
            else:
                copied.append(leaf)
        address = self._device.address
        shared = self._shared([None if array is None else address(array) for array in (*arguments, *made)])
        if shared.isdisjoint([*direct, *self._donated]):
            out.require_disjoint(copied)
        else:
            out.require_disjoint()
            for position in shared & direct.keys():
                del direct[position]
                if position >= count:
                    made[position - count] = None
            self._keep(arguments, shared)
        made = [
            self._device.empty(*want) if array is None else array
            for array, want in zip(made, wanted, strict=True)
        ]
        return made[: len(self._fresh)], made[len(self._fresh) :], direct.values()

    def _can_be_written(self, array: Any) -> bool:
        """Whether a kernel can write into an array of the caller's: in C order, and on its alignment."""
        return bool(array.flags.c_contiguous) and self._device.address(array) % array.itemsize == 0

    def _shared(self, addresses: Sequence[int | None]) -> frozenset[int]:
        """The positions of the arrays that have memory in common with another one.

        addresses: of arguments, or of them, fresh arrays and numbers; None for those that are not there yet
        """
        key = tuple(addresses)
        found = self._overlaps.get(key)
        if found is None:
            if len(self._overlaps) >= MOST_OVERLAPS:
                self._overlaps.clear()
            there = [(start, self._bytes[i], i) for i, start in enumerate(key) if start is not None]
            found = self._overlaps[key] = frozenset(overlapping(there))
        return found


def _strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides of an array in C order, in bytes."""
    return tuple(itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def overlapping(spans: Iterable[tuple[int, int, int]]) -> set[int]:
    """The names of the spans (start, bytes, name) that have bytes in common with another one."""
    found: set[int] = set()
    reach, owner = 0, -1  # the end of what lies furthest so far
    for start, size, name in sorted(spans):
        if size:
            if start < reach:
                found |= {name, owner}
            if start + size > reach:
                reach, owner = start + size, name
    return found
