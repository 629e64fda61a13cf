"""Kernels as CUDA programs whose geometry is chosen, executed on the host, and held against eager NumPy."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from host_cuda import SCHEDULES, guarded, guarded_copy
from host_device import HostDevice
from onepass.backends import eager
from onepass.backends.codegen.lower import lower
from onepass.backends.common.trees import leaves, map_leaves
from onepass.backends.cuda import launches
from onepass.backends.cuda.launch_shapes import LaunchShape, flat
from onepass.backends.cuda.launches import DeviceProperties, Launches
from onepass.backends.cuda.program import CudaProgram
from onepass.backends.cuda.target import CUDA
from onepass.backends.cuda.text import H100
from onepass.backends.ir.nest import LoopNest

import onepass as op
from onepass.compilation import leaves_of

# Of the largest number of a result. Halves are held to one step of their own, at every number.
TOLERANCE = {"float32": 3e-5, "float64": 1e-13}
STEP = {"float16": 2e-3, "bfloat16": 1.6e-2}
# A block of rows is a multiple of every vector; the smallest that shows what more than one of them does.
SMALL_BLOCK = 8


class Call(NamedTuple):
    """A call of a kernel, and the arguments that it may take the memory of."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = {}
    donate: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """How threads share the rows, whatever size they have.

    threads:   of a block
    group:     threads of a block that share a row
    cluster:   blocks that share a row
    streaming: whether a row is read anew in every turn
    vector:    elements that are loaded at once, at most
    blocks:    whether the rows are taken in small blocks
    """

    threads: int
    group: int
    cluster: int = 1
    streaming: bool = False
    vector: int = 8
    blocks: bool = False


class FormedLaunches(Launches):
    """A plan as kernels of one form."""

    def __init__(self, plan: Any, device: DeviceProperties, *, form: Form) -> None:
        self.form = form
        with mock.patch.object(launches, "ROWS_OF_BLOCK", SMALL_BLOCK):
            super().__init__(plan, device, **({"budget": 1} if form.blocks else {}))

    def shape_of(self, nest: LoopNest) -> LaunchShape:
        form, usual = self.form, super().shape_of(nest)
        vector = min(usual.vector, form.vector)
        if not nest.axes():
            return flat(vector)
        lanes = form.group * form.cluster
        items = 0 if form.streaming else -(-nest.main.size // (vector * lanes))
        return LaunchShape(form.threads, form.group, items, vector, form.cluster)


def launches_of(form: Form | None) -> Callable[..., Launches]:
    """What makes kernels of this form; of the usual one for None."""
    return Launches if form is None else functools.partial(FormedLaunches, form=form)


def program_of(call: Call, device: Any, form: Form | None = None) -> CudaProgram:
    """The program of a call, as `op.kernel` and the kernels of the library make it."""
    function = inspect.unwrap(call.function)
    kwargs = dict(call.kwargs)
    donated = leaves_of(function, call.args, kwargs, call.donate)
    return CudaProgram(
        function,
        function.__name__,
        call.args,
        kwargs,
        donated,
        _numbers(call),
        device=device,
        launches=launches_of(form),
    )


def emitted(call: Call, capability: int, form: Form | None = None, *, aligned: bool = True) -> Launches:
    """The kernels of a call, for arrays that need not have memory."""
    function, kwargs = inspect.unwrap(call.function), dict(call.kwargs)
    donated = leaves_of(function, call.args, kwargs, call.donate)
    lowered = lower(function, function.__name__, call.args, kwargs, donated, _numbers(call), target=CUDA)
    device = replace(H100, capability=capability, aligned=aligned)
    return launches_of(form)(lowered.plan, device)


def _numbers(call: Call) -> frozenset[int]:
    """Integers that are given by name are part of the program."""
    first = len(leaves(call.args))
    given = leaves((call.args, dict(call.kwargs)))
    return frozenset(i for i, leaf in enumerate(given) if i >= first and type(leaf) is int)


def expected_of(call: Call) -> list[Any]:
    """What eager NumPy makes of a call."""
    with op.use_backend("numpy"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of the mean of nothing
        args, kwargs = map_leaves(
            lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, (call.args, dict(call.kwargs))
        )
        return leaves(eager.run_in_float32(inspect.unwrap(call.function), args, kwargs))


class WatchingDevice(HostDevice):
    """A device on the host whose arrays end where memory ends, and that knows who wrote to an argument."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.given: list[tuple[Any, Any]] = []

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return guarded(shape, dtype, self._offset(dtype), fence=True)

    def plain(self, array: Any, dtype: np.dtype[Any], strides: tuple[int, ...] | None = None) -> Any:
        copy = guarded_copy(np.asarray(array, dtype), self._offset(dtype), fence=True)
        self.given.append((np.array(copy), copy))
        return copy

    def changed(self) -> int:
        """How many arguments of the calls so far were written to."""
        given, self.given = self.given, []
        return sum(before.tobytes() != after.tobytes() for before, after in given)


def run(program: CudaProgram, call: Call) -> list[Any]:
    """The leaves of the result; arguments that are not donated are as before."""
    with np.errstate(all="ignore"):  # products of NaN, which NumPy makes here
        got = leaves(program(leaves((call.args, dict(call.kwargs)))))
    if isinstance(program.device, WatchingDevice) and not call.donate:
        assert program.device.changed() == 0, "an argument was written to"
    return [np.array(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in got]


def assert_same_numbers(got: list[Any], expected: list[Any]) -> None:
    """Dtypes, shapes, and values to rounding of the largest finite number of each array."""
    assert len(got) == len(expected)
    for position, (mine, theirs) in enumerate(zip(got, expected, strict=True)):
        if theirs is None or isinstance(theirs, int):
            assert (mine is None) if theirs is None else int(mine) == theirs, f"result {position}"
            continue
        theirs = np.asarray(theirs)
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape), f"result {position}"
        if theirs.dtype.name in STEP:
            step = STEP[theirs.dtype.name]
            mine, theirs, relative, absolute = mine.astype(float), theirs.astype(float), step, step / 20
        else:
            finite = np.abs(theirs[np.isfinite(theirs)]).max(initial=1.0)
            relative, absolute = 0, TOLERANCE[theirs.dtype.name] * float(finite)
        np.testing.assert_allclose(
            mine, theirs, rtol=relative, atol=absolute, err_msg=f"result {position}", verbose=True
        )


def check(
    call: Call,
    form: Form | None = None,
    *,
    processors: int = 3,
    aligned: bool = True,
    schedules: tuple[str, ...] = SCHEDULES,
) -> WatchingDevice:
    """The numbers of eager NumPy, and under all schedules the same bits, twice in a row as well."""
    device = WatchingDevice(processors=processors, schedule=schedules[0], aligned=aligned)
    program = program_of(call, device, form)
    first = run(program, call)
    assert_same_numbers(first, expected_of(call))
    for schedule in (*schedules[1:], schedules[0]):
        device.schedule = schedule
        for mine, theirs in zip(run(program, call), first, strict=True):
            assert np.asarray(mine).tobytes() == np.asarray(theirs).tobytes(), f"other bits, {schedule}"
    return device
