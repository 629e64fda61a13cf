"""The arrays of one call of a GPU program: arguments as it reads them, and where its results are written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from . import results
from .destinations import Destinations
from .device import Device
from .host_numbers import HostNumbers
from .plan import Memory, Plan
from .trace import Traced


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

    def __init__(
        self,
        traced: Traced,
        plan: Plan,
        shapes: Sequence[tuple[int, ...]],
        everything: Sequence[Any],
        device: Device,
    ) -> None:
        self._device = device
        self._arguments, self._results = plan.of_kind("argument"), plan.of_kind("result")
        self._reads = [(memory.number, memory.held) for memory in self._arguments]
        given = {memory: tuple(everything[memory.number].shape) for memory in self._arguments}
        given |= {memory: results.shape_of(memory, plan, shapes) for memory in self._results}
        self._fresh = [(given[memory], memory.held) for memory in self._results]
        self._outputs = [((), plan.held_number(node)) for node in plan.number_outputs]
        self._donated = [i for i, m in enumerate(self._arguments) if m.number in plan.donated]
        memories = [*self._arguments, *self._results]
        numbers = results.number_places(traced, plan)
        # For every leaf of the result the position of what it is written to, counted through arguments, fresh
        # arrays and numbers; None where its memory is another leaf's too, or in another order.
        self._places = [
            memories.index(place) if place else None if number is None else len(memories) + number
            for place, number in zip(results.places(traced, plan), numbers, strict=True)
        ]
        self._python_numbers = HostNumbers(plan.schedule.outputs)
        number = results.number_of_array(plan, self._python_numbers.position)
        self._build = results.builder(traced, plan, number, self._arguments, given)

    def arrays(self, everything: Sequence[Any], destinations: Destinations | None) -> Arrays:
        """The arrays of one call."""
        device = self._device
        arguments = [device.plain(everything[number], held) for number, held in self._reads]
        there: Collection[int] = ()
        if destinations is not None:
            fresh, outputs, there = self._placed(arguments, destinations)
        else:
            fresh = [device.empty(*wanted) for wanted in self._fresh]
            outputs = [device.empty(*wanted) for wanted in self._outputs]
            for position in self._shared(self._donated, arguments) if self._donated else ():
                arguments[position] = arguments[position].copy()
        address = device.address
        return Arrays(
            arguments,
            fresh,
            outputs,
            there,
            [address(array) for array in [*arguments, *fresh]],
            [address(array) for array in outputs],
        )

    def by_memory(self, arrays: Arrays) -> dict[Memory, Any]:
        """Arguments and fresh arrays by the memory of the plan that they are."""
        memories = [*self._arguments, *self._results]
        return dict(zip(memories, [*arrays.arguments, *arrays.fresh], strict=True))

    def result(self, arrays: Arrays, values: Sequence[Any], destinations: Destinations | None) -> Any:
        """What the kernel returns, with arrays and Python numbers in place of the traced ones.

        values: the leaves of the call
        """
        python_numbers = self._python_numbers(values)
        result = self._build(arrays.arguments, arrays.fresh, arrays.outputs, python_numbers)
        return result if destinations is None else destinations.filled(result, arrays.there)

    def _placed(
        self, arguments: list[Any], destinations: Destinations
    ) -> tuple[list[Any], list[Any], Collection[int]]:
        """Fresh arrays and numbers, with the caller's among them that can be written where they are.

        A destination whose memory is another array's as well is left to be copied into.
        returns: fresh arrays, numbers, and the leaves of the result that are written where they are wanted
        """
        count = len(arguments)
        wanted = [*self._fresh, *self._outputs]
        made: list[Any] = [None] * len(wanted)
        direct: dict[int, int] = {}  # positions -> leaves of the result
        copied: list[int] = []
        for leaf, (array, position) in enumerate(zip(destinations.arrays, self._places, strict=True)):
            if array is None:
                continue
            if position is not None and position < count and arguments[position] is array:
                direct[position] = leaf
            elif position is not None and position >= count and self._can_be_written(array):
                made[position - count] = array
                direct[position] = leaf
            else:
                copied.append(leaf)
        everything = [*arguments, *(array for array in made if array is not None)]
        positions = [*range(count), *(count + i for i, array in enumerate(made) if array is not None)]
        shared = {positions[i] for i in self._shared(range(len(everything)), everything)}
        if shared.isdisjoint([*direct, *self._donated]):
            destinations.require_apart(copied)
        else:
            destinations.require_apart()
            for position in shared & direct.keys():
                del direct[position]
                if position >= count:
                    made[position - count] = None
            if not shared.isdisjoint(self._donated):
                # Results take copies of the donated arguments, which somebody else uses.
                for position in self._donated:
                    arguments[position] = arguments[position].copy()
                direct = {position: leaf for position, leaf in direct.items() if position >= count}
        made = [
            self._device.empty(*want) if array is None else array
            for array, want in zip(made, wanted, strict=True)
        ]
        return made[: len(self._fresh)], made[len(self._fresh) :], direct.values()

    def _can_be_written(self, array: Any) -> bool:
        """Whether a kernel can write into an array of the caller's: in C order, and on its alignment."""
        return bool(array.flags.c_contiguous) and self._device.address(array) % array.itemsize == 0

    def _shared(self, some: Iterable[int], arrays: Sequence[Any]) -> list[int]:
        """Those of some arrays that have memory which is another array's as well."""
        spans = [(start := self._device.address(array), start + array.nbytes) for array in arrays]
        return [
            one
            for one in some
            if any(
                spans[one][0] < end and start < spans[one][1]
                for other, (start, end) in enumerate(spans)
                if other != one
            )
        ]
