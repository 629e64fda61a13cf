"""The CUDA backend: a call's plan, compiled for a GPU, with its memory, ready to be called again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy

from ..codegen import results
from ..codegen.lower import lower
from ..common.forks import compile_lock
from ..common.libraries import device_key, device_of, library_of
from ..common.out_arrays import OutArrays
from ..common.trees import leaves
from ..trace.indices import checks_are_on, require_no_flag
from ..trace.trace import Traced
from .arrays import Arrays, Layout
from .device import Device
from .graphs import Graphs
from .launch_shapes import VECTOR_BYTES
from .launches import DeviceProperties, Launches
from .run import Run, Variant
from .target import CUDA


class CudaProgram:
    """A kernel compiled for calls of one form.

    device: where its arrays are
    launches: what makes kernels of a plan, with their launch shapes
    """

    def __init__(
        self,
        function: Callable[..., Any],
        kernel: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        donated_leaves: Sequence[int] = (),
        static_leaves: frozenset[int] = frozenset(),
        *,
        device: Device,
        launches: Callable[..., Launches] = Launches,
        traced: Traced | None = None,
    ) -> None:
        require_one_place(kernel, leaves((args, kwargs)), 0)
        lowered = lower(
            *(function, kernel, args, kwargs, donated_leaves, static_leaves), target=CUDA, traced=traced
        )
        self.traced, self.plan, self.shapes = lowered.traced, lowered.plan, lowered.shapes
        self.device, self._make_launches = device, launches
        self.kernel, self.guards, self.captured = kernel, self.traced.guards, self.traced.trace.captured
        self._constants = lowered.slot_values
        self._looks = self.traced.trace.call_checks
        everything = [*leaves((args, kwargs)), *self.captured]
        first = require_one_place(kernel, everything, len(self.captured))
        self._layout = Layout(lowered, everything, device)
        self.out_specs = results.out_specs(
            self.traced, self.plan, library_of(first) or "numpy", device_of(first)
        )
        self.out_orders: dict[Hashable, Any] = {}  # by signature of `out`
        dtypes = self.plan.slots.arguments
        self._scalars = [(leaf, float if dtype.is_float else int) for leaf, dtype in dtypes.items()]
        # The scalars, if they are the same in every call: then they can be part of a recorded graph.
        self._unchanging: list[int | float] | None = None
        if self._constants.keys() >= dtypes.keys():
            self._unchanging = [kind(self._constants[leaf]) for leaf, kind in self._scalars]
        self._first_captured = self.traced.trace.first_captured
        self._variants: dict[bool, Variant] = {}
        self._graphs = Graphs()
        self._multiplies = self.plan.multiplies

    def variant(self, *, aligned: bool) -> Variant:
        """The program for arrays whose addresses are multiples of 16 bytes, or for any."""
        with compile_lock:
            if aligned not in self._variants:
                device = self.device
                properties = DeviceProperties(
                    capability=device.capability,
                    processors=device.processors,
                    clusters=device.clusters,
                    aligned=aligned,
                    memory=device.memory,
                )
                launches = self._make_launches(self.plan, properties)
                self._variants[aligned] = Variant(launches, device)
            return self._variants[aligned]

    def __call__(self, values: Sequence[Any], out: OutArrays | None = None) -> Any:
        """The kernel's result for the leaves of a call of this form.

        out: arrays that take results; each has its result's shape and dtype
        """
        # A caller may have put captured arrays behind the leaves.
        everything = [*values, *self.captured] if len(values) == self._first_captured else values
        for leaf, look in self._looks:
            look(everything[leaf])
        arrays = self._layout.arrays(everything, out)
        self._launch(values, arrays)
        return self._layout.result(arrays, values, out)

    def _launch(self, values: Sequence[Any], arrays: Arrays) -> None:
        device, addresses = self.device, arrays.addresses
        bits = 0
        for address in addresses:
            bits |= address
        aligned = bits % VECTOR_BYTES == 0
        variant = self._variants.get(aligned) or self.variant(aligned=aligned)
        workspace = device.workspace(variant.bytes) if variant.bytes else None
        start = device.address(workspace) if workspace is not None else 0
        watched = variant.reports if variant.reports and checks_are_on() else []
        if watched:
            variant.flags(workspace)[...] = 0
        if self._scalars and self._unchanging is None:
            constants = self._constants
            variant.begin(
                start + variant.offsets["scalars"],
                [kind(constants[n] if n in constants else values[n]) for n, kind in self._scalars],
            )
        # What a graph has of its own: the addresses, and how products are computed.
        key = (*addresses, *arrays.output_addresses, start, device.precision() if self._multiplies else None)
        self._run(variant, arrays, workspace, key)
        if watched:
            require_no_flag(watched, variant.flags(workspace).tolist())

    def _run(self, variant: Variant, arrays: Arrays, workspace: Any, key: tuple[Hashable, ...]) -> None:
        recorded = self._graphs.get(key)
        if recorded is not None:
            recorded()
            return
        memories = self._layout.by_memory(arrays)
        run = Run(variant, memories, arrays.outputs, workspace, self._unchanging)
        self._graphs.run(key, run, self.device)


def require_one_place(kernel: str, everything: Sequence[Any], captured: int) -> Any:
    """The first array of a call, the others being of its library and on its device.

    captured: how many of them, at the end, are from outside of the arguments
    """
    arrays = [
        leaf for leaf in everything if library_of(leaf) is not None and not isinstance(leaf, numpy.generic)
    ]
    names = {library_of(array) for array in arrays}
    if len(names) > 1:
        raise TypeError(
            f"{kernel}: got arrays of {' and '.join(sorted(map(str, names)))}, some of them from outside its "
            "arguments; expected arrays of one library. Convert them before the call, for example with "
            "cupy.asarray."
        )
    for array in everything[len(everything) - captured :]:
        if device_key(array) != device_key(arrays[0]):
            raise ValueError(
                f"{kernel}: an array from outside its arguments is on {device_of(array)} and the arguments "
                f"are on {device_of(arrays[0])}; expected arrays on one device. Move one of them first."
            )
    return arrays[0]
