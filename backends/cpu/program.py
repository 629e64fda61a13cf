"""The Numba backend: a call's plan, compiled, with its memory, ready to be called again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

import numpy

from ..codegen import results
from ..codegen.cost import Sizes
from ..codegen.explain import Explanation, explain
from ..codegen.lower import lower
from ..common.bounds import use_compiled
from ..common.out_arrays import OutArrays
from ..common.trees import leaves
from ..ir.dtypes import numpy_dtype
from ..ir.nest import BufferKind
from ..trace import indices
from .dialect import numba_name
from .render import Renderer, pointers_in_table, sizes_in_table
from .results import allocation, number_of_memory
from .runtime import blas, memory, program_cache, threads
from .runtime.addresses import fill_function, overlap
from .runtime.bounds import bounds
from .target import CPU

_ALIGNMENT = 64

use_compiled(bounds)


class Frame:
    """What one running call of a program has for itself."""

    __slots__ = ("integers", "scalars", "scratch", "table")

    def __init__(self, table: Any, scalars: Any, scratch: Any) -> None:
        self.table, self.scalars, self.scratch = table, scalars, scratch
        self.integers = scalars.view(numpy.int64)


class Team:
    """A program made ready for a number of threads: the workers of its stages, and memory for them."""

    __slots__ = ("frames", "stages", "threads", "workers")

    def __init__(self, threads: int, sizes: Sizes) -> None:
        self.threads = threads
        self.stages = numpy.array(sizes.stages(threads), numpy.int64).reshape(-1, 3)
        self.workers = int(self.stages[:, 1].max(initial=1))
        self.frames: deque[Frame] = deque(maxlen=16)


class CpuProgram:
    """A kernel compiled for calls of one form."""

    def __init__(
        self,
        function: Callable[..., Any],
        kernel: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        donated_leaves: Sequence[int] = (),
        static_leaves: frozenset[int] = frozenset(),
        *,
        compiled: bool = True,
    ) -> None:
        lowered = lower(function, kernel, args, kwargs, donated_leaves, static_leaves, target=CPU)
        self.traced, self.plan, self.shapes = lowered.traced, lowered.plan, lowered.shapes
        self.kernel, self.guards, self.captured = kernel, self.traced.guards, self.traced.trace.captured
        self._constants = lowered.slot_values
        self.source = Renderer(self.plan).source()
        self.sizes = Sizes(self.plan)
        if compiled:
            self._prepare(kernel, args, kwargs)

    def explanation(self) -> Explanation:
        """What the program does, in words."""
        return explain(self.plan, self.sizes, threads.worker_count(), self.source)

    def _prepare(self, kernel: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Compile, and find out once what every call needs."""
        self.address: int = program_cache.load(self.source, kernel).program.address
        self._arguments = self.plan.of_kind(BufferKind.ARGUMENT)
        self._looks = self.traced.trace.call_checks
        fresh = self.plan.of_kind(BufferKind.RESULT)
        everything = self._all_leaves(leaves((args, kwargs)))
        self._all = len(everything)
        given = [numpy.asarray(everything[m.number]) for m in self._arguments]
        # To the program only addresses matter; the shapes are those of the caller's arrays.
        self.given = {m: array.shape or (1,) for m, array in zip(self._arguments, given, strict=True)}
        self.given |= {m: results.shape_of(m, self.plan, self.shapes) for m in fresh}
        self._fresh = [allocation(m, self.given[m]) for m in fresh]
        self._fill = fill_function(
            tuple((numba_name(m.dtype), len(self.given[m])) for m in self._arguments + fresh)
        )
        self._first = len(sizes_in_table(self.plan)) + 2
        self._leaves = [m.number for m in self._arguments]
        # What is never as the program wants it, in all calls of this form.
        self._odd = [array.ndim == 0 or not array.dtype.isnative for array in given]
        self._donated = numpy.array(
            [i for i, m in enumerate(self._arguments) if m.number in self.plan.donated], dtype=numpy.int64
        )
        self._bytes = numpy.array(
            [self.sizes.elements(m.axes) * m.dtype.itemsize for m in self._arguments + fresh],
            numpy.int64,
        )
        slots = list(enumerate(self.plan.slots.arguments.items()))
        held = [(slot, leaf, not dtype.is_float) for slot, (leaf, dtype) in slots]
        self._scalars = [scalar for scalar in held if scalar[1] not in self._constants]
        self._fixed = [
            (slot, self._constants[leaf], is_integer)
            for slot, leaf, is_integer in held
            if leaf in self._constants
        ]
        positions = {m: position for position, m in enumerate(self._arguments + fresh)}
        self._places = [
            None if place is None else positions[place] for place in results.places(self.traced, self.plan)
        ]
        self.out_specs = results.out_specs(self.traced, self.plan)
        self.out_orders: dict[Hashable, Any] = {}  # by signature of `out`
        self._donates = len(self._donated) > 0
        number = number_of_memory(self.plan.slots.outputs)
        self._build = results.builder(self.traced, self.plan, number, self._arguments, self.given)
        self._reports = indices.reports(kernel, self.plan.flags)
        # Asking for the threads takes longer than a small kernel.
        self._is_large = any(workers > 1 for _, workers, _ in self.sizes.stages(CPU.workers))
        self._teams: dict[int, Team] = {}
        self._team = self._team_of(threads.worker_count())

    def _team_of(self, count: int) -> Team:
        # Threads of Python's may have told Numba different numbers: none may run in another one's memory.
        return self._teams.get(count) or self._teams.setdefault(count, Team(count, self.sizes))

    def _new_frame(self, team: Team) -> Frame:
        plan, sizes = self.plan, self.sizes
        products = blas.load()
        table = [sizes.of[axis] for axis in plan.axes] + [work.block for work in sizes.loops]
        table += [products.sgemm, products.dgemm]
        scratch = [
            m for m in pointers_in_table(self.plan) if m.kind not in (BufferKind.ARGUMENT, BufferKind.RESULT)
        ]
        offsets, end = [], 0
        for m in scratch:
            offsets.append(end)
            length = sizes.length(m, team.workers) * m.dtype.itemsize
            end += -(-length // _ALIGNMENT) * _ALIGNMENT
        block = memory.Workspace().borrow(end + _ALIGNMENT)
        start = block.ctypes.data
        table += [0] * (len(self._arguments) + len(self._fresh)) + [start + offset for offset in offsets]
        scalars = numpy.zeros(self.plan.slots.count + len(self.plan.flags) + 1)  # flags before the last
        frame = Frame(numpy.array(table, numpy.int64), scalars, block)
        for slot, number, is_integer in self._fixed:
            (frame.integers if is_integer else frame.scalars)[slot] = number
        return frame

    def __call__(self, values: Sequence[Any], out: OutArrays | None = None) -> Any:
        """The kernel's result for the leaves of a call of this form, with captured arrays behind them or not.

        out: arrays that take results; each has its result's shape and dtype
        """
        team = self._team
        if self._is_large and (count := threads.worker_count()) != team.threads:
            team = self._team = self._team_of(count)
        if len(values) < self._all:
            values = self._all_leaves(values)
        for leaf, look in self._looks:
            look(values[leaf])
        try:
            frame = team.frames.pop()
        except IndexError:
            frame = self._new_frame(team)
        table, scalars = frame.table, frame.scalars
        arguments = [values[leaf] for leaf in self._leaves]
        for position, odd in enumerate(self._odd):
            array = arguments[position]
            if odd or type(array) is not numpy.ndarray or not array.flags.carray:
                arguments[position] = self._plain(array, position)
        if out is None:
            fresh = [empty(shape, dtype) for empty, shape, dtype in self._fresh]
            self._fill(table, self._first, *arguments, *fresh)
            if self._donates and overlap(table, self._first, self._bytes, self._donated):
                self._keep_donated(arguments)
                self._fill(table, self._first, *arguments, *fresh)
        else:
            fresh, there, is_done = self._place(table, arguments, out)
        for slot, leaf, is_integer in self._scalars:
            (frame.integers if is_integer else scalars)[slot] = values[leaf]
        threads.run(self.address, team.stages, table, scalars)
        if self._reports:
            # A frame with a flag is not used again.
            indices.require_no_flag(self._reports, frame.integers[self.plan.slots.count : -1].tolist())
        result = self._build(arguments, fresh, scalars, frame.integers)
        team.frames.append(frame)
        return result if out is None or is_done else out.copy_from(result, there)

    def _place(
        self, table: Any, arguments: list[Any], out: OutArrays
    ) -> tuple[list[Any], Collection[int], bool]:
        """Put the arguments, fresh arrays and out arrays into the table.

        An out array that shares memory with another array is left to be copied into.
        returns: the fresh arrays, out arrays among them; which out arrays will have their result then;
                 and whether they all will, and are what the program returns
        """
        fresh: list[Any] = [None] * len(self._fresh)
        direct: dict[int, int] = {}  # positions in the table -> leaves of the result
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
        self._fill(table, self._first, *arguments, *fresh)

        def shared(*positions: int) -> bool:
            return overlap(table, self._first, self._bytes, numpy.array(positions, numpy.int64))

        if not shared(*direct, *self._donated):
            out.require_disjoint(copied)
            return fresh, direct.values(), are_plain and not copied
        out.require_disjoint()
        keep = any(map(shared, self._donated))
        for position in [p for p in direct if shared(p)]:
            del direct[position]
            if position >= len(arguments):
                empty, shape, dtype = self._fresh[position - len(arguments)]
                fresh[position - len(arguments)] = empty(shape, dtype)
        if keep:
            self._keep_donated(arguments)
            direct = {p: leaf for p, leaf in direct.items() if p >= len(arguments)}
        self._fill(table, self._first, *arguments, *fresh)
        return fresh, direct.values(), False

    def _keep_donated(self, arguments: list[Any]) -> None:
        """Let results take copies of the donated arguments, which somebody else uses."""
        for position in self._donated:
            arguments[position] = arguments[position].copy()

    def _all_leaves(self, values: Sequence[Any]) -> Sequence[Any]:
        """The leaves of a call, and the arrays that the kernel has from elsewhere."""
        return [*values, *self.captured]

    def _plain(self, array: Any, position: int) -> Any:
        """An array as the program wants it: C order, aligned, native, writable; a copy or not."""
        wanted = self._arguments[position]
        array = numpy.require(numpy.asarray(array), numpy_dtype(wanted.dtype), ["C", "A"])
        array = array.reshape(self.given[wanted])
        return array if array.flags.carray else array.copy()
