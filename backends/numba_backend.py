"""The Numba backend: a call's plan, compiled, with its memory, ready to be called again."""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from . import blas, memory, program_cache, threads
from .emit_numba import Printer
from .emit_values import MOST_SHARES, kept_number
from .explanation import Explanation, explain
from .machine_code import compiled
from .merge import merge
from .plan import Memory, Plan, make_plan
from .schedule import base
from .simplify import simplify
from .symbolic import SymbolicArray
from .trace import Traced, trace
from .trees import leaves
from .work import Sizes

_ALIGNMENT = 64


class Frame:
    """What one running call of a program has for itself."""

    __slots__ = ("numbers", "scratch", "table", "whole")

    def __init__(self, table: Any, numbers: Any, scratch: Any) -> None:
        self.table, self.numbers, self.scratch = table, numbers, scratch
        self.whole = numbers.view(numpy.int64)


class Program:
    """A kernel compiled for calls of one form."""

    def __init__(
        self,
        function: Callable[..., Any],
        kernel: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        donated_leaves: Sequence[int] = (),
        numbers: frozenset[int] = frozenset(),
        *,
        compiled: bool = True,
    ) -> None:
        self.traced: Traced = trace(function, kernel, args, kwargs, numbers)
        _, plainer = simplify(self.traced.trace.graph, self.traced.outputs)
        graph, outputs = merge(kernel, plainer)
        self.plan: Plan = make_plan(kernel, graph, outputs, donated_leaves)
        self.shapes = [node.sizes() for node in self.traced.outputs]
        self.printer = Printer(self.plan)
        self.source = self.printer.source()
        self.sizes = Sizes(self.plan)
        if compiled:
            self._prepare(kernel, args, kwargs)

    def explanation(self) -> Explanation:
        """What the program does, in words."""
        sections = self.sizes.sections(threads.share_count())
        return explain(self.plan, self.sizes, sections, self.source)

    def _prepare(self, kernel: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Compile, and find out once what every call needs."""
        self.address: int = program_cache.load(self.source, kernel).program.address
        self._arguments = self.plan.of_kind("argument")
        self._captured = self.traced.trace.captured
        self._looks = self.traced.trace.every_call
        fresh = self.plan.of_kind("result")
        everything = self._all_leaves(leaves((args, kwargs)))
        given = [numpy.asarray(everything[m.number]) for m in self._arguments]
        # To the program only addresses matter; the shapes are those of the caller's arrays.
        self.given = {m: array.shape or (1,) for m, array in zip(self._arguments, given, strict=True)}
        self.given |= {m: self._result_shape(m) for m in fresh}
        self._fresh = [_allocation(m, self.given[m]) for m in fresh]
        self._fill = _fill_function(tuple((m.dtype, len(self.given[m])) for m in self._arguments + fresh))
        self._first = len(self.printer.sizes) + 2
        self._leaves = [m.number for m in self._arguments]
        # What is never as the program wants it, in all calls of this form.
        self._odd = [array.ndim == 0 or not array.dtype.isnative for array in given]
        self._donated = numpy.array(
            [i for i, m in enumerate(self._arguments) if m.number in self.plan.donated], dtype=numpy.int64
        )
        self._bytes = numpy.array(
            [self.sizes.elements(m.axes) * numpy.dtype(m.dtype).itemsize for m in self._arguments],
            numpy.int64,
        )
        kinds = {node.attribute: node.dtype for node in self.plan.graph.nodes if node.operation == "scalar"}
        self._scalars = [(leaf, kinds[leaf] != "float64") for leaf in self.plan.scalars]
        self._donates = len(self._donated) > 0
        self._threads = 0
        self._frames: deque[Frame] = deque(maxlen=16)
        self._build = _builder(self)
        # Asking for the threads takes longer than a small kernel.
        self._is_large = any(shares > 1 for _, shares, _ in self.sizes.sections(MOST_SHARES))
        self._use(threads.share_count())

    def _result_shape(self, result: Memory) -> tuple[int, ...]:
        """The shape in which the kernel returns it first, unless that is a transposition."""
        for node, shape in zip(self.plan.schedule.outputs, self.shapes, strict=True):
            kept = tuple(axis.find() for axis in node.shape if axis is not None)
            if self.plan.place.get(base(node)) is result and kept == base(node).axes:
                return shape
        return tuple(axis.size for axis in result.axes)

    def _use(self, count: int) -> None:
        """Make ready for a number of threads."""
        self._threads = count
        self.sections = numpy.array(self.sizes.sections(count), numpy.int64).reshape(-1, 3)
        self._shares = int(self.sections[:, 1].max(initial=1))
        self._frames.clear()

    def _new_frame(self) -> Frame:
        plan, sizes = self.plan, self.sizes
        products = blas.load()
        table = [sizes.of[axis] for axis in plan.axes] + [work.block for work in sizes.phases]
        table += [products.sgemm, products.dgemm]
        scratch = [m for m in self.printer.pointers() if m.kind not in ("argument", "result")]
        offsets, end = [], 0
        for m in scratch:
            offsets.append(end)
            length = sizes.length(m, self._shares) * numpy.dtype(m.dtype).itemsize
            end += -(-length // _ALIGNMENT) * _ALIGNMENT
        block = memory.Workspace().borrow(end + _ALIGNMENT)
        start = block.ctypes.data
        table += [0] * (len(self._arguments) + len(self._fresh)) + [start + offset for offset in offsets]
        return Frame(numpy.array(table, numpy.int64), numpy.zeros(self.printer.numbers + 1), block)

    def __call__(self, values: Sequence[Any]) -> Any:
        """The kernel's result for the leaves of a call of this form."""
        if self._is_large and threads.share_count() != self._threads:
            self._use(threads.share_count())
        for leaf, look in self._looks:
            look(values[leaf])
        try:
            frame = self._frames.pop()
        except IndexError:
            frame = self._new_frame()
        table, numbers = frame.table, frame.numbers
        if self._captured:
            values = self._all_leaves(values)
        arguments = [values[leaf] for leaf in self._leaves]
        for position, odd in enumerate(self._odd):
            array = arguments[position]
            if odd or type(array) is not numpy.ndarray or not array.flags.carray:
                arguments[position] = self._plain(array, position)
        fresh = [empty(shape, dtype) for empty, shape, dtype in self._fresh]
        self._fill(table, self._first, *arguments, *fresh)
        if self._donates and _overlap(table, self._first, self._bytes, self._donated):
            for position in self._donated:
                arguments[position] = arguments[position].copy()
            self._fill(table, self._first, *arguments, *fresh)
        for slot, (leaf, is_whole) in enumerate(self._scalars):
            (frame.whole if is_whole else numbers)[slot] = values[leaf]
        threads.run(self.address, self.sections, table, numbers)
        result = self._build(arguments, fresh, numbers, frame.whole)
        self._frames.append(frame)
        return result

    def _all_leaves(self, values: Sequence[Any]) -> Sequence[Any]:
        """The leaves of a call, and the arrays that the kernel has from elsewhere."""
        return [*values, *self._captured]

    def _plain(self, array: Any, position: int) -> Any:
        """An array as the program wants it: C order, aligned, native, writable; a copy or not."""
        wanted = self._arguments[position]
        array = numpy.require(numpy.asarray(array), wanted.dtype, ["C", "A"]).reshape(self.given[wanted])
        return array if array.flags.carray else array.copy()


def _allocation(
    result: Memory, shape: tuple[int, ...]
) -> tuple[Callable[..., Any], tuple[int, ...], numpy.dtype[Any]]:
    """How a fresh array for a result is made: function, shape, dtype."""
    dtype = numpy.dtype(result.dtype)
    is_small = math.prod(shape) * dtype.itemsize < memory.LARGE
    return numpy.empty if is_small else memory.empty, shape, dtype


def _find_overlap(table, first, sizes, donated):  # type: ignore[no-untyped-def]
    """Whether a donated argument's memory is also another's."""
    for index in range(donated.shape[0]):
        position = donated[index]
        start = table[first + position]
        end = start + sizes[position]
        for other in range(sizes.shape[0]):
            address = table[first + other]
            if other != position and address < end and start < address + sizes[other]:
                return True
    return False


def _overlap(table: Any, first: int, sizes: Any, donated: Any) -> bool:
    return bool(_overlap_function()(table, first, sizes, donated))


@functools.cache
def _overlap_function() -> Any:
    import numba

    whole = numba.types.int64
    signature = numba.types.boolean(whole[::1], whole, whole[::1], whole[::1])
    return compiled(_find_overlap, numba.njit, signature)


@functools.cache
def _fill_function(signature: tuple[tuple[str, int], ...]) -> Any:
    """A compiled function that writes the addresses of arrays of these dtypes and dimensions into a table."""
    names = [f"a{i}" for i in range(len(signature))]
    types = [f"{'bool_' if t == 'bool' else t}[{', '.join([':'] * (n - 1) + ['::1'])}]" for t, n in signature]
    lines = [
        "from numba import bool_, float32, float64, int8, int16, int32, int64, njit, uint8, uint16, uint32",
        "from numba import uint64, void",
        "from onepass.backends.pointers import address_of, data_of",
        "",
        "",
        f"@njit(void(int64[::1], int64, {', '.join(types)}), cache=CACHE)",
        f"def fill(table, first, {', '.join(names)}):",
        *[f"    table[first + {i}] = address_of(data_of({name}))" for i, name in enumerate(names)],
        "    return",
    ]
    return program_cache.load("\n".join(lines) + "\n", "addresses").fill


def _builder(program: Program) -> Callable[..., Any]:
    """A function of (arguments, fresh, numbers, whole) that makes the result's tree."""
    constants: dict[str, Any] = {"numpy": numpy}
    plan, printer = program.plan, program.printer
    arguments = {m: f"arguments[{i}]" for i, m in enumerate(program._arguments)}
    fresh = {m: f"fresh[{i}]" for i, m in enumerate(plan.of_kind("result"))}
    nodes = iter(zip(plan.schedule.outputs, program.shapes, strict=True))

    def constant(value: Any) -> str:
        name = f"c{len(constants)}"
        constants[name] = value
        return name

    def leaf(value: Any) -> str:
        if not isinstance(value, SymbolicArray):
            return constant(value)
        node, shape = next(nodes)
        source = base(node)
        if source.axes:
            place = plan.place[source]
            text = fresh.get(place) or arguments[place]
            kept = tuple(axis.find() for axis in node.shape if axis is not None)
            if kept != source.axes:
                order = tuple(source.axes.index(axis) for axis in kept)
                text += f".reshape({tuple(axis.size for axis in source.axes)}).transpose({order})"
                return f"{text}.reshape({shape})"
            return text if shape == program.given[place] else f"{text}.reshape({shape})"
        number = kept_number(node.dtype, str(printer.output_slot[source]))
        if node.weak:
            return f"{ {'float64': 'float', 'int64': 'int', 'bool': 'bool'}[node.dtype] }({number})"
        if shape:
            return f"numpy.full({shape}, {number}, {constant(numpy.dtype(node.dtype))})"
        return f"{constant(numpy.dtype(node.dtype).type)}({number})"

    def tree(value: Any) -> str:
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return f"{constant(type(value))}({', '.join(map(tree, value))})"
        if isinstance(value, list | tuple):
            items = ", ".join(map(tree, value))
            if type(value) is list:
                return f"[{items}]"
            return f"({items}{',' if value else ''})"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{constant(key)}: {tree(item)}" for key, item in value.items()) + "}"
        return leaf(value)

    made: Callable[..., Any] = eval(
        f"lambda arguments, fresh, numbers, whole: {tree(program.traced.result)}", constants
    )
    return made


class Kernel:
    """A function compiled for calls of one form, once for every set of numbers that it looks at."""

    def __init__(
        self, function: Callable[..., Any], name: str, numbers: frozenset[int], donated: Sequence[int]
    ) -> None:
        self._function, self._name, self._donated = function, name, donated
        # Options are part of the form already; what the kernel looks at beside them is not.
        self._given = self._numbers = numbers
        self._program: Program | None = None
        self._programs: dict[tuple[Any, ...], Program] = {}

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]) -> Any:
        """The function of (args, kwargs), whose leaves are `values`."""
        program = self._program or self._find(args, kwargs, values)
        return program(values)

    def _find(self, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]) -> Program:
        key = tuple(values[leaf] for leaf in sorted(self._numbers))
        program = self._programs.get(key)
        if program is None:
            program = Program(self._function, self._name, args, kwargs, self._donated, self._numbers)
            looked_at = program.traced.numbers
            if looked_at != self._numbers:
                self._numbers, self._programs = looked_at, {}
                key = tuple(values[leaf] for leaf in sorted(looked_at))
            self._programs[key] = program
            if not looked_at - self._given:
                self._program = program
        return program
