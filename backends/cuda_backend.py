"""The CUDA backend: a call's plan, compiled for a GPU, with its memory, ready to be called again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from .cuda_run import Run, Variant
from .cuda_stages import Stages
from .device import Device
from .geometry import VECTOR_BYTES
from .indices import checks_are_on, require_no_flag
from .libraries import library_of
from .loops import Product
from .lowering import lower
from .schedule import base
from .symbolic import SymbolicArray
from .trees import leaves, map_leaves

# A training loop comes back to the same few addresses; each set of them has a graph of its own.
MOST_GRAPHS = 16


class Graphs:
    """Recorded launches by the addresses they were recorded with, the last ones used."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, ...], Callable[[], None] | None] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, addresses: tuple[int, ...]) -> Callable[[], None] | None:
        """What was recorded for these addresses."""
        return self._known.get(addresses)

    def run(self, addresses: tuple[int, ...], run: Callable[[], None], device: Device) -> None:
        """Launch, and record what comes with the same addresses a second time."""
        with self._lock:
            is_new = addresses not in self._known
            if is_new:
                self._known[addresses] = None
                if len(self._known) > MOST_GRAPHS:
                    self._known.popitem(last=False)
        if is_new:
            run()
            return
        # Where nothing can be recorded, that need not be found out again.
        graph = device.graph(run) or run
        graph()
        with self._lock:
            self._known[addresses] = graph


class CudaProgram:
    """A kernel compiled for calls of one form.

    device: where its arrays are
    stages: what makes the kernels' geometries of a plan
    """

    def __init__(
        self,
        function: Callable[..., Any],
        kernel: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        donated_leaves: Sequence[int] = (),
        numbers: frozenset[int] = frozenset(),
        *,
        device: Device,
        stages: Callable[..., Stages] = Stages,
    ) -> None:
        lowered = lower(function, kernel, args, kwargs, donated_leaves, numbers, takes_halves=True)
        self.traced, self.plan, self.shapes = lowered.traced, lowered.plan, lowered.shapes
        self.device, self._stages = device, stages
        self._captured = self.traced.trace.captured
        self._require_one_library(kernel, leaves((args, kwargs)))
        self._arguments, self._results = self.plan.of_kind("argument"), self.plan.of_kind("result")
        self._fresh = [(tuple(axis.size for axis in m.axes), m.held) for m in self._results]
        self._outputs = [self.plan.held_number(node) for node in self.plan.number_outputs]
        dtypes = self.plan.scalar_dtypes
        self._scalars = [(leaf, float if dtype == "float64" else int) for leaf, dtype in dtypes.items()]
        self._variants: dict[bool, Variant] = {}
        self._compiling = threading.Lock()
        self._graphs = Graphs()
        # Products of halves need memory while they run, which a recorded graph may not ask for.
        products = any(isinstance(step, Product) for body in self.plan.bodies for step in body.steps)
        self._can_record = not (products or self.plan.schedule.whole) or not any(
            memory.half for memory in self.plan.memories
        )

    def _require_one_library(self, kernel: str, given: Sequence[Any]) -> None:
        found = {library_of(array) for array in [*given, *self._captured]} - {None}
        if len(found) > 1:
            names = " and ".join(sorted(map(str, found)))
            raise TypeError(
                f"{kernel}: got arrays of {names}, some of them from outside its arguments; expected arrays "
                "of one library. Convert them before the call, for example with cupy.asarray."
            )

    def variant(self, *, aligned: bool) -> Variant:
        """The program for arrays whose addresses are multiples of 16 bytes, or for any."""
        with self._compiling:
            if aligned not in self._variants:
                device = self.device
                stages = self._stages(
                    self.plan, capability=device.capability, processors=device.processors, aligned=aligned
                )
                self._variants[aligned] = Variant(stages, device)
            return self._variants[aligned]

    def __call__(self, values: Sequence[Any]) -> Any:
        """The kernel's result for the leaves of a call of this form."""
        device = self.device
        everything = [*values, *self._captured] if self._captured else values
        for leaf, look in self.traced.trace.every_call:
            look(everything[leaf])
        arguments = [device.plain(everything[memory.number], memory.held) for memory in self._arguments]
        spans = [(device.address(array), array.nbytes) for array in arguments]
        for position in self._overwritten_twice(spans):
            arguments[position] = arguments[position].copy()
            spans[position] = device.address(arguments[position]), spans[position][1]
        fresh = [device.empty(shape, dtype) for shape, dtype in self._fresh]
        outputs = [device.empty((), dtype) for dtype in self._outputs]
        addresses = [address for address, _ in spans] + [device.address(array) for array in fresh]
        aligned = all(address % VECTOR_BYTES == 0 for address in addresses)
        variant = self._variants.get(aligned) or self.variant(aligned=aligned)
        workspace = device.empty((max(1, variant.bytes),), "uint8")
        start = device.address(workspace)
        watched = variant.reports if variant.reports and checks_are_on() else []
        if watched:
            variant.flags(workspace)[...] = 0
        variant.begin(start, [kind(values[leaf]) for leaf, kind in self._scalars])
        key = (*addresses, *[device.address(array) for array in outputs], start)
        recorded = self._graphs.get(key) if self._can_record else None
        if recorded is not None:
            recorded()
        else:
            arrays = dict(zip([*self._arguments, *self._results], [*arguments, *fresh], strict=True))
            run = Run(variant, arrays, outputs, workspace)
            if self._can_record:
                self._graphs.run(key, run, device)
            else:
                run()
        if watched:
            require_no_flag(watched, variant.flags(workspace).tolist())
        return self._tree(arguments, fresh, outputs)

    def _overwritten_twice(self, spans: Sequence[tuple[int, int]]) -> list[int]:
        """The donated arguments whose memory is another argument's as well."""
        found = []
        for position, memory in enumerate(self._arguments):
            if memory.number in self.plan.donated:
                start, size = spans[position]
                if any(
                    start < other + length and other < start + size
                    for i, (other, length) in enumerate(spans)
                    if i != position
                ):
                    found.append(position)
        return found

    def _tree(self, arguments: Sequence[Any], fresh: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """What the kernel returns, with arrays in place of the traced ones."""
        arrays = dict(zip([*self._arguments, *self._results], [*arguments, *fresh], strict=True))
        nodes = iter(zip(self.plan.schedule.outputs, self.shapes, strict=True))

        def leaf(value: Any) -> Any:
            if not isinstance(value, SymbolicArray):
                return value
            node, shape = next(nodes)
            source = base(node)
            if not source.axes:
                return outputs[self.plan.number_outputs.index(source)].reshape(shape)
            array = arrays[self.plan.place[source]].reshape([axis.size for axis in source.axes])
            kept = tuple(axis.find() for axis in node.shape if axis is not None)
            if kept != source.axes:
                array = array.transpose([source.axes.index(axis) for axis in kept])
            return array.reshape(shape)

        return map_leaves(leaf, self.traced.result)
