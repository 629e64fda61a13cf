"""The CPU backend: a call's plan, compiled, with its memory, ready to be called again."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy

from ..codegen import cost, results
from ..codegen.coalesce import TooManyDimensionsError
from ..common.bounds import use_compiled
from ..common.out_arrays import OutArrays
from ..common.trees import leaves, map_leaves
from ..ir.attributes import Layout
from ..ir.dtypes import numpy_dtype
from ..ir.nest import BufferKind
from ..trace import indices
from ..trace.trace import Traced
from .llvm import cache
from .render import pointers_in_table, routines, sizes_in_table, strides_in_table
from .results import allocation, number_of_memory
from .runtime import blas, memory, threads
from .runtime.addresses import layout_of, overlap
from .runtime.bounds import bounds
from .runtime.entry import RAN, SHARED, ArrayForm, entry, form
from .text import CpuText

_ALIGNMENT = 64
_MAX_VARIANTS = 64

# Work that takes less holds Python's lock: to give it away and get it back may take longer.
_WORTH_UNLOCKING_NS = 5_000

use_compiled(bounds)


class Frame:
    """What one running call of a program has for itself."""

    __slots__ = ("integers", "scalars", "table")

    def __init__(self, table: Any, scalars: Any) -> None:
        self.table, self.scalars = table, scalars
        self.integers = scalars.view(numpy.int64)


class Form:
    """A program made ready for a number of workers.

    words:     see `runtime.entry`
    workspace: bytes of its scratch buffers
    is_shared: whether it has stages for threads
    """

    __slots__ = ("count", "is_shared", "words", "workspace")

    def __init__(self, count: int, words: Any, workspace: int, *, is_shared: bool) -> None:
        self.count, self.words, self.workspace, self.is_shared = count, words, workspace, is_shared


class CpuProgram:
    """A kernel compiled for calls of one form.

    kernel:   its name
    guards:   what its trace depends on besides the signature
    captured: arrays that the kernel has from elsewhere, which follow the leaves of a call
    """

    def __init__(
        self,
        function: Callable[..., Any],
        kernel: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        donated_leaves: Sequence[int] = (),
        static_leaves: frozenset[int] = frozenset(),
        layouts: Mapping[int, Layout] | None = None,
        traced: Traced | None = None,
    ) -> None:
        text = CpuText(function, kernel, args, kwargs, donated_leaves, static_leaves, layouts, traced)
        self._address = cache.load(f"{text.source}\n\n{routines()}", "program", threads.PROGRAM, kernel)
        self._enter = entry()
        self.kernel, self.guards = kernel, text.traced.guards
        self.captured: list[Any] = text.traced.trace.captured
        self._looks = text.traced.trace.call_checks
        self._layouts = dict(layouts or {})
        self._variants: dict[Hashable, CpuProgram | None] = {}  # by the layouts of arguments
        count = iter(range(len(leaves((args, kwargs)))))
        like = map_leaves(lambda _: next(count), (args, kwargs))
        self._variant = functools.partial(_variant, function, kernel, like, donated_leaves, static_leaves)
        self._find_arrays(text, [*leaves((args, kwargs)), *self.captured])
        self._find_results(text)
        self._find_sizes(text)
        self._find_numbers(text, leaves((args, kwargs)))
        # Asking for the threads takes longer than a small kernel.
        self._is_large = any(share.most > 1 for share in self._shares)
        self._forms: dict[Hashable, Form] = {}
        self._frames: deque[Frame] = deque(maxlen=16)
        self._form = self._form_of(threads.worker_count(), self._donated)

    # What every call needs is found out once. A program keeps no plan.

    def _find_arrays(self, text: CpuText, everything: list[Any]) -> None:
        """The arrays of a call: arguments and captured arrays, then results."""
        plan, sizes = text.plan, text.sizes
        arguments, fresh = plan.of_kind(BufferKind.ARGUMENT), plan.of_kind(BufferKind.RESULT)
        given = [numpy.asarray(everything[m.number]) for m in arguments]
        # To the program only addresses matter; the shapes are those of the caller's arrays.
        shapes = {m: array.shape or (1,) for m, array in zip(arguments, given, strict=True)}
        shapes |= {m: results.shape_of(m, plan, text.shapes) for m in fresh}
        self._fresh = [allocation(m, shapes[m]) for m in fresh]
        self._leaves = [m.number for m in arguments]
        self._dtypes = [numpy_dtype(m.dtype) for m in arguments]
        self._shapes = [shapes[m] for m in arguments]
        # What is never as the program wants it, in all calls of this form.
        self._odd = [
            position
            for position, m in enumerate(arguments)
            if type(everything[m.number]) is not numpy.ndarray
            or given[position].ndim == 0
            or not given[position].dtype.isnative
        ]
        self._donated = tuple(i for i, m in enumerate(arguments) if m.number in plan.donated)
        strides = {m: number for number, m in enumerate(strides_in_table(plan))}
        first_stride = len(sizes_in_table(plan)) + 2 + len(pointers_in_table(plan))
        self._arrays = [
            ArrayForm(
                m.itemsize,
                sizes.elements(m.axes) * m.itemsize,
                m.layout,
                first_stride + strides.get(m, 0),
                overwritten=m.kind is BufferKind.RESULT or m.number in plan.donated,
            )
            for m in arguments + fresh
        ]
        positions = {m: position for position, m in enumerate(arguments + fresh)}
        places = results.places(text.traced, plan)
        self._places = [None if place is None else positions[place] for place in places]
        number = number_of_memory(plan.slots.outputs)
        self._build = results.builder(text.traced, plan, number, arguments, shapes)

    def _find_results(self, text: CpuText) -> None:
        self.out_specs = results.out_specs(text.traced, text.plan)
        self.out_orders: dict[Hashable, Any] = {}  # by signature of `out`
        self._reports = indices.reports(self.kernel, text.plan.flags)

    def _find_sizes(self, text: CpuText) -> None:
        """The table, and what the program needs for a number of workers."""
        plan, sizes = text.plan, text.sizes
        products = blas.load() if plan.multiplies else None
        table = [sizes.of[axis] for axis in plan.axes] + [work.block for work in sizes.loops]
        table += [products.sgemm, products.dgemm] if products else [0, 0]
        self._first_array = len(table)
        pointers = pointers_in_table(plan)
        table += [0] * (len(pointers) + len(strides_in_table(plan)))
        self._table = numpy.array(table, numpy.int64)
        of_caller = (BufferKind.ARGUMENT, BufferKind.RESULT)
        self._scratch = [
            (position, sizes.scratch(m))
            for position, m in enumerate(pointers, self._first_array)
            if m.kind not in of_caller
        ]
        self._shares, self._has_outputs = sizes.shares(), bool(plan.slots.outputs)
        nanoseconds = sum(work.nanoseconds for work in sizes.loops)
        self._is_unlocked = nanoseconds > _WORTH_UNLOCKING_NS or any(stage.products for stage in plan.stages)

    def _find_numbers(self, text: CpuText, values: Sequence[Any]) -> None:
        """The scalar buffer: which numbers of a call go where."""
        slots = text.plan.slots
        self._slots, self._flags = slots.count, len(text.plan.flags)
        held = [
            (slot, leaf, not dtype.is_float) for slot, (leaf, dtype) in enumerate(slots.arguments.items())
        ]
        constants = text.slot_values
        self._fixed = [(slot, constants[leaf], whole) for slot, leaf, whole in held if leaf in constants]
        scalars = [scalar for scalar in held if scalar[1] not in constants]
        self._numbers = [
            (slot, leaf, whole) for slot, leaf, whole in scalars if _is_plain(values[leaf], whole)
        ]
        self._other_numbers = [scalar for scalar in scalars if scalar not in self._numbers]
        self._number_leaves = [leaf for _, leaf, _ in self._numbers]

    def _form_of(self, count: int, watched: tuple[int, ...]) -> Form:
        """The form for a number of workers, which looks whether `watched` arrays share memory with others."""
        # Threads of Python's may be allowed different numbers: none may run in another one's memory.
        found = self._forms.get((count, watched))
        if found is None:
            found = self._forms[count, watched] = self._new_form(count, watched)
        return found

    def _new_form(self, count: int, watched: tuple[int, ...]) -> Form:
        stages = cost.stages(self._shares, count, has_outputs=self._has_outputs)
        workers = max((workers for _, workers, _ in stages), default=1)
        scratch, end = [], 0
        for position, needed in self._scratch:
            scratch.append((position, end))
            end += -(-needed.bytes(workers) // _ALIGNMENT) * _ALIGNMENT
        numbers = [(slot, whole) for slot, _, whole in self._numbers]
        words = form(
            *(self._address, stages, self._first_array, self._arrays, scratch, watched, numbers),
            unlocked=self._is_unlocked,
        )
        is_shared = any(parallel for _, _, parallel in stages)
        return Form(count, words, end + _ALIGNMENT if end else 0, is_shared=is_shared)

    def _new_frame(self) -> Frame:
        frame = Frame(self._table.copy(), numpy.zeros(self._slots + self._flags + 1))  # flags before the last
        for slot, number, whole in self._fixed:
            (frame.integers if whole else frame.scalars)[slot] = number
        return frame

    def __call__(self, values: Sequence[Any], out: OutArrays | None = None) -> Any:
        """The kernel's result for the leaves of a call of this form, with captured arrays behind them.

        out: arrays that take results; each has its result's shape and dtype
        """
        ready = self._form
        if self._is_large and (count := threads.worker_count()) != ready.count:
            ready = self._form = self._form_of(count, self._donated)
        for leaf, look in self._looks:
            look(values[leaf])
        arguments = [values[leaf] for leaf in self._leaves]
        for position in self._odd:
            arguments[position] = self._plain(arguments[position], position)
        if out is not None:
            return self._into(out, ready, arguments, values)
        fresh = [empty(shape, dtype) for empty, shape, dtype in self._fresh]
        frame, answer = self._run(ready, arguments + fresh, values)
        if answer != RAN:
            variant = self._prepared(answer, arguments, fresh, values)
            if variant is not None:
                return variant(values)
            frame, answer = self._run(self._form_of(ready.count, ()), arguments + fresh, values)
            assert answer == RAN, f"{self.kernel}: arrays that were made ready are not"
        return self._result(frame, arguments, fresh)

    def _run(self, ready: Form, arrays: list[Any], values: Sequence[Any]) -> tuple[Frame, int]:
        """Run the program, if the arrays lie as it expects.

        returns: the frame that it ran in, and what `entry` says
        """
        try:
            frame = self._frames.pop()
        except IndexError:
            frame = self._new_frame()
        for slot, leaf, whole in self._other_numbers:
            (frame.integers if whole else frame.scalars)[slot] = values[leaf]
        numbers = [values[leaf] for leaf in self._number_leaves]
        if not (ready.workspace or ready.is_shared):
            answer = self._enter(arrays, ready.words, frame.table, frame.scalars, frame.table, numbers, 0)
            return frame, answer
        workspace, team = memory.borrow(ready.workspace), None
        try:
            team = threads.join() if ready.is_shared else None
            address = 0 if team is None else team.address
            answer = self._enter(
                arrays, ready.words, frame.table, frame.scalars, workspace.block, numbers, address
            )
        finally:
            if team is not None:
                team.lock.release()
            memory.give_back(workspace)
        return frame, answer

    def _result(self, frame: Frame, arguments: list[Any], fresh: list[Any]) -> Any:
        if self._reports:
            # A frame with a flag is not used again.
            indices.require_no_flag(self._reports, frame.integers[self._slots : -1].tolist())
        result = self._build(arguments, fresh, frame.scalars, frame.integers)
        self._frames.append(frame)
        return result

    def _prepared(
        self, answer: int, arguments: list[Any], fresh: list[Any], values: Sequence[Any]
    ) -> CpuProgram | None:
        """Make the arguments what the program wants; or find the program that wants them as they are."""
        if answer != SHARED:
            layouts = {
                leaf: layout
                for position, leaf in enumerate(self._leaves)
                if position not in self._donated and (layout := layout_of(arguments[position]))
            }
            variant = None if layouts == self._layouts else self._variant_for(layouts, values)
            if variant is not None:
                return variant
        # Of the caller's arrays: a copy shares no memory with anything.
        self._keep_donated(arguments, fresh)
        if answer != SHARED:
            for position, array in enumerate(arguments):
                if self._leaves[position] not in self._layouts:
                    arguments[position] = self._plain(array, position)
        return None

    def _variant_for(self, layouts: dict[int, Layout], values: Sequence[Any]) -> CpuProgram | None:
        """The program for arguments that lie so; None where they need dimensions that are coalesced here."""
        key = tuple(sorted((leaf, layout.value) for leaf, layout in layouts.items()))
        variant: CpuProgram | None = self._variants.get(key, self)
        if variant is not self:
            return variant
        try:
            variant = self._variant(values, layouts)
            variant.captured.clear()  # every call passes them; the variant must not keep them alive
        except TooManyDimensionsError:
            variant = None
        if len(self._variants) >= _MAX_VARIANTS:
            self._variants.clear()
        self._variants[key] = variant
        return variant

    def _keep_donated(self, arguments: list[Any], fresh: list[Any]) -> None:
        """Let results take copies of donated arguments that somebody else uses."""
        if self._donated and overlap(arguments + fresh, self._donated):
            for position in self._donated:
                arguments[position] = arguments[position].copy()

    def _into(self, out: OutArrays, ready: Form, arguments: list[Any], values: Sequence[Any]) -> Any:
        """A call whose results go into out arrays; one that shares memory with others is copied into."""
        fresh: list[Any] = [None] * len(self._fresh)
        direct: dict[int, int] = {}  # positions among all arrays -> leaves of the result
        copied: list[int] = []
        are_plain = True
        for leaf, (array, position) in enumerate(zip(out.arrays, self._places, strict=True)):
            if array is None:
                continue
            if position is not None and position < len(arguments) and arguments[position] is array:
                direct[position] = leaf
            elif position is not None and position >= len(arguments) and array.flags.carray:
                number = position - len(arguments)
                is_plain = type(array) is numpy.ndarray and array.shape == self._fresh[number][1]
                are_plain = are_plain and is_plain
                fresh[number] = array if is_plain else numpy.asarray(array).reshape(self._fresh[number][1])
                direct[position] = leaf
            else:
                copied.append(leaf)
        for number, (empty, shape, dtype) in enumerate(self._fresh):
            if fresh[number] is None:
                fresh[number] = empty(shape, dtype)
        out.require_disjoint(copied)
        watched = tuple(sorted({*direct, *self._donated}))
        frame, answer = self._run(self._form_of(ready.count, watched), arguments + fresh, values)
        is_done = answer == RAN and are_plain and not copied
        if answer != RAN:
            out.require_disjoint()
            variant = self._prepared(answer, arguments, fresh, values)
            if variant is not None:
                return variant(values, out)
            direct = self._apart(direct, arguments, fresh, out)
            frame, answer = self._run(self._form_of(ready.count, ()), arguments + fresh, values)
            assert answer == RAN, f"{self.kernel}: arrays that were made ready are not"
        result = self._result(frame, arguments, fresh)
        return result if is_done else out.copy_from(result, direct.values())

    def _apart(
        self, direct: dict[int, int], arguments: list[Any], fresh: list[Any], out: OutArrays
    ) -> dict[int, int]:
        """The out arrays that still take their results themselves; new arrays take those of the others."""
        kept: dict[int, int] = {}
        for position, leaf in direct.items():
            if position < len(arguments):
                if arguments[position] is out.arrays[leaf]:
                    kept[position] = leaf
            elif not overlap(arguments + fresh, (position,)):
                kept[position] = leaf
            else:
                empty, shape, dtype = self._fresh[position - len(arguments)]
                fresh[position - len(arguments)] = empty(shape, dtype)
        return kept

    def _plain(self, array: Any, position: int) -> Any:
        """An array as the program wants it: C order, aligned, native; writable where it is overwritten."""
        array = numpy.require(numpy.asarray(array), self._dtypes[position], ["C", "A"])
        array = array.reshape(self._shapes[position])
        return array.copy() if position in self._donated and not array.flags.writeable else array


def _variant(
    function: Callable[..., Any],
    kernel: str,
    like: Any,
    donated: Sequence[int],
    static: frozenset[int],
    values: Sequence[Any],
    layouts: Mapping[int, Layout],
) -> CpuProgram:
    """The program for the same calls with arguments that lie in other ways.

    like: the numbers of the leaves, in the trees of a call
    """
    args, kwargs = map_leaves(lambda leaf: values[leaf], like)
    return CpuProgram(function, kernel, args, kwargs, donated, static, layouts)


def _is_plain(value: Any, whole: bool) -> bool:
    """Whether compiled code can read a number, and those of other calls in its place."""
    return type(value) is (int if whole else float)
